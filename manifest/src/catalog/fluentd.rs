// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Driver `fluentd`.

use super::common::{generic, placed_attributes, tls};
use super::{FIRST, example, option, route};
use crate::{Carrier, DriverSpec, Extra, OptionKind, OptionSpec, Runs};

/// Bounds of `fluentd-async-reconnect-interval` in milliseconds, as in Docker.
const RECONNECT_INTERVAL_MS: (u64, u64) = (100, 10_000);

/// The largest `fluentd-max-retries`, as in Docker.
const RETRIES_MAX: u64 = 2_147_483_647;

pub(super) fn spec() -> DriverSpec {
    let mut options = vec![
        option("fluentd-address", OptionKind::FluentdAddress, "The Fluentd server, or any other that speaks its forward protocol. The port is 24224 when none is given.")
            .default("tcp://127.0.0.1:24224")
            .accepted(&["[tcp://][HOST][:PORT]", "tls://HOST[:PORT]", "unix:///PATH"]),
        option("fluentd-request-ack", OptionKind::Boolean, "Whether the server confirms what it has taken; what it has not confirmed is sent again.")
            .default("false")
            .accepted(&["true", "false"]),
        option("fluentd-sub-second-precision", OptionKind::Boolean, "Whether times have nanoseconds (EventTime) or whole seconds.")
            .default("false")
            .accepted(&["true", "false"]),
        option("fluentd-write-timeout", OptionKind::Duration, "How long the server may take nothing before the connection is made anew; 0s: 30s.")
            .default("0s"),
        option("fluentd-read-timeout", OptionKind::Duration, "How long the server may confirm nothing before the connection is made anew; 0s: 30s.")
            .default("0s"),
        option("fluentd-mode", OptionKind::Enum, "How lines travel: each as a message of its own, or many in one message, which takes less of both ends.")
            .default("message")
            .accepted(&["message", "packed-forward"])
            .extension(),
        option("fluentd-shared-key", OptionKind::Text, "The key that client and server share; with it, both prove to each other that they know it before the first line.")
            .secret()
            .extension(),
        option("fluentd-username", OptionKind::Text, "The user, where the server asks for one.")
            .requires("fluentd-shared-key")
            .requires("fluentd-password")
            .extension(),
        option("fluentd-password", OptionKind::Text, "The user's password.")
            .requires("fluentd-username")
            .secret()
            .extension(),
        option("fluentd-tag", OptionKind::Template, "Triton's tag. Without tag it also selects the records that Triton's users get today."),
    ];
    options.extend(tls("fluentd", "tls"));
    options.extend(superseded());
    options.extend(placed_attributes("keys of every record"));
    options.extend(generic());
    DriverSpec {
        name: "fluentd".to_owned(),
        summary: "Each line goes to a Fluentd server as one event.".to_owned(),
        runs: Runs::Zone,
        since: FIRST.to_owned(),
        example: example(&[
            "fluentd-address=log.example.com:24224",
            "fluentd-request-ack=true",
            "tag=docker.{{.Name}}",
        ]),
        routes: vec![
            route(Carrier::Tcp, &["fluentd-address=tcp://{ADDRESS}"]),
            route(
                Carrier::Tls,
                &["fluentd-address=tls://{ADDRESS}", "fluentd-tls-ca-cert={AUTHORITY}"],
            ),
            route(Carrier::Unix, &["fluentd-address=unix://{ADDRESS}"]),
        ],
        options,
        extra: Extra::new(),
    }
}

/// Options that Docker needs because its lines wait in the driver; ours wait in
/// the buffer of `max-buffer-size`, whatever these say.
fn superseded() -> Vec<OptionSpec> {
    let (interval_min, interval_max) = RECONNECT_INTERVAL_MS;
    vec![
        option(
            "fluentd-async",
            OptionKind::Boolean,
            "Accepted as in Docker; the container never waits for the server to come up.",
        )
        .alias("fluentd-async-connect")
        .default("false")
        .accepted(&["true", "false"]),
        option(
            "fluentd-async-reconnect-interval",
            OptionKind::Duration,
            "Accepted as in Docker; a connection is kept as long as it holds.",
        )
        .default("0s")
        .bounds(interval_min, interval_max)
        .accepted(&["0s", "100ms to 10s"]),
        option(
            "fluentd-buffer-limit",
            OptionKind::SizeBinary,
            "Accepted as in Docker; max-buffer-size says how much waits for the server.",
        )
        .default("1m"),
        option(
            "fluentd-retry-wait",
            OptionKind::Duration,
            "Accepted as in Docker; the pause between attempts grows from 50 ms to 5 s.",
        )
        .default("1s"),
        option(
            "fluentd-max-retries",
            OptionKind::UnsignedInteger,
            "Accepted as in Docker; attempts to reach the server never end.",
        )
        .default("2147483647")
        .bounds(0, RETRIES_MAX)
        .accepted(&["0 to 2147483647"]),
    ]
}
