// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A receiver that speaks TLS and records what it decrypts.

use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A receiver that lives until it is dropped.
#[derive(Debug)]
pub struct TlsReceiver {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Of all connections, in the order in which it came.
    bytes: Mutex<Vec<u8>>,
    over: AtomicBool,
}

impl TlsReceiver {
    /// A receiver that takes what comes.
    ///
    /// # Panics
    /// When there is no port for it.
    pub fn start(config: Arc<ServerConfig>) -> TlsReceiver {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let shared = Arc::new(Shared::default());
        let receiver = TlsReceiver { port, shared: Arc::clone(&shared) };
        thread::spawn(move || {
            while let Ok((socket, _)) = listener.accept() {
                if shared.over.load(Ordering::SeqCst) {
                    return;
                }
                let session = ServerConnection::new(Arc::clone(&config));
                let session = session.expect("the configuration is a test's own");
                let (mut stream, shared) = (StreamOwned::new(session, socket), Arc::clone(&shared));
                thread::spawn(move || {
                    let mut bytes = [0; 16 * 1024];
                    while let Ok(count @ 1..) = stream.read(&mut bytes) {
                        shared.bytes.lock().unwrap().extend_from_slice(&bytes[..count]);
                    }
                });
            }
        });
        receiver
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What was said so far.
    pub fn bytes(&self) -> Vec<u8> {
        self.shared.bytes.lock().unwrap().clone()
    }
}

impl Drop for TlsReceiver {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}
