// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Options that several drivers share.

use super::option;
use crate::{OptionKind, OptionSpec};

/// What `max-buffer-size` means, in bytes: less, which Docker accepts, counts as
/// the lower bound, since a read of each stream has to fit; more is refused, since
/// one container could take a node's memory.
pub const BUFFER_SIZE_BYTES: (u64, u64) = (64 << 10, 1 << 30);

/// The default of `max-buffer-size` in bytes.
pub const BUFFER_SIZE_DEFAULT_BYTES: u64 = 1 << 20;

/// The longest `drain-timeout`: the platform halts a zone that stops for longer
/// than its own grace period anyway.
pub const DRAIN_TIMEOUT_MAX_MS: u64 = 60_000;

/// Bounds of `flush-interval` in milliseconds: below, a line that is written in
/// two steps would be cut for nothing; above, nobody waits.
pub const FLUSH_INTERVAL_MS: (u64, u64) = (100, 60_000);

/// The options that choose a record's tag and attributes.
pub(super) fn attributes() -> Vec<OptionSpec> {
    let no_effect = "Accepted as in Docker; only a tag, or structured data where that is asked for, has a place for them.";
    vec![
        option("tag", OptionKind::Template, "The tag of every record.")
            .default("{{.ID}}")
            .accepted(&[
                "text with fields such as {{.ID}}, {{.FullID}}, {{.Name}}, {{.ImageName}}",
            ]),
        option("labels", OptionKind::Text, no_effect),
        option("labels-regex", OptionKind::Text, no_effect),
        option("env", OptionKind::Text, no_effect),
        option("env-regex", OptionKind::Text, no_effect),
    ]
}

/// The options that choose a record's tag and attributes, where attributes have
/// a `place` in the record.
pub(super) fn placed_attributes(place: &str) -> Vec<OptionSpec> {
    let mut options = attributes();
    for option in &mut options {
        let what = match option.name.as_str() {
            "labels" => "Names of labels, with commas between them,",
            "labels-regex" => "A regular expression: the labels whose names it matches",
            "env" => "Names of environment variables, with commas between them,",
            "env-regex" => "A regular expression: the environment variables whose names it matches",
            _ => continue,
        };
        option.help = format!("{what} that become {place}.");
    }
    options
}

/// The files of a TLS connection, which a driver has with addresses of `scheme`.
pub(super) fn tls_files(driver: &str, scheme: &str) -> Vec<OptionSpec> {
    let file = |what: &str, help: &str| {
        let (name, help) = (format!("{driver}-tls-{what}"), format!("With {scheme}, {help}"));
        option(&name, OptionKind::Path, &help).accepted(&["an absolute path of a file in PEM form"])
    };
    vec![
        file(
            "ca-cert",
            "a file of authorities to believe beside those of the container's system. Like the two below it is read in the container's zone, again for each connection.",
        ),
        file("cert", "the certificate to show to a server that asks for one, and its chain.")
            .requires(&format!("{driver}-tls-key")),
        file("key", "the key of that certificate, without a passphrase.")
            .requires(&format!("{driver}-tls-cert")),
    ]
}

/// The same and whether the server is checked, for a driver that has no TLS in
/// Docker.
pub(super) fn tls(driver: &str, scheme: &str) -> Vec<OptionSpec> {
    let name = format!("{driver}-tls-skip-verify");
    let help = format!("With {scheme}, whether to believe every server.");
    let skip =
        option(&name, OptionKind::Boolean, &help).default("false").accepted(&["true", "false"]);
    let options = tls_files(driver, scheme).into_iter().chain([skip]);
    options.map(OptionSpec::extension).collect()
}

/// The options of every driver that runs in the zone.
pub(super) fn generic() -> Vec<OptionSpec> {
    let (_, size_max) = BUFFER_SIZE_BYTES;
    let (flush_min, flush_max) = FLUSH_INTERVAL_MS;
    let mut options = vec![
        option("mode", OptionKind::Enum, "What happens when the buffer is full: non-blocking drops and counts, blocking stops reading.")
            .default("non-blocking")
            .accepted(&["blocking", "non-blocking"]),
        option("max-buffer-size", OptionKind::SizeBinary, "Memory for lines that were read but not yet taken by the server.")
            .default("1m")
            .bounds(0, size_max)
            .accepted(&["up to 1g; k, m and g are powers of 1024; less than 64k counts as 64k"]),
        option("drain-timeout", OptionKind::Duration, "How long to go on sending after the container's output has ended.")
            .default("5s")
            .bounds(0, DRAIN_TIMEOUT_MAX_MS)
            .accepted(&["0s to 1m"])
            .extension(),
        // `restart` because the lines are safe meanwhile: they stay in the buffer. `kill` is for those who would
        // rather have no container than one without logs, `ignore` for those who want no second attempt.
        option("on-failure", OptionKind::Enum, "What happens when the sending process dies: restart starts another, which goes on with what was not yet taken; kill ends the container; ignore goes on reading and counting, and sends no more.")
            .default("restart")
            .accepted(&["restart", "kill", "ignore"])
            .extension(),
        // Off by default: Docker waits for the newline, and a line sent in two pieces looks different.
        option("flush-interval", OptionKind::Duration, "How long a line may stay without its newline before what is there of it is sent as a piece; without it, until the newline comes or the output ends.")
            .bounds(flush_min, flush_max)
            .accepted(&["100ms to 1m"])
            .extension(),
        // Off by default: Docker cuts at bytes.
        option("split-utf8", OptionKind::Boolean, "Whether a long line is cut between characters of UTF-8 and never inside one.")
            .default("false")
            .accepted(&["true", "false"])
            .extension(),
        option("spool", OptionKind::Path, "The directory of a file that keeps lines which were read but not yet taken by the server over a restart.")
            .accepted(&["an absolute directory"])
            .extension(),
        option("cache-disabled", OptionKind::Boolean, CACHE).accepted(&["true", "false"]),
    ];
    options.extend(CACHE_NAMES.map(|name| option(name, OptionKind::Text, CACHE)));
    options
}

/// Docker's own copy for `docker logs`, which Docker configures by these. It takes
/// any value of them.
const CACHE_NAMES: [&str; 8] = [
    "cache-max-size",
    "cache-max-file",
    "cache-compress",
    "cache-labels",
    "cache-labels-regex",
    "cache-env",
    "cache-env-regex",
    "cache-tag",
];

const CACHE: &str =
    "Accepted as in Docker, without effect: what `docker logs` shows, the platform keeps.";
