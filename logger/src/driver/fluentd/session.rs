// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What is said besides events: a greeting with a shared key, and confirmations.
//!
//! ```text
//!                      HELO / PING             PONG, right
//! with a key: Greeting ───────────► Proving ──────────────► Open
//! without a key:                                            Open from the start
//! ```
//!
//! Whatever does not fit ends the connection; events wait for the next one. At
//! most [`ANSWER_MAX`] bytes of an answer are held, and of each frame under way
//! at most where it ends, if it was confirmed before its turn.

use std::collections::BTreeSet;
use std::time::Duration;

use ring::digest::{Context, SHA512};

use super::encode::push_hex;
use super::msgpack::{ReadError, Reader, Value, push_str};
use super::options::{Options, Security};
use crate::driver::{Session, SessionError};
use crate::window::Window;

/// The conversation with one server.
#[derive(Debug, Clone)]
pub(crate) struct Conversation {
    acks: bool,
    security: Option<Security>,
    write_timeout: Option<Duration>,
    read_timeout: Option<Duration>,
    /// What our salts are made from; nobody else knows it.
    seed: [u64; 2],
    state: State,
    /// The beginning of an answer.
    heard: Vec<u8>,
    /// Up to where every frame is confirmed.
    confirmed: u64,
    /// Ends of frames that were confirmed before others that were sent earlier.
    early: BTreeSet<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// The server speaks first.
    Greeting,
    /// It has to prove that it knows the key too.
    Proving {
        salt: Vec<u8>,
        nonce: Vec<u8>,
    },
    Open,
    /// Nothing the server says has a meaning any more.
    Deaf,
}

