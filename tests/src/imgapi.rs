// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A small image API on loopback: lists images with the filters and the sort order of IMGAPI, and gives their files with
//! the headers it gives. No ranges: the real one has none either.

use std::io::{self, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::http_server::{HttpServer, Request, serve};

/// An image with its file.
#[derive(Debug, Clone)]
struct Image {
    manifest: Value,
    channel: Option<String>,
    file: Vec<u8>,
    md5: String,
}

/// What is wrong with the files that are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFault {
    /// One bit in the middle is wrong.
    FlippedByte,
    /// The storage fails after the headers: the connection ends in the middle.
    Truncated,
    /// The storage is down: 503.
    StorageIsDown,
}

/// An image API that lives until it is dropped.
#[derive(Debug)]
pub struct Imgapi {
    server: HttpServer,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    images: Mutex<Vec<Image>>,
    fault: Mutex<Option<FileFault>>,
    requests: Mutex<Vec<String>>,
}

impl Imgapi {
    /// Starts one without images on a free loopback port.
    pub fn start() -> Imgapi {
        let shared = Arc::new(Shared::default());
        let serving = Arc::clone(&shared);
        let server = HttpServer::start(move |connection| {
            serve(&connection, |request, connection| answer(&serving, request, connection))
        });
        Imgapi { server, shared }
    }

    /// Where it is, as the agent's `source`.
    pub fn source(&self) -> String {
        format!("imgapi://{}", self.server.address())
    }

    /// Imports an image; `published_at` decides which is the newest.
    pub fn import(&self, name: &str, published_at: &str, channel: Option<&str>, file: &[u8]) {
        let mut images = self.shared.images.lock().unwrap();
        let manifest = json!({
            "v": 2,
            "uuid": format!("c0ffee00-0000-4000-8000-{:012x}", images.len()),
            "owner": "930896af-bf8c-48d4-885c-6573a94b1853",
            "name": name,
            "version": "1.0.0",
            "state": "active",
            "disabled": false,
            "public": false,
            "published_at": published_at,
            "type": "other",
            "os": "other",
            "files": [{"sha1": sum("sha1sum", file), "size": file.len(), "compression": "none"}],
            "tags": {"smartdc_service": "true"},
        });
        let (channel, file) = (channel.map(str::to_owned), file.to_vec());
        let md5 = STANDARD.encode(unhex(&sum("md5sum", &file)));
        images.push(Image { manifest, channel, file, md5 });
    }

    /// Disables the image that was imported as the `number`th, from 0.
    pub fn disable(&self, number: usize) {
        self.shared.images.lock().unwrap()[number].manifest["state"] = "disabled".into();
    }

    /// Gives files with a fault from now on, or well again.
    pub fn set_fault(&self, fault: Option<FileFault>) {
        *self.shared.fault.lock().unwrap() = fault;
    }

    /// The requests since the last call, each with its query.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.shared.requests.lock().unwrap())
    }
}

/// Answers one request; true when the connection can be used again.
fn answer(shared: &Shared, request: &Request, connection: &TcpStream) -> io::Result<bool> {
    shared.requests.lock().unwrap().push(request.target.clone());
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match parts.as_slice() {
        ["images"] => {
            let list = shared.list(query);
            json_answer(connection, "200 OK", &Value::Array(list))
        }
        ["images", uuid, "file"] => file_answer(connection, shared, uuid),
        _ => {
            let error =
                json!({"code": "ResourceNotFound", "message": format!("{path} does not exist")});
            json_answer(connection, "404 Not Found", &error)
        }
    }
}

