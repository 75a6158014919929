// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The command socket: a unix socket in the install root that only root can open.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

/// The socket's name in the install root.
pub const SOCKET_NAME: &str = "agent.sock";

/// The name under which it is made. It gets its own name with its mode, so that there is no moment at
/// which others could connect.
const UNFINISHED_NAME: &str = ".sock";

/// Why there is no command socket.
#[derive(Debug, thiserror::Error)]
#[error("failed to {doing} {}", path.display())]
pub struct SocketError {
    doing: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Removes the socket's file when dropped.
#[derive(Debug)]
pub(super) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Its absence is as good; a leftover is replaced at the next start.
        drop(fs::remove_file(&self.0));
    }
}

/// Listens on the command socket of `root`. What an earlier agent left there is replaced: the caller
/// holds the root's lock, so that agent is gone.
pub(super) fn listen(root: &Path) -> Result<(UnixListener, SocketFile), SocketError> {
    let unfinished = root.join(UNFINISHED_NAME);
    let finished = root.join(SOCKET_NAME);
    let failed = |doing, path: &Path| {
        let path = path.to_owned();
        move |source| SocketError { doing, path, source }
    };
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed("remove", &unfinished)(error));
        }
        _ => {}
    }
    let listener = UnixListener::bind(&unfinished).map_err(failed("bind", &unfinished))?;
    let finish = || {
        fs::set_permissions(&unfinished, Permissions::from_mode(0o600))
            .map_err(failed("set the mode of", &unfinished))?;
        fs::rename(&unfinished, &finished).map_err(failed("make", &finished))
    };
    match finish() {
        Ok(()) => Ok((listener, SocketFile(finished))),
        Err(error) => {
            drop(fs::remove_file(&unfinished));
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_owner_may_connect_and_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(SOCKET_NAME);
        for _ in 0..2 {
            // The second time replaces what a killed agent left.
            fs::write(&path, b"stale").unwrap();
            fs::write(dir.path().join(UNFINISHED_NAME), b"stale").unwrap();
            let (listener, file) = listen(dir.path()).unwrap();
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            let connected = tokio::net::UnixStream::connect(&path);
            let (accepted, connected) = tokio::join!(listener.accept(), connected);
            assert!(accepted.is_ok() && connected.is_ok());
            drop(file);
            let left: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
            assert!(left.is_empty(), "{left:?}");
        }
    }

    #[tokio::test]
    async fn an_error_names_the_path() {
        let error = listen(Path::new("/nonexistent")).unwrap_err();
        assert_eq!(error.to_string(), "failed to bind /nonexistent/.sock");
    }
}
