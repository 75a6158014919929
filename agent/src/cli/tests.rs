// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::*;
use crate::api::UnknownDriver;
use crate::client::ClientError;
use crate::engine::{FailureKind, FileError};
use crate::os::lock::{LockError, RootLock};

fn parse(line: &str) -> Result<Arguments, clap::Error> {
    let words = std::iter::once(log::PROGRAM).chain(line.split_whitespace());
    Arguments::try_parse_from(words)
}

#[test]
fn the_definition_is_consistent() {
    Arguments::command().debug_assert();
}

#[test]
fn verbs_take_their_arguments_and_the_common_ones_anywhere() {
    let cases = [
        ("run", Verb::Run),
        ("status", Verb::Status),
        ("history", Verb::History),
        ("explain", Verb::Explain),
        ("hold --reason x", Verb::Hold { reason: Some("x".to_owned()) }),
        ("release-hold", Verb::ReleaseHold),
        ("pin 1.0.0", Verb::Pin { version: "1.0.0".parse().unwrap() }),
        ("unpin", Verb::Unpin),
        ("block 1.0.0", Verb::Block { what: "1.0.0".parse().unwrap(), reason: None }),
        ("unblock 1.0.0", Verb::Unblock { what: "1.0.0".parse().unwrap() }),
        ("drivers", Verb::Drivers { name: None }),
        ("drivers syslog", Verb::Drivers { name: Some("syslog".to_owned()) }),
        ("update", Verb::Update { dry_run: false, source: None, allow_expired: false }),
        ("update --dry-run", Verb::Update { dry_run: true, source: None, allow_expired: false }),
        (
            "update --source /x",
            Verb::Update { dry_run: false, source: Some("/x".to_owned()), allow_expired: false },
        ),
        (
            "update --allow-expired",
            Verb::Update { dry_run: false, source: None, allow_expired: true },
        ),
        ("rollback", Verb::Rollback),
        ("install --bundle b.tar", Verb::Install { bundle: "b.tar".into() }),
    ];
    for (line, verb) in cases {
        for line in [format!("{line} --config /c --json"), format!("--config /c --json {line}")] {
            let arguments = parse(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!(arguments.verb, Some(verb.clone()), "{line}");
            assert_eq!(arguments.config.as_deref(), Some(Path::new("/c")));
            assert!(arguments.json);
        }
    }
}

#[test]
fn a_wrong_command_line_ends_with_64_and_help_with_0() {
    for line in [
        "frobnicate",
        "pin latest",
        "block x",
        "hold now",
        "install",
        "update --fast",
        "drivers a b",
        "run --config",
    ] {
        let error = CliError::Usage(parse(line).unwrap_err());
        assert_eq!(exit_code(&error), 64, "{line}");
    }
    for line in ["--help", "--version", "update --help"] {
        let error = CliError::Usage(parse(line).unwrap_err());
        assert_eq!(exit_code(&error), 0, "{line}");
    }
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.json");
    std::fs::write(&config, "{}").unwrap();
    let no_verb = parse(&format!("--config {}", config.display())).unwrap();
    assert_eq!(exit_code(&run(no_verb, None).unwrap_err()), 64);
}

#[test]
fn help_documents_every_exit_code_and_every_verb_has_examples() {
    let mut command = Arguments::command();
    let help = command.render_long_help().to_string();
    for code in ["0 ", "1 ", "64 ", "75 ", "78 "] {
        assert!(help.contains(&format!("\n  {code}")), "{code}: {help}");
    }
    for verb in command.get_subcommands_mut().filter(|verb| verb.get_name() != "help") {
        let help = verb.render_long_help().to_string();
        assert!(help.contains("Examples:\n  dockerlogger-agent "), "{help}");
    }
}

#[test]
fn failures_have_their_documented_exit_codes() {
    let work = |kind| CliError::Work { text: String::new(), kind };
    let declined =
        |status| CliError::Client(ClientError::Declined { status, message: String::new() });
    let absent = config::load(Some(Path::new("/nonexistent"))).unwrap_err();
    let failed = || FileError::new("open", Path::new("/r/state"), std::io::Error::other("no"));
    let cases = [
        (CliError::Config(absent), 78),
        (CliError::NoSource, 78),
        (CliError::BadSource("x".to_owned()), 64),
        (CliError::Open(OpenError::Locked { path: "/r/lock".into(), pid: Some(7) }), 75),
        (CliError::Open(OpenError::Look(failed())), 1),
        (CliError::UnknownDriver(UnknownDriver::new("x", Vec::new())), 1),
        (CliError::Client(ClientError::Unfinished), 1),
        (declined(axum::http::StatusCode::SERVICE_UNAVAILABLE), 75),
        (declined(axum::http::StatusCode::UNPROCESSABLE_ENTITY), 1),
        (work(FailureKind::Refused), 1),
        (work(FailureKind::Local), 1),
        (work(FailureKind::Temporary), 75),
        (CliError::Logged(Box::new(work(FailureKind::Temporary))), 75),
    ];
    for (error, code) in cases {
        assert_eq!(exit_code(&error), code, "{error:?}");
    }
}

#[test]
fn a_bundle_whose_path_is_no_text_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.json");
    let root = serde_json::json!({ "root": dir.path().join("root") });
    std::fs::write(&config, root.to_string()).unwrap();
    let name = OsStr::from_bytes(b"/media/b\xe9.tar");
    let words = ["agent", "install", "--config"].map(OsStr::new);
    let words = words.into_iter().chain([config.as_os_str(), "--bundle".as_ref(), name]);
    let error = run(Arguments::try_parse_from(words).unwrap(), None).unwrap_err();
    assert_eq!(exit_code(&error), 64);
    let text = error.to_string();
    assert!(text.contains(r"b\xE9.tar") && text.contains("accepted: a path"), "{text}");
}

#[test]
fn the_service_waits_for_a_root_that_is_taken_and_for_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("lock");
    let mut held = Some(RootLock::take(&path).unwrap());
    let mut tries = 0;
    let taken = when_free(Duration::ZERO, || {
        tries += 1;
        if tries == 3 {
            drop(held.take());
        }
        RootLock::take(&path).map_err(|e| match e {
            LockError::Held { pid } => OpenError::Locked { path: path.clone(), pid },
            LockError::File(e) => OpenError::Layout(e),
        })
    });
    assert!(taken.is_ok(), "{taken:?}");
    assert_eq!(tries, 3);
    let absent = Path::new("/nonexistent/lock");
    let failed = when_free(Duration::ZERO, || match RootLock::take(absent) {
        Err(LockError::File(e)) => Err(OpenError::Layout(e)),
        other => Ok(other.is_ok()),
    });
    assert!(matches!(failed, Err(OpenError::Layout(_))), "{failed:?}");
}
