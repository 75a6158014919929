// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Real servers that are ended and started again while a container goes on writing, at a rate that they keep up with:
//! nothing is missing, and what comes twice is bounded.
//!
//! Without confirmations nobody can do more: what a server had read and not stored is gone with it, and of what it had
//! not even read, only what the logger keeps comes again.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use dockerlogger_tests::dockerinit::{Container, ContainerSpec, Output};
use dockerlogger_tests::fluentd::Fluentd;
use dockerlogger_tests::gelf_stream::GelfStream;
use dockerlogger_tests::oracle::{self, Verdict};
use dockerlogger_tests::rsyslog::{Rsyslog, Transport};
use dockerlogger_tests::syslog_ng::SyslogNg;
use dockerlogger_tests::{SOON, programs, try_until, until};
use rustix::process::Signal;
use serde_json::json;

use super::fluentd::fluentd_container;
use super::{skip, syslog_container};

/// How often.
const RESTARTS: usize = 3;

/// Lines that the server has stored since it came, and lines that are written while it is away.
const LINES: u64 = 1000;

/// What the container writes at once, and then how long nothing: 2000 lines a second.
const BLOCK: u64 = 20;
const PAUSE: Duration = Duration::from_millis(10);

/// What is with a server that confirms, and that it may have stored without saying so: the sender stops at 144 KiB, with
/// the batch that passes that limit.
const UNCONFIRMED_BYTES: usize = (144 + 68) << 10;

/// What the kernel of one that does not confirm has acknowledged and that is kept all the same: 64 KiB, with the batch
/// they begin in. More is kept only of what was not read, which does not come twice, and what was not even acknowledged
/// is little at this rate.
const KEPT_BYTES: usize = (64 + 68) << 10;

trait Server: Sized {
    fn end(&mut self);
    fn start_again(&mut self);
    /// The container's lines, in the order in which they were stored.
    fn stored(&self) -> Vec<String>;

    /// Restarts it under load. Of frames that have `around` bytes more than their line, no more than `twice_bytes` may
    /// come twice each time.
    #[track_caller]
    fn restart_under_load(mut self, spec: &ContainerSpec, around: usize, twice_bytes: usize) {
        let scratch = tempfile::tempdir().unwrap();
        let container = Container::start(spec, scratch.path());
        let (written, over) = (AtomicU64::new(0), AtomicBool::new(false));
        thread::scope(|scope| {
            // Also when a condition is not reached.
            let _over = Over(&over);
            scope.spawn(|| {
                while !over.load(Ordering::SeqCst) {
                    let from = written.load(Ordering::SeqCst);
                    let block = oracle::lines(from, from + BLOCK);
                    container.write_unread(Output::Stdout, block.as_bytes());
                    written.store(from + BLOCK, Ordering::SeqCst);
                    // The load, not a wait for anything.
                    thread::sleep(PAUSE);
                }
            });
            for restart in 0..=RESTARTS {
                let new = oracle::line(written.load(Ordering::SeqCst) + LINES);
                until("new lines to be stored", SOON, || {
                    let stored = self.stored();
                    if stored.contains(&new) {
                        Ok(())
                    } else {
                        Err((stored.last().cloned(), new.clone()))
                    }
                });
                if restart < RESTARTS {
                    self.end();
                    let gone = written.load(Ordering::SeqCst);
                    until("lines to be written while it is away", SOON, || {
                        let since = written.load(Ordering::SeqCst) - gone;
                        if since >= LINES { Ok(()) } else { Err(since) }
                    });
                    self.start_again();
                }
            }
        });
        let verdict = self.complete(&container, written.into_inner());
        let bytes = verdict.duplicated.iter().map(|number| oracle::line(*number).len() + around);
        let (twice, bound): (usize, usize) = (bytes.sum(), RESTARTS * twice_bytes);
        assert!(twice <= bound, "{verdict}: {twice} bytes twice, more than {bound}");
    }

    /// Everything that was written, each line at least once.
    #[track_caller]
    fn complete(&self, container: &Container, written: u64) -> Verdict {
        let judged = try_until(SOON, || {
            let verdict = Verdict::of(written, self.stored());
            if verdict.complete() { Ok(verdict) } else { Err(verdict) }
        });
        let verdict = judged
            .unwrap_or_else(|verdict| panic!("of {written}: {verdict}; {:?}", container.status()));
        let page = container.wait_until_settled(SOON);
        assert_eq!((page.delivered, page.dropped.len()), (page.read, 0), "{page:?}");
        verdict
    }
}

/// Says at its end that all is over.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn whole_lines(stored: &[u8]) -> impl Iterator<Item = String> {
    let whole =
        stored.split_inclusive(|byte| *byte == b'\n').filter_map(|line| line.strip_suffix(b"\n"));
    whole.map(|line| String::from_utf8_lossy(line).into_owned())
}

/// The ring holds what is written while the server is away, however long that takes.
const LARGE_RING: (&str, &str) = ("max-buffer-size", "16m");

impl Server for Rsyslog {
    fn end(&mut self) {
        self.signal(Signal::TERM);
        self.wait();
    }

    fn start_again(&mut self) {
        Rsyslog::start_again(self);
    }

    fn stored(&self) -> Vec<String> {
        whole_lines(&self.written()).collect()
    }
}

