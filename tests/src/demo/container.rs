// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! One container of the demo, and the account of what it wrote against what the syslog receiver has.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::demo::show::{Row, Show};
use crate::demo::{LIMIT, check_interrupt, wait};
use crate::dockerinit::{Container, ContainerSpec, Ending, Output};
use crate::node::version_of;
use crate::receiver::{TcpReceiver, severity_of, text_of};
use crate::zfd::Pressure;

/// Numbers every line of what the system says about itself, until it may stop.
const SCRIPT: &str = r#"
i=0
until [ -e "$STOP" ] && [ $i -ge 500 ]; do
  for source in /proc/loadavg /proc/meminfo; do
    [ -r $source ] || source=/etc/passwd
    while read -r line; do i=$((i+1)); echo "$i $line"; done < $source
  done
  i=$((i+1)); echo "$i a word on standard error" >&2
  sleep 0.05
done
"#;

/// How long a command of the user's own may go on after the story is over.
const PATIENCE: Duration = Duration::from_secs(15);

/// A running container with its own line in the account.
#[derive(Debug)]
pub(super) struct DemoContainer {
    pub(super) name: String,
    container: Container,
    stop: PathBuf,
    /// The version that the logger of this container had when it was started.
    pub(super) version: String,
}

impl DemoContainer {
    /// Starts a container with the logger that `logger` leads to now.
    pub(super) fn start(
        name: &str,
        logger: &Path,
        receiver: &TcpReceiver,
        command: Option<&Vec<String>>,
        scratch: &Path,
    ) -> DemoContainer {
        let scratch = scratch.join(name);
        fs::create_dir_all(&scratch).expect("a scratch folder can be made");
        let stop = scratch.join("stop");
        let address = receiver.syslog_address();
        // What Triton's docker API writes for `--log-driver syslog --log-opt syslog-address=…`.
        let config = [
            ("syslog-address", address.as_str()),
            ("syslog-facility", "daemon"),
            ("syslog-tag", name),
        ];
        let mut spec = ContainerSpec::new(logger, "syslog", &config);
        spec.pressure = Pressure::FlowControl;
        spec.ending = Ending::Close;
        spec.command_env.push(("STOP".to_owned(), stop.display().to_string()));
        match command {
            Some(command) => {
                spec.command = Some(command.clone());
                spec.command_env = std::env::vars().collect();
                spec.workdir = std::env::current_dir().unwrap_or(spec.workdir);
            }
            None => spec = spec.running(SCRIPT),
        }
        let version = version_of(logger).unwrap_or_else(|| "unknown".to_owned());
        let container = Container::start(&spec, &scratch);
        DemoContainer { name: name.to_owned(), container, stop, version }
    }

    /// Version and inode of the logger that runs in this container; `None` when it has ended, or cannot be seen here.
    pub(super) fn running_logger(&self) -> Option<(String, u64)> {
        let file = PathBuf::from(format!("/proc/{}/exe", self.container.logger_pid()));
        let inode = fs::metadata(&file).ok()?.ino();
        Some((version_of(&file)?, inode))
    }

    /// True when the command has ended.
    pub(super) fn ended(&self) -> bool {
        self.container.init_exit().is_some()
    }

    /// Waits until so many lines of this container have arrived, or it has ended.
    pub(super) fn wait_for_lines(&self, count: usize, receiver: &TcpReceiver, show: &Show) {
        let bar = show.bar(&self.name);
        bar.set_length(count as u64);
        let arrived = wait(LIMIT, || {
            let arrived = self.received(receiver).len();
            bar.set_position(arrived as u64);
            if arrived >= count || self.ended() { Ok(()) } else { Err(arrived) }
        });
        bar.finish_and_clear();
        if let Err(arrived) = arrived {
            panic!(
                "{arrived} lines of {} have arrived, {count} were waited for; its log: {:?}",
                self.name,
                self.container.dockerinit_log()
            );
        }
    }

