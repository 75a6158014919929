// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

use super::super::dns_server::{A, AAAA, Asked, NXDOMAIN, Response, SERVFAIL, wire};
use super::*;

const NAME: &str = "log.example.com";

fn query(family: Family) -> Query {
    Query { id: 0x1234, name: Name::from_text(NAME).unwrap(), family }
}

fn response(kind: u16) -> Response {
    let name = NAME.to_owned();
    Response::to(&Asked { id: 0x1234, name, kind, tcp: false, edns: true })
}

fn v4(response: &Response) -> Result<Reply, DecodeError> {
    query(Family::V4).decode(&response.bytes())
}

fn addresses(addresses: &[&str], ttl_secs: u32) -> Result<Reply, DecodeError> {
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    Ok(Reply::Addresses { addresses, ttl_secs })
}

#[test]
fn queries_to_the_byte() {
    let question = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01\
        \x03log\x07example\x03com\x00\x00\x1c\x00\x01";
    let opt = b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00";
    let announced = query(Family::V6).encode(Edns::Announced);
    assert_eq!(announced, [&question[..], &opt[..]].concat());
    let mut plain = query(Family::V6).encode(Edns::Absent);
    assert_eq!(plain[11], 0);
    plain[11] = 1;
    assert_eq!(plain, question);
}

#[test]
fn addresses_of_both_families() {
    let two = response(A).address(NAME, 300, "10.0.0.1").address(NAME, 60, "10.0.0.2");
    assert_eq!(v4(&two), addresses(&["10.0.0.1", "10.0.0.2"], 60));
    let v6 = response(AAAA).address(NAME, 5, "fd00::1").address(NAME, 5, "fd00::1");
    assert_eq!(query(Family::V6).decode(&v6.bytes()), addresses(&["fd00::1"], 5));
}

#[test]
fn records_of_others_do_not_count() {
    let mixed = response(A)
        .address("other.example.com", 1, "10.0.0.9")
        .address(NAME, 1, "fd00::1")
        .record(NAME, 46, 1, b"signature")
        .address(NAME, 300, "10.0.0.1");
    assert_eq!(v4(&mixed), addresses(&["10.0.0.1"], 300));
    let only = response(A).address("other.example.com", 1, "10.0.0.9");
    assert_eq!(v4(&only), Ok(Reply::NoData));
}

#[test]
fn names_compare_without_case() {
    let mut shouted = response(A);
    shouted.question = Some(("LOG.Example.com".to_owned(), A));
    let shouted = shouted.address("log.EXAMPLE.com", 7, "10.0.0.1");
    assert_eq!(v4(&shouted), addresses(&["10.0.0.1"], 7));
}

#[test]
fn aliases_are_followed_in_any_order() {
    let chain = response(A)
        .address("c.example.net", 300, "10.0.0.1")
        .alias("b.example.net", 20, "c.example.net")
        .alias(NAME, 100, "b.example.net");
    assert_eq!(v4(&chain), addresses(&["10.0.0.1"], 20));
    let open = response(A).alias(NAME, 100, "b.example.net");
    assert_eq!(v4(&open), Ok(Reply::NoData));
    let looped = response(A).alias(NAME, 1, "b.example.net").alias("b.example.net", 1, NAME);
    assert_eq!(v4(&looped), Err(DecodeError::Aliases));
}

#[test]
fn chains_have_an_end() {
    let chain = |aliases: usize| {
        let owner = |n: usize| if n == 0 { NAME.to_owned() } else { format!("a{n}.net") };
        let all = (0..aliases)
            .fold(response(A), |response, n| response.alias(&owner(n), 9, &owner(n + 1)));
        all.address(&owner(aliases), 9, "10.0.0.1")
    };
    assert_eq!(v4(&chain(ALIASES_MAX)), addresses(&["10.0.0.1"], 9));
    assert_eq!(v4(&chain(ALIASES_MAX + 1)), Err(DecodeError::Aliases));
}

#[test]
fn long_answers_are_bounded() {
    let many =
        (0..200).fold(response(A), |response, n| response.address(NAME, 9, &format!("10.0.0.{n}")));
    let Ok(Reply::Addresses { addresses, .. }) = v4(&many) else { panic!("addresses") };
    assert_eq!(addresses.len(), ADDRESSES_MAX);
}

#[test]
fn negative_times_to_live_are_none() {
    assert_eq!(
        v4(&response(A).address(NAME, 0x8000_0000, "10.0.0.1")),
        addresses(&["10.0.0.1"], 0)
    );
}

