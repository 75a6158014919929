// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Driver `gelf`.

use super::common::{generic, placed_attributes, tls};
use super::{FIRST, example, option, route};
use crate::{Carrier, DriverSpec, Extra, OptionKind, Runs};

pub(super) fn spec() -> DriverSpec {
    let mut options = vec![
        option("gelf-address", OptionKind::ServerAddress, "The GELF server. There is no usual port.")
            .required()
            .accepted(&["udp://HOST:PORT", "tcp://HOST:PORT", "tcp+tls://HOST:PORT"]),
        option("gelf-compression-type", OptionKind::Enum, "How a record is compressed.")
            .default("gzip")
            .accepted(&["gzip", "zlib", "none"])
            .schemes(&["udp"]),
        option("gelf-compression-level", OptionKind::Enum, "From 0, nothing, over 1, the quickest, to 9, the smallest; -1 is 6.")
            .default("1")
            .accepted(&["-1", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9"])
            .schemes(&["udp"]),
        // 1420 bytes are Docker's size, which fits every way; 8154 is what Graylog recommends where
        // all of the network carries it.
        option("gelf-chunk-size", OptionKind::Enum, "Size in bytes of the datagrams that a larger record is divided over; auto is what the way to the server carries, as far as the system knows it.")
            .default("1420")
            .accepted(&["1420", "8154", "auto"])
            .schemes(&["udp"])
            .extension(),
        option("gelf-tcp-max-reconnect", OptionKind::UnsignedInteger, "Accepted as in Docker; a connection is opened again as often as needed, and lines wait in the buffer meanwhile.")
            .default("3")
            .schemes(&["tcp", "tcp+tls"]),
        option("gelf-tcp-reconnect-delay", OptionKind::UnsignedInteger, "Accepted as in Docker, in seconds; the first attempt to connect again is made at once, the next ones later and later.")
            .default("1")
            .schemes(&["tcp", "tcp+tls"]),
        option("gelf-partial", OptionKind::Boolean, "Whether a piece of a long line says so in _partial_id, _partial_ordinal and _partial_last.")
            .default("false")
            .accepted(&["true", "false"])
            .extension(),
        option("gelf-tag", OptionKind::Text, "Triton's tag, used as it stands. Without tag it also selects the records that Triton's users get today."),
    ];
    options.extend(tls("gelf", "tcp+tls").into_iter().map(|option| option.schemes(&["tcp+tls"])));
    options.extend(placed_attributes("additional fields of every record"));
    options.extend(generic());
    DriverSpec {
        name: "gelf".to_owned(),
        summary: "Each line goes to a Graylog server, or another that speaks GELF, as one record."
            .to_owned(),
        runs: Runs::Zone,
        since: FIRST.to_owned(),
        example: example(&["gelf-address=udp://log.example.com:12201", "env=APP_ENV"]),
        routes: vec![
            route(Carrier::Tcp, &["gelf-address=tcp://{ADDRESS}"]),
            route(
                Carrier::Tls,
                &["gelf-address=tcp+tls://{ADDRESS}", "gelf-tls-ca-cert={AUTHORITY}"],
            ),
            route(Carrier::Udp, &["gelf-address=udp://{ADDRESS}", "gelf-compression-type=none"]),
        ],
        options,
        extra: Extra::new(),
    }
}
