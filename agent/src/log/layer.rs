// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The subscriber layer that turns events into bunyan lines.

use std::fmt;
use std::io::Write;
use std::time::SystemTime;

use serde_json::{Map, Value};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use crate::log::PROGRAM;
use crate::log::fields::Fields;

/// Writes each event as one line, with one `write` call, to what `make_writer` returns. A line that
/// cannot be written is lost: there is no other place to complain.
pub struct BunyanLayer<M> {
    make_writer: M,
    hostname: String,
    pid: u32,
}

impl<M> fmt::Debug for BunyanLayer<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BunyanLayer").field("hostname", &self.hostname).finish_non_exhaustive()
    }
}

impl<M, W> BunyanLayer<M>
where
    M: Fn() -> W + 'static,
    W: Write,
{
    /// A layer that carries this machine's name and this process's id.
    pub fn for_process(make_writer: M) -> BunyanLayer<M> {
        BunyanLayer::new(make_writer, crate::hostname(), std::process::id())
    }

    /// A layer with the identity given.
    pub fn new(make_writer: M, hostname: String, pid: u32) -> BunyanLayer<M> {
        BunyanLayer { make_writer, hostname, pid }
    }

    fn line(&self, level: Level, now: SystemTime, target: &str, fields: Fields) -> Vec<u8> {
        let mut line = Map::new();
        line.insert("name".to_owned(), PROGRAM.into());
        line.insert("hostname".to_owned(), self.hostname.as_str().into());
        line.insert("pid".to_owned(), self.pid.into());
        line.insert("level".to_owned(), bunyan_level(level).into());
        line.insert("component".to_owned(), target.into());
        for (name, value) in fields.values {
            line.insert(name, value);
        }
        line.insert("msg".to_owned(), fields.message.into());
        line.insert("time".to_owned(), timestamp(now).into());
        line.insert("v".to_owned(), 0.into());
        let mut bytes = Value::Object(line).to_string().into_bytes();
        bytes.push(b'\n');
        bytes
    }
}

impl<S, M, W> Layer<S> for BunyanLayer<M>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    M: Fn() -> W + 'static,
    W: Write,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        span.extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(of_span) = span.extensions().get::<Fields>() {
                fields.values.extend(of_span.values.clone());
            }
        }
        event.record(&mut fields);
        let metadata = event.metadata();
        let line = self.line(*metadata.level(), SystemTime::now(), metadata.target(), fields);
        drop((self.make_writer)().write_all(&line));
    }
}

fn bunyan_level(level: Level) -> u8 {
    match level {
        Level::TRACE => 10,
        Level::DEBUG => 20,
        Level::INFO => 30,
        Level::WARN => 40,
        Level::ERROR => 50,
    }
}

/// `now` as bunyan writes it: UTC, milliseconds, `Z`. A clock outside the years -9999..9999 is shown as
/// the epoch.
pub(crate) fn timestamp(now: SystemTime) -> String {
    let stamp = jiff::Timestamp::try_from(now).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{stamp:.3}")
}
