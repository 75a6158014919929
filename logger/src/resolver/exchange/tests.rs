// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

use super::super::dns_server::{A, Asked, DnsServer, NXDOMAIN, Response, SERVFAIL, Send};
use super::*;

const NAME: &str = "log.example.com";

/// Long enough for any machine: nothing waits for it unless it is broken.
const LONG: Duration = Duration::from_secs(30);
/// For servers that never answer.
const SHORT: Duration = Duration::from_millis(50);

fn name() -> Name {
    Name::from_text(NAME).unwrap()
}

fn exchange(servers: &[&DnsServer], timeout: Duration, attempts: usize) -> Exchange {
    let servers = servers.iter().map(|server| server.address).collect();
    Exchange::new(servers, Patience { timeout, attempts })
}

fn ask(exchange: &mut Exchange) -> Result<Answer, Option<TryError>> {
    exchange.ask(&name(), Family::V4, Effort::Full, Instant::now() + LONG)
}

/// The addresses, or the chain of errors.
fn told(exchange: &mut Exchange) -> String {
    match ask(exchange) {
        Ok(Answer::Addresses { addresses, ttl_secs }) => format!("{addresses:?} for {ttl_secs} s"),
        Ok(other) => format!("{other:?}"),
        Err(None) => "nobody asked".to_owned(),
        Err(Some(error)) => format!("{error:?}"),
    }
}

fn good(asked: &Asked) -> Response {
    Response::to(asked).address(NAME, 300, "10.0.0.1")
}

const GOOD: &str = "[10.0.0.1] for 300 s";

#[test]
fn an_answer() {
    let server = DnsServer::start(|asked| good(asked).reply());
    assert_eq!(told(&mut exchange(&[&server], LONG, 1)), GOOD);
    assert_eq!(server.asked(), ["log.example.com A"]);
}

#[test]
fn negative_answers_are_answers() {
    let server = DnsServer::start(|asked| Response::to(asked).rcode(NXDOMAIN).reply());
    let unused = DnsServer::start(|asked| good(asked).reply());
    assert_eq!(told(&mut exchange(&[&server, &unused], LONG, 2)), "NoSuchName");
    let server = DnsServer::start(|asked| Response::to(asked).reply());
    assert_eq!(told(&mut exchange(&[&server, &unused], LONG, 2)), "NoData");
    assert!(unused.asked().is_empty());
}

#[test]
fn a_failing_server_is_followed_by_the_next_and_stays_behind() {
    let bad = DnsServer::start(|asked| Response::to(asked).rcode(SERVFAIL).reply());
    let server = DnsServer::start(|asked| good(asked).reply());
    let mut exchange = exchange(&[&bad, &server], LONG, 1);
    assert_eq!(told(&mut exchange), GOOD);
    assert_eq!(told(&mut exchange), GOOD);
    assert_eq!((bad.asked().len(), server.asked().len()), (1, 2));
}

#[test]
fn a_silent_server_is_followed_by_the_next() {
    let silent = DnsServer::start(|_asked| vec![]);
    let server = DnsServer::start(|asked| good(asked).reply());
    // More rounds than needed: a slow machine may miss its answer in one.
    assert_eq!(told(&mut exchange(&[&silent, &server], SHORT, 100)), GOOD);
    assert_eq!(silent.asked_times(1)[0], "log.example.com A");
}

#[test]
fn a_port_where_nobody_listens_is_followed_by_the_next() {
    // tcpmux: no system gives that port to a socket that asks for any.
    let gone = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let server = DnsServer::start(|asked| good(asked).reply());
    let patience = Patience { timeout: LONG, attempts: 1 };
    let mut exchange = Exchange::new(vec![gone, server.address], patience);
    assert_eq!(told(&mut exchange), GOOD);
    let error = ask(&mut Exchange::new(vec![gone], patience)).unwrap_err().unwrap();
    assert!(matches!(error.failure, TryFailure::Unreachable(_)), "{error:?}");
}

#[test]
fn servers_may_have_ipv6_addresses() {
    let loopback = Ipv6Addr::LOCALHOST;
    if UdpSocket::bind((loopback, 0)).is_err() {
        assert!(std::env::var_os("CI").is_none(), "CI has IPv6 loopback");
        println!("left out: this machine has no IPv6 loopback");
        return;
    }
    let server = DnsServer::start_at(loopback.into(), |asked| {
        if asked.tcp { good(asked).reply() } else { Response::to(asked).truncated().reply() }
    });
    assert_eq!(told(&mut exchange(&[&server], LONG, 1)), GOOD);
}

#[test]
fn a_server_that_refuses_or_refers_gives_no_answer() {
    let refusing = DnsServer::start(|asked| Response::to(asked).rcode(5).reply());
    let referring = DnsServer::start(|asked| {
        let mut response = Response::to(asked);
        response.flags = 0x8000;
        response.reply()
    });
    let mut exchange = exchange(&[&refusing, &referring], LONG, 2);
    let error = ask(&mut exchange).unwrap_err().unwrap();
    assert!(matches!(error.failure, TryFailure::Referral), "{error:?}");
    assert_eq!((refusing.asked().len(), referring.asked().len()), (2, 2));
}

