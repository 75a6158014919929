// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

use super::*;
use crate::catalog;

fn check(driver: &str, options: &[(&str, &str)]) -> Result<Normalized, Vec<Problem>> {
    let options =
        options.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    validate(&catalog::driver(driver).unwrap(), &options)
}

fn messages(driver: &str, options: &[(&str, &str)]) -> Vec<String> {
    check(driver, options).unwrap_err().into_iter().map(|problem| problem.message).collect()
}

#[test]
fn defaults_are_filled_in_and_told_apart() {
    let options =
        check("syslog", &[("syslog-address", "TCP://log.example.com"), ("mode", "blocking")])
            .unwrap();
    assert_eq!(options.get("syslog-address"), Some("tcp://log.example.com:514"));
    assert_eq!(options.get("syslog-facility"), Some("daemon"));
    assert_eq!(options.get("syslog-format"), None);
    assert!(options.given("mode") && !options.given("syslog-facility") && !options.given("labels"));
}

#[test]
fn an_empty_value_is_one_not_given() {
    let options =
        check("syslog", &[("syslog-address", "udp://h"), ("tag", ""), ("syslog-format", "")])
            .unwrap();
    assert_eq!(options.get("tag"), Some("{{.ID}}"));
    assert!(!options.given("tag"));
    let problems = check("syslog", &[("syslog-address", "")]).unwrap_err();
    assert_eq!(problems[0].code, ProblemCode::Missing);
    let flag = ("syslog-tls-skip-verify", "");
    let options = check("syslog", &[("syslog-address", "udp://h"), flag]).unwrap();
    assert!(options.given(flag.0), "as in Docker, it is the name that counts");
}

#[test]
fn every_problem_is_told_at_once() {
    assert_eq!(
        messages(
            "syslog",
            &[
                ("syslog-address", "http://h"),
                ("syslog-facility", "local9"),
                ("max-size", "10m"),
                ("syslog-format", "rfc9999")
            ]
        ),
        [
            "log option \"max-size\": unknown for log driver \"syslog\", which accepts syslog-address, \
             syslog-facility, syslog-format, syslog-tag, syslog-tls-ca-cert, syslog-tls-cert, syslog-tls-key, \
             syslog-tls-skip-verify, syslog-framing, syslog-severity, syslog-structured-data, tag, labels, \
             labels-regex, env, env-regex, mode, \
             max-buffer-size, drain-timeout, on-failure, flush-interval, split-utf8, spool, cache-disabled, cache-max-size, cache-max-file, cache-compress, \
             cache-labels, cache-labels-regex, cache-env, cache-env-regex, cache-tag",
            "log option \"syslog-address\": \"http://h\": scheme \"http\" is not one of udp, tcp, tcp+tls, unix, unixgram",
            "log option \"syslog-facility\": \"local9\": not a facility: expected 0-23 or one of kern, user, \
             mail, daemon, auth, syslog, lpr, news, uucp, cron, authpriv, ftp, local0, local1, local2, local3, \
             local4, local5, local6, local7",
            "log option \"syslog-format\": \"rfc9999\": expected one of rfc3164, rfc5424, rfc5424micro",
        ]
    );
}

#[test]
fn ranges_are_named_in_the_refusal() {
    let address = ("syslog-address", "udp://h");
    assert_eq!(
        messages("syslog", &[address, ("max-buffer-size", "2g"), ("drain-timeout", "2m")]),
        [
            "log option \"drain-timeout\": \"2m\": out of range, expected 0s to 1m",
            "log option \"max-buffer-size\": \"2g\": out of range, expected up to 1g; k, m and g are powers of 1024; \
             less than 64k counts as 64k",
        ]
    );
    assert_eq!(
        messages("json-file", &[("max-file", "0"), ("max-size", "-1")]),
        [
            "log option \"max-file\": \"0\": expected at least 1",
            "log option \"max-size\": \"-1\": expected a number of bytes with an optional unit b, k, m, g, t or p, \
             such as 512k or 10m",
        ]
    );
}

#[test]
fn a_driver_without_options_refuses_each() {
    assert_eq!(
        messages("none", &[("x", "1")]),
        ["log option \"x\": unknown for log driver \"none\", which accepts none"]
    );
}

#[test]
fn a_hostile_value_is_quoted_short_and_escaped() {
    let long = "\n\0".repeat(5000);
    let message = &messages("syslog", &[("syslog-address", &long)])[0];
    assert!(message.len() < 700 && !message.contains('\n'), "{message}");
}

#[test]
fn an_alias_means_its_option_and_both_together_are_refused() {
    let mut driver = catalog::driver("syslog").unwrap();
    driver.options[0].aliases = vec!["address".to_owned()];
    let one = BTreeMap::from([("address".to_owned(), "udp://h".to_owned())]);
    assert_eq!(validate(&driver, &one).unwrap().get("syslog-address"), Some("udp://h:514"));
    let both = BTreeMap::from([
        ("address".to_owned(), "udp://h".to_owned()),
        ("syslog-address".to_owned(), "udp://i".to_owned()),
    ]);
    assert_eq!(validate(&driver, &both).unwrap_err()[0].code, ProblemCode::Duplicate);
}

