// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Every driver delivers over each of the routes that it declares.

use std::time::Duration;

use dockerlogger_tests::bench::generator::{self, Source, Until};
use dockerlogger_tests::bench::subject::{BLOCKING, Role, Subject};
use dockerlogger_tests::bench::target::Target;
use dockerlogger_tests::bench::wire::{Wire, WireSink};
use dockerlogger_tests::programs;

/// So few that a socket of datagrams holds them all.
const LINES: u64 = 100;

#[test]
fn every_route_delivers_each_line_once() {
    let logger = Subject { role: Role::Logger, program: programs::logger(), options: Vec::new() };
    for wire in Wire::all() {
        let sink = WireSink::start(wire);
        let running = logger.start(&sink, BLOCKING);
        let line = generator::lines(1);
        generator::flat_out(&running.stdout, Source::Pipe, &line, Until::Writes(LINES));
        let arrived = sink.counts().wait_for_lines(LINES + 1, Duration::from_secs(20));
        assert_eq!(arrived, LINES + 1, "{}: {:?}", wire.name, running.ended());
    }
}
