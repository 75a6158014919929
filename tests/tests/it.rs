// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! End-to-end tests: the built programs, run as they run on a node. Started by `cargo xtask test`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

mod it {
    mod agent;
    mod bad_input;
    mod bench;
    mod conservation;
    mod contract;
    mod dependencies;
    mod drivers;
    mod edges;
    mod fluentd;
    mod fluentd_server;
    mod gelf;
    mod json_file;
    mod last_words;
    mod metadata;
    mod mount;
    mod no_allocation;
    mod on_failure;
    mod outage;
    mod resolving;
    mod rsyslog;
    mod sender_killed;
    mod sink_down;
    mod smf;
    mod spool;
    mod syslog_ng;
    mod torture;
    mod trial;
    mod vectors;

    use dockerlogger_tests::dockerinit::ContainerSpec;
    use dockerlogger_tests::{SOON, programs, receiver, try_until};

    /// The status of a logger whose configuration can never work.
    const EX_CONFIG: i32 = 78;

    /// A program that a test needs is missing: to be read by whoever runs it, a failure in CI.
    fn skip(why: &str) {
        assert!(std::env::var_os("CI").is_none(), "where CI is set, {why}");
        // Not a print macro: the test runner would hide that.
        let _ =
            std::io::Write::write_all(&mut std::io::stderr(), format!("SKIP: {why}\n").as_bytes());
    }

    /// Whether tests that have a long form run in it.
    fn is_long() -> bool {
        std::env::var_os("DOCKERLOGGER_LONG").is_some_and(|value| value == "1")
    }

    fn hostname() -> String {
        rustix::system::uname().nodename().to_string_lossy().into_owned()
    }

    /// A container of the syslog driver that sends to `address`.
    fn syslog_container(address: &str, options: &[(&str, &str)]) -> ContainerSpec {
        let mut config = vec![("syslog-address", address)];
        config.extend_from_slice(options);
        ContainerSpec::new(&programs::logger(), "syslog", &config)
    }

    /// Waits until a server has stored exactly these lines.
    #[track_caller]
    fn expect_stored(expected: &[u8], stored: impl Fn() -> Vec<u8>) {
        let waited = try_until(SOON, || match stored() {
            stored if stored == expected => Ok(()),
            stored => Err(stored),
        });
        let Err(stored) = waited else { return };
        let lines = |text: &[u8]| -> Vec<String> {
            let line = |line: &[u8]| String::from_utf8_lossy(line).into_owned();
            text.split(|byte| *byte == b'\n').map(line).collect()
        };
        let (stored, expected) = (lines(&stored), lines(expected));
        let count = stored.len().max(expected.len());
        let differs = (0..count).find(|at| stored.get(*at) != expected.get(*at)).unwrap();
        panic!(
            "line {differs} differs: {:?} is stored, not {:?}",
            stored.get(differs),
            expected.get(differs)
        );
    }

    /// What the container wrote, in messages as they arrived.
    fn texts(messages: &[String]) -> Vec<String> {
        messages
            .iter()
            .map(|message| receiver::text_of(message).unwrap_or(message).to_owned())
            .collect()
    }
}
