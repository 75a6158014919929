// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! When a container was created, kept as it is written.

use std::fmt::Write;
use std::str::FromStr;

/// An instant as date, time of day and offset. The default is Go's zero time,
/// the first second of the year 1, which stands for "not known".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Created {
    /// 0 to 9999.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
    /// 0 to 999 999 999.
    pub nanosecond: u32,
    /// East of UTC, minutes.
    pub offset_minutes: i16,
}

/// A text that is no RFC 3339 time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "time {0:?} is not in the form 2006-01-02T15:04:05.999999999Z or with an offset like +01:00"
)]
pub struct ParseCreatedError(String);

impl Default for Created {
    fn default() -> Self {
        Self {
            year: 1,
            month: 1,
            day: 1,
            hour: 0,
            minute: 0,
            second: 0,
            nanosecond: 0,
            offset_minutes: 0,
        }
    }
}

impl Created {
    /// As Go prints a time: `2026-03-05 14:00:00.5 +0000 UTC`.
    #[must_use]
    pub fn to_go(&self) -> String {
        let offset = self.offset("");
        let zone = if self.offset_minutes == 0 { "UTC" } else { &offset };
        format!("{} {} {offset} {zone}", self.date(), self.time())
    }

    /// RFC 3339 with as many digits of the second as there are:
    /// `2026-03-05T14:00:00.5Z`.
    #[must_use]
    pub fn to_rfc3339(&self) -> String {
        let offset = if self.offset_minutes == 0 { "Z".to_owned() } else { self.offset(":") };
        format!("{}T{}{offset}", self.date(), self.time())
    }

    fn date(&self) -> String {
        format!("{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }

    fn time(&self) -> String {
        let mut time = format!("{:02}:{:02}:{:02}", self.hour, self.minute, self.second);
        if self.nanosecond != 0 {
            // Writing to a string cannot fail.
            let _ = write!(time, ".{:09}", self.nanosecond);
            time.truncate(time.trim_end_matches('0').len());
        }
        time
    }

    fn offset(&self, separator: &str) -> String {
        let sign = if self.offset_minutes < 0 { '-' } else { '+' };
        let minutes = self.offset_minutes.unsigned_abs();
        format!("{sign}{:02}{separator}{:02}", minutes / 60, minutes % 60)
    }
}

impl FromStr for Created {
    type Err = ParseCreatedError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| ParseCreatedError(text.chars().take(64).collect()))
    }
}

fn parse(text: &str) -> Option<Created> {
    let (date, rest) = text.split_once('T')?;
    let zone_at = rest.find(['Z', '+', '-'])?;
    let (time, zone) = rest.split_at(zone_at);
    let [year, month, day] = fields(date, '-', [4, 2, 2])?;
    let (time, fraction) = time.split_once('.').map_or((time, None), |(t, f)| (t, Some(f)));
    let [hour, minute, second] = fields(time, ':', [2, 2, 2])?;
    let nanosecond = match fraction {
        None => 0,
        Some(digits) if (1..=9).contains(&digits.len()) => number(&format!("{digits:0<9}"), 9)?,
        Some(_) => return None,
    };
    let offset_minutes = if zone == "Z" {
        0
    } else {
        let [hours, minutes] = fields(&zone[1..], ':', [2, 2])?;
        let minutes =
            i16::try_from(hours * 60 + minutes).ok().filter(|_| hours < 24 && minutes < 60)?;
        if zone.starts_with('-') { -minutes } else { minutes }
    };
    let days = match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=days).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some(Created {
        year: u16::try_from(year).ok()?,
        month: u8::try_from(month).ok()?,
        day: u8::try_from(day).ok()?,
        hour: u8::try_from(hour).ok()?,
        minute: u8::try_from(minute).ok()?,
        second: u8::try_from(second).ok()?,
        nanosecond,
        offset_minutes,
    })
}

/// Numbers of exactly these lengths between separators.
fn fields<const N: usize>(text: &str, separator: char, digits: [usize; N]) -> Option<[u32; N]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; N];
    for (at, len) in digits.into_iter().enumerate() {
        numbers[at] = number(parts.next()?, len)?;
    }
    parts.next().is_none().then_some(numbers)
}

fn number(text: &str, len: usize) -> Option<u32> {
    let digits = text.len() == len && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_printed_as_go_prints_them() {
        for (text, go, rfc3339) in [
            ("2026-01-02T03:04:05Z", "2026-01-02 03:04:05 +0000 UTC", "2026-01-02T03:04:05Z"),
            (
                "2026-03-05T14:00:00.500Z",
                "2026-03-05 14:00:00.5 +0000 UTC",
                "2026-03-05T14:00:00.5Z",
            ),
            (
                "2026-03-05T14:07:09.123456789Z",
                "2026-03-05 14:07:09.123456789 +0000 UTC",
                "2026-03-05T14:07:09.123456789Z",
            ),
            ("2024-02-29T00:00:00+00:00", "2024-02-29 00:00:00 +0000 UTC", "2024-02-29T00:00:00Z"),
            (
                "2026-03-05T14:00:00-03:30",
                "2026-03-05 14:00:00 -0330 -0330",
                "2026-03-05T14:00:00-03:30",
            ),
        ] {
            let created: Created = text.parse().unwrap();
            assert_eq!(created.to_go(), go);
            assert_eq!(created.to_rfc3339(), rfc3339);
        }
        assert_eq!(Created::default().to_go(), "0001-01-01 00:00:00 +0000 UTC");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2026-01-02",
            "2026-01-02T03:04:05",
            "2026-13-02T03:04:05Z",
            "2026-02-29T03:04:05Z",
            "2026-01-02T24:04:05Z",
            "2026-01-02T03:04:05.Z",
            "2026-01-02T03:04:05.1234567890Z",
            "2026-01-02T03:04:05+1:00",
            "2026-01-02T03:04:05+01:60",
            "+026-01-02T03:04:05Z",
            "2026-01-02T03:04:05Zé",
        ] {
            assert!(text.parse::<Created>().is_err(), "{text:?}");
        }
        let error = "yesterday".parse::<Created>().unwrap_err();
        assert!(error.to_string().starts_with("time \"yesterday\" is not in the form"));
    }
}
