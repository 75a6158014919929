// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What an update costs the agent: the time from the request to the commit, the one pass beside its stages alone, memory.
//!
//! Every round is a fresh node that installs the same release of 20 MB from a server on loopback, then the same bytes
//! through each stage alone, on the same file system, each in a fresh process as the agent is one. The time of the pass is
//! that between two of the agent's own events: the step that fetches and unpacks, and the one after it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bench::output::progress;
use crate::bench::report::Spread;
use crate::bench::update::alone::{Cost, Stage};
use crate::node::Node;
use crate::release_server::ReleaseServer;
use crate::repository::Repository;
use crate::{frail, programs};

pub mod alone;

/// Bytes of the logger that is installed.
const LOGGER_BYTES: usize = 20_000_000;

/// How the publisher compresses: the release tool's default.
const LEVEL: &str = "19";

/// The server that all nodes install from, and what it serves.
struct Scene {
    repository: Repository,
    server: ReleaseServer,
    /// The artifact, and what it is called below the server's root.
    packed: PathBuf,
    path: String,
    packed_bytes: usize,
    unpacked: PathBuf,
}

/// The values of all rounds.
#[derive(Debug, Default)]
pub struct Update {
    rounds: Vec<Round>,
    packed_bytes: usize,
}

/// One round; times in milliseconds, memory in KiB.
#[derive(Debug, Clone, Copy, Default)]
struct Round {
    request_to_commit: f64,
    decision: f64,
    pass: f64,
    probe: f64,
    switch: f64,
    network: f64,
    sha256: f64,
    zstd: f64,
    write: f64,
    /// Processor time of the four, the server's included, shared out evenly.
    shared: f64,
    idle_before: f64,
    peak: f64,
    idle_after: f64,
}

type Row = (&'static str, &'static str, fn(&Round) -> f64);

/// The rows of the table: what, unit, value.
const ROWS: [Row; 15] = [
    ("request to commit", "ms", |round| round.request_to_commit),
    ("— metadata, decision, space", "ms", |round| round.decision),
    ("— one pass: fetched, unpacked, durable", "ms", |round| round.pass),
    ("— probe", "ms", |round| round.probe),
    ("— history, intent, switch", "ms", |round| round.switch),
    ("network alone", "ms", |round| round.network),
    ("SHA-256 alone, packed and unpacked", "ms", |round| round.sha256),
    ("zstd alone", "ms", |round| round.zstd),
    ("write and fsync alone", "ms", |round| round.write),
    ("all of them, processor time ÷ processors", "ms", |round| round.shared),
    ("slowest stage ÷ pass", "%", |round| 100.0 * round.slowest() / round.pass),
    ("floor (the longer of the two) ÷ pass", "%", |round| {
        100.0 * round.slowest().max(round.shared) / round.pass
    }),
    ("RSS idle, before the update", "KiB", |round| round.idle_before),
    ("RSS at most", "KiB", |round| round.peak),
    ("RSS idle, after it", "KiB", |round| round.idle_after),
];

impl Round {
    fn slowest(&self) -> f64 {
        self.network.max(self.sha256).max(self.zstd).max(self.write)
    }
}

impl Update {
    /// Measures so many rounds; one more is thrown away.
    ///
    /// # Panics
    /// When an update does not succeed.
    pub fn measure(rounds: usize) -> Update {
        let scratch = tempfile::tempdir().expect("a scratch folder can be made");
        let scene = Scene::new(scratch.path());
        let mut update = Update { rounds: Vec::new(), packed_bytes: scene.packed_bytes };
        for number in 0..=rounds {
            progress(&format!("round {number} of {rounds}"));
            let folder = scratch.path().join(format!("node-{number}"));
            let round = scene.round(&folder);
            fs::remove_dir_all(&folder).expect("a scratch folder can be removed");
            if number > 0 {
                update.rounds.push(round);
            }
        }
        update
    }

    fn spreads(&self) -> impl Iterator<Item = (&'static str, &'static str, Spread)> + '_ {
        ROWS.iter().filter_map(|(name, unit, value)| {
            let values: Vec<f64> = self.rounds.iter().map(value).collect();
            Some((*name, *unit, Spread::of(&values)?))
        })
    }

    /// Every value.
    pub fn json(&self) -> Value {
        let values =
            |value: fn(&Round) -> f64| -> Vec<f64> { self.rounds.iter().map(value).collect() };
        let rows: Vec<Value> = ROWS
            .iter()
            .map(
                |(name, unit, value)| json!({"name": name, "unit": unit, "values": values(*value)}),
            )
            .collect();
        json!({"unpacked_bytes": LOGGER_BYTES, "packed_bytes": self.packed_bytes, "rows": rows})
    }

    /// A table of smallest, middle and largest values.
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "A release of {LOGGER_BYTES} bytes, {} packed; {} rounds, min / median / max.\n\n| what | unit | |\n|---|---|---|\n",
            self.packed_bytes,
            self.rounds.len()
        );
        for (name, unit, Spread { min, median, max }) in self.spreads() {
            let digits = usize::from(unit == "ms");
            text.push_str(&format!(
                "| {name} | {unit} | {min:.digits$} / {median:.digits$} / {max:.digits$} |\n"
            ));
        }
        text
    }
}