#[test]
fn an_option_kind_of_a_newer_release_passes() {
    let mut driver = catalog::driver("syslog").unwrap();
    driver.options[0].kind = OptionKind::Unknown("uri-list".to_owned());
    let options = BTreeMap::from([("syslog-address".to_owned(), "anything".to_owned())]);
    assert!(validate(&driver, &options).is_ok());
}

#[test]
fn fluentd_options_are_checked_as_docker_checks_them() {
    let written = [
        ("fluentd-address", "h"),
        ("fluentd-async-connect", "t"),
        ("fluentd-async-reconnect-interval", "0"),
        ("fluentd-max-retries", "0"),
        ("fluentd-retry-wait", "1.5s"),
    ];
    let options = check("fluentd", &written).unwrap();
    assert_eq!(options.get("fluentd-address"), Some("tcp://h:24224"));
    assert_eq!(options.get("fluentd-async"), Some("t"));
    assert_eq!(
        messages(
            "fluentd",
            &[
                ("fluentd-address", "udp://h"),
                ("fluentd-async", "1"),
                ("fluentd-async-connect", "1"),
                ("fluentd-async-reconnect-interval", "99ms"),
                ("fluentd-buffer-limit", "12x"),
                ("fluentd-max-retries", "2147483648"),
                ("fluentd-read-timeout", "-1s"),
                ("fluentd-request-ack", "maybe"),
            ]
        ),
        [
            "log option \"fluentd-address\": \"udp://h\": scheme \"udp\" is not one of tcp, tls, unix",
            "log option \"fluentd-async-connect\": given twice, also as \"fluentd-async\"",
            "log option \"fluentd-async-reconnect-interval\": \"99ms\": out of range, expected 0s or 100ms to 10s",
            "log option \"fluentd-buffer-limit\": \"12x\": expected a number of bytes with an optional unit b, k, \
             m, g, t or p, such as 512k or 10m",
            "log option \"fluentd-max-retries\": \"2147483648\": out of range, expected 0 to 2147483647",
            "log option \"fluentd-read-timeout\": \"-1s\": expected a duration: numbers with units ns, us, ms, s, \
             m or h, such as 500ms or 1m30s",
            "log option \"fluentd-request-ack\": \"maybe\": expected true or false",
        ]
    );
}

#[test]
fn secrets_are_used_and_not_shown() {
    let written = [
        ("fluentd-shared-key", "open sesame"),
        ("fluentd-username", "ali"),
        ("fluentd-password", "sesame"),
    ];
    let options = check("fluentd", &written).unwrap();
    assert_eq!(options.get("fluentd-shared-key"), Some("open sesame"));
    let shown: Vec<_> = options.shown().filter(|(name, _)| name.contains("-s")).collect();
    assert!(shown.contains(&("fluentd-shared-key", SECRET)), "{shown:?}");
    assert!(!format!("{options:?}").contains("sesame"));
    let problems = check("fluentd", &written[1..2]).unwrap_err();
    assert_eq!(problems.len(), 2, "a user needs a password and the key: {problems:?}");
    assert!(catalog::is_secret("fluentd-password") && !catalog::is_secret("fluentd-username"));
}

#[test]
fn an_option_that_does_not_go_with_the_address_is_refused() {
    let udp = check("gelf", &[("gelf-address", "udp://h:1"), ("gelf-compression-type", "none")]);
    let udp = udp.unwrap();
    assert_eq!(udp.get("gelf-compression-level"), Some("1"));
    assert_eq!(udp.get("gelf-tcp-max-reconnect"), None, "a default that means nothing");
    assert_eq!(
        messages(
            "gelf",
            &[
                ("gelf-address", "tcp://h:1"),
                ("gelf-compression-type", "gzip"),
                ("gelf-compression-level", "10"),
                ("gelf-tcp-max-reconnect", "-1"),
                ("gelf-tcp-reconnect-delay", "0"),
            ]
        ),
        [
            "log option \"gelf-compression-level\": \"10\": expected one of -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9",
            "log option \"gelf-compression-type\": \"gzip\": only with a gelf-address that begins with udp://",
            "log option \"gelf-tcp-max-reconnect\": \"-1\": expected a whole number of at least 0",
        ]
    );
    assert_eq!(
        messages("gelf", &[("gelf-address", "udp://h:1"), ("gelf-tcp-reconnect-delay", "1")]),
        [
            "log option \"gelf-tcp-reconnect-delay\": \"1\": only with a gelf-address that begins with \
             tcp:// or tcp+tls://"
        ]
    );
    assert_eq!(messages("gelf", &[("gelf-tcp-reconnect-delay", "1")]).len(), 1, "no address");
}

#[test]
fn a_server_has_the_schemes_that_its_option_accepts() {
    let mut gelf = catalog::driver("gelf").unwrap();
    gelf.options[0].accepted = vec!["tcp://HOST:PORT".to_owned()];
    let check = |address: &str| {
        let options = [("gelf-address".to_owned(), address.to_owned())].into();
        validate(&gelf, &options).map_err(|problems| problems[0].message.clone())
    };
    assert!(check("TCP://h:1").is_ok());
    assert_eq!(
        check("udp://h:1").unwrap_err(),
        "log option \"gelf-address\": \"udp://h:1\": expected tcp://HOST:PORT"
    );
}
