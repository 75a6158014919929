// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A medium that loses one of the two copies of the state.

use std::fs;

use crate::api::Health;
use crate::engine::tests::node::{Node, assert_says, check_settled, installed, now};
use crate::engine::{Actor, Change, NodeView};

/// Everything that operators lay down.
async fn lay_down(node: &Node) -> NodeView {
    let mut engine = node.open();
    engine.act_for(Actor::Socket { uid: Some(0) });
    for change in [
        Change::Block { what: "9.0.0".parse().unwrap(), reason: None },
        Change::Pin { version: "1.0.0".parse().unwrap() },
        Change::Hold { reason: Some("freeze".to_owned()) },
    ] {
        assert!(engine.change(change, now()).await.unwrap().changed);
    }
    engine.view()
}

#[tokio::test]
async fn a_lost_copy_loses_nothing_and_is_said_until_the_agent_is_restarted() {
    for lost in ["a", "b"] {
        let node = installed().await;
        let told = lay_down(&node).await;
        let path = node.root.join("state").join(lost);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();

        let mut engine = node.open();
        let view = engine.view();
        assert_eq!(
            (&view.barred, &view.pinned, &view.held),
            (&told.barred, &told.pinned, &told.held)
        );
        let parts = [path.to_str().unwrap(), "not acknowledged can be lost"];
        let [alarm] = view.alarms.as_slice() else { panic!("{:?}", view.alarms) };
        assert_says(alarm, &parts);
        let health = serde_json::to_string(&Health::of(&view)).unwrap();
        assert_says(&health, &["degraded", parts[1]]);
        let record = view.history.last().unwrap();
        assert_eq!((record.what.as_str(), record.who.as_str()), ("repair", "agent"));
        assert_says(&record.why, &parts);
        // It was repaired, and whatever comes next does not silence the alarm.
        assert_eq!(fs::read(&path).unwrap(), whole);
        engine.change(Change::ReleaseHold, now()).await.unwrap();
        assert_eq!(engine.view().alarms.len(), 1);
        drop(engine);
        assert_eq!(node.open().view().alarms, [""; 0]);
        check_settled(&node.root);
    }
}
