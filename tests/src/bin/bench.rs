// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Measures the logger, alone or beside a peer; what for and how: [`dockerlogger_tests::bench`].
//!
//! Exit status: 0 measured, 64 wrong arguments.

#![expect(clippy::expect_used, reason = "a broken harness must stop the measurement")]

use std::path::PathBuf;
use std::process::ExitCode;

use dockerlogger_tests::bench::aids;
use dockerlogger_tests::bench::cases::CASES;
use dockerlogger_tests::bench::generator;
use dockerlogger_tests::bench::output::{progress, say};
use dockerlogger_tests::bench::procfs;
use dockerlogger_tests::bench::runner::{Plan, Size};
use dockerlogger_tests::bench::sink::{Purpose, Sink};
use dockerlogger_tests::bench::subject::{Role, Subject, UNTUNED};
use dockerlogger_tests::programs;
use serde_json::{Value, json};

const USAGE: &str = "\
Usage: bench [OPTION...]

  --quick              a few seconds a case: for a look, not for keeping
  --runs N             rounds that count (default 5; with --quick 2); one more is thrown away
  --case NAME          only cases whose name holds NAME; may be repeated
  --peer PROGRAM       measure this program too, in the same rounds: it is started as the platform starts a logger
  --opt NAME=VALUE     a log option for the logger; may be repeated
  --peer-opt NAME=VALUE  a log option for the peer; may be repeated
  --json               every value as JSON instead of a table
  --list               the cases, and what each does

Examples:
  bench --case throughput --runs 10
  bench --quick --peer /opt/other/logger --json
";

/// What the command line asks for.
#[derive(Debug, Default)]
struct Options {
    quick: bool,
    runs: Option<usize>,
    cases: Vec<String>,
    peer: Option<PathBuf>,
    logger_options: Vec<(String, String)>,
    peer_options: Vec<(String, String)>,
    json: bool,
    list: bool,
    help: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(done) = aids::run(&arguments) {
        return match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                progress(&format!("error: {error}"));
                ExitCode::FAILURE
            }
        };
    }
    match Options::parse(&arguments) {
        Ok(options) if options.help => say(USAGE),
        Ok(options) if options.list => list(),
        Ok(options) => measure(&options),
        Err(why) => {
            progress(&format!("error: {why}\n\n{USAGE}"));
            return ExitCode::from(64);
        }
    }
    ExitCode::SUCCESS
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Options, String> {
        let mut options = Options::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--quick" => options.quick = true,
                "--json" => options.json = true,
                "--list" => options.list = true,
                "--help" | "-h" => options.help = true,
                "--case" => options.cases.push(value()?.clone()),
                "--peer" => options.peer = Some(PathBuf::from(value()?)),
                "--opt" => options.logger_options.push(pair(value()?)?),
                "--peer-opt" => options.peer_options.push(pair(value()?)?),
                "--runs" => options.runs = Some(count(value()?)?),
                _ => return Err(format!("there is no option \"{argument}\"")),
            }
        }
        let known = |name: &String| CASES.iter().any(|case| case.name.contains(name.as_str()));
        match options.cases.iter().find(|name| !known(name)) {
            Some(name) => Err(format!("there is no case \"{name}\": --list names them")),
            None => Ok(options),
        }
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or(format!("\"{text}\" is not NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}

fn count(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| *count > 0);
    count.ok_or(format!("\"{text}\" is not a number of rounds: 1 or more"))
}

fn list() {
    for case in CASES.iter() {
        say(&format!("{:<20} {}", case.name, case.about));
    }
}

fn measure(options: &Options) {
    let logger = Subject {
        role: Role::Logger,
        program: programs::logger(),
        options: options.logger_options.clone(),
    };
    let frame = frame_of(&logger);
    let machine = machine(options, frame.len());
    progress(&machine.to_string());
    let me = std::env::current_exe().expect("a running program has a file");
    let mut subjects = vec![logger];
    subjects.extend(options.peer.as_ref().map(|peer| Subject {
        role: Role::Peer,
        program: peer.clone(),
        options: options.peer_options.clone(),
    }));
    for role in [Role::Limit, Role::Floor] {
        subjects.push(Subject { role, program: me.clone(), options: Vec::new() });
    }
    let (size, runs) = if options.quick { (Size::Quick, 2) } else { (Size::Full, 5) };
    let runs = options.runs.unwrap_or(runs);
    let plan = Plan { runs, size, filters: options.cases.clone(), subjects, frame };
    let results = plan.run();
    if options.json {
        say(&format!("{:#}", results.json(&machine)));
    } else {
        say(&format!("{}\n", describe(&machine)));
        say(&results.markdown());
    }
}

/// One line as the logger sends it.
fn frame_of(logger: &Subject) -> Vec<u8> {
    let sink = Sink::start(Purpose::Keep);
    let _running = logger.start(&sink, UNTUNED);
    let bytes = sink.kept().concat();
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
    lines.next().expect("the line that was waited for is kept").to_vec()
}

fn machine(options: &Options, frame_bytes: usize) -> Value {
    let system = rustix::system::uname();
    json!({
        "system": system.sysname().to_string_lossy(),
        "release": system.release().to_string_lossy(),
        "processor": procfs::processor(),
        "processors": std::thread::available_parallelism().map(usize::from).unwrap_or(1),
        "line_bytes": generator::LINE_BYTES,
        "frame_bytes": frame_bytes,
        "peer": options.peer,
        "quick": options.quick,
    })
}

fn describe(machine: &Value) -> String {
    let text = |name: &str| machine[name].as_str().unwrap_or("unknown").to_owned();
    format!(
        "{} {}, {} × {}; lines of {} bytes, {} bytes each on the wire. Values are min / median / max over the rounds.",
        text("system"),
        text("release"),
        machine["processors"],
        text("processor"),
        machine["line_bytes"],
        machine["frame_bytes"],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Options, String> {
        Options::parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn arguments_are_understood_or_refused() {
        let options = parse("--quick --runs 3 --case loss --peer /p --peer-opt a=b=c").unwrap();
        assert!(options.quick && !options.json);
        assert_eq!((options.runs, options.cases), (Some(3), vec!["loss".to_owned()]));
        assert_eq!(options.peer_options, [("a".to_owned(), "b=c".to_owned())]);
        for wrong in ["--runs 0", "--runs", "--opt x", "--case nothing", "throughput"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn cases_have_names_of_their_own() {
        let mut names: Vec<&str> = CASES.iter().map(|case| case.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CASES.len());
    }
}
