// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

use std::collections::BTreeMap;

use rmpv::Value as Read;

use super::*;
use crate::driver::{Configure, normalize};
use crate::launch::Launch;
use crate::ring::{Account, Amount};
use crate::window::{Replay, Window};

const KEY: (&str, &str) = ("fluentd-shared-key", "the key");
const ACK: (&str, &str) = ("fluentd-request-ack", "true");

fn conversation(written: &[(&str, &str)]) -> Conversation {
    let written: BTreeMap<_, _> =
        written.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    let options = normalize("fluentd", &written).unwrap();
    let options = Options::parse(&options, &Launch::default(), b"us").unwrap();
    let mut conversation = Conversation::new(&options, [1, 2]);
    conversation.begin(0);
    conversation
}

/// The id of the n-th chunk.
fn chunk(n: usize) -> String {
    format!("{n:024}")
}

/// A window with frames of two batches, three each, of which the first `sent` are
/// sent, and one more in part.
fn window(sent: usize) -> (Window, Vec<u64>) {
    let mut window = Window::new(Replay { max_bytes: 0, max_age_ns: 0 }, Account::default());
    let (mut ends, mut end) = (Vec::new(), 0);
    for numbers in [0..3, 3..6] {
        let mut batch = window.new_batch();
        for n in numbers {
            let frame = format!("{}{}", "x".repeat(n), chunk(n));
            end += frame.len() as u64;
            ends.push(end);
            batch.bytes.extend_from_slice(frame.as_bytes());
            batch.end_frame(Amount { lines: 1, bytes: 1 });
        }
        window.push(batch);
    }
    let bytes = sent.checked_sub(1).map_or(0, |last| ends[last]) + 3;
    window.sent(usize::try_from(bytes).unwrap(), 0);
    (window, ends)
}

fn ack(n: usize) -> Vec<u8> {
    [b"\x81\xa3ack\xb8", chunk(n).as_bytes()].concat()
}

fn error(conversation: &mut Conversation, bytes: &[u8]) -> String {
    let (window, _) = window(4);
    conversation.hear(bytes, &window, &mut Vec::new()).unwrap_err().to_string()
}

#[test]
fn confirmations_advance_in_order_however_they_come() {
    for (order, after_each) in [
        ([0, 1, 2, 3], [1, 2, 3, 4]),
        ([3, 2, 1, 0], [0, 0, 0, 4]),
        ([1, 0, 3, 2], [0, 2, 2, 4]),
        ([0, 2, 3, 1], [1, 1, 1, 4]),
    ] {
        let (window, ends) = window(4);
        let end_of = |count: usize| count.checked_sub(1).map_or(0, |last| ends[last]);
        let mut conversation = conversation(&[ACK]);
        let mut confirmed = 0;
        for (n, count) in order.into_iter().zip(after_each) {
            let heard = conversation.hear(&ack(n), &window, &mut Vec::new()).unwrap();
            assert_eq!(heard, (end_of(count) > confirmed).then_some(end_of(count)), "{order:?}");
            confirmed = end_of(count);
        }
    }
}

#[test]
fn answers_may_come_in_any_cut_and_with_more_in_them() {
    let (window, ends) = window(4);
    let mut other = ack(2);
    other[0] = 0x82;
    other.splice(1..1, *b"\xa4more\x93\x01\x02\xc0");
    let all = [ack(0), ack(1), other, ack(3)].concat();
    for step in 1..=all.len() {
        let mut conversation = conversation(&[ACK]);
        let mut confirmed = 0;
        for part in all.chunks(step) {
            let heard = conversation.hear(part, &window, &mut Vec::new()).unwrap();
            confirmed = heard.unwrap_or(confirmed);
        }
        assert_eq!(confirmed, ends[3], "{step}");
    }
}

#[test]
fn what_confirms_nothing_that_waits_ends_the_connection() {
    for answer in
        [ack(9), ack(4), ack(5), b"\x81\xa3ack\xa0".to_vec(), b"\x81\xa3ack\xa10".to_vec()]
    {
        assert_eq!(error(&mut conversation(&[ACK]), &answer), UNKNOWN_CHUNK);
    }
    for twice in [0, 2] {
        let answers = [ack(twice), ack(twice)].concat();
        assert_eq!(error(&mut conversation(&[ACK]), &answers), UNKNOWN_CHUNK);
    }
}

#[test]
fn what_is_no_answer_ends_the_connection_where_one_is_due() {
    let endless = [b"\xdb\xff\xff\xff\xff".as_slice(), &[b'x'; ANSWER_MAX]].concat();
    for (answer, why) in [
        (b"HTTP/1.1 400 Bad Request".as_slice(), NO_ACK),
        (b"\x80", NO_ACK),
        (b"\x81\xa3ack\x01", NO_ACK),
        (b"\x95\xa4PONG\xc3\xa0\xa0\xa0", NO_ACK),
        (b"\xc1", MALFORMED),
        (&[0x91; 100], MALFORMED),
        (&endless, ENDLESS),
        (b"\x92\xa4HELO\x81\xa5nonce\xa3abc", KEY_WANTED),
    ] {
        assert_eq!(error(&mut conversation(&[ACK]), answer), why, "{answer:x?}");
        let mut silent = conversation(&[]);
        let heard = silent.hear(answer, &window(4).0, &mut Vec::new());
        match why {
            KEY_WANTED => assert_eq!(heard.unwrap_err().to_string(), why),
            _ => assert_eq!(heard, Ok(None), "{answer:x?}"),
        }
        assert!(silent.heard.len() <= ANSWER_MAX);
    }
}

