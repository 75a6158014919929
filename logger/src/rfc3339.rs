// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Instants as Go's RFC 3339 form in UTC, with as many digits of the second as
//! there are: `2026-03-05T14:07:09.5Z`.

use crate::local_time::{LocalTime, push_padded};

/// Writes instants; what it wrote of the last 100 µs is kept, because most lines
/// follow others within them.
#[derive(Debug, Default)]
pub struct Rfc3339 {
    /// Of which 100 µs since 1970 `text` is.
    kept: Option<u64>,
    /// Up to the fourth digit of the fraction.
    text: Vec<u8>,
}

impl Rfc3339 {
    /// Appends `time_ns`, nanoseconds since 1970.
    pub fn push(&mut self, out: &mut Vec<u8>, time_ns: u64) {
        let (kept, mut rest) = (time_ns / KEPT_NS, time_ns % KEPT_NS);
        if self.kept != Some(kept) {
            self.render(kept);
        }
        out.extend_from_slice(&self.text);
        let mut digits = *b"00000";
        for digit in digits.iter_mut().rev() {
            *digit += u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
        }
        out.extend_from_slice(&digits);
        while out.ends_with(b"0") {
            out.pop();
        }
        if out.ends_with(b".") {
            out.pop();
        }
        out.push(b'Z');
    }

    fn render(&mut self, kept: u64) {
        let second = kept / (NS_PER_S / KEPT_NS);
        let civil = LocalTime::UTC.civil(i64::try_from(second).unwrap_or(i64::MAX));
        self.text.clear();
        push_padded(&mut self.text, u64::try_from(civil.year).unwrap_or(0), 4, b'0');
        let parts = [civil.month, civil.day, civil.hour, civil.minute, civil.second];
        for (part, separator) in parts.into_iter().zip(*b"--T::") {
            self.text.push(separator);
            push_padded(&mut self.text, part.into(), 2, b'0');
        }
        self.text.push(b'.');
        push_padded(&mut self.text, kept % (NS_PER_S / KEPT_NS), 4, b'0');
        self.kept = Some(kept);
    }
}

/// Leaves five of the nine digits.
const KEPT_NS: u64 = 100_000;

const NS_PER_S: u64 = 1_000_000_000;

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
