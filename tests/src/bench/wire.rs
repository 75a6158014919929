// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Drivers and the ways their frames take.
//!
//! What a driver declares as its routes is measured without a word here; `VARIANTS` is what there is besides.

mod sink;

use std::sync::LazyLock;

use dockerlogger_manifest::{Carrier, Route, catalog};

pub use sink::WireSink;

/// A driver over a transport.
#[derive(Debug)]
pub struct Wire {
    /// `DRIVER/CARRIER`, or of a variant `DRIVER/NAME`; of files the driver alone.
    pub name: String,
    /// What is measured.
    pub about: String,
    /// `argv[1]` of the logger.
    pub driver: String,
    /// How the sink listens.
    pub listen: Listen,
    /// Whether the copy loop can send the same.
    pub copied: bool,
    route: Route,
    /// What a line shows once in what arrives.
    mark: &'static [u8],
}

/// How a sink listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// On a TCP port.
    Tcp,
    /// The same, and confirms the chunks of Fluentd's protocol.
    Confirming,
    /// The same, with TLS. The copy loop has no TLS: its reference is plain TCP.
    Tls,
    /// On a UDP port.
    Udp,
    /// On a stream socket with a path.
    Unix,
    /// On a datagram socket with a path.
    Unixgram,
    /// Not at all: it reads a file that grows.
    File,
}

impl Listen {
    /// `None`: there is no such sink yet.
    fn over(carrier: &Carrier) -> Option<(Listen, &'static str)> {
        Some(match carrier {
            Carrier::Tcp => (Listen::Tcp, "tcp"),
            Carrier::Tls => (Listen::Tls, "tls"),
            Carrier::Udp => (Listen::Udp, "udp"),
            Carrier::Unix => (Listen::Unix, "unix"),
            Carrier::Unixgram => (Listen::Unixgram, "unixgram"),
            Carrier::File => (Listen::File, ""),
            Carrier::Unknown(_) => return None,
        })
    }
}

/// A route of a driver with more options, and what that does to the sink.
struct Variant {
    driver: &'static str,
    name: &'static str,
    about: &'static str,
    over: Carrier,
    options: &'static [&'static str],
    listen: Listen,
    mark: &'static [u8],
}

const VARIANTS: &[Variant] = &[
    Variant {
        driver: "fluentd",
        name: "packed",
        about: "a batch a message",
        over: Carrier::Tcp,
        options: &[FLUENTD_PACKED],
        listen: Listen::Tcp,
        mark: TEXT,
    },
    Variant {
        driver: "fluentd",
        name: "message-ack",
        about: "a line a message, each confirmed",
        over: Carrier::Tcp,
        options: &[FLUENTD_ACK],
        listen: Listen::Confirming,
        mark: TEXT,
    },
    Variant {
        driver: "fluentd",
        name: "packed-ack",
        about: "a batch a message, each confirmed",
        over: Carrier::Tcp,
        options: &[FLUENTD_PACKED, FLUENTD_ACK],
        listen: Listen::Confirming,
        mark: TEXT,
    },
    Variant {
        driver: "gelf",
        name: "udp-gzip",
        about: "the same, compressed",
        over: Carrier::Udp,
        options: &["gelf-compression-type=gzip"],
        listen: Listen::Udp,
        mark: b"\x1f\x8b\x08\0\0\0\0\0\x04\xff",
    },
    Variant {
        driver: "gelf",
        name: "udp-gzip-6",
        about: "the same at level 6",
        over: Carrier::Udp,
        options: &["gelf-compression-type=gzip", "gelf-compression-level=6"],
        listen: Listen::Udp,
        mark: b"\x1f\x8b\x08\0\0\0\0\0\0\xff",
    },
];

const FLUENTD_ACK: &str = "fluentd-request-ack=true";
const FLUENTD_PACKED: &str = "fluentd-mode=packed-forward";

/// What is once in the line of every case, and as it is in the text of every format.
const TEXT: &[u8] = b"xyz{|}~!";

static WIRES: LazyLock<Vec<Wire>> = LazyLock::new(|| {
    let mut wires = Vec::new();
    for driver in catalog::drivers() {
        let listened =
            driver.routes.iter().filter_map(|route| Some((route, Listen::over(&route.over)?)));
        for (route, (listen, over)) in listened {
            let datagrams = matches!(listen, Listen::Udp | Listen::Unixgram);
            let (what, limit) = match listen {
                Listen::File => ("to a file of 64 MB", ""),
                Listen::Tls => ("64 lines per write", "; the limit is without TLS"),
                _ if datagrams => ("a datagram a line", ""),
                _ => ("64 lines per write", ""),
            };
            wires.push(Wire {
                name: format!("{}/{over}", driver.name).trim_end_matches('/').to_owned(),
                about: format!("flat out, {what}{limit}"),
                driver: driver.name.clone(),
                listen,
                copied: true,
                route: route.clone(),
                mark: TEXT,
            });
        }
        for variant in VARIANTS.iter().filter(|variant| variant.driver == driver.name) {
            let route = driver.routes.iter().find(|route| route.over == variant.over);
            let mut route = route.expect("variants are of declared routes").clone();
            route.options.extend(variant.options.iter().map(|&option| option.to_owned()));
            wires.push(Wire {
                name: format!("{}/{}", driver.name, variant.name),
                about: variant.about.to_owned(),
                driver: driver.name.clone(),
                listen: variant.listen,
                copied: false,
                route,
                mark: variant.mark,
            });
        }
    }
    wires
});

impl Wire {
    /// Every driver and every transport.
    pub fn all() -> &'static [Wire] {
        &WIRES
    }

    /// The wire of this name.
    ///
    /// # Panics
    /// When there is none.
    pub fn named(name: &str) -> &'static Wire {
        WIRES.iter().find(|wire| wire.name == name).expect("cases name wires of the list")
    }
}
