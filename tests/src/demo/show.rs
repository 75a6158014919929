// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! All that the demo prints.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the demo's one place for output")]

use std::cell::Cell;
use std::io::IsTerminal;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

/// The printer: numbered steps, remarks under them, and bars on a terminal.
#[derive(Debug)]
pub(super) struct Show {
    started: Instant,
    step: Cell<u32>,
    terminal: bool,
}

/// One container's line in the final table.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) container: String,
    pub(super) logger: String,
    pub(super) written: usize,
    pub(super) delivered: usize,
    pub(super) lost: usize,
    pub(super) duplicated: usize,
    pub(super) in_order: bool,
}

impl Show {
    pub(super) fn new() -> Show {
        Show {
            started: Instant::now(),
            step: Cell::new(0),
            terminal: std::io::stdout().is_terminal(),
        }
    }

    /// A new step of the story.
    pub(super) fn step(&self, text: &str) {
        self.step.set(self.step.get() + 1);
        println!(
            "[{:>5.1} s] {:>2}. {text}",
            self.started.elapsed().as_secs_f64(),
            self.step.get()
        );
    }

    /// More about the current step; every line is indented.
    pub(super) fn remark(&self, text: &str) {
        for line in text.lines() {
            println!("              {line}");
        }
    }

    /// Text as it is.
    pub(super) fn plain(&self, text: &str) {
        println!("{text}");
    }

    /// What went wrong.
    pub(super) fn error(&self, text: &str) {
        eprintln!("error: {text}");
    }

    /// A bar that counts lines; hidden where nobody watches.
    pub(super) fn bar(&self, name: &str) -> ProgressBar {
        if !self.terminal {
            return ProgressBar::hidden();
        }
        let style =
            ProgressStyle::with_template("              {msg} {wide_bar} {pos} of {len} lines")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
        ProgressBar::new(0).with_style(style).with_message(name.to_owned())
    }

    /// The account, one row a container.
    pub(super) fn table(&self, rows: &[Row]) {
        println!();
        println!("container    logger  written  delivered  lost  duplicated  order");
        for row in rows {
            println!(
                "{:<12} {:<7} {:>7}  {:>9}  {:>4}  {:>10}  {}",
                row.container,
                row.logger,
                row.written,
                row.delivered,
                row.lost,
                row.duplicated,
                if row.in_order { "kept" } else { "broken" }
            );
        }
        println!();
        for row in rows {
            println!("{}: delivered {} of {}", row.container, row.delivered, row.written);
        }
        println!("{:.1} s", self.started.elapsed().as_secs_f64());
    }
}

impl Row {
    /// Every line arrived once and in order, and there were lines.
    pub(super) fn right(&self) -> bool {
        self.written > 0
            && self.delivered == self.written
            && self.lost == 0
            && self.duplicated == 0
            && self.in_order
    }
}