#[test]
fn codes_and_flags() {
    assert_eq!(v4(&response(A)), Ok(Reply::NoData));
    assert_eq!(v4(&response(A).rcode(NXDOMAIN)), Ok(Reply::NoSuchName));
    assert_eq!(v4(&response(A).rcode(SERVFAIL)), Ok(Reply::Failed(Rcode(2))));
    assert_eq!(v4(&response(A).truncated()), Ok(Reply::Truncated));
    let dangling = response(A).alias(NAME, 9, "b.example.net").rcode(NXDOMAIN);
    assert_eq!(v4(&dangling), Ok(Reply::NoSuchName));
    let mut referral = response(A);
    referral.flags = 0x8000;
    assert_eq!(v4(&referral), Ok(Reply::Referral));
    let mut authority = response(A);
    authority.flags = 0x8400;
    assert_eq!(v4(&authority), Ok(Reply::NoData));
    let mut no_question = response(A).rcode(1);
    no_question.question = None;
    assert_eq!(v4(&no_question), Ok(Reply::Failed(Rcode::FORMAT_ERROR)));
}

#[test]
fn codes_have_names() {
    let names: Vec<String> = [1, 2, 4, 5, 9].map(|code| Rcode(code).to_string()).into();
    assert_eq!(names, ["FORMERR", "SERVFAIL", "NOTIMP", "REFUSED", "response code 9"]);
}

#[test]
fn what_answers_something_else_is_stray() {
    let good = response(A).address(NAME, 9, "10.0.0.1");
    let changed = |change: fn(&mut Response)| {
        let mut response = good.clone();
        change(&mut response);
        v4(&response)
    };
    assert!(changed(|_same| ()).is_ok());
    let changes: [fn(&mut Response); 8] = [
        |response| response.id = 0x1235,
        |response| response.flags &= 0x7fff,
        |response| response.flags |= 0x2800,
        |response| response.question = None,
        |response| response.question = Some(("log.example.org".to_owned(), A)),
        |response| response.question = Some(("a.log.example.com".to_owned(), A)),
        |response| response.question = Some((NAME.to_owned(), AAAA)),
        |response| {
            response.question = None;
            response.flags |= u16::from(NXDOMAIN);
        },
    ];
    for (n, change) in changes.into_iter().enumerate() {
        assert_eq!(changed(change), Err(DecodeError::Stray), "change {n}");
    }
    for length in 0..HEADER_BYTES + wire(NAME).len() + 4 {
        let cut = &good.bytes()[..length];
        assert_eq!(query(Family::V4).decode(cut), Err(DecodeError::Stray), "{length} bytes");
    }
    let mut class = good.bytes();
    class[HEADER_BYTES + wire(NAME).len() + 3] = 3;
    assert_eq!(query(Family::V4).decode(&class), Err(DecodeError::Stray));
}

/// A response with one answer of these bytes.
fn with_answer(answer: &[u8]) -> Result<Reply, DecodeError> {
    let mut message = response(A).address(NAME, 1, "10.0.0.1").bytes();
    message.truncate(ANSWER_AT);
    message.extend_from_slice(answer);
    query(Family::V4).decode(&message)
}

/// The header, the name asked for, type and class.
const ANSWER_AT: usize = 12 + 17 + 4;

