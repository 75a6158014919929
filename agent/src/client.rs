// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Talking to the running agent over its command socket.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use axum::body::{Body, Bytes};
use axum::http::{Method, Request, StatusCode, header};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

use crate::service::socket_path;
use crate::work::Event;

/// The largest answer read, and the longest line of a stream of events.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// The agent that runs on a root.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
}

/// Why the agent's answer is not there.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The socket is there, and cannot be used.
    #[error("failed to connect to the running agent at {}", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The connection broke.
    #[error("the connection to the running agent broke")]
    Exchange(#[source] hyper::Error),
    /// The agent declined; its own words.
    #[error("the running agent answered {status}: {message}")]
    Declined {
        /// The HTTP status.
        status: StatusCode,
        /// Its message, and the field errors.
        message: String,
    },
    /// The stream ended before the last event.
    #[error("the running agent ended before the work did; see its log")]
    Unfinished,
    /// The answer is not what this version understands.
    #[error("the running agent's answer is not understood; is it another version?")]
    Malformed(#[source] serde_json::Error),
    /// The answer is beyond every expectation.
    #[error("the running agent's answer is longer than {ANSWER_BYTES_MAX} bytes")]
    TooLong,
}

impl Client {
    /// The agent on `root`; `None` when none runs there.
    ///
    /// # Errors
    /// When there is a socket that cannot be connected to, for want of permission for example.
    pub async fn find(root: &Path) -> Result<Option<Client>, ClientError> {
        let path = socket_path(root);
        match UnixStream::connect(&path).await {
            Ok(_) => Ok(Some(Client { path })),
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(None),
                _ => Err(ClientError::Connect { path, source: error }),
            },
        }
    }

    /// The JSON document at `path`.
    ///
    /// # Errors
    /// When the agent does not answer, or answers with an error.
    pub async fn get(&self, path: &str) -> Result<Value, ClientError> {
        let mut answer = self.exchange(Method::GET, path, Body::empty()).await?;
        let bytes = read_all(&mut answer).await?;
        serde_json::from_slice(&bytes).map_err(ClientError::Malformed)
    }

    /// Has work done: posts `body` to `path` and passes every event on. Returns the last one.
    ///
    /// # Errors
    /// When the agent declines the work, or the stream of events does not come to its end.
    pub async fn work(
        &self,
        path: &str,
        body: &Value,
        emit: &mut (dyn FnMut(Event) + Send),
    ) -> Result<Event, ClientError> {
        let body = Body::from(body.to_string());
        let mut answer = self.exchange(Method::POST, path, body).await?;
        let mut pending = Vec::new();
        loop {
            let bytes = match next_bytes(&mut answer).await {
                Ok(Some(bytes)) => bytes,
                Ok(None) | Err(ClientError::Exchange(_)) => return Err(ClientError::Unfinished),
                Err(error) => return Err(error),
            };
            for byte in bytes {
                if byte != b'\n' {
                    pending.push(byte);
                    continue;
                }
                let event: Event =
                    serde_json::from_slice(&pending).map_err(ClientError::Malformed)?;
                pending.clear();
                if event.is_last() {
                    return Ok(event);
                }
                emit(event);
            }
            if pending.len() > ANSWER_BYTES_MAX {
                return Err(ClientError::TooLong);
            }
        }
    }

    /// One request on a connection of its own.
    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Body,
    ) -> Result<Incoming, ClientError> {
        let failed = |source| ClientError::Connect { path: self.path.clone(), source };
        let stream = UnixStream::connect(&self.path).await.map_err(failed)?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(ClientError::Exchange)?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, format!("{}/{}", crate::log::PROGRAM, crate::VERSION))
            .body(body)
            .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
        let answer = sender.send_request(request).await.map_err(ClientError::Exchange)?;
        let (head, mut body) = answer.into_parts();
        if head.status.is_success() {
            return Ok(body);
        }
        let bytes = read_all(&mut body).await?;
        Err(ClientError::Declined { status: head.status, message: message_of(&bytes) })
    }
}

async fn next_bytes(body: &mut Incoming) -> Result<Option<Bytes>, ClientError> {
    loop {
        let frame = std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await;
        match frame {
            None => return Ok(None),
            Some(Err(error)) => return Err(ClientError::Exchange(error)),
            Some(Ok(frame)) => {
                if let Ok(bytes) = frame.into_data() {
                    return Ok(Some(bytes));
                }
            }
        }
    }
}