impl Shared {
    /// ListImages: filters, sort order, limit.
    fn list(&self, query: &str) -> Vec<Value> {
        let pairs: Vec<(&str, &str)> =
            query.split('&').filter_map(|pair| pair.split_once('=')).collect();
        let value =
            |key: &str| pairs.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
        let state = value("state").unwrap_or("active");
        let images = self.images.lock().unwrap();
        let wanted = |image: &&Image| {
            let is = |key: &str| value(key).is_none_or(|value| image.manifest[key] == value);
            let channel = value("channel");
            is("name")
                && (state == "all" || image.manifest["state"] == state)
                && channel.is_none_or(|name| name == "*" || image.channel.as_deref() == Some(name))
        };
        let mut list: Vec<Value> =
            images.iter().filter(wanted).map(|image| image.manifest.clone()).collect();
        let time = |image: &Value| image["published_at"].as_str().unwrap_or_default().to_owned();
        list.sort_by_key(time);
        if value("sort") == Some("published_at.desc") {
            list.reverse();
        }
        list.truncate(value("limit").and_then(|limit| limit.parse().ok()).unwrap_or(1000));
        list
    }
}

/// GetImageFile.
fn file_answer(mut connection: &TcpStream, shared: &Shared, uuid: &str) -> io::Result<bool> {
    let image = {
        let images = shared.images.lock().unwrap();
        images.iter().find(|image| image.manifest["uuid"] == uuid).cloned()
    };
    let Some(Image { manifest, mut file, md5, .. }) = image else {
        let error = json!({"code": "ResourceNotFound", "message": "image not found"});
        return json_answer(connection, "404 Not Found", &error);
    };
    let fault = *shared.fault.lock().unwrap();
    if fault == Some(FileFault::StorageIsDown) {
        let error = json!({"code": "StorageIsDown", "message": "storage is down"});
        return json_answer(connection, "503 Service Unavailable", &error);
    }
    let sha1 = manifest["files"][0]["sha1"].as_str().unwrap_or_default();
    write!(
        connection,
        "HTTP/1.1 200 OK\r\nEtag: {sha1}\r\nContent-MD5: {md5}\r\nContent-Type: application/octet-stream\r\n\
         Content-Length: {}\r\n\r\n",
        file.len()
    )?;
    let middle = file.len() / 2;
    match fault {
        Some(FileFault::FlippedByte) => file[middle] ^= 1,
        Some(FileFault::Truncated) => file.truncate(middle),
        _ => {}
    }
    connection.write_all(&file)?;
    Ok(fault != Some(FileFault::Truncated))
}

fn json_answer(mut connection: &TcpStream, status: &str, body: &Value) -> io::Result<bool> {
    let body = body.to_string();
    write!(
        connection,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    Ok(true)
}

/// What `sha1sum` or `md5sum` say of bytes.
fn sum(program: &str, bytes: &[u8]) -> String {
    let mut child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program} can be executed: {error}"));
    child.stdin.take().unwrap().write_all(bytes).expect("it takes its input");
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8(output.stdout).expect("it prints text");
    text.split(' ').next().unwrap_or_default().to_owned()
}

fn unhex(text: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("a sum is hexadecimal");
    (0..text.len()).step_by(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http;

    #[test]
    fn sums_are_written_as_the_headers_have_them() {
        assert_eq!(sum("sha1sum", b"abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
    }

    #[test]
    fn images_are_listed_as_asked() {
        let imgapi = Imgapi::start();
        imgapi.import("dockerlogger", "2026-01-02T00:00:00Z", None, b"new");
        imgapi.import("dockerlogger", "2026-01-01T00:00:00Z", Some("dev"), b"old");
        imgapi.import("other", "2026-01-03T00:00:00Z", None, b"");
        let base = imgapi.source().replace("imgapi", "http");
        let times = |query: &str| -> Vec<String> {
            let list = http::get(&format!("{base}/images?{query}")).unwrap().json();
            list.as_array()
                .unwrap()
                .iter()
                .map(|image| image["published_at"].as_str().unwrap()[9..10].to_owned())
                .collect()
        };
        assert_eq!(times("name=dockerlogger"), ["1", "2"]);
        assert_eq!(times("sort=published_at.desc&limit=2"), ["3", "2"]);
        assert_eq!(times("channel=dev"), ["1"]);
        imgapi.disable(0);
        assert_eq!(times("name=dockerlogger"), ["1"]);
        assert_eq!(times("name=dockerlogger&state=all"), ["1", "2"]);
    }
}
