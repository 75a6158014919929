// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

use super::*;

mod errors;
mod functions;
mod hostile;
mod language;
mod printing;

/// The container of the vectors.
fn container() -> Container {
    let pairs = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let list = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    Container {
        config: pairs(&[("env", "APP_ENV"), ("tag", "t")]),
        container_id: "deadbeefcafe0123456789abcdef0123456789abcdef0123456789abcdef0123".into(),
        container_name: "/web-1".into(),
        entrypoint: "/bin/sh".into(),
        args: list(&["-c", "while true; do date; done"]),
        image_id: format!("sha256:{}", "0123456789abcdef".repeat(4)),
        image_name: "registry.example.com/team/app:1.2".into(),
        created: "2026-01-02T03:04:05Z".parse().unwrap(),
        env: list(&["APP_ENV=prod", "APP_REGION=eu", "PATH=/bin", "NOEQ"]),
        labels: pairs(&[
            ("com.example.team", "core"),
            ("tier", "web"),
            ("_hidden", "x"),
            ("empty", ""),
        ]),
        log_path: String::new(),
        hostname: "cn01".into(),
    }
}

fn render(source: &str) -> Result<Vec<u8>, TemplateError> {
    Template::parse(source)?.render(&container())
}

#[track_caller]
fn check(source: &str, expected: &str) {
    match render(source) {
        Ok(text) => assert_eq!(String::from_utf8_lossy(&text), expected, "{source}"),
        Err(error) => panic!("{source}: {error}"),
    }
}

#[track_caller]
fn check_all(cases: &[(&str, &str)]) {
    for (source, expected) in cases {
        check(source, expected);
    }
}

/// What comes after the place, or the whole message of a syntax error.
#[track_caller]
fn check_error(source: &str, expected: &str) {
    match render(source) {
        Ok(text) => panic!("{source}: no error but {:?}", String::from_utf8_lossy(&text)),
        Err(error) => {
            let message = error.to_string();
            assert!(message.starts_with("template: log-tag"), "{source}: {message}");
            assert!(message.ends_with(expected), "{source}:\n   got {message}\n  want {expected}");
        }
    }
}