    /// Ends the container, waits until its lines have arrived or will not, and counts.
    pub(super) fn finish(self, receiver: &TcpReceiver, show: &Show) -> Row {
        File::create(&self.stop).expect("a scratch file can be made");
        let ended = wait(PATIENCE, || if self.ended() { Ok(()) } else { Err(()) });
        if ended.is_err() {
            show.remark(&format!("{}: its command still runs; it is stopped now", self.name));
            self.container.end(Ending::Close);
        }
        let bar = show.bar(&self.name);
        let _ = wait(LIMIT, || {
            let (written, received) = (self.written().len(), self.received(receiver).len());
            bar.set_length(written as u64);
            bar.set_position(received as u64);
            if self.container.logger_exit().is_some() && received >= written {
                Ok(())
            } else {
                Err(())
            }
        });
        bar.finish_and_clear();
        check_interrupt();
        let outcome = self.container.wait(LIMIT);
        if let Ok(exit) = outcome.logger
            && exit != crate::process::Exit::Code(0)
        {
            show.remark(&format!(
                "{}: its logger ended with {exit}: {}",
                self.name,
                self.container.dockerinit_log()
            ));
        }
        account(&self.name, &self.version, &self.written(), &self.received(receiver))
    }

    /// Lines as the kernel stream took them, per stream.
    fn written(&self) -> Vec<(Output, String)> {
        let mut lines = Vec::new();
        for output in [Output::Stdout, Output::Stderr] {
            let bytes = self.container.accepted(output);
            let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
            if !bytes.is_empty() {
                let split = text.split(|byte| *byte == b'\n');
                lines
                    .extend(split.map(|line| (output, String::from_utf8_lossy(line).into_owned())));
            }
        }
        lines
    }

    /// Lines as they arrived, per stream.
    fn received(&self, receiver: &TcpReceiver) -> Vec<(Output, String)> {
        let mine = format!("/{}[", self.name);
        let messages = receiver.messages();
        let of = |output, severity| {
            let mine = &mine;
            messages.iter().filter_map(move |message| {
                let text = text_of(message).filter(|_| message.contains(mine))?;
                (severity_of(message) == Some(severity)).then(|| (output, text.to_owned()))
            })
        };
        of(Output::Stdout, 6).chain(of(Output::Stderr, 3)).collect()
    }
}

/// Compares line by line, and the two streams each in its own order.
fn account(
    name: &str,
    version: &str,
    written: &[(Output, String)],
    received: &[(Output, String)],
) -> Row {
    let mut missing: BTreeMap<(bool, &str), usize> = BTreeMap::new();
    for (output, line) in written {
        *missing.entry((*output == Output::Stderr, line)).or_default() += 1;
    }
    let mut delivered = 0;
    for (output, line) in received {
        if let Some(left) = missing.get_mut(&(*output == Output::Stderr, line.as_str()))
            && *left > 0
        {
            *left -= 1;
            delivered += 1;
        }
    }
    Row {
        container: name.to_owned(),
        logger: version.to_owned(),
        written: written.len(),
        delivered,
        lost: written.len() - delivered,
        duplicated: received.len() - delivered,
        in_order: delivered < written.len() || written == received,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_tells_each_kind_of_error() {
        let lines = |text: &str| -> Vec<(Output, String)> {
            text.split(' ').map(|line| (Output::Stdout, line.to_owned())).collect()
        };
        let check = |received: &str| account("c", "1", &lines("a b b c"), &lines(received));
        assert!(check("a b b c").right());
        assert_eq!(check("a b c").lost, 1);
        assert_eq!(check("a b b b c").duplicated, 1);
        assert!(!check("b a b c").in_order);
        assert!(!check("a b b x").right());
        assert!(!account("c", "1", &[], &[]).right(), "nothing written proves nothing");
        let other_stream = vec![(Output::Stderr, "a".to_owned())];
        assert_eq!(account("c", "1", &lines("a"), &other_stream).lost, 1);
    }
}
