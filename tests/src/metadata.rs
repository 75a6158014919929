// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The zone's metadata socket, as the global zone's agent answers on it: version 2 of the protocol, one request at a
//! time.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// How the socket behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manners {
    /// It answers.
    Answer,
    /// It says nothing at all.
    Mute,
    /// Its answers were damaged on the way.
    Garble,
}

/// A socket that lives as long as the test's process.
#[derive(Debug)]
pub struct MetadataServer {
    path: PathBuf,
    asked: Arc<Mutex<Vec<String>>>,
}

impl MetadataServer {
    /// A socket in `dir` that knows these keys.
    pub fn start(dir: &Path, manners: Manners, keys: &[(&str, &str)]) -> MetadataServer {
        let path = dir.join("metadata.sock");
        let listener = UnixListener::bind(&path).expect("the directory is ours");
        let keys: BTreeMap<String, String> =
            keys.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        let asked = Arc::new(Mutex::default());
        let asking = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                serve(&stream, manners, &keys, &asking);
            }
        });
        MetadataServer { path, asked }
    }

    /// Where it is.
    pub fn path(&self) -> &str {
        self.path.to_str().expect("scratch paths are text")
    }

    /// The keys that were asked for, in order.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(
    stream: &UnixStream,
    manners: Manners,
    keys: &BTreeMap<String, String>,
    asked: &Mutex<Vec<String>>,
) {
    let mut writer = stream;
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        let answer = if line == "NEGOTIATE V2" {
            "V2_OK\n".to_owned()
        } else {
            let Some((id, key)) = understood(&line) else { return };
            asked.lock().unwrap().push(key.clone());
            let body = match keys.get(&key) {
                Some(value) => format!("{id} SUCCESS {}", STANDARD.encode(value)),
                None => format!("{id} NOTFOUND"),
            };
            let checksum = crc32fast::hash(body.as_bytes()) ^ u32::from(manners == Manners::Garble);
            format!("V2 {} {checksum:08x} {body}\n", body.len())
        };
        if manners != Manners::Mute && writer.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// Request id and key of a request; the real agent says nothing to one that is damaged.
fn understood(line: &str) -> Option<(String, String)> {
    let (length, rest) = line.strip_prefix("V2 ")?.split_once(' ')?;
    let (checksum, body) = rest.split_once(' ')?;
    let whole = length == body.len().to_string()
        && checksum == format!("{:08x}", crc32fast::hash(body.as_bytes()));
    let (id, request) = body.split_once(' ')?;
    let key = STANDARD.decode(request.strip_prefix("GET ")?).ok()?;
    whole.then(|| Some((id.to_owned(), String::from_utf8(key).ok()?)))?
}