#[test]
fn malformed_records() {
    let pointer = |at| Err(DecodeError::Pointer { at: ANSWER_AT + at });
    let long = [&[63], &[b'a'; 63][..]].concat().repeat(4);
    let cut = |length| Err(DecodeError::Cut { at: ANSWER_AT + length });
    let a = |data: &[u8]| {
        let length = u8::try_from(data.len()).unwrap();
        [b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x09\x00", &[length][..], data].concat()
    };
    let cname = |data: &[u8]| {
        let mut record = a(data);
        record[3] = 5;
        record
    };
    let length = |kind| Err(DecodeError::RecordLength { at: ANSWER_AT + 12, kind });
    for (answer, error) in [
        (b"".to_vec(), cut(0)),
        (b"\xc0".to_vec(), cut(1)),
        (b"\x04abc".to_vec(), cut(4)),
        (b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x09\x00".to_vec(), cut(11)),
        (b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x09\xff\xff1234".to_vec(), cut(16)),
        // To itself, forwards, beyond the end, back into its own name.
        (b"\xc0\x21".to_vec(), pointer(0)),
        (b"\xc0\x30".to_vec(), pointer(0)),
        (b"\xff\xff".to_vec(), pointer(0)),
        (b"\x01a\xc0\x21".to_vec(), pointer(2)),
        (b"\x40".to_vec(), Err(DecodeError::Label { at: ANSWER_AT })),
        (b"\x80".to_vec(), Err(DecodeError::Label { at: ANSWER_AT })),
        (long, Err(DecodeError::NameTooLong { at: ANSWER_AT })),
        (a(b"123"), length(1)),
        (a(b"12345"), length(1)),
        (cname(b"\x01a\x00\x00"), length(5)),
        (cname(b"\x01"), cut(13)),
        (cname(b"\xc0\x2d"), pointer(12)),
    ] {
        assert_eq!(with_answer(&answer), error, "{}", answer.escape_ascii());
    }
    assert_eq!(with_answer(&a(b"\x0a\x00\x00\x01")), addresses(&["10.0.0.1"], 9));
}

#[test]
fn pointers_to_pointers_are_bounded() {
    // A record of a type nobody reads holds a ladder of pointers, each to the
    // one before, down to the name asked for.
    let ladder = |rungs: u16| {
        let data_at = u16::try_from(ANSWER_AT + 12).unwrap();
        let mut data = vec![0xc0, 12];
        for rung in 1..rungs {
            data.extend((0xc000 | (data_at + 2 * (rung - 1))).to_be_bytes());
        }
        let top = 0xc000 | (data_at + 2 * (rungs - 1));
        let mut message = response(A).record(NAME, 99, 1, &data).address("", 9, "10.0.0.1").bytes();
        // The root as the owner of the last record becomes a pointer.
        let owner = message.len() - 15;
        message.splice(owner..=owner, top.to_be_bytes());
        query(Family::V4).decode(&message)
    };
    assert_eq!(ladder(100), addresses(&["10.0.0.1"], 9));
    assert!(matches!(ladder(200), Err(DecodeError::Pointer { .. })));
}

/// Any bytes: xorshift64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }

    fn byte(&mut self) -> u8 {
        let odd = [0x00, 0xc0, 0xff, 0x3f, 0x40, 0x80, 0x01, 0x0c];
        match self.below(2) {
            0 => odd[self.below(odd.len())],
            _ => u8::try_from(self.next() & 0xff).unwrap(),
        }
    }
}

#[test]
fn mutated_responses_always_decode_to_something() {
    let template = response(A)
        .alias(NAME, 100, "b.example.net")
        .alias("b.example.net", 20, "c.example.net")
        .address("c.example.net", 300, "10.0.0.1")
        .address("c.example.net", 300, "10.0.0.2")
        .address("c.example.net", 300, "fd00::2")
        .bytes();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut usable, mut stray, mut malformed) = (0, 0, 0);
    for round in 0..30_000 {
        let mut message = template.clone();
        // Mostly behind the question, or nearly all would be stray.
        let from = if round % 4 == 0 { 0 } else { ANSWER_AT };
        for _mutation in 0..=random.below(8) {
            let at = from + random.below(message.len().saturating_sub(from));
            match random.below(5) {
                0 => message.truncate(at.max(from)),
                1 => message.insert(at.min(message.len()), random.byte()),
                2 => {
                    let copy = message.get(at..).unwrap_or_default().to_vec();
                    message.extend(copy);
                }
                _ => {
                    let byte = random.byte();
                    message.iter_mut().skip(at).take(1).for_each(|old| *old = byte);
                }
            }
        }
        match query(Family::V4).decode(&message) {
            Ok(Reply::Addresses { addresses, .. }) => {
                assert!((1..=ADDRESSES_MAX).contains(&addresses.len()));
                assert!(addresses.iter().all(IpAddr::is_ipv4));
                usable += 1;
            }
            Ok(_) => usable += 1,
            Err(DecodeError::Stray) => stray += 1,
            Err(_) => malformed += 1,
        }
    }
    assert!(usable > 1000 && stray > 1000 && malformed > 1000, "{usable} {stray} {malformed}");
}

#[test]
fn noise_behind_a_good_header_always_decodes_to_something() {
    let mut random = Random(0x0123_4567_89ab_cdef);
    for _round in 0..5000 {
        let mut message = response(A).address(NAME, 1, "10.0.0.1").bytes();
        message.truncate(ANSWER_AT);
        message[6..8].copy_from_slice(&[0xff, 0xff]);
        for _byte in 0..random.below(1200) {
            message.push(random.byte());
        }
        let _any = query(Family::V4).decode(&message);
    }
}

#[test]
fn the_largest_message_costs_little() {
    // 65535 bytes of records, each owner a ladder of pointers: work is bounded
    // by records times pointers, which this test would show by not ending.
    let mut message = response(A).bytes();
    message[6..8].copy_from_slice(&[0xff, 0xff]);
    for rung in 0..100_u16 {
        let target =
            if rung == 0 { 12 } else { u16::try_from(ANSWER_AT).unwrap() + 12 * (rung - 1) };
        message.extend((0xc000 | target).to_be_bytes());
        message.extend([0, 99, 0, 1, 0, 0, 0, 9, 0, 0]);
    }
    let top = 0xc000 | (u16::try_from(ANSWER_AT).unwrap() + 12 * 99);
    while message.len() + 12 <= usize::from(u16::MAX) {
        message.extend(top.to_be_bytes());
        message.extend([0, 99, 0, 1, 0, 0, 0, 9, 0, 0]);
    }
    let cut = Err(DecodeError::Cut { at: message.len() });
    assert_eq!(query(Family::V4).decode(&message), cut);
}