/// A container whose logger sends there, with at least [`SYSLOG_HEADER`] bytes before each line.
fn syslog(address: &str, more: &[(&'static str, String)]) -> ContainerSpec {
    let mut options = vec![("syslog-format", "rfc5424"), LARGE_RING];
    options.extend(more.iter().map(|(name, value)| (*name, value.as_str())));
    syslog_container(address, &options)
}

const SYSLOG_HEADER: usize = 60;

fn rsyslog(folder: &Path, transport: Transport) -> Option<(Rsyslog, ContainerSpec)> {
    let Some(server) = Rsyslog::start(folder, transport) else {
        skip(&format!("rsyslogd is not installed for {transport:?}"));
        return None;
    };
    let spec = syslog(&server.syslog_address(), &server.options());
    Some((server, spec))
}

#[test]
fn rsyslog_over_tcp() {
    let scratch = tempfile::tempdir().unwrap();
    let Some((server, spec)) = rsyslog(scratch.path(), Transport::Tcp) else { return };
    server.restart_under_load(&spec, SYSLOG_HEADER, KEPT_BYTES);
}

#[test]
fn rsyslog_over_tls() {
    let scratch = tempfile::tempdir().unwrap();
    let Some((server, spec)) = rsyslog(scratch.path(), Transport::Tls) else { return };
    server.restart_under_load(&spec, SYSLOG_HEADER, KEPT_BYTES);
}

/// It stops reading, its kernel does not stop acknowledging, and then somebody kills it: what it had not read comes again,
/// more than is kept for one that reads.
#[test]
fn a_server_that_hangs_and_is_killed() {
    for transport in [Transport::Tcp, Transport::Tls] {
        let scratch = tempfile::tempdir().unwrap();
        let Some((mut server, spec)) = rsyslog(scratch.path(), transport) else { return };
        let container = Container::start(&spec, scratch.path());
        let mut written = 0;
        let mut write = || {
            container.write(Output::Stdout, oracle::lines(written, written + BLOCK).as_bytes());
            written += BLOCK;
            written
        };
        let before = write();
        server.complete(&container, before);
        server.signal(Signal::STOP);
        until("more to be acknowledged than is kept anyway", SOON, || {
            write();
            let delivered = container.status().unwrap().delivered.lines;
            if delivered >= before + 600 { Ok(()) } else { Err(delivered) }
        });
        server.signal(Signal::KILL);
        server.wait();
        server.start_again();
        server.complete(&container, written);
    }
}

impl Server for SyslogNg {
    fn end(&mut self) {
        SyslogNg::end(self);
    }

    fn start_again(&mut self) {
        SyslogNg::start_again(self);
    }

    fn stored(&self) -> Vec<String> {
        // No structured data, and a space.
        whole_lines(&self.written()).map(|line| line.trim_start().to_owned()).collect()
    }
}

#[test]
fn syslog_ng_over_tls() {
    let scratch = tempfile::tempdir().unwrap();
    let Some(server) = SyslogNg::start(scratch.path()) else {
        return skip("syslog-ng is not installed");
    };
    let mut options = server.options();
    let (_, address) = options.remove(0);
    let spec = syslog(&address, &options);
    server.restart_under_load(&spec, SYSLOG_HEADER, KEPT_BYTES);
}

/// A server of Fluentd's protocol, and how it ends.
struct FluentdThat(Fluentd, fn(&mut Fluentd));

impl Server for FluentdThat {
    fn end(&mut self) {
        self.1(&mut self.0);
    }

    fn start_again(&mut self) {
        self.0.start_again();
    }

    fn stored(&self) -> Vec<String> {
        self.0.logs()
    }
}

fn fluentd(options: &[(&str, &str)], end: fn(&mut Fluentd), twice_bytes: usize) {
    const AROUND: usize = 120;
    let scratch = tempfile::tempdir().unwrap();
    let Some(server) = Fluentd::start(scratch.path(), json!({})) else {
        return skip("tests/receivers/fluentd is not installed (npm install there)");
    };
    let mut config = vec![LARGE_RING];
    config.extend_from_slice(options);
    let spec = fluentd_container(&format!("127.0.0.1:{}", server.port()), &config);
    FluentdThat(server, end).restart_under_load(&spec, AROUND, twice_bytes);
}

const CONFIRMED: (&str, &str) = ("fluentd-request-ack", "true");

#[test]
fn fluentd_that_confirms_messages_may_crash() {
    fluentd(&[CONFIRMED], Fluentd::crash, UNCONFIRMED_BYTES);
}

#[test]
fn fluentd_that_confirms_packs_may_crash() {
    fluentd(&[CONFIRMED, ("fluentd-mode", "packed-forward")], Fluentd::crash, UNCONFIRMED_BYTES);
}

/// Without confirmations, what a server has read counts as taken: one that ends in order has stored it.
#[test]
fn fluentd_without_confirmations() {
    fluentd(&[], Fluentd::close, KEPT_BYTES);
}

impl Server for GelfStream {
    fn end(&mut self) {
        GelfStream::end(self);
    }

    fn start_again(&mut self) {
        GelfStream::start_again(self);
    }

    fn stored(&self) -> Vec<String> {
        let text = |message: serde_json::Map<String, serde_json::Value>| {
            message["short_message"].as_str().unwrap().to_owned()
        };
        self.messages().into_iter().map(text).collect()
    }
}

#[test]
fn gelf_over_tcp() {
    const AROUND: usize = 400;
    let scratch = tempfile::tempdir().unwrap();
    let Some(server) = GelfStream::start(scratch.path(), None) else {
        return skip("graygelf is not installed (npm install in tests/receivers/graygelf)");
    };
    let address = format!("tcp://127.0.0.1:{}", server.port());
    let config = [("gelf-address", address.as_str()), LARGE_RING];
    let spec = ContainerSpec::new(&programs::logger(), "gelf", &config);
    server.restart_under_load(&spec, AROUND, KEPT_BYTES);
}
