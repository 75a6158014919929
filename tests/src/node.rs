// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A node: a scratch install root, a configuration file, and an agent that runs or does not.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use serde_json::{Map, Value, json};

use crate::http::{self, Response};
use crate::until::until;
use crate::{SOON, programs};

/// A node in a folder of its own; a running agent is killed when it is dropped.
#[derive(Debug)]
pub struct Node {
    folder: PathBuf,
    config: Map<String, Value>,
    environment: Vec<(String, String)>,
    launcher: Vec<String>,
    agent: Option<Child>,
    address: Option<String>,
    starts: usize,
}

impl Node {
    /// A node that trusts `trust_anchor` and follows `source` (`None`: only bundles). The agent is not started.
    pub fn new(folder: &Path, trust_anchor: &Path, source: Option<&str>) -> Node {
        fs::create_dir_all(folder).expect("a scratch folder can be made");
        let_others_pass(folder);
        let config = json!({
            "root": folder.join("root"),
            "trust_anchor": trust_anchor,
            "source": source,
            "listen": "127.0.0.1:0",
            "poll_interval": "24h",
            "log_level": "debug",
        });
        let Value::Object(config) = config else { unreachable!("written as an object above") };
        let mut node = Node {
            folder: folder.to_owned(),
            config,
            environment: Vec::new(),
            launcher: Vec::new(),
            agent: None,
            address: None,
            starts: 0,
        };
        node.write_config();
        node
    }

    /// The node in a folder where [`Node::new`] made one before, with its configuration moved along.
    pub fn copied(from: &Node, folder: &Path) -> Node {
        let copied = Command::new("cp").args(["-a", "--"]).arg(&from.folder).arg(folder).status();
        assert!(copied.is_ok_and(|status| status.success()), "a node's folder can be copied");
        let_others_pass(folder);
        let mut node = Node {
            folder: folder.to_owned(),
            config: from.config.clone(),
            environment: from.environment.clone(),
            launcher: from.launcher.clone(),
            agent: None,
            address: None,
            starts: 0,
        };
        node.set("root", json!(folder.join("root")));
        node
    }

    /// Starts a verb of the agent's command line and does not wait for it.
    pub fn spawn(&self, arguments: &[&str]) -> Child {
        self.program()
            .args(arguments)
            .arg("--config")
            .arg(self.config_file())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the agent can be executed")
    }

    /// Changes one key of the configuration file; a running agent does not see it.
    pub fn set(&mut self, key: &str, value: Value) {
        self.config.insert(key.to_owned(), value);
        self.write_config();
    }

    /// Adds to the environment of whatever of the agent is started from now on, in place of what was set so before.
    pub fn set_environment(&mut self, environment: Vec<(String, String)>) {
        self.environment = environment;
    }

    /// A program and its arguments that start whatever of the agent is started from now on.
    pub fn set_launcher(&mut self, launcher: &[&str]) {
        self.launcher = launcher.iter().copied().map(str::to_owned).collect();
    }

    /// The agent's program.
    fn program(&self) -> Command {
        let mut words = self.launcher.iter();
        let mut command = match words.next() {
            Some(launcher) => Command::new(launcher),
            None => Command::new(programs::agent()),
        };
        if !self.launcher.is_empty() {
            command.args(words).arg(programs::agent());
        }
        command.envs(self.environment.iter().cloned());
        command
    }

    /// Starts the agent and waits until it answers `/ping`.
    ///
    /// # Panics
    /// When it does not answer, with its log.
    #[track_caller]
    pub fn start(&mut self) {
        self.start_unready();
        let address = until("the agent to log the address it listens on", SOON, || {
            if let Some(status) = self.try_exit() {
                panic!("the agent ended with {status}; its log: {}", self.log());
            }
            self.logged_address().ok_or_else(|| self.log())
        });
        self.address = Some(address);
        until("the agent to answer /ping", SOON, || match self.try_get("/ping") {
            Ok(response) if response.status == 200 => Ok(()),
            other => Err((other.map(|response| response.status), self.log())),
        });
    }

    /// Starts the agent and does not wait for anything.
    fn start_unready(&mut self) {
        self.starts += 1;
        let log = File::create(self.log_file()).expect("a log file can be made");
        let agent = self
            .program()
            .args(["run", "--config"])
            .arg(self.config_file())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the agent can be executed");
        self.agent = Some(agent);
    }

