// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! An agent whose clock is wrong: at 1970, as after a power cut with an empty battery, and at 2100.

use dockerlogger_tests::clock::{IN_1970, IN_2100, WrongClock, in_days};
use dockerlogger_tests::node::Node;
use dockerlogger_tests::programs::{NEXT_VERSION, VERSION};

use super::super::skip;
use super::fixture::{expect_untouched, publisher};

fn clock() -> Option<WrongClock> {
    let clock = WrongClock::build();
    if clock.is_none() {
        skip("there is no C compiler, or no Linux with glibc: wrong clocks were not tried");
    }
    clock
}

#[test]
fn a_node_at_1970_installs_and_believes_nothing_that_expired_before_it_last_looked() {
    let Some(clock) = clock() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let publisher = publisher();
    let repository = publisher.copy(&scratch.path().join("publisher"));
    let tree = repository.tree();
    let mut node =
        Node::new(&scratch.path().join("node"), &publisher.trust_anchor(), tree.to_str());
    node.set_environment(clock.at(IN_1970));
    node.expect(&["update"]);
    expect_untouched(&node, VERSION);
    // A month from now the node looks again, and remembers when.
    node.set_environment(clock.at(in_days(30)));
    node.expect(&["update"]);
    // What expires tomorrow had expired then; 1970 does not make it good.
    repository.publish_packed(&publisher.next_packed(), &["--expires-timestamp", "1d"]);
    node.set_environment(clock.at(IN_1970));
    let (status, said) = node.refused(&["update"]);
    assert_eq!(status, 1, "{said}");
    for part in
        ["timestamp metadata", "expired at", "clock says 1970-01-01T01:00", "accepted metadata at"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    expect_untouched(&node, VERSION);
    // Good metadata is good in 1970, too: a clock that nobody sets does not shut the node out.
    repository.publish_packed(&publisher.next_packed(), &[]);
    node.expect(&["update"]);
    expect_untouched(&node, NEXT_VERSION);
}

#[test]
fn a_node_at_2100_serves_what_it_has_takes_bundles_and_goes_on_when_its_clock_is_right() {
    let Some(clock) = clock() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let publisher = publisher();
    let repository = publisher.copy(&scratch.path().join("publisher"));
    let mut node =
        publisher.node(&scratch.path().join("node"), repository.tree().to_str().unwrap());
    repository.publish_packed(&publisher.next_packed(), &[]);
    node.set_environment(clock.at(IN_2100));
    node.start();
    assert_eq!(node.get("/drivers").status, 200);
    let (status, said) = node.refused(&["update"]);
    assert_eq!(status, 1, "{said}");
    assert!(said.contains("expired at") && said.contains("clock says 2100-01-01"), "{said}");
    expect_untouched(&node, VERSION);
    // Somebody carries a bundle there.
    let bundle = scratch.path().join("bundle.tar");
    repository.bundle(&bundle);
    let said = node.expect(&["install", "--bundle", bundle.to_str().unwrap()]);
    assert!(said.contains("expired"), "{said}");
    expect_untouched(&node, NEXT_VERSION);
    node.expect(&["rollback"]);
    node.stop();
    // The clock is set: nothing of 2100 is left.
    node.set_environment(Vec::new());
    node.expect(&["unblock", NEXT_VERSION]);
    node.expect(&["update"]);
    expect_untouched(&node, NEXT_VERSION);
}