/// What a server does with a key, by the words of the specification.
fn sha512_hex(parts: &[&[u8]]) -> String {
    use std::fmt::Write as _;
    let digest = ring::digest::digest(&SHA512, &parts.concat());
    digest.as_ref().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn helo(nonce: &[u8], auth: &[u8]) -> Vec<u8> {
    let mut out = b"\x92\xa4HELO\x83\xa5nonce\xc4".to_vec();
    out.push(u8::try_from(nonce.len()).unwrap());
    out.extend_from_slice(nonce);
    out.extend_from_slice(b"\xa4auth\xc4");
    out.push(u8::try_from(auth.len()).unwrap());
    out.extend_from_slice(auth);
    out.extend_from_slice(b"\xa9keepalive\xc3");
    out
}

fn pong(granted: bool, reason: &str, host: &str, digest: &str) -> Vec<u8> {
    let mut out = b"\x95\xa4PONG".to_vec();
    out.push(if granted { 0xc3 } else { 0xc2 });
    for part in [reason, host, digest] {
        push_str(&mut out, part.as_bytes());
    }
    out
}

/// Greets a conversation; returns what it answered.
fn greeted(conversation: &mut Conversation, nonce: &[u8], auth: &[u8]) -> Vec<String> {
    let mut out = Vec::new();
    assert!(!conversation.is_open());
    let heard = conversation.hear(&helo(nonce, auth), &window(0).0, &mut out);
    assert_eq!(heard, Ok(None));
    let ping = rmpv::decode::read_value(&mut out.as_slice()).unwrap();
    let parts = ping.as_array().unwrap().iter().map(|part| match part {
        Read::String(text) => text.as_str().unwrap().to_owned(),
        other => panic!("{other} is no text"),
    });
    parts.collect()
}

#[test]
fn both_prove_that_they_know_the_key() {
    let nonce = b"\xff\x00nonce";
    let mut conversation = conversation(&[KEY]);
    let ping = greeted(&mut conversation, nonce, b"");
    let [kind, host, salt, digest, user, password] = ping.try_into().unwrap();
    assert_eq!((kind.as_str(), host.as_str()), ("PING", "us"));
    assert_eq!(digest, sha512_hex(&[salt.as_bytes(), b"us", nonce, b"the key"]));
    assert_eq!((salt.len(), user.as_str(), password.as_str()), (32, "", ""));
    assert!(!conversation.is_open());
    let right = sha512_hex(&[salt.as_bytes(), b"them", nonce, b"the key"]);
    let answer = pong(true, "", "them", &right);
    assert_eq!(conversation.hear(&answer, &window(0).0, &mut Vec::new()), Ok(None));
    assert!(conversation.is_open());
}

/// What we have said, said back to us.
#[test]
fn an_echo_of_our_own_proof_is_none() {
    let mut conversation = conversation(&[KEY]);
    let ping = greeted(&mut conversation, b"nonce", b"");
    let (host, digest) = (&ping[1], &ping[3]);
    assert_eq!(error(&mut conversation, &pong(true, "", host, digest)), MIRROR);
    assert!(!conversation.is_open());
}

#[test]
fn a_user_is_named_where_the_server_asks() {
    let user = [KEY, ("fluentd-username", "ali"), ("fluentd-password", "sesame")];
    let ping = greeted(&mut conversation(&user), b"n", b"salt");
    assert_eq!(ping[4..], ["ali".to_owned(), sha512_hex(&[b"salt", b"ali", b"sesame"])]);
    let ping = greeted(&mut conversation(&user), b"n", b"");
    assert_eq!(ping[4..], ["", ""]);
    assert_eq!(error(&mut conversation(&[KEY]), &helo(b"n", b"salt")), USER_WANTED);
    let (one, other) = (
        greeted(&mut conversation(&user), b"1", b""),
        greeted(&mut conversation(&user), b"2", b""),
    );
    assert_ne!(one[2], other[2], "each greeting has a salt of its own");
}

#[test]
fn a_server_that_refuses_or_does_not_know_the_key_gets_nothing() {
    let long = format!("no\u{1b}[31m entry {}", "x".repeat(1000));
    let shown = format!("the server refuses us: no[31m entry {}", "x".repeat(87));
    for (answer, why) in [
        (pong(false, &long, "them", ""), shown.as_str()),
        (pong(true, "", "them", "0123"), IMPOSTOR),
        (ack(0), NO_GREETING),
        (helo(b"again", b""), NO_GREETING),
    ] {
        let mut conversation = conversation(&[KEY]);
        greeted(&mut conversation, b"nonce", b"");
        assert_eq!(error(&mut conversation, &answer), why);
        assert!(!conversation.is_open());
    }
    for answer in [pong(true, "", "them", ""), ack(0), b"\x92\xa4HELO\x80".to_vec(), vec![1]] {
        assert_eq!(error(&mut conversation(&[KEY]), &answer), NO_GREETING);
    }
}

#[test]
fn time_limits_are_those_of_the_options() {
    let given = [("fluentd-write-timeout", "3s"), ("fluentd-read-timeout", "250ms")];
    let conversation = conversation(&given);
    assert_eq!(conversation.patience(true), Some(Duration::from_secs(3)));
    assert_eq!(conversation.patience(false), Some(Duration::from_millis(250)));
    let unlimited = self::conversation(&[("fluentd-write-timeout", "0")]);
    assert_eq!((unlimited.patience(true), unlimited.patience(false)), (None, None));
}
