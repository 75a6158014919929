// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The zone's local time.
//!
//! The time zone is that of `TZ` where it is set, else of `/etc/localtime`, else
//! UTC. It is read once, by the sender.

use tz::TimeZone;

/// The rules that turn an instant into local time.
#[derive(Debug, Clone)]
pub(crate) struct LocalTime(Option<TimeZone>);

/// An instant as a calendar shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Civil {
    pub(crate) year: i64,
    /// 1–12
    pub(crate) month: u8,
    /// 1–31
    pub(crate) day: u8,
    pub(crate) hour: u8,
    pub(crate) minute: u8,
    pub(crate) second: u8,
    /// Minutes east of Greenwich.
    pub(crate) offset_minutes: i16,
}

impl LocalTime {
    /// The time of a place without rules.
    pub(crate) const UTC: Self = Self(None);

    /// Reads the rules. `tz` is the value of `TZ`; an empty one means UTC.
    pub(crate) fn load(tz: Option<&str>) -> Self {
        let zone = match tz {
            Some("") => None,
            Some(name) => TimeZone::from_posix_tz(name).ok(),
            None => TimeZone::local().ok(),
        };
        Self(zone)
    }

    /// The local time of `seconds` since 1970. Offsets are cut to minutes.
    pub(crate) fn civil(&self, seconds: i64) -> Civil {
        let offset = self
            .0
            .as_ref()
            .and_then(|zone| zone.find_local_time_type(seconds).ok())
            .map_or(0, tz::LocalTimeType::ut_offset);
        civil(seconds + i64::from(offset), i16::try_from(offset / 60).unwrap_or(0))
    }
}

/// The Gregorian date of `local` seconds: days counted in eras of 400 years that
/// start on 1 March, so that the leap day is a year's last.
fn civil(local: i64, offset_minutes: i16) -> Civil {
    let (days, second_of_day) = (local.div_euclid(86_400), local.rem_euclid(86_400));
    let from_march_0000 = days + 719_468;
    let (era, day_of_era) =
        (from_march_0000.div_euclid(146_097), from_march_0000.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let small = |n: i64| u8::try_from(n).unwrap_or(0);
    Civil {
        year: 400 * era + year_of_era + i64::from(month <= 2),
        month: small(month),
        day: small(day),
        hour: small(second_of_day / 3600),
        minute: small(second_of_day / 60 % 60),
        second: small(second_of_day % 60),
        offset_minutes,
    }
}

/// Appends `n` in decimal with at least `width` digits.
pub(crate) fn push_padded(out: &mut Vec<u8>, n: u64, width: usize, pad: u8) {
    let mut digits = [pad; 20];
    let mut at = digits.len();
    let mut rest = n;
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at.min(digits.len() - width.min(digits.len()))..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(zone: &LocalTime, seconds: i64) -> String {
        let c = zone.civil(seconds);
        format!(
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02} {:+}",
            c.year, c.month, c.day, c.hour, c.minute, c.second, c.offset_minutes
        )
    }

    #[test]
    fn dates_of_utc() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00 +0"),
            (-1, "1969-12-31 23:59:59 +0"),
            (951_782_400, "2000-02-29 00:00:00 +0"),
            (1_772_719_629, "2026-03-05 14:07:09 +0"),
            (4_107_542_400, "2100-03-01 00:00:00 +0"),
        ] {
            assert_eq!(shown(&LocalTime::UTC, seconds), text);
        }
    }

    #[test]
    fn offsets_follow_the_rules_of_the_zone() {
        let zone = LocalTime::load(Some("CET-1CEST,M3.5.0,M10.5.0/3"));
        assert_eq!(shown(&zone, 1_772_719_629), "2026-03-05 15:07:09 +60");
        assert_eq!(shown(&zone, 1_783_260_429), "2026-07-05 16:07:09 +120");
        let west = LocalTime::load(Some("<-0330>3:30"));
        assert_eq!(shown(&west, 0), "1969-12-31 20:30:00 -210");
        assert_eq!(shown(&LocalTime::load(Some("")), 0), shown(&LocalTime::UTC, 0));
    }

    #[test]
    fn padding() {
        for (n, width, pad, text) in
            [(5, 2, b'0', "05"), (5, 2, b' ', " 5"), (123, 2, b'0', "123"), (0, 1, b'0', "0")]
        {
            let mut out = Vec::new();
            push_padded(&mut out, n, width, pad);
            assert_eq!(out, text.as_bytes());
        }
    }
}