#[test]
fn silence_ends_after_all_attempts() {
    let (one, two) = (DnsServer::start(|_| vec![]), DnsServer::start(|_| vec![]));
    let mut exchange = exchange(&[&one, &two], SHORT, 3);
    let error = ask(&mut exchange).unwrap_err().unwrap();
    assert!(matches!(error.failure, TryFailure::TimedOut), "{error:?}");
    // EDNS is announced in the first round alone.
    let line = "log.example.com A";
    let plain = "log.example.com A plain";
    assert_eq!(one.asked_times(3), [line, plain, plain]);
    assert_eq!(two.asked_times(3), [line, plain, plain]);
}

#[test]
fn what_a_server_said_counts_more_than_silence() {
    let bad = DnsServer::start(|asked| Response::to(asked).rcode(SERVFAIL).reply());
    let silent = DnsServer::start(|_asked| vec![]);
    let mut exchange = exchange(&[&bad, &silent], Duration::from_millis(200), 3);
    let error = ask(&mut exchange).unwrap_err().unwrap();
    assert_eq!(error.server, bad.address);
    assert!(matches!(error.failure, TryFailure::Refused(_)), "{error:?}");
}

#[test]
fn the_deadline_is_shared_by_the_servers() {
    let silent = DnsServer::start(|_asked| vec![]);
    let server = DnsServer::start(|asked| good(asked).reply());
    // One try may take longer than all there is.
    let mut exchange = exchange(&[&silent, &server], LONG * 100, 1);
    let answer = exchange.ask(&name(), Family::V4, Effort::Full, Instant::now() + LONG / 15);
    assert!(matches!(answer, Ok(Answer::Addresses { .. })), "{answer:?}");
    let answer = exchange.ask(&name(), Family::V4, Effort::Full, Instant::now());
    assert!(matches!(answer, Err(None)), "{answer:?}");
    assert_eq!((silent.asked_times(1).len(), server.asked().len()), (1, 1));
}

