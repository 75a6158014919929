// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Instants as Go's RFC 3339 form in UTC, with as many digits of the second as
//! there are: `2026-03-05T14:07:09.5Z`.

use crate::json::push_front;
use crate::local_time::{LocalTime, push_padded};

/// Writes instants; what it wrote of the last 100 µs is kept, because most lines
/// follow others within them.
#[derive(Debug)]
pub struct Rfc3339 {
    /// Of which 100 µs since 1970 `text` is.
    kept: Option<u64>,
    /// `2026-03-05T14:07:09.1234` and room for what changes with each line.
    text: [u8; LONGEST],
}

impl Default for Rfc3339 {
    fn default() -> Self {
        Self { kept: None, text: [0; LONGEST] }
    }
}

impl Rfc3339 {
    /// Appends `time_ns`, nanoseconds since 1970.
    pub fn push(&mut self, out: &mut Vec<u8>, time_ns: u64) {
        let (kept, mut rest) = (time_ns / KEPT_NS, time_ns % KEPT_NS);
        if self.kept != Some(kept) {
            self.render(kept);
        }
        let mut text = self.text;
        for digit in text[KEPT_LEN..LONGEST - 1].iter_mut().rev() {
            *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
        }
        let mut end = LONGEST - 1;
        while text[end - 1] == b'0' {
            end -= 1;
        }
        // A whole second has no fraction; its own digits stay.
        if text[end - 1] == b'.' {
            end -= 1;
        }
        text[end] = b'Z';
        push_front(out, &text, end + 1);
    }

    fn render(&mut self, kept: u64) {
        let second = kept / (NS_PER_S / KEPT_NS);
        let civil = LocalTime::UTC.civil(i64::try_from(second).unwrap_or(i64::MAX));
        let mut text = Vec::with_capacity(LONGEST);
        push_padded(&mut text, u64::try_from(civil.year).unwrap_or(0), 4, b'0');
        let parts = [civil.month, civil.day, civil.hour, civil.minute, civil.second];
        for (part, separator) in parts.into_iter().zip(*b"--T::") {
            text.push(separator);
            push_padded(&mut text, part.into(), 2, b'0');
        }
        text.push(b'.');
        push_padded(&mut text, kept % (NS_PER_S / KEPT_NS), 4, b'0');
        self.text[..KEPT_LEN].copy_from_slice(&text[..KEPT_LEN]);
        self.kept = Some(kept);
    }
}

/// Leaves five of the nine digits.
const KEPT_NS: u64 = 100_000;

const NS_PER_S: u64 = 1_000_000_000;

/// Bytes up to the fourth digit of the fraction: years have four digits.
const KEPT_LEN: usize = "2026-03-05T14:07:09.1234".len();

/// Bytes with all digits.
const LONGEST: usize = "2026-03-05T14:07:09.123456789Z".len();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_have_no_trailing_zeros() {
        let mut rfc3339 = Rfc3339::default();
        for (time_ns, text) in [
            (1_772_719_629_123_456_789, "2026-03-05T14:07:09.123456789Z"),
            (1_772_719_629_500_000_000, "2026-03-05T14:07:09.5Z"),
            (1_772_719_629_000_000_010, "2026-03-05T14:07:09.00000001Z"),
            (1_772_719_629_000_000_000, "2026-03-05T14:07:09Z"),
            (1_772_719_629_000_100_000, "2026-03-05T14:07:09.0001Z"),
            (1_772_719_629_000_199_990, "2026-03-05T14:07:09.00019999Z"),
            (1_772_719_630_000_000_000, "2026-03-05T14:07:10Z"),
            (0, "1970-01-01T00:00:00Z"),
            (u64::MAX, "2554-07-21T23:34:33.709551615Z"),
        ] {
            let mut out = Vec::new();
            rfc3339.push(&mut out, time_ns);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }
}
