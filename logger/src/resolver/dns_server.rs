// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A DNS server for tests: real sockets on loopback, and messages written and
//! read by other code than the resolver's.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

pub(super) const A: u16 = 1;
pub(super) const AAAA: u16 = 28;
pub(super) const SERVFAIL: u8 = 2;
pub(super) const NXDOMAIN: u8 = 3;

/// One query as the server read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) id: u16,
    pub(super) name: String,
    pub(super) kind: u16,
    pub(super) tcp: bool,
    pub(super) edns: bool,
}

impl Asked {
    fn read(query: &[u8], tcp: bool) -> Self {
        let word = |at: usize| u16::from_be_bytes([query[at], query[at + 1]]);
        assert_eq!(word(2), 0x0100, "a query, recursion desired");
        assert_eq!((word(4), word(6), word(8)), (1, 0, 0));
        let (mut at, mut labels) = (12, Vec::new());
        while query[at] > 0 {
            let end = at + 1 + usize::from(query[at]);
            labels.push(String::from_utf8(query[at + 1..end].to_vec()).unwrap());
            at = end;
        }
        let (kind, class, end) = (word(at + 1), word(at + 3), at + 5);
        assert_eq!(class, 1);
        let edns = word(10) == 1;
        let opt = [0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0];
        assert_eq!(&query[end..], if edns { &opt[..] } else { &[] });
        Self { id: word(0), name: labels.join("."), kind, tcp, edns }
    }

    /// `name kind transport`, for comparisons.
    pub(super) fn line(&self) -> String {
        let kind = if self.kind == A { "A" } else { "AAAA" };
        let transport = if self.tcp { " tcp" } else { "" };
        let edns = if self.edns { "" } else { " plain" };
        format!("{} {kind}{transport}{edns}", self.name)
    }
}

/// What the server sends back.
#[derive(Debug, Clone)]
pub(super) enum Send {
    Reply(Vec<u8>),
    /// From another port than was asked.
    FromElsewhere(Vec<u8>),
}

/// A response in the making.
#[derive(Debug, Clone)]
pub(super) struct Response {
    pub(super) id: u16,
    pub(super) flags: u16,
    pub(super) question: Option<(String, u16)>,
    answers: u16,
    records: Vec<u8>,
}

impl Response {
    /// To `asked`: recursion available, no error, no records.
    pub(super) fn to(asked: &Asked) -> Self {
        let question = Some((asked.name.clone(), asked.kind));
        Self { id: asked.id, flags: 0x8180, question, answers: 0, records: Vec::new() }
    }

    pub(super) fn rcode(mut self, rcode: u8) -> Self {
        self.flags |= u16::from(rcode);
        self
    }

    pub(super) fn truncated(mut self) -> Self {
        self.flags |= 0x0200;
        self
    }

    pub(super) fn address(self, owner: &str, ttl: u32, address: &str) -> Self {
        match address.parse().unwrap() {
            IpAddr::V4(address) => self.record(owner, A, ttl, &address.octets()),
            IpAddr::V6(address) => self.record(owner, AAAA, ttl, &address.octets()),
        }
    }

    pub(super) fn alias(self, owner: &str, ttl: u32, target: &str) -> Self {
        self.record(owner, 5, ttl, &wire(target))
    }

    /// The owner as a pointer where it is the name asked for.
    pub(super) fn record(mut self, owner: &str, kind: u16, ttl: u32, data: &[u8]) -> Self {
        match &self.question {
            Some((name, _kind)) if name == owner => self.records.extend([0xc0, 12]),
            _ => self.records.extend(wire(owner)),
        }
        self.records.extend(kind.to_be_bytes());
        self.records.extend(1_u16.to_be_bytes());
        self.records.extend(ttl.to_be_bytes());
        self.records.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        self.records.extend(data);
        self.answers += 1;
        self
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let questions = u16::from(self.question.is_some());
        let mut bytes = Vec::new();
        for word in [self.id, self.flags, questions, self.answers, 0, 0] {
            bytes.extend(word.to_be_bytes());
        }
        if let Some((name, kind)) = &self.question {
            bytes.extend(wire(name));
            bytes.extend(kind.to_be_bytes());
            bytes.extend(1_u16.to_be_bytes());
        }
        bytes.extend(&self.records);
        bytes
    }

    pub(super) fn reply(&self) -> Vec<Send> {
        vec![Send::Reply(self.bytes())]
    }
}

pub(super) fn wire(name: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        wire.push(u8::try_from(label.len()).unwrap());
        wire.extend(label.as_bytes());
    }
    wire.push(0);
    wire
}

/// The queries so far, in order.
#[derive(Debug, Default)]
struct Log {
    asked: Mutex<Vec<Asked>>,
    grown: Condvar,
}