async fn read_all(body: &mut Incoming) -> Result<Vec<u8>, ClientError> {
    let mut all = Vec::new();
    while let Some(bytes) = next_bytes(body).await? {
        all.extend_from_slice(&bytes);
        if all.len() > ANSWER_BYTES_MAX {
            return Err(ClientError::TooLong);
        }
    }
    Ok(all)
}

/// What an error body says: its message, and each field's.
fn message_of(body: &[u8]) -> String {
    let Ok(document) = serde_json::from_slice::<Value>(body) else {
        return String::from_utf8_lossy(body).chars().take(200).collect();
    };
    let mut message = document["message"].as_str().unwrap_or("no message").to_owned();
    for error in document["errors"].as_array().into_iter().flatten() {
        if let Some(text) = error["message"].as_str() {
            message.push_str("; ");
            message.push_str(text);
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::{get, post};
    use serde_json::json;
    use tokio::net::UnixListener;
    use tokio::sync::watch;

    use super::*;
    use crate::api::server::{Limits, Listener, serve};
    use crate::engine::FailureKind;

    const PROGRESS: &str = "{\"event\":\"progress\",\"text\":\"asking\",\"detail\":null}\n";
    const FAILED: &str = "{\"event\":\"failed\",\"text\":\"no\",\"kind\":\"temporary\"}\n";

    /// An agent that gives fixed answers on the root returned; it ends with the sender.
    fn agent(router: Router) -> (tempfile::TempDir, watch::Sender<bool>) {
        let root = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(socket_path(root.path())).unwrap();
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(serve(Listener::Unix(listener), router, Limits::SOCKET, stopped));
        (root, stop)
    }

    async fn work(answer: String) -> (Result<Event, ClientError>, Vec<Event>) {
        let router = Router::new().route("/updates", post(async move || answer));
        let (root, _stop) = agent(router);
        let client = Client::find(root.path()).await.unwrap().unwrap();
        let mut told = Vec::new();
        let ended = client.work("/updates", &json!({}), &mut |event| told.push(event)).await;
        (ended, told)
    }

    #[tokio::test]
    async fn nobody_runs_where_there_is_no_socket_or_a_dead_one() {
        let root = tempfile::tempdir().unwrap();
        assert!(Client::find(root.path()).await.unwrap().is_none());
        drop(UnixListener::bind(socket_path(root.path())).unwrap());
        assert!(Client::find(root.path()).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn events_are_passed_on_and_the_last_one_returned() {
        let (ended, told) = work(format!("{PROGRESS}{PROGRESS}{FAILED}")).await;
        let expected = Event::Failed { text: "no".to_owned(), kind: FailureKind::Temporary };
        assert_eq!(ended.unwrap(), expected);
        assert_eq!(told.len(), 2);
    }

    #[tokio::test]
    async fn a_stream_without_an_end_is_an_error() {
        let (ended, told) = work(PROGRESS.to_owned()).await;
        assert!(matches!(ended, Err(ClientError::Unfinished)), "{ended:?}");
        assert_eq!(told.len(), 1);
        let (ended, _) = work("not json\n".to_owned()).await;
        assert!(matches!(ended, Err(ClientError::Malformed(_))), "{ended:?}");
        let (ended, _) = work("x".repeat(ANSWER_BYTES_MAX + 1)).await;
        assert!(matches!(ended, Err(ClientError::TooLong)), "{ended:?}");
    }

    #[tokio::test]
    async fn documents_are_read_and_errors_told_in_the_agents_words() {
        let declined = json!({
            "code": "InvalidParameters", "message": "cannot be started",
            "errors": [{ "field": "source", "code": "Missing", "message": "no source" }],
        });
        let router =
            Router::new().route("/status", get(async || json!({ "a": 1 }).to_string())).route(
                "/drivers",
                get(async move || (StatusCode::UNPROCESSABLE_ENTITY, declined.to_string())),
            );
        let (root, _stop) = agent(router);
        let client = Client::find(root.path()).await.unwrap().unwrap();
        assert_eq!(client.get("/status").await.unwrap(), json!({ "a": 1 }));
        let error = client.get("/drivers").await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the running agent answered 422 Unprocessable Entity: cannot be started; no source"
        );
    }
}