/// What a server can say.
#[derive(Debug, PartialEq, Eq)]
enum Answer<'a> {
    Helo { nonce: &'a [u8], auth: &'a [u8] },
    Pong { granted: bool, reason: &'a [u8], host: &'a [u8], digest: &'a [u8] },
    Ack { chunk: &'a [u8] },
    Other,
}

impl Conversation {
    pub(super) fn new(options: &Options, seed: [u64; 2]) -> Self {
        Self {
            acks: options.acks,
            security: options.security.clone(),
            write_timeout: options.write_timeout,
            read_timeout: options.read_timeout,
            seed,
            state: State::Open,
            heard: Vec::new(),
            confirmed: 0,
            early: BTreeSet::new(),
        }
    }

    fn take_up(
        &mut self,
        answer: &Answer<'_>,
        window: &Window,
        out: &mut Vec<u8>,
    ) -> Result<(), SessionError> {
        match (&self.state, answer) {
            (State::Greeting, Answer::Helo { nonce, auth }) => self.prove(nonce, auth, out),
            (State::Proving { salt, nonce }, Answer::Pong { granted: true, host, digest, .. }) => {
                let Some(security) = &self.security else { return Ok(()) };
                // Under our own name it proves nothing: it is what we have said.
                if *host == security.host.as_slice() {
                    return Err(SessionError::new(MIRROR));
                }
                if hex_digest(&[salt, host, nonce, &security.shared_key]) != *digest {
                    return Err(SessionError::new(IMPOSTOR));
                }
                self.state = State::Open;
                Ok(())
            }
            (State::Proving { .. }, Answer::Pong { granted: false, reason, .. }) => {
                Err(SessionError::said("the server refuses us", reason))
            }
            (State::Greeting | State::Proving { .. }, _) => Err(SessionError::new(NO_GREETING)),
            (_, Answer::Helo { .. }) => Err(SessionError::new(KEY_WANTED)),
            (_, Answer::Ack { chunk }) if self.acks => self.confirm(chunk, window),
            (_, _) if self.acks => Err(SessionError::new(NO_ACK)),
            (_, _) => Ok(()),
        }
    }

    /// Answers a greeting: PING with the proof that we know the key.
    fn prove(&mut self, nonce: &[u8], auth: &[u8], out: &mut Vec<u8>) -> Result<(), SessionError> {
        let Some(Security { shared_key, user, host }) = &self.security else { return Ok(()) };
        let seed = self.seed.map(u64::to_le_bytes);
        let mut salt = hex_digest(&[seed.as_flattened(), nonce]);
        salt.truncate(SALT_DIGITS);
        let digest = hex_digest(&[&salt, host, nonce, shared_key]);
        let (name, password) = match user {
            _ if auth.is_empty() => (Vec::new(), Vec::new()),
            Some((name, password)) => (name.clone(), hex_digest(&[auth, name, password])),
            None => return Err(SessionError::new(USER_WANTED)),
        };
        out.push(0x96);
        for part in [b"PING", host.as_slice(), &salt, &digest, &name, &password] {
            push_str(out, part);
        }
        self.state = State::Proving { salt, nonce: nonce.to_vec() };
        Ok(())
    }

    /// The server has taken the frame that ends with `chunk`.
    fn confirm(&mut self, chunk: &[u8], window: &Window) -> Result<(), SessionError> {
        let is_it = |frame: &[u8]| chunk.len() == CHUNK_BYTES && frame.ends_with(chunk);
        let mut frames = window.sent_frames(self.confirmed);
        match frames.next() {
            Some((end, frame)) if is_it(frame) => self.confirmed = end,
            _ => {
                let found = frames.find(|(_, frame)| is_it(frame));
                let is_news = found.is_some_and(|(end, _)| self.early.insert(end));
                return if is_news { Ok(()) } else { Err(SessionError::new(UNKNOWN_CHUNK)) };
            }
        }
        if !self.early.is_empty() {
            let rest = window.sent_frames(self.confirmed).map(|(end, _)| end);
            for end in rest.take_while(|end| self.early.remove(end)) {
                self.confirmed = end;
            }
        }
        Ok(())
    }
}

impl Session for Conversation {
    fn anew(&self) -> Box<dyn Session> {
        Box::new(self.clone())
    }

    fn confirms(&self) -> bool {
        self.acks
    }

    fn begin(&mut self, cursor: u64) {
        self.confirmed = cursor;
        self.state = if self.security.is_some() { State::Greeting } else { State::Open };
    }

    fn is_open(&self) -> bool {
        matches!(self.state, State::Open | State::Deaf)
    }

    fn patience(&self, is_blocked: bool) -> Option<Duration> {
        if is_blocked { self.write_timeout } else { self.read_timeout }
    }

    fn hear(
        &mut self,
        bytes: &[u8],
        window: &Window,
        out: &mut Vec<u8>,
    ) -> Result<Option<u64>, SessionError> {
        if self.state == State::Deaf {
            return Ok(None);
        }
        let before = self.confirmed;
        let mut heard = std::mem::take(&mut self.heard);
        heard.extend_from_slice(bytes);
        let mut rest = heard.as_slice();
        while !rest.is_empty() {
            match Answer::read(rest) {
                Ok((answer, behind)) => {
                    self.take_up(&answer, window, out)?;
                    rest = behind;
                }
                Err(ReadError::Incomplete) if rest.len() <= ANSWER_MAX => break,
                // Who is not asked to say anything may say anything.
                Err(_) if !self.acks && self.is_open() => {
                    self.state = State::Deaf;
                    return Ok(None);
                }
                Err(ReadError::Incomplete) => return Err(SessionError::new(ENDLESS)),
                Err(ReadError::Malformed) => return Err(SessionError::new(MALFORMED)),
            }
        }
        let done = heard.len() - rest.len();
        heard.drain(..done);
        self.heard = heard;
        Ok((self.confirmed > before).then_some(self.confirmed))
    }
}

impl<'a> Answer<'a> {
    /// The first answer in `bytes`, and what follows it.
    fn read(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), ReadError> {
        let mut whole = Reader::new(bytes);
        whole.skip()?;
        let mut reader = Reader::new(bytes);
        let answer = match reader.value()? {
            Value::Map(members) => {
                let [chunk] = texts(&mut reader, members, [b"ack"])?;
                chunk.map_or(Self::Other, |chunk| Self::Ack { chunk })
            }
            Value::Array(2) if reader.value()? == Value::Bytes(b"HELO") => Self::helo(reader)?,
            Value::Array(5) if reader.value()? == Value::Bytes(b"PONG") => Self::pong(reader)?,
            _ => Self::Other,
        };
        Ok((answer, whole.rest()))
    }

    fn helo(mut reader: Reader<'a>) -> Result<Self, ReadError> {
        let Value::Map(members) = reader.value()? else { return Ok(Self::Other) };
        let [nonce, auth] = texts(&mut reader, members, [b"nonce", b"auth"])?;
        Ok(nonce.map_or(Self::Other, |nonce| Self::Helo { nonce, auth: auth.unwrap_or_default() }))
    }

    fn pong(mut reader: Reader<'a>) -> Result<Self, ReadError> {
        let granted = reader.whole()?;
        Ok(match (granted, reader.whole()?, reader.whole()?, reader.whole()?) {
            (
                Value::Bool(granted),
                Value::Bytes(reason),
                Value::Bytes(host),
                Value::Bytes(digest),
            ) => Self::Pong { granted, reason, host, digest },
            _ => Self::Other,
        })
    }
}

/// Of a map with so many `members`, those of these keys that are texts.
fn texts<'a, const N: usize>(
    reader: &mut Reader<'a>,
    members: usize,
    keys: [&[u8]; N],
) -> Result<[Option<&'a [u8]>; N], ReadError> {
    let mut found = [None; N];
    for _ in 0..members {
        let (key, value) = (reader.whole()?, reader.whole()?);
        let (Value::Bytes(key), Value::Bytes(value)) = (key, value) else { continue };
        if let Some(at) = keys.iter().position(|wanted| *wanted == key) {
            found[at] = Some(value);
        }
    }
    Ok(found)
}

/// The SHA-512 of the parts, one behind the other, in lower-case digits.
fn hex_digest(parts: &[&[u8]]) -> Vec<u8> {
    let mut context = Context::new(&SHA512);
    for part in parts {
        context.update(part);
    }
    let mut digits = Vec::with_capacity(128);
    push_hex(&mut digits, context.finish().as_ref());
    digits
}

/// The longest answer, in bytes: greetings have some hundred, confirmations 30.
const ANSWER_MAX: usize = 4096;

/// Of a salt: 128 bits.
const SALT_DIGITS: usize = 32;

/// Of the id of a chunk.
const CHUNK_BYTES: usize = 24;

const MALFORMED: &str = "the server's answer is no MessagePack";
const ENDLESS: &str = "the server's answer is longer than 4096 bytes";
const NO_ACK: &str = "the server's answer is no confirmation";
const UNKNOWN_CHUNK: &str = "the server confirmed a chunk that does not wait for it";
const NO_GREETING: &str = "the server's greeting is none of the forward protocol";
const KEY_WANTED: &str = "the server asks for a shared key, and fluentd-shared-key is not given";
const USER_WANTED: &str = "the server asks for a user, and fluentd-username is not given";
const IMPOSTOR: &str = "the server does not know the shared key";
const MIRROR: &str = "the server goes by our own host name, which proves nothing; give it another";

#[cfg(test)]
mod tests;
