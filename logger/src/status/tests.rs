// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A page as the logger writes it, read as others do.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::record::Stream;
use crate::ring::{Consumer, Description, DropCause, Mapping, Producer, SinkState};
use crate::scratch::Scratch;

#[test]
fn what_is_counted_is_on_the_page() {
    let scratch = Scratch::new();
    let path = scratch.path("page").to_str().unwrap().to_owned();
    let status = create(Some(&path), "").unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(matches!(read(&path), Err(ShowError::Decode { source: StatusError::Magic, .. })));
    let mut ring = Mapping::create(64 << 10).unwrap();
    {
        let (writable, _) = ring.split();
        assert!(Producer::new(writable).copy_in(b"before\n", Stream::Stdout, 1));
    }
    ring.show_in(status.file()).unwrap();
    let (writable, readable) = ring.split();
    let mut producer = Producer::new(writable);
    producer.shared().describe(&Description {
        driver: "syslog",
        container: "4f1c0e8f5a5d",
        started_ns: 5,
        reader_pid: 6,
        spool_problem: Some("no space"),
    });
    assert!(producer.copy_in(b"after\n", Stream::Stdout, 2));
    producer.note_drop(Stream::Stderr, b"lost\n", 3, DropCause::SinkDown);
    producer.shared().set_sink(SinkState::Down);
    let long = "é".repeat(400);
    for error in ["first", &long, "bad \u{1b}[31m"] {
        producer.shared().note_error(error);
    }
    let page = read(&path).unwrap();
    assert_eq!(StatusPage::decode(&Consumer::new(readable).page()).unwrap(), page);
    assert_eq!((page.read.bytes, page.read.lines, page.reads), (18, 3, 3));
    assert_eq!((page.reader_pid, page.sender_pid, page.sink), (6, None, SinkStatus::Down));
    assert_eq!((page.ring.held, page.ring.capacity), (48, 64 << 10));
    assert_eq!(page.dropped["sink-down"].bytes, 5);
    let text = text(&page);
    for part in [
        "container  4f1c0e8f5a5d, driver syslog, logger ",
        "state      runs",
        "server     down",
        "dropped    1 lines / 5 bytes: sink-down",
        "error      bad \u{fffd}[31m",
        "spool      no space",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert!(json(&page).contains(r#""last_error":{"time_ns":"#));
    producer.shared().note_error(&long);
    assert_eq!(read(&path).unwrap().last_error.unwrap().text, "é".repeat(240));
}

#[test]
fn a_page_of_another_is_replaced_and_not_written_to() {
    let scratch = Scratch::new();
    let path = scratch.path("page").to_str().unwrap().to_owned();
    let first = create(Some(&path), "").unwrap();
    create(Some(&path), "").unwrap();
    first.file().write_all_at(b"late", 0).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), [0; PAGE_BYTES]);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(scratch.path("precious"), "content").unwrap();
    symlink(scratch.path("precious"), scratch.path("page")).unwrap();
    create(Some(&path), "").unwrap();
    assert_eq!(std::fs::read_to_string(scratch.path("precious")).unwrap(), "content");
    assert!(create(Some("/nowhere/at/all"), "").is_err());
    assert!(create(None, "../..").is_err());
    symlink(scratch.path("precious"), scratch.path("link")).unwrap();
    let link = scratch.path("link");
    assert!(matches!(read(link.to_str().unwrap()), Err(ShowError::Read { .. })));
}
