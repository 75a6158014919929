// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

use std::fs;
use std::path::Path;

use super::*;
use crate::report::chain;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(serde_json::from_str(text).unwrap())
}

fn problems(text: &str) -> Vec<String> {
    let error = parse(text).unwrap_err();
    error.problems.iter().map(|p| format!("{}: {}", p.key, p.message)).collect()
}

#[test]
fn an_empty_object_means_the_documented_defaults() {
    let config = parse("{}").unwrap();
    assert_eq!(
        config.to_json(),
        serde_json::json!({
            "root": "/opt/smartdc/docker",
            "trust_anchor": "/opt/smartdc/agents/etc/dockerlogger-agent.root.json",
            "source": null,
            "mirrors": [],
            "proxy": null,
            "channel": "stable",
            "target": Target::of_this_build().as_str(),
            "listen": "127.0.0.1:5320",
            "poll_interval": "300s",
            "reserve_bytes": 67_108_864,
            "retain": 2,
            "trial": "60s",
            "log_level": "info",
        })
    );
}

#[test]
fn what_check_config_prints_is_a_configuration_and_has_every_key() {
    let printed = parse("{}").unwrap().to_json();
    let keys: Vec<&str> = printed.as_object().unwrap().keys().map(String::as_str).collect();
    let known: Vec<&str> = KEYS.iter().map(|(key, _)| *key).collect();
    assert_eq!(keys, known);
    let again = parse(&printed.to_string()).unwrap().to_json();
    assert_eq!(again, printed);
}

