// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Who reaches which bytes, and what a death between two stores leaves.

use super::*;
use crate::record::Stream;
use crate::ring::account::Account;
use crate::ring::slots;

fn carry(text: &str) -> [Carried; 2] {
    let carried = |bytes: &[u8]| Carried { bytes: bytes.to_vec(), ..Carried::default() };
    [carried(text.as_bytes()), carried(b"")]
}

fn account(records: u64) -> Account {
    Account { records, ..Account::default() }
}

#[test]
fn a_sender_that_dies_before_it_commits_changes_nothing() {
    let mut mapping = Mapping::create(PAGE).unwrap();
    let (mut writable, mut readable) = mapping.split();
    writable.publish(64);
    assert_eq!(readable.carried(), carry(""));
    readable.release(16, &carry("first"), &account(1));
    assert_eq!(readable.account(), account(1));
    assert_eq!(readable.carried(), carry("first"));
    for slot_written in ["dies here", "and its successor here"] {
        let spare = (0..2).find(|&n| readable.slot_position(Stream::Stdout, n) != 16).unwrap();
        let carried = &carry(slot_written)[0];
        slots::write(readable.slot_mut(Stream::Stdout, spare), 0, 32, carried);
        assert_eq!(readable.carried(), carry("first"));
        assert_eq!(readable.account(), account(1));
    }
    readable.release(32, &carry("second"), &account(2));
    assert_eq!(readable.account(), account(2));
    assert_eq!(readable.carried(), carry("second"));
}

#[test]
fn what_is_carried_over_a_position_can_be_replaced() {
    let scratch = crate::scratch::Scratch::new();
    let file = scratch.file("ring", Mapping::file_len(PAGE) as u64);
    let mut mapping = Mapping::begin(&file, PAGE, 7, 4096, &carry("first")).unwrap();
    for n in 1..30 {
        let (mut writable, mut readable) = mapping.split();
        let at = 4096 + n / 10 * 8;
        writable.publish(at);
        let text = format!("{n} was here");
        readable.release(at, &carry(&text), &account(n));
        assert_eq!((readable.tail(), writable.tail()), (at, at));
        assert_eq!((readable.carried(), readable.account()), (carry(&text), account(n)));
        // So a successor finds it, in this run and in another.
        let found = recovery::recover(mapping.image(), &mut || {}).unwrap();
        assert_eq!((found.tail, found.bad_slots), (at, 0));
        assert_eq!(found.held.bytes, text.len() as u64);
        mapping.go_on(&found, &mut || {});
        let (_, mut readable) = mapping.split();
        assert_eq!((readable.tail(), readable.carried()), (at, carry(&text)));
    }
}

#[test]
fn neither_side_reaches_the_bytes_of_the_other() {
    let mut mapping = Mapping::create(1).unwrap();
    assert_eq!(mapping.capacity(), PAGE);
    let (mut writable, mut readable) = mapping.split();
    assert!(readable.published(0, 8).is_none());
    writable.free_mut(0, 4096).unwrap().fill(7);
    assert!(writable.free_mut(0, 4097).is_none());
    writable.publish(4096);
    assert!(writable.free_mut(0, 8).is_none());
    assert!(writable.free_mut(4096, 8).is_none());
    assert_eq!(readable.published(4088, 8), Some([7; 8].as_slice()));
    assert!(readable.published(4088, 16).is_none());
    readable.release(8, &carry(""), &account(0));
    assert!(readable.published(0, 8).is_none());
    assert!(writable.free_mut(4096, 8).is_some());
    // Free, but not in one piece.
    readable.release(4096, &carry(""), &account(0));
    writable.publish(4104);
    assert!(writable.free_mut(8184, 16).is_none());
}

#[test]
fn a_file_that_is_cut_short_is_a_loss_and_not_an_end() {
    let scratch = crate::scratch::Scratch::new();
    let capacity = 8 * PAGE;
    let file = scratch.file("ring", Mapping::file_len(capacity) as u64);
    let page = scratch.file("page", PAGE as u64);
    let mut mapping =
        Mapping::begin(&file, capacity, 7, 4096, &[Carried::default(), Carried::default()])
            .unwrap();
    mapping.show_in(&page).unwrap();
    mapping.guard();
    for len in [Mapping::file_len(PAGE) as u64, 0] {
        file.set_len(len).unwrap();
        page.set_len(0).unwrap();
        let (mut writable, readable) = mapping.split();
        readable.shared().note_error("still here");
        // The header is gone as well when nothing is left of the file.
        let at = writable.head() + 2 * PAGE as u64;
        let free = writable.free_mut(at, 8).unwrap();
        free.fill(1);
        assert_eq!(free, [1; 8]);
    }
}