impl Scene {
    fn new(folder: &Path) -> Scene {
        progress("packing the release");
        let repository = Repository::create(&folder.join("publisher"));
        let logger = large_logger(folder);
        let packed = repository.pack(&logger, &programs::target(), &["--level", LEVEL]);
        repository.publish_packed(&packed, &[]);
        let server = ReleaseServer::start(&repository.tree());
        let targets = repository.tree().join("targets");
        let entries = fs::read_dir(&targets).expect("the tree can be read");
        let names = entries.map(|entry| entry.expect("the tree can be read").file_name());
        let name = names
            .map(|name| name.to_string_lossy().into_owned())
            .find(|name| name.ends_with(".tar.zst"))
            .expect("the artifact is published");
        let packed = targets.join(&name);
        let packed_bytes = fs::read(&packed).expect("the artifact can be read").len();
        let path = format!("/targets/{name}");
        Scene { repository, server, packed, path, packed_bytes, unpacked: logger }
    }

    fn round(&self, folder: &Path) -> Round {
        let mut node = Node::new(folder, &self.repository.trust_anchor(), None);
        node.set("log_level", "info".into());
        node.start();
        let idle_before = memory(node.pid(), "VmRSS:");
        let mut round = self.update(&node);
        round.idle_before = idle_before;
        round.peak = memory(node.pid(), "VmHWM:");
        round.idle_after = memory(node.pid(), "VmRSS:");
        node.stop();
        let address = self.server.url().replace("http://", "");
        let (path, bytes) = (self.path.clone(), self.packed_bytes);
        let (packed, unpacked) = (self.packed.clone(), self.unpacked.clone());
        let network = Stage::Network { address, path, bytes }.cost();
        let sha256 = Stage::Sha256 { files: vec![packed.clone(), unpacked.clone()] }.cost();
        let zstd = Stage::Zstd { packed }.cost();
        let write = Stage::Write { unpacked, to: folder.join("written") }.cost();
        let processor: Duration =
            [network, sha256, zstd, write].map(|cost| cost.processor).iter().sum();
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let wall = |cost: Cost| millis(cost.wall);
        (round.network, round.sha256) = (wall(network), wall(sha256));
        (round.zstd, round.write) = (wall(zstd), wall(write));
        round.shared = millis(processor) / processors as f64;
        round
    }

    /// Asks the agent for the update and watches its events.
    fn update(&self, node: &Node) -> Round {
        let body = json!({"source": self.server.url()}).to_string();
        let socket = node.root().join("agent.sock");
        let mut stream = UnixStream::connect(socket).expect("the agent listens");
        let began = Instant::now();
        write!(
            stream,
            "POST /updates HTTP/1.1\r\nHost: agent\r\nContent-Type: application/json\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("the agent takes a request");
        let mut steps: Vec<(String, Duration)> = Vec::new();
        for line in BufReader::new(stream).lines() {
            let line = line.expect("the agent answers");
            let at = began.elapsed();
            let Ok(event) = serde_json::from_str::<Value>(&line) else { continue };
            assert_ne!(event["event"], "failed", "{line}");
            if let Some(step) = event["detail"]["step"].as_str() {
                steps.push((step.to_owned(), at));
            }
        }
        let at = |name: &str| {
            let found = steps.iter().find(|(step, _)| step == name);
            found.map(|(_, at)| millis(*at)).unwrap_or_else(|| panic!("no step {name}: {steps:?}"))
        };
        // The step after the switch begins when the switch is durable.
        Round {
            request_to_commit: at("confirm"),
            decision: at("stage"),
            pass: at("probe") - at("stage"),
            probe: at("record_intent") - at("probe"),
            switch: at("confirm") - at("record_intent"),
            ..Round::default()
        }
    }
}

/// A logger of [`LOGGER_BYTES`] that runs: a small one with the programs of this project behind it, which is what
/// machine code compresses like.
fn large_logger(folder: &Path) -> PathBuf {
    let small = frail::make(folder, "0.0.1", "healthy");
    let mut content = fs::read(&small).expect("a scratch file can be read");
    for program in [programs::agent(), programs::release(), programs::logger()].iter().cycle() {
        content.extend(fs::read(program).expect("a program can be read"));
        if content.len() >= LOGGER_BYTES {
            break;
        }
    }
    content.truncate(LOGGER_BYTES);
    let (written, large) = (folder.join("large.written"), folder.join("large-logger"));
    fs::copy(&small, &written).expect("a scratch file can be written");
    fs::remove_file(&small).expect("a scratch file can be removed");
    fs::write(&written, content).expect("a scratch file can be written");
    programs::copy(&written, &large);
    large
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A line of `/proc/PID/status`, in KiB.
fn memory(pid: u32, name: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
    kib.unwrap_or_else(|| panic!("{name} of process {pid}: {status}"))
}
