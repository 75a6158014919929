// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What should have arrived against what did: numbered lines, each of which proves its own integrity.

pub mod status;

use std::collections::BTreeSet;
use std::fmt;

/// One numbered line without its NL: the number, a filler whose length and letters follow from the number, and the end.
pub fn line(number: u64) -> String {
    let letter = char::from(b'a' + u8::try_from(number % 26).expect("below 26"));
    let filler = String::from_iter(std::iter::repeat_n(
        letter,
        usize::try_from(20 + number % 61).expect("below 81"),
    ));
    format!("line {number} {filler} end")
}

/// Lines `from..to`, each with its NL.
pub fn lines(from: u64, to: u64) -> String {
    (from..to).map(|number| line(number) + "\n").collect()
}

/// A shell script that writes lines `from..to` as [`line()`] does, all at once.
pub fn script(from: u64, to: u64) -> String {
    format!(
        "awk 'BEGIN {{ for (n = {from}; n < {to}; n++) {{ f = \"\"; c = sprintf(\"%c\", 97 + n % 26); \
         for (i = 0; i < 20 + n % 61; i++) f = f c; print \"line \" n \" \" f \" end\"; fflush() }} }}'"
    )
}

/// What happened to the lines `0..written`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Numbers that never arrived.
    pub lost: Vec<u64>,
    /// Numbers that arrived again.
    pub duplicated: Vec<u64>,
    /// Numbers whose first arrival came after that of a higher one.
    pub reordered: Vec<u64>,
    /// Texts that are not a whole line of ours.
    pub torn: Vec<String>,
}

impl Verdict {
    /// Judges received texts (headers removed) against lines `0..written`.
    pub fn of<T: AsRef<str>>(written: u64, received: impl IntoIterator<Item = T>) -> Verdict {
        let mut verdict = Verdict::default();
        let mut seen = BTreeSet::new();
        let mut highest = None;
        for text in received {
            let text = text.as_ref();
            let number =
                text.strip_prefix("line ").and_then(|rest| rest.split(' ').next()?.parse().ok());
            match number {
                Some(number) if number < written && line(number) == text => {
                    if !seen.insert(number) {
                        verdict.duplicated.push(number);
                    } else if highest.is_some_and(|highest| number < highest) {
                        verdict.reordered.push(number);
                    }
                    highest = highest.max(Some(number));
                }
                _ => verdict.torn.push(text.to_owned()),
            }
        }
        verdict.lost = (0..written).filter(|number| !seen.contains(number)).collect();
        verdict
    }

    /// True when every line arrived, whole and in order; duplicates are allowed.
    pub fn complete(&self) -> bool {
        self.lost.is_empty() && self.reordered.is_empty() && self.torn.is_empty()
    }

    /// True when every line arrived exactly once, whole and in order.
    pub fn exact(&self) -> bool {
        self.complete() && self.duplicated.is_empty()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = |numbers: &[u64]| {
            numbers.iter().take(5).map(u64::to_string).collect::<Vec<_>>().join(", ")
        };
        write!(
            f,
            "{} lost ({}), {} duplicated ({}), {} reordered ({}), {} torn ({:?})",
            self.lost.len(),
            first(&self.lost),
            self.duplicated.len(),
            first(&self.duplicated),
            self.reordered.len(),
            first(&self.reordered),
            self.torn.len(),
            self.torn.first()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_damage_is_seen() {
        let judge = |received: &[u64]| Verdict::of(4, received.iter().map(|number| line(*number)));
        assert!(judge(&[0, 1, 2, 3]).exact());
        assert_eq!(judge(&[0, 1, 3]).lost, [2]);
        assert_eq!(judge(&[0, 1, 2, 2, 3]).duplicated, [2]);
        assert_eq!(judge(&[0, 2, 1, 3]).reordered, [1]);
        // A line sent again after a reconnect is a duplicate, not a disorder.
        let resent = judge(&[0, 1, 2, 1, 2, 3]);
        assert!(resent.complete() && resent.reordered.is_empty());
        assert_eq!(resent.duplicated, [1, 2]);
        let torn = Verdict::of(2, [line(0), line(1)[3..].to_owned(), line(1), line(7)]);
        assert_eq!(torn.torn, [line(1)[3..].to_owned(), line(7)]);
    }

    #[test]
    fn the_script_writes_what_the_oracle_expects() {
        let output =
            std::process::Command::new("sh").args(["-c", &script(3, 70)]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), lines(3, 70));
    }
}
