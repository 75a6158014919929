// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

use std::time::Duration;

use super::super::dns_server::{A, Asked, DnsServer, NXDOMAIN, Response, SERVFAIL, Send};
use super::super::exchange::Patience;
use super::*;

const LONG: Duration = Duration::from_secs(30);

fn candidates(name: &str, conf: &str) -> String {
    let host = HostName::parse(name).unwrap();
    let candidates = host.candidates(&Conf::parse(conf.as_bytes()));
    candidates.iter().map(Name::to_string).collect::<Vec<_>>().join(" ")
}

#[test]
fn names_to_ask_for() {
    for (name, conf, expected) in [
        ("log", "", "log"),
        ("log", "search a.net b.net\n", "log.a.net log.b.net log"),
        ("log.x", "search a.net b.net\n", "log.x log.x.a.net log.x.b.net"),
        ("log.x", "search a.net\noptions ndots:2\n", "log.x.a.net log.x"),
        ("log.x.y", "search a.net\noptions ndots:2\n", "log.x.y log.x.y.a.net"),
        ("log", "search a.net\noptions ndots:0\n", "log log.a.net"),
        ("log.", "search a.net\n", "log"),
        ("log.x.", "search a.net\n", "log.x"),
        ("log", "search . a.net\n", "log log.a.net"),
        ("log", "search a.net a.net\n", "log.a.net log"),
        ("LOG", "domain A.net\n", "log.a.net log"),
    ] {
        assert_eq!(candidates(name, conf), expected, "{name} {conf:?}");
    }
    let long = "abcdefg.".repeat(31);
    let name = long.trim_end_matches('.');
    assert_eq!(candidates(name, "search example.com\n"), name);
}

fn listed(addresses: &[&str]) -> Vec<IpAddr> {
    addresses.iter().map(|address| address.parse().unwrap()).collect()
}

#[test]
fn families_in_turn() {
    for (addresses, order) in [
        (&[][..], &[][..]),
        (&["10.0.0.1", "10.0.0.2"], &["10.0.0.1", "10.0.0.2"]),
        (&["fd00::1", "fd00::2"], &["fd00::1", "fd00::2"]),
        (
            &["10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::1", "fd00::2"],
            &["fd00::1", "10.0.0.1", "fd00::2", "10.0.0.2", "10.0.0.3"],
        ),
        (&["fd00::1", "fd00::2", "10.0.0.1"], &["fd00::1", "10.0.0.1", "fd00::2"]),
    ] {
        assert_eq!(interleave(&listed(addresses)), listed(order));
    }
}

#[test]
fn localhost_is_loopback() {
    for (name, is) in [
        ("localhost", true),
        ("LOCALHOST.", true),
        ("log.localhost", true),
        ("localhost.localdomain", false),
        ("alocalhost", false),
    ] {
        assert_eq!(HostName::parse(name).unwrap().is_localhost(), is, "{name}");
    }
    assert_eq!(localhost(vec![]), listed(&["::1", "127.0.0.1"]));
    assert_eq!(localhost(listed(&["127.0.0.1", "10.0.0.1"])), listed(&["127.0.0.1"]));
    assert_eq!(localhost(listed(&["10.0.0.1"])), listed(&["::1", "127.0.0.1"]));
}

/// The addresses found, or what was missed.
fn found(server: &DnsServer, names: &[&str]) -> String {
    found_within(server, names, LONG)
}

/// The same, for servers of which not all answers come.
fn found_within(server: &DnsServer, names: &[&str], timeout: Duration) -> String {
    let patience = Patience { timeout, attempts: 3 };
    let mut exchange = Exchange::new(vec![server.address], patience);
    let names: Vec<Name> = names.iter().map(|name| Name::from_text(name).unwrap()).collect();
    match search(&mut exchange, &names, Instant::now() + LONG) {
        Ok(Found { addresses, ttl_secs }) => format!("{addresses:?} {ttl_secs}"),
        Err(Miss::Failed(Some(error))) => format!("{:?}", error.failure),
        Err(miss) => format!("{miss:?}"),
    }
}

fn always(answer: fn(&Asked) -> Response) -> DnsServer {
    DnsServer::start(move |asked| answer(asked).reply())
}

#[test]
fn both_families_are_asked_for_and_the_shorter_time_holds() {
    for (v4_secs, v6_secs) in [(300, 20), (20, 300)] {
        let server = DnsServer::start(move |asked| match asked.kind {
            A => Response::to(asked).address("a", v4_secs, "10.0.0.1").reply(),
            _ => Response::to(asked).address("a", v6_secs, "fd00::1").reply(),
        });
        assert_eq!(found(&server, &["a"]), "[10.0.0.1, fd00::1] 20");
        assert_eq!(server.asked(), ["a A", "a AAAA"]);
    }
}

#[test]
fn one_family_is_enough_whatever_the_other_says() {
    let others: [fn(&Asked) -> Vec<Send>; 5] = [
        |asked| Response::to(asked).reply(),
        |asked| Response::to(asked).rcode(NXDOMAIN).reply(),
        |asked| Response::to(asked).rcode(SERVFAIL).reply(),
        |asked| Response::to(asked).record("a", asked.kind, 1, b"?").reply(),
        |_asked| vec![],
    ];
    for other in others {
        let server = DnsServer::start(move |asked| match asked.kind {
            A => Response::to(asked).address("a", 300, "10.0.0.1").reply(),
            _ => other(asked),
        });
        assert_eq!(found(&server, &["a"]), "[10.0.0.1] 300");
    }
    // The other way round: an alias leads to a host with IPv6 only.
    for other in
        [|asked: &Asked| Response::to(asked), |asked: &Asked| Response::to(asked).rcode(SERVFAIL)]
    {
        let server = DnsServer::start(move |asked| match asked.kind {
            A => other(asked).reply(),
            _ => Response::to(asked).alias("a", 9, "b").address("b", 300, "fd00::1").reply(),
        });
        assert_eq!(found(&server, &["a"]), "[fd00::1] 9");
    }
}

#[test]
fn the_search_goes_on_past_names_that_lead_nowhere() {
    let server = DnsServer::start(|asked| {
        let response = Response::to(asked);
        match asked.name.as_str() {
            "gone" => response.rcode(NXDOMAIN).reply(),
            "empty" => response.reply(),
            "failing" => response.rcode(SERVFAIL).reply(),
            "silent" => vec![],
            name if asked.kind == A => response.address(name, 9, "10.0.0.1").reply(),
            _ => response.reply(),
        }
    });
    for (names, expected) in [
        (&["gone", "here"][..], "[10.0.0.1] 9"),
        (&["empty", "here"], "[10.0.0.1] 9"),
        (&["failing", "here"], "[10.0.0.1] 9"),
        (&["silent", "here"], "TimedOut"),
        (&["gone", "gone"], "NoSuchName"),
        (&["gone", "empty", "gone"], "NoData"),
        (&["empty", "failing", "gone"], "Refused(Rcode(2))"),
    ] {
        let timeout = Duration::from_millis(400);
        assert_eq!(found_within(&server, names, timeout), expected, "{names:?}");
    }
}

#[test]
fn a_name_that_does_not_exist_is_asked_for_once() {
    let server = always(|asked| Response::to(asked).rcode(NXDOMAIN));
    assert_eq!(found(&server, &["a", "b"]), "NoSuchName");
    assert_eq!(server.asked(), ["a A", "b A"]);
}
