// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Pages whole, newer, cut and hostile.

use super::*;

fn page() -> [u8; PAGE_BYTES] {
    let mut page = [0; PAGE_BYTES];
    put(&mut page, at::MAGIC, &MAGIC.to_le_bytes());
    put(&mut page, at::FORMAT, &FORMAT.to_le_bytes());
    page
}

fn put(page: &mut [u8], at: usize, bytes: &[u8]) {
    page[at..at + bytes.len()].copy_from_slice(bytes);
}

#[test]
fn every_field_comes_from_its_place() {
    let mut page = page();
    put(&mut page, at::SINK, &[2]);
    put(&mut page, at::READER_PID, &[7]);
    put(&mut page, at::SENDER_PID, &[8]);
    put(&mut page, at::STARTED, &[9]);
    put(&mut page, at::RING_CAPACITY, &[0, 1]);
    put(&mut page, at::RING_HEAD, &[200]);
    put(&mut page, at::RING_TAIL, &[150]);
    put(&mut page, at::RING_KIND, &[1]);
    put(&mut page, at::LIFE, &[1]);
    put(&mut page, at::DRIVER, b"syslog");
    put(&mut page, at::VERSION, b"0.1.0");
    put(&mut page, at::CONTAINER, b"4f1c0e8f5a5d");
    for n in 0..10_u8 {
        put(&mut page, at::COUNTERS + 8 * usize::from(n), &[n + 1]);
    }
    put(&mut page, at::DROPPED_BYTES + 8, &[50]);
    put(&mut page, at::DROPPED_LINES + 8, &[5]);
    put(&mut page, at::DROPPED_READS + 56, &[1]);
    put(&mut page, at::LAST_ERROR, &[2, 0, 0, 0, 6, 0, 0, 0, 3]);
    put(&mut page, at::LAST_ERROR + 16, b"no way and more");
    let json = serde_json::to_value(StatusPage::decode(&page).unwrap()).unwrap();
    let amount = |bytes: u64, lines: u64| serde_json::json!({"bytes": bytes, "lines": lines});
    let want = serde_json::json!({
        "container": "4f1c0e8f5a5d", "driver": "syslog", "version": "0.1.0", "started_ns": 9,
        "reader_pid": 7, "sender_pid": 8, "life": "runs", "sink": "down",
        "ring": {"capacity": 256, "held": 50, "is_file": true},
        "read": amount(1, 2), "delivered": amount(4, 5), "recovered": amount(8, 9),
        "dropped": {
            "buffer-full": {"bytes": 50, "lines": 5, "reads": 0},
            "cause-7": {"bytes": 0, "lines": 0, "reads": 1},
        },
        "reads": 3, "sent_records": 6, "sent_bytes": 7, "sender_restarts": 10,
        "last_error": {"time_ns": 3, "text": "no way"},
    });
    assert_eq!(json, want);
}

#[test]
fn a_page_of_before_says_nothing_of_ends() {
    assert_eq!(StatusPage::decode(&page()).unwrap().life, Life::Unsaid);
}

#[test]
fn refusals_say_what_is_read() {
    assert_eq!(StatusPage::decode(&[]), Err(StatusError::Length { found: 0 }));
    assert_eq!(StatusPage::decode(&page()[..4095]), Err(StatusError::Length { found: 4095 }));
    assert_eq!(StatusPage::decode(&[0; PAGE_BYTES]), Err(StatusError::Magic));
    let mut newer = page();
    put(&mut newer, at::FORMAT, &[2]);
    let error = StatusPage::decode(&newer).unwrap_err();
    assert_eq!(error.to_string(), "status page has format 2, this version reads 1");
}

#[test]
fn hostile_bytes_become_a_page_that_is_safe_to_print() {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..500 {
        let mut bytes = page();
        for byte in &mut bytes[at::SINK..at::END] {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            *byte = random.to_le_bytes()[0];
        }
        let page = StatusPage::decode(&bytes).unwrap();
        assert!(page.ring.held <= page.ring.capacity);
        for text in [&page.container, &page.driver, &page.last_error.unwrap().text] {
            assert!(!text.chars().any(char::is_control));
            assert!(text.chars().count() <= NOTE_TEXT_BYTES);
        }
        assert!(page.dropped.len() <= CAUSES_MAX);
    }
}

#[test]
fn fields_do_not_overlap_and_end_in_the_page() {
    const { assert!(at::END <= PAGE_BYTES) };
    const { assert!(at::RING_KIND + 4 == at::LIFE && at::LIFE + 4 == at::DRIVER) };
    const { assert!(at::COUNTERS + 80 == at::DROPPED_BYTES) };
    const { assert!(at::DROPPED_BYTES + 8 * CAUSES_MAX == at::DROPPED_READS) };
    const { assert!(at::DROPPED_READS + 8 * CAUSES_MAX == at::DROPPED_LINES) };
    const { assert!(at::DROPPED_LINES + 8 * CAUSES_MAX <= at::LAST_ERROR) };
    const { assert!(CAUSES.len() <= CAUSES_MAX) };
}
