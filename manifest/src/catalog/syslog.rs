// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Driver `syslog`.

use super::common::{attributes, generic, tls_files};
use super::{FIRST, example, option, route};
use crate::{Carrier, DriverSpec, Extra, OptionKind, Runs};

const RFC5424: &str = "syslog-format=rfc5424";

pub(super) fn spec() -> DriverSpec {
    let mut options = vec![
        option("syslog-address", OptionKind::SyslogAddress, "The syslog server, or a socket in the container's zone. The port is 514 when none is given, with TLS too.")
            .required()
            .accepted(&["udp://HOST[:PORT]", "tcp://HOST[:PORT]", "tcp+tls://HOST[:PORT]", "unix:///PATH", "unixgram:///PATH"]),
        option("syslog-facility", OptionKind::SyslogFacility, "The facility of every record. Standard output has severity info, standard error has err.")
            .default("daemon")
            .accepted(&["a name from kern to local7", "0-23"]),
        option("syslog-format", OptionKind::Enum, "The layout of a record; without it, the one of a local syslog without a host name.")
            .accepted(&["rfc3164", "rfc5424", "rfc5424micro"]),
        option("syslog-tag", OptionKind::Text, "Triton's tag, used as it stands. Without tag and syslog-format it also selects the layout that Triton's users get today."),
    ];
    options.extend(tls_files("syslog", "tcp+tls"));
    options.extend([
        option("syslog-tls-skip-verify", OptionKind::Flag, "With tcp+tls, believes every server. That the option is there is what counts: false turns verification off too, and so does an empty value.")
            .accepted(&["anything"]),
        // Docker has lengths on TLS with RFC 5424, newlines elsewhere; no default says that.
        option("syslog-framing", OptionKind::Enum, "How messages are told apart on tcp, tcp+tls and unix: by the newline behind each or the length before it. Without it, by length on tcp+tls with an rfc5424 format, by newline elsewhere.")
            .accepted(&["newline", "octet-counting"])
            .extension(),
        option("syslog-severity", OptionKind::Enum, "Where a severity comes from. stream: standard output is info, standard error err. line: <0> to <7> at its beginning, which is left out, or the level of a JSON object; else from the stream.")
            .default("stream")
            .accepted(&["stream", "line"])
            .extension(),
        option("syslog-structured-data", OptionKind::Boolean, "With an rfc5424 format, whether the attributes that labels and env select, and which piece of a long line it is, stand in the structured data.")
            .default("false")
            .accepted(&["true", "false"])
            .extension(),
    ]);
    options.extend(attributes());
    options.extend(generic());
    DriverSpec {
        name: "syslog".to_owned(),
        summary: "Each line goes to a syslog server as one record.".to_owned(),
        runs: Runs::Zone,
        since: FIRST.to_owned(),
        example: example(&[
            "syslog-address=tcp://log.example.com:514",
            "syslog-format=rfc5424",
            "tag={{.Name}}",
        ]),
        routes: vec![
            route(Carrier::Tcp, &["syslog-address=tcp://{ADDRESS}", RFC5424]),
            route(
                Carrier::Tls,
                &["syslog-address=tcp+tls://{ADDRESS}", "syslog-tls-ca-cert={AUTHORITY}", RFC5424],
            ),
            route(Carrier::Unix, &["syslog-address=unix://{ADDRESS}", RFC5424]),
            route(Carrier::Udp, &["syslog-address=udp://{ADDRESS}", RFC5424]),
            route(Carrier::Unixgram, &["syslog-address=unixgram://{ADDRESS}", RFC5424]),
        ],
        options,
        extra: Extra::new(),
    }
}
