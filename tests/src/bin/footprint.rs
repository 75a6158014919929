// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What the programs take while there is nothing to do: a Markdown table of memory, and the wake-ups of a quiet window.
//!
//! The logger is started as dockerinit starts it, with a syslog server on loopback, and has sent one line. The agent
//! runs on an empty root without a source. Exit status: 0 measured, 64 wrong arguments.

#![expect(clippy::expect_used, reason = "a broken harness must stop the measurement")]

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use dockerlogger_tests::bench::output::{progress, say};
use dockerlogger_tests::bench::procfs::{self, Memory};
use dockerlogger_tests::bench::sink::{Purpose, Sink};
use dockerlogger_tests::bench::subject::{Role, Running, Subject, UNTUNED};
use dockerlogger_tests::node::Node;
use dockerlogger_tests::programs;
use dockerlogger_tests::repository::Repository;
use dockerlogger_tests::try_until;

const USAGE: &str = "\
Usage: footprint [--idle-seconds N]

  --idle-seconds N  length of the quiet window (default 10)
";

/// The window when none is asked for.
const IDLE: Duration = Duration::from_secs(10);

/// An agent that has not run for so long is idle.
const AGENT_QUIET: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => measure(IDLE),
        ["--help" | "-h"] => say(USAGE),
        ["--idle-seconds", seconds] if seconds.parse::<u64>().is_ok_and(|n| n > 0) => {
            measure(Duration::from_secs(seconds.parse().unwrap_or(IDLE.as_secs())));
        }
        _ => {
            progress(&format!("error: not understood: {}\n\n{USAGE}", arguments.join(" ")));
            return ExitCode::from(64);
        }
    }
    ExitCode::SUCCESS
}

fn measure(idle: Duration) {
    let sink = Sink::start(Purpose::Count);
    let logger = Subject { role: Role::Logger, program: programs::logger(), options: Vec::new() };
    let running = logger.start(&sink, UNTUNED);
    running.settle();
    say(
        "| process, idle | resident | proportional | private | heap, stack and ring |\n|---|---|---|---|---|",
    );
    for (idx, pid) in running.family().iter().enumerate() {
        let name =
            if idx == 0 { "logger, reader".to_owned() } else { format!("logger, sender {idx}") };
        row(name.trim_end_matches(" 1"), procfs::memory(*pid));
    }
    row("logger, together", running.memory());
    row("agent, nothing installed", agent_memory());
    say("");
    report_quiet(&running, idle);
}

fn agent_memory() -> Option<Memory> {
    let scratch = tempfile::tempdir().expect("a scratch folder can be made");
    let repository = Repository::create(&scratch.path().join("release"));
    let mut node = Node::new(&scratch.path().join("node"), &repository.trust_anchor(), None);
    node.start();
    let pid = i32::try_from(node.pid()).expect("a process id");
    let mut last = procfs::work(pid);
    let mut since = Instant::now();
    // An agent that never falls quiet is measured all the same.
    let _ = try_until(Duration::from_secs(5), || {
        let now = procfs::work(pid);
        if now != last {
            (last, since) = (now, Instant::now());
        }
        if since.elapsed() > AGENT_QUIET { Ok(()) } else { Err(()) }
    });
    procfs::memory(pid)
}

fn report_quiet(running: &Running, idle: Duration) {
    let before: Vec<_> = running.family().iter().map(|pid| procfs::work(*pid)).collect();
    thread::sleep(idle);
    say(&format!(
        "| process, quiet for {} s | wake-ups | context switches | processor time |",
        idle.as_secs()
    ));
    say("|---|---|---|---|");
    for (idx, (pid, before)) in running.family().iter().zip(before).enumerate() {
        let name = if idx == 0 { "logger, reader" } else { "logger, sender" };
        match (before, procfs::work(*pid)) {
            (Some(before), Some(after)) => {
                let work = after - before;
                let micros = work.cpu_ns / 1000;
                say(&format!("| {name} | {} | {} | {micros} µs |", work.runs, work.switches));
            }
            _ => say(&format!("| {name} | – | – | – |")),
        }
    }
    say("\nA process without a wake-up made no system call.");
}

fn row(name: &str, memory: Option<Memory>) {
    let cells = memory.map_or("– | – | – | –".to_owned(), |memory| {
        let kib = |bytes: u64| format!("{} KiB", bytes / 1024);
        let Memory { rss_bytes, pss_bytes, private_bytes, own_bytes } = memory;
        let cells = [rss_bytes, pss_bytes, private_bytes, own_bytes].map(kib);
        cells.join(" | ")
    });
    say(&format!("| {name} | {cells} |"));
}