#[test]
fn spoofed_and_stray_datagrams_are_passed_over() {
    let server = DnsServer::start(|asked| {
        let lie = good(asked).address(NAME, 1, "6.6.6.6");
        let mut other_id = lie.clone();
        other_id.id ^= 1;
        let mut other_name = lie.clone();
        other_name.question = Some(("log.example.org".to_owned(), A));
        let mut other_kind = lie.clone();
        other_kind.question = Some((NAME.to_owned(), 28));
        let mut query = lie.clone();
        query.flags &= 0x7fff;
        vec![
            Send::FromElsewhere(lie.bytes()),
            Send::Reply(other_id.bytes()),
            Send::Reply(other_name.bytes()),
            Send::Reply(other_kind.bytes()),
            Send::Reply(query.bytes()),
            Send::Reply(vec![]),
            Send::Reply(b"garbage".to_vec()),
            Send::Reply(vec![0xff; 4000]),
            Send::Reply(good(asked).bytes()),
        ]
    });
    assert_eq!(told(&mut exchange(&[&server], LONG, 1)), GOOD);
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn an_answer_from_elsewhere_alone_is_none() {
    let server = DnsServer::start(|asked| vec![Send::FromElsewhere(good(asked).bytes())]);
    let error = ask(&mut exchange(&[&server], SHORT, 1)).unwrap_err().unwrap();
    assert!(matches!(error.failure, TryFailure::TimedOut), "{error:?}");
}

#[test]
fn a_flood_of_strays_ends_with_the_try() {
    let server = DnsServer::start(|asked| {
        let mut stray = good(asked);
        stray.id ^= 0x5555;
        vec![Send::Reply(stray.bytes()); 500]
    });
    let error = ask(&mut exchange(&[&server], SHORT, 2)).unwrap_err().unwrap();
    assert!(matches!(error.failure, TryFailure::TimedOut), "{error:?}");
}

#[test]
fn malformed_answers_are_followed_by_the_next_server() {
    let broken =
        DnsServer::start(|asked| Response::to(asked).record(NAME, A, 9, b"\x0a\x00\x00").reply());
    let looping = DnsServer::start(|asked| {
        let mut bytes = good(asked).bytes();
        let owner = bytes.len() - 16;
        let here = 0xc000 | u16::try_from(owner).unwrap();
        bytes[owner..owner + 2].copy_from_slice(&here.to_be_bytes());
        vec![Send::Reply(bytes)]
    });
    let server = DnsServer::start(|asked| good(asked).reply());
    assert_eq!(told(&mut exchange(&[&broken, &looping, &server], LONG, 1)), GOOD);
    let error = ask(&mut exchange(&[&looping], LONG, 2)).unwrap_err().unwrap();
    assert!(
        matches!(error.failure, TryFailure::Malformed(DecodeError::Pointer { .. })),
        "{error:?}"
    );
    assert_eq!(looping.asked().len(), 3);
}

#[test]
fn truncated_answers_come_over_tcp() {
    let server = DnsServer::start(|asked| {
        if !asked.tcp {
            return Response::to(asked).truncated().reply();
        }
        // More than any datagram of ours holds.
        let many = (0..400).fold(Response::to(asked), |response, n| {
            response.address(&format!("{n}.example.com"), 9, "10.0.0.9")
        });
        many.address(NAME, 300, "10.0.0.1").reply()
    });
    assert_eq!(told(&mut exchange(&[&server], LONG, 1)), GOOD);
    assert_eq!(server.asked(), ["log.example.com A", "log.example.com A tcp"]);
}

#[test]
fn bad_answers_over_tcp_are_followed_by_the_next_server() {
    let over_tcp: [fn(&Asked) -> Vec<Send>; 5] = [
        // Closed at once; closed within; another id; garbage; truncated again.
        |_asked| vec![],
        |asked| {
            let mut response = good(asked);
            response.id ^= 1;
            response.reply()
        },
        |_asked| vec![Send::Reply(vec![])],
        |_asked| vec![Send::Reply(vec![0x55; 65535])],
        |asked| Response::to(asked).truncated().reply(),
    ];
    for answer in over_tcp {
        let bad = DnsServer::start(move |asked| {
            if asked.tcp { answer(asked) } else { Response::to(asked).truncated().reply() }
        });
        let server = DnsServer::start(|asked| good(asked).reply());
        assert_eq!(told(&mut exchange(&[&bad, &server], LONG, 1)), GOOD);
        assert_eq!(bad.asked().len(), 2);
        let error = ask(&mut exchange(&[&bad], LONG, 1)).unwrap_err().unwrap();
        assert_eq!((error.server, error.transport), (bad.address, "TCP"));
    }
}

#[test]
fn a_server_that_does_not_know_edns_is_asked_without() {
    for rcode in [1, 4] {
        let old = DnsServer::start(move |asked| {
            if !asked.edns {
                return good(asked).reply();
            }
            let mut response = Response::to(asked).rcode(rcode);
            response.question = None;
            response.reply()
        });
        let mut exchange = exchange(&[&old], LONG, 1);
        assert_eq!(told(&mut exchange), GOOD);
        // What was learnt holds for the questions that follow.
        assert_eq!(told(&mut exchange), GOOD);
        let plain = "log.example.com A plain";
        assert_eq!(old.asked(), ["log.example.com A", plain, plain]);
    }
}

#[test]
fn a_single_try_is_one() {
    let bad = DnsServer::start(|asked| Response::to(asked).rcode(SERVFAIL).reply());
    let mut exchange = exchange(&[&bad, &bad], LONG, 5);
    let answer = exchange.ask(&name(), Family::V6, Effort::Single, Instant::now() + LONG);
    assert!(matches!(answer, Err(Some(_))), "{answer:?}");
    assert_eq!(bad.asked(), ["log.example.com AAAA"]);
}

#[test]
fn no_server_is_no_answer() {
    let mut nobody = exchange(&[], LONG, 5);
    for effort in [Effort::Full, Effort::Single] {
        let answer = nobody.ask(&name(), Family::V4, effort, Instant::now() + LONG);
        assert!(matches!(answer, Err(None)), "{answer:?}");
    }
}

#[test]
fn ids_do_not_repeat_in_a_pattern() {
    let server = DnsServer::start(|asked| good(asked).reply());
    let mut exchange = exchange(&[&server], LONG, 1);
    for _query in 0..64 {
        assert_eq!(told(&mut exchange), GOOD);
    }
    let ids = server.ids();
    let steps: std::collections::BTreeSet<u16> =
        ids.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
    // 63 differences of random numbers: two or three equal ones may happen.
    assert!(steps.len() > 50, "{ids:?}");
}

#[test]
fn the_file_says_whom_to_ask() {
    let file = "nameserver 10.0.0.1\nnameserver fd00::1\noptions timeout:3 attempts:4\n";
    let of = |file: &str| Exchange::of(&Conf::parse(file.as_bytes()), 53);
    let plain = of(file);
    let servers: Vec<String> = plain.servers.iter().map(SocketAddr::to_string).collect();
    assert_eq!(servers, ["10.0.0.1:53", "[fd00::1]:53"]);
    let Patience { timeout, attempts } = plain.patience;
    assert_eq!((timeout, attempts), (Duration::from_secs(3), 4));
    // By chance one server is never the first of 200: once in 10^60.
    let firsts = |file: &str| {
        (0..200).map(|_lookup| of(file).first).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(firsts(file), [0].into());
    assert_eq!(firsts(&format!("{file}options rotate\n")), [0, 1].into());
}