#[test]
fn every_accepted_form_is_read() {
    let cases = [
        (r#"{"root":"/r"}"#, "root", "\"/r\""),
        (r#"{"trust_anchor":"/a/root.json"}"#, "trust_anchor", "\"/a/root.json\""),
        (r#"{"source":null}"#, "source", "null"),
        (r#"{"source":"http://h:8080/repo"}"#, "source", "\"http://h:8080/repo\""),
        (r#"{"source":"/srv/repo"}"#, "source", "\"/srv/repo\""),
        (r#"{"source":"/srv/b.tar"}"#, "source", "\"/srv/b.tar\""),
        (r#"{"source":"imgapi://10.0.0.9"}"#, "source", "\"imgapi://10.0.0.9\""),
        (r#"{"source":"/a","mirrors":["/b.tar"]}"#, "mirrors", "[\"/b.tar\"]"),
        (r#"{"proxy":"http://u:p@h:3128"}"#, "proxy", "\"http://…@h:3128/\""),
        (r#"{"channel":"edge-2"}"#, "channel", "\"edge-2\""),
        (r#"{"target":"x86_64-unknown-illumos"}"#, "target", "\"x86_64-unknown-illumos\""),
        (r#"{"listen":"[::1]:0"}"#, "listen", "\"[::1]:0\""),
        (r#"{"poll_interval":"1s"}"#, "poll_interval", "\"1s\""),
        (r#"{"poll_interval":"24h"}"#, "poll_interval", "\"86400s\""),
        (r#"{"reserve_bytes":0}"#, "reserve_bytes", "0"),
        (r#"{"reserve_bytes":"1m"}"#, "reserve_bytes", "1048576"),
        (r#"{"retain":16}"#, "retain", "16"),
        (r#"{"trial":"0s"}"#, "trial", "\"0s\""),
        (r#"{"log_level":"trace"}"#, "log_level", "\"trace\""),
    ];
    for (text, key, expected) in cases {
        let config = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(config.to_json()[key].to_string(), expected, "{text}");
    }
}

#[test]
fn each_wrong_value_names_its_key_and_what_is_accepted() {
    let cases = [
        (r#"{"root":"relative/path"}"#, "root"),
        (r#"{"root":"/a/../b"}"#, "root"),
        (r#"{"root":7}"#, "root"),
        (r#"{"root":null}"#, "root"),
        (r#"{"trust_anchor":""}"#, "trust_anchor"),
        (r#"{"source":"ftp://h/x"}"#, "source"),
        (r#"{"source":["http://h"]}"#, "source"),
        (r#"{"mirrors":["http://h/"]}"#, "mirrors"),
        (r#"{"source":"http://h/","mirrors":"http://h/"}"#, "mirrors"),
        (r#"{"source":"http://h/","mirrors":["http://h/",1]}"#, "mirrors"),
        (r#"{"proxy":"10.0.0.1:3128"}"#, "proxy"),
        (r#"{"channel":"Stable"}"#, "channel"),
        (r#"{"target":"../../x"}"#, "target"),
        (r#"{"listen":"localhost:5320"}"#, "listen"),
        (r#"{"listen":"127.0.0.1"}"#, "listen"),
        (r#"{"listen":"127.0.0.1:70000"}"#, "listen"),
        (r#"{"poll_interval":"5"}"#, "poll_interval"),
        (r#"{"poll_interval":"999ms"}"#, "poll_interval"),
        (r#"{"poll_interval":"25h"}"#, "poll_interval"),
        (r#"{"poll_interval":300}"#, "poll_interval"),
        (r#"{"reserve_bytes":-1}"#, "reserve_bytes"),
        (r#"{"reserve_bytes":"many"}"#, "reserve_bytes"),
        (r#"{"retain":1}"#, "retain"),
        (r#"{"retain":17}"#, "retain"),
        (r#"{"retain":"2"}"#, "retain"),
        (r#"{"trial":"61m"}"#, "trial"),
        (r#"{"trial":0}"#, "trial"),
        (r#"{"log_level":"verbose"}"#, "log_level"),
    ];
    for (text, key) in cases {
        let found = problems(text);
        let [problem] = found.as_slice() else { panic!("{text}: {found:?}") };
        let accepted = KEYS.iter().find(|(known, _)| *known == key).unwrap().1;
        assert!(problem.starts_with(&format!("{key}: ")), "{problem}");
        assert!(problem.ends_with(&format!("accepted: {accepted}")), "{problem}");
    }
}

#[test]
fn all_problems_come_at_once_and_unknown_keys_last() {
    let found = problems(r#"{"lisen":"127.0.0.1:1","poll_interval":"soon","root":"x","extra":{}}"#);
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(found[0].starts_with("root: \"x\" is not accepted"), "{found:?}");
    assert!(found[1].starts_with("poll_interval: \"soon\" is not accepted"), "{found:?}");
    assert_eq!(
        found[2],
        "lisen: unknown key; known keys: root, trust_anchor, source, mirrors, proxy, channel, target, listen, \
         poll_interval, reserve_bytes, retain, trial, log_level"
    );
    assert!(found[3].starts_with("extra: unknown key"), "{found:?}");
}

#[test]
fn credentials_are_never_shown() {
    let config = parse(r#"{"source":"https://bob:s3cret@h:1/repo"}"#).unwrap();
    assert_eq!(config.to_json()["source"], "https://…@h:1/repo");
    let error = parse(r#"{"source":"ftp://bob:s3cret@h/x"}"#).unwrap_err().to_string();
    assert!(!error.contains("s3cret"), "{error}");
    assert_eq!(redacted("/srv/a@b"), "/srv/a@b");
    assert_eq!(redacted("http://h/a@b"), "http://h/a@b");
}

#[test]
fn a_named_file_must_be_readable_json_and_valid() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let told = |path: &Path| chain(&load(Some(path)).unwrap_err()).to_string();

    let absent = told(&dir.path().join("absent"));
    assert!(absent.starts_with("failed to read the configuration "), "{absent}");
    assert!(absent.contains("/absent: No such file"), "{absent}");
    let cut = told(&write("cut", br#"{"root":"/o"#));
    assert!(cut.contains("/cut is not a JSON object: EOF while parsing"), "{cut}");
    let list = told(&write("list", b"[]"));
    assert!(list.contains("/list is not a JSON object: invalid type"), "{list}");
    let wrong = told(&write("wrong", br#"{"colour":1}"#));
    assert!(wrong.contains("/wrong is not valid: colour: unknown key; known keys:"), "{wrong}");
    let large = told(&write("large", &vec![b' '; 1 << 21]));
    assert!(large.ends_with("/large is larger than 1048576 bytes"), "{large}");

    let good = load(Some(&write("good", br#"{"channel":"edge"}"#))).unwrap();
    assert_eq!(good.channel.as_str(), "edge");
}