    /// Kills the agent without warning.
    pub fn kill(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            let _ = agent.kill();
            let _ = agent.wait();
        }
        self.address = None;
    }

    /// Asks the agent to end (SIGTERM) and waits until it has.
    #[track_caller]
    pub fn stop(&mut self) -> ExitStatus {
        let agent = self.agent.as_ref().expect("the agent runs");
        let pid = i32::try_from(agent.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw)
            .expect("a process id");
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let status = until("the agent to end after SIGTERM", SOON, || {
            self.try_exit().ok_or_else(|| self.log())
        });
        self.agent = None;
        self.address = None;
        status
    }

    /// How the agent ended, or `None` while it runs.
    fn try_exit(&mut self) -> Option<ExitStatus> {
        self.agent.as_mut().and_then(|agent| agent.try_wait().ok().flatten())
    }

    /// The process id of the running agent.
    pub fn pid(&self) -> u32 {
        self.agent.as_ref().expect("the agent runs").id()
    }

    /// Runs a verb of the agent's command line with this node's configuration.
    pub fn command(&self, arguments: &[&str]) -> Output {
        self.program()
            .args(arguments)
            .arg("--config")
            .arg(self.config_file())
            .stdin(Stdio::null())
            .output()
            .expect("the agent can be executed")
    }

    /// Runs a verb that must succeed; returns what it printed.
    ///
    /// # Panics
    /// With what it said, when it fails.
    #[track_caller]
    pub fn expect(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments);
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(
            output.status.success(),
            "dockerlogger-agent {} ended with {}: {stdout}{stderr}\nlog: {}",
            arguments.join(" "),
            output.status,
            self.log()
        );
        stdout.into_owned()
    }

    /// Runs a verb that must fail; returns its exit status and what it said on stderr.
    ///
    /// # Panics
    /// When it succeeds.
    #[track_caller]
    pub fn refused(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.command(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success(),
            "dockerlogger-agent {} should have failed: {}{stderr}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stdout)
        );
        (output.status.code().unwrap_or(-1), stderr)
    }

    /// `GET` on the agent's API.
    ///
    /// # Panics
    /// When there is no answer.
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        self.try_get(path)
            .unwrap_or_else(|error| panic!("no answer to GET {path}: {error}; log: {}", self.log()))
    }

    /// `POST` of JSON on the agent's API.
    ///
    /// # Panics
    /// When there is no answer.
    #[track_caller]
    pub fn post(&self, path: &str, body: &str) -> Response {
        http::post(&self.url(path), body).unwrap_or_else(|error| {
            panic!("no answer to POST {path}: {error}; log: {}", self.log())
        })
    }

    /// The address of a path of the running agent's API.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address.as_deref().unwrap_or("127.0.0.1:0"))
    }

    /// The installed logger's file as containers are given it, the link not followed.
    pub fn logger(&self) -> PathBuf {
        self.root().join("bin/logger")
    }

    /// The file the link leads to, or why there is none.
    ///
    /// # Errors
    /// When nothing is installed.
    pub fn logger_file(&self) -> std::io::Result<PathBuf> {
        self.logger().canonicalize()
    }

    /// The version the installed logger prints, or `None` when there is no logger that runs.
    pub fn logger_version(&self) -> Option<String> {
        version_of(&self.logger())
    }

    /// The install root.
    pub fn root(&self) -> PathBuf {
        self.config.get("root").and_then(Value::as_str).map(PathBuf::from).expect("the root is set")
    }

    /// The configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.folder.join("config.json")
    }

    /// What the agent has logged since its last start.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// The log lines since the last start, each of which must be JSON.
    ///
    /// # Panics
    /// When a complete line is not JSON.
    #[track_caller]
    pub fn log_records(&self) -> Vec<Value> {
        let log = self.log();
        let complete = log.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        complete
            .map(|line| {
                serde_json::from_str(line)
                    .unwrap_or_else(|error| panic!("log line is not JSON ({error}): {line:?}"))
            })
            .collect()
    }

    /// What is in the root that should not be there while nothing is going on; what is set aside during a trial may be.
    pub fn litter(&self) -> Vec<PathBuf> {
        let mut litter = self.temporary(false);
        litter.retain(|path| !path.ends_with("tmp/reserve"));
        litter
    }

    /// What a broken transfer left for the next one to go on with.
    pub fn partials(&self) -> Vec<PathBuf> {
        self.temporary(true)
    }

    fn temporary(&self, partial: bool) -> Vec<PathBuf> {
        let is_partial = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("partial-"))
        };
        let entries = entries(&self.root().join("tmp"));
        entries.into_iter().filter(|path| is_partial(path) == partial).collect()
    }

    /// The digests in the store.
    pub fn stored(&self) -> Vec<PathBuf> {
        entries(&self.root().join("store"))
    }

    fn try_get(&self, path: &str) -> std::io::Result<Response> {
        http::get(&self.url(path))
    }

    /// The address in the log, since the configuration asks for any free port.
    fn logged_address(&self) -> Option<String> {
        self.log_records().iter().find_map(|record| {
            let address = record.get("address")?.as_str()?;
            let port = address.rsplit_once(':')?.1;
            (record.get("msg")?.as_str()?.contains("listening") && port != "0")
                .then(|| address.to_owned())
        })
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join(format!("agent-{}.log", self.starts))
    }

    fn write_config(&mut self) {
        let text = Value::Object(self.config.clone()).to_string();
        fs::write(self.config_file(), text).expect("the configuration can be written");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What `FILE version` prints, or `None` when it cannot be run.
pub fn version_of(file: &Path) -> Option<String> {
    let output = Command::new(file).arg("version").stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut entries: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    entries.sort();
    entries
}

/// Where tests run as root, the agent probes loggers as another user, who has to get to them.
fn let_others_pass(folder: &Path) {
    let scratch = std::env::temp_dir();
    for folder in folder.ancestors().take_while(|folder| folder.starts_with(&scratch)) {
        let Ok(metadata) = fs::metadata(folder) else { continue };
        let mode = metadata.permissions().mode();
        if mode & 0o001 == 0 {
            let opened = fs::Permissions::from_mode(mode | 0o011);
            fs::set_permissions(folder, opened).expect("a scratch folder's mode can be changed");
        }
    }
}
