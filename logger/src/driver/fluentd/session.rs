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
//! at most its end, if it was confirmed before its turn.

use std::collections::BTreeSet;
use std::time::Duration;

use ring::digest::{Context, SHA512};

use super::encode::push_hex;
use super::msgpack::{ReadError, Reader, Value, push_str};
use super::options::{Options, Security};
use crate::driver::SessionError;
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
    Proving { salt: Vec<u8>, nonce: Vec<u8> },
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

    /// Whether the server says what it has taken.
    pub(crate) const fn confirms(&self) -> bool {
        self.acks
    }

    /// A connection stands, with everything before `cursor` behind it.
    pub(crate) fn begin(&mut self, cursor: u64) {
        self.confirmed = cursor;
        self.state = if self.security.is_some() { State::Greeting } else { State::Open };
    }

    /// Whether events may be sent.
    pub(crate) const fn is_open(&self) -> bool {
        matches!(self.state, State::Open | State::Deaf)
    }

    /// How long the server may take nothing, or say nothing where it has to.
    pub(crate) const fn patience(&self, is_blocked: bool) -> Option<Duration> {
        if is_blocked { self.write_timeout } else { self.read_timeout }
    }

    /// The server said `bytes`; what is to be answered is appended to `out`.
    /// Returns up to where all frames are confirmed, if that is news.
    ///
    /// # Errors
    /// When this is no conversation that can go on.
    pub(crate) fn hear(
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
                    self.answer(&answer, window, out)?;
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

    fn answer(
        &mut self,
        answer: &Answer<'_>,
        window: &Window,
        out: &mut Vec<u8>,
    ) -> Result<(), SessionError> {
        match (&self.state, answer) {
            (State::Greeting, Answer::Helo { nonce, auth }) => self.prove(nonce, auth, out),
            (State::Proving { salt, nonce }, Answer::Pong { granted: true, host, digest, .. }) => {
                let key = self.security.as_ref().map_or([].as_slice(), |known| &known.shared_key);
                if hex_digest(&[salt, host, nonce, key]) != *digest {
                    return Err(SessionError::new(IMPOSTOR));
                }
                self.state = State::Open;
                Ok(())
            }
            (State::Proving { .. }, Answer::Pong { granted: false, reason, .. }) => {
                Err(SessionError::refused("the server refuses us", reason))
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
        let mut frames = window.sent_frames(self.confirmed);
        let is_it = |frame: &[u8]| chunk.len() == CHUNK_BYTES && frame.ends_with(chunk);
        match frames.next() {
            Some((end, frame)) if is_it(frame) => self.confirmed = end,
            _ => {
                let found = frames.find(|(_, frame)| is_it(frame));
                let (end, _) = found.ok_or(SessionError::new(UNKNOWN_CHUNK))?;
                return match self.early.insert(end) {
                    true => Ok(()),
                    false => Err(SessionError::new(UNKNOWN_CHUNK)),
                };
            }
        }
        if self.early.is_empty() {
            return Ok(());
        }
        for (end, _) in window.sent_frames(self.confirmed) {
            if !self.early.remove(&end) {
                break;
            }
            self.confirmed = end;
        }
        Ok(())
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
                let chunk = member(&mut reader, members, [b"ack"])?;
                chunk.map_or(Self::Other, |[chunk]| Self::Ack { chunk })
            }
            Value::Array(2) if reader.value()? == Value::Bytes(b"HELO") => Self::helo(reader)?,
            Value::Array(5) if reader.value()? == Value::Bytes(b"PONG") => Self::pong(reader)?,
            _ => Self::Other,
        };
        Ok((answer, whole.rest()))
    }

    fn helo(mut reader: Reader<'a>) -> Result<Self, ReadError> {
        let Value::Map(members) = reader.value()? else { return Ok(Self::Other) };
        let (mut nonce, mut auth): (_, &[u8]) = (None, b"");
        for _ in 0..members {
            match (reader.value()?, reader)
        }
        Ok(nonce.map_or(Self::Other, |nonce| Self::Helo { nonce, auth }))
    }
}