impl Log {
    fn push(&self, asked: Asked) {
        self.asked.lock().unwrap().push(asked);
        self.grown.notify_all();
    }
}

/// The running server; it ends when dropped.
#[derive(Debug)]
pub(super) struct DnsServer {
    pub(super) address: SocketAddr,
    asked: Arc<Log>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl DnsServer {
    /// Listens on a port of its own, UDP and TCP; `answer` says what to send.
    pub(super) fn start<F>(answer: F) -> Self
    where
        F: Fn(&Asked) -> Vec<Send> + std::marker::Send + Sync + 'static,
    {
        Self::start_at(Ipv4Addr::LOCALHOST.into(), answer)
    }

    /// The same at another address of this machine.
    pub(super) fn start_at<F>(ip: IpAddr, answer: F) -> Self
    where
        F: Fn(&Asked) -> Vec<Send> + std::marker::Send + Sync + 'static,
    {
        let (udp, tcp) = sockets(ip);
        let address = udp.local_addr().unwrap();
        let asked = Arc::new(Log::default());
        let stop = Arc::new(AtomicBool::new(false));
        let answer = Arc::new(answer);
        let (udp_asked, udp_stop, udp_answer) = (asked.clone(), stop.clone(), answer.clone());
        let (tcp_asked, tcp_stop) = (asked.clone(), stop.clone());
        let threads = vec![
            std::thread::spawn(move || {
                let elsewhere = UdpSocket::bind((ip, 0)).unwrap();
                let mut query = [0; 1500];
                loop {
                    let (bytes, client) = udp.recv_from(&mut query).unwrap();
                    if udp_stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let asked = Asked::read(&query[..bytes], false);
                    udp_asked.push(asked.clone());
                    for send in udp_answer(&asked) {
                        // The client may be gone already: its business.
                        let _sent = match send {
                            Send::Reply(bytes) => udp.send_to(&bytes, client),
                            Send::FromElsewhere(bytes) => elsewhere.send_to(&bytes, client),
                        };
                    }
                }
            }),
            std::thread::spawn(move || {
                loop {
                    let (mut stream, _client) = tcp.accept().unwrap();
                    if tcp_stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let Some(query) = read_framed(&mut stream) else { continue };
                    let asked = Asked::read(&query, true);
                    tcp_asked.push(asked.clone());
                    for send in answer(&asked) {
                        let Send::Reply(bytes) = send else { continue };
                        let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
                        let _sent = stream.write_all(&[&length[..], &bytes[..]].concat());
                    }
                }
            }),
        ];
        Self { address, asked, stop, threads }
    }

    /// Knows `name`, of the given kind, by one record; nothing else exists.
    pub(super) fn knowing(records: &'static [(&'static str, &'static str)]) -> Self {
        Self::start(move |asked| {
            let of_name = records.iter().filter(|(name, _address)| *name == asked.name);
            let mut response = Response::to(asked);
            let mut exists = false;
            for (name, address) in of_name {
                exists = true;
                if address.contains(':') == (asked.kind == AAAA) {
                    response = response.address(name, 300, address);
                }
            }
            let response = if exists { response } else { response.rcode(NXDOMAIN) };
            response.reply()
        })
    }

    /// Queries so far, in order. Those that were answered are all there; for
    /// others [`DnsServer::asked_times`] waits.
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.asked.lock().unwrap().iter().map(Asked::line).collect()
    }

    /// The same, once there are as many.
    pub(super) fn asked_times(&self, times: usize) -> Vec<String> {
        let asked = self.asked.asked.lock().unwrap();
        let few = |asked: &mut Vec<Asked>| asked.len() < times;
        let patience = Duration::from_secs(30);
        drop(self.asked.grown.wait_timeout_while(asked, patience, few).unwrap());
        self.asked()
    }

    pub(super) fn ids(&self) -> Vec<u16> {
        self.asked.asked.lock().unwrap().iter().map(|asked| asked.id).collect()
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let waker = UdpSocket::bind((self.address.ip(), 0)).unwrap();
        waker.send_to(&[], self.address).unwrap();
        drop(TcpStream::connect(self.address).unwrap());
        for thread in self.threads.drain(..) {
            // A server that panicked has read a query it should not have got.
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking());
        }
    }
}

/// The same port for both.
fn sockets(ip: IpAddr) -> (UdpSocket, TcpListener) {
    for _attempt in 0..100 {
        let tcp = TcpListener::bind((ip, 0)).unwrap();
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()) {
            return (udp, tcp);
        }
    }
    panic!("no port is free for both UDP and TCP");
}

fn read_framed(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).ok()?;
    Some(message)
}
