// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

use super::*;

/// An owner's loggers on trial that were seen, failed and refused; then those of
/// before that were seen and failed.
type Row = (u32, u32, u32, u32, u32);

fn verdict(rows: &[Row]) -> Option<String> {
    let mut judge = Judge::default();
    for (number, &(seen, failed, refused, seen_before, failed_before)) in rows.iter().enumerate() {
        let owner = Owner(number.to_string());
        let young = Age::ZERO;
        (0..seen).for_each(|_| judge.saw(&owner, Side::OnTrial, young));
        (0..failed).for_each(|_| judge.blame(&owner, Side::OnTrial, young, Fault::Failed));
        (0..refused).for_each(|_| judge.blame(&owner, Side::OnTrial, young, Fault::Refused));
        (0..seen_before).for_each(|_| judge.saw(&owner, Side::Before, young));
        (0..failed_before).for_each(|_| judge.blame(&owner, Side::Before, young, Fault::Failed));
    }
    judge.verdict(Tally { started: 9, died: 7, refused: 1, ..Tally::default() })
}

/// So many rows of one kind behind others.
fn with(mut rows: Vec<Row>, count: usize, row: Row) -> Vec<Row> {
    rows.extend(std::iter::repeat_n(row, count));
    rows
}

#[test]
fn one_owner_has_one_voice() {
    let (good, bad) = ((1, 0, 0, 0, 0), (1, 1, 0, 0, 0));
    let cases = [
        // Three, and a tenth.
        (with(vec![bad; 2], 18, good), false),
        (with(vec![bad; 3], 17, good), true),
        (with(vec![bad; 3], 27, good), true),
        (with(vec![bad; 3], 28, good), false),
        (with(vec![(1000, 1000, 0, 0, 0); 2], 1, good), false),
        // A tenth of an owner's loggers.
        (vec![(10, 1, 0, 0, 0); 3], true),
        (vec![(11, 1, 0, 0, 0); 3], false),
        // Few owners have to be of one mind, and repeat themselves.
        (vec![(3, 3, 0, 0, 0)], true),
        (vec![(15, 3, 0, 0, 0)], true),
        (vec![(2, 2, 0, 0, 0)], false),
        (vec![(3, 3, 0, 0, 0), (3, 3, 0, 0, 0)], true),
        (vec![(3, 3, 0, 0, 0), (3, 2, 0, 0, 0)], false),
        (vec![(100, 100, 0, 0, 0), good], false),
        // Others are on the node whose loggers have not started yet.
        (vec![(100, 100, 0, 1, 0)], true),
        (with(vec![(100, 100, 0, 0, 0)], 0, good), true),
        (vec![(100, 100, 0, 0, 0), (0, 0, 0, 1, 0)], false),
    ];
    for (rows, proven) in cases {
        assert_eq!(verdict(&rows).is_some(), proven, "{rows:?}");
    }
}

#[test]
fn what_kills_loggers_of_before_too_is_not_the_release() {
    let cases = [
        (vec![(1, 1, 0, 1, 1); 5], false),
        (vec![(1, 1, 0, 1, 0); 5], true),
        // One alone cannot protect a release either.
        (with(vec![(1, 1, 0, 1, 1)], 4, (1, 1, 0, 1, 0)), true),
        // Three of ten, beside one and then two of ten, one not counted.
        (with(with(vec![(1, 1, 0, 1, 0); 3], 5, (1, 0, 0, 1, 0)), 2, (1, 0, 0, 1, 1)), true),
        (with(with(vec![(1, 1, 0, 1, 0); 3], 4, (1, 0, 0, 1, 0)), 3, (1, 0, 0, 1, 1)), false),
    ];
    for (rows, proven) in cases {
        assert_eq!(verdict(&rows).is_some(), proven, "{rows:?}");
    }
}

#[test]
fn who_ended_before_has_nothing_to_say() {
    let old = Age::of(Duration::from_secs(15));
    assert_eq!((old, Age::of(Duration::from_secs(8))), (Age(4), Age(4)));
    assert_eq!(Age::of(Duration::from_millis(999)), Age::ZERO);
    assert_eq!(Age::of(Duration::MAX), Age(AGES - 1));
    // Of two hundred owners, so many have loggers that become old, and three of those fail.
    for (old_owners, proven) in [(30, true), (31, false)] {
        let mut judge = Judge::default();
        for number in 0..200 {
            let owner = Owner(number.to_string());
            // Each has young ones too.
            (0..50).for_each(|_| judge.saw(&owner, Side::OnTrial, Age::ZERO));
            if number < old_owners {
                (1..=old.0).for_each(|age| judge.saw(&owner, Side::OnTrial, Age(age)));
            }
            if number < 3 {
                judge.blame(&owner, Side::OnTrial, old, Fault::Failed);
            }
        }
        assert_eq!(judge.verdict(Tally::default()).is_some(), proven, "{old_owners}");
    }
}

#[test]
fn refusals_count_when_most_owners_meet_them() {
    let (good, refused) = ((1, 0, 0, 0, 0), (1, 0, 1, 0, 0));
    assert_eq!(verdict(&with(vec![refused; 10], 10, good)), None);
    assert!(verdict(&with(vec![refused; 11], 9, good)).is_some());
    assert_eq!(verdict(&[(3, 0, 2, 0, 0)]), None);
    assert!(verdict(&[(3, 0, 3, 0, 0)]).is_some());
    assert_eq!(
        verdict(&with(vec![refused; 2], 1, (1, 1, 0, 0, 0))).unwrap(),
        "it failed containers of 3 of 3 owners in its trial: of 9 loggers started, 7 loggers died, \
         1 loggers refused their configuration"
    );
}
