// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Expected text with placeholders against received bytes.

/// What the placeholders stand for in this run.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The host's name.
    pub hostname: String,
    /// The process id of the logger that dockerinit started.
    pub pid: i32,
    /// The base name under which it was started.
    pub argv0: String,
}

/// Returns how many bytes at the start are a time of its form.
type TimeMatcher = fn(&[u8]) -> Option<usize>;

/// Whether an id can have this byte.
type IsDigit = fn(&u8) -> bool;

/// Checks that `received` is exactly what `expected` says.
///
/// # Errors
/// Where they part, with what follows on both sides.
pub fn check(expected: &str, received: &[u8], facts: &Facts) -> Result<(), String> {
    let (mut pattern, mut rest) = (expected, received);
    while !pattern.is_empty() {
        let (matched, taken) = step(pattern, rest, facts).ok_or_else(|| {
            format!(
                "after {:?}\n  expected {:?}\n  received {:?}",
                tail(&received[..received.len() - rest.len()]),
                head(pattern.as_bytes()),
                head(rest)
            )
        })?;
        pattern = &pattern[taken..];
        rest = &rest[matched..];
    }
    if rest.is_empty() {
        Ok(())
    } else {
        Err(format!("more than expected was received: {:?}", head(rest)))
    }
}

/// Matches the first element of the pattern; returns how many received bytes and pattern bytes it took.
fn step(pattern: &str, received: &[u8], facts: &Facts) -> Option<(usize, usize)> {
    let pid = facts.pid.to_string();
    let fixed = [
        ("{HOSTNAME}", facts.hostname.as_str()),
        ("{PID}", pid.as_str()),
        ("{ARGV0}", facts.argv0.as_str()),
    ];
    for (name, value) in fixed {
        if pattern.starts_with(name) {
            return received.starts_with(value.as_bytes()).then_some((value.len(), name.len()));
        }
    }
    if pattern.starts_with("{LENGTH}") {
        return Some((length(received)?, "{LENGTH}".len()));
    }
    let times: [(&str, TimeMatcher); 5] = [
        ("{TS:float}", float),
        ("{TS:rfc3339}", rfc3339),
        ("{TS:rfc3339micro}", rfc3339_micro),
        ("{TS:rfc3339nano-z}", rfc3339_nano_z),
        ("{TS:stamp}", stamp),
    ];
    for (name, matcher) in times {
        if pattern.starts_with(name) {
            return Some((matcher(received)?, name.len()));
        }
    }
    let ids: [(&str, usize, IsDigit); 2] = [
        ("{PARTIAL_ID:64}", 64, |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')),
        ("{CHUNK:24}", 24, |byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte)),
    ];
    for (name, length, is_digit) in ids {
        if pattern.starts_with(name) {
            let id = received.get(..length).filter(|id| id.iter().all(is_digit));
            return id.map(|id| (id.len(), name.len()));
        }
    }
    if let Some(run) = pattern.strip_prefix('«') {
        let (run, _) = run.split_once('»')?;
        let (letter, times) = run.split_once('×')?;
        let text = letter.repeat(times.parse().ok()?);
        return received
            .starts_with(text.as_bytes())
            .then_some((text.len(), run.len() + "«»".len()));
    }
    if let Some(digits) = pattern.strip_prefix("\\x").and_then(|digits| digits.get(..2))
        && let Ok(byte) = u8::from_str_radix(digits, 16)
    {
        return (received.first() == Some(&byte)).then_some((1, 4));
    }
    let length = pattern.chars().next()?.len_utf8();
    received.starts_with(&pattern.as_bytes()[..length]).then_some((length, length))
}

/// The digits of a number that says how long the line behind them is.
fn length(received: &[u8]) -> Option<usize> {
    let space = memchr::memchr(b' ', received)?;
    let line = memchr::memchr(b'\n', &received[space + 1..])? + 1;
    (received[..space] == *line.to_string().as_bytes()).then_some(space)
}

/// `2026-01-02T03:04:05` and a zone.
fn rfc3339(bytes: &[u8]) -> Option<usize> {
    shaped(bytes, b"9999-99-99T99:99:99").and_then(|length| zone(bytes, length))
}

/// The same with six digits of a second.
fn rfc3339_micro(bytes: &[u8]) -> Option<usize> {
    shaped(bytes, b"9999-99-99T99:99:99.999999").and_then(|length| zone(bytes, length))
}

/// In UTC with as many digits of a second as there are, at most nine.
fn rfc3339_nano_z(bytes: &[u8]) -> Option<usize> {
    let seconds = shaped(bytes, b"9999-99-99T99:99:99")?;
    let end = seconds + bytes[seconds..].iter().position(|byte| *byte == b'Z')?;
    let good = match &bytes[seconds..end] {
        [] => true,
        [b'.', digits @ .., last] => {
            digits.len() < 9
                && digits.iter().all(u8::is_ascii_digit)
                && (b'1'..=b'9').contains(last)
        }
        _ => false,
    };
    good.then_some(end + 1)
}

fn zone(bytes: &[u8], from: usize) -> Option<usize> {
    match bytes.get(from)? {
        b'Z' => Some(from + 1),
        b'+' | b'-' => shaped(&bytes[from + 1..], b"99:99").map(|length| from + 1 + length),
        _ => None,
    }
}

/// Seconds of this century, with up to three digits of fraction and no zero at their end.
fn float(bytes: &[u8]) -> Option<usize> {
    let seconds = shaped(bytes, b"9999999999")?;
    let Some(fraction) = bytes[seconds..].strip_prefix(b".") else { return Some(seconds) };
    let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let is_short = (1..=3).contains(&digits) && fraction[digits - 1] != b'0';
    is_short.then_some(seconds + 1 + digits)
}

/// `Jan _2 15:04:05`
fn stamp(bytes: &[u8]) -> Option<usize> {
    const MONTHS: [&[u8]; 12] = [
        b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov",
        b"Dec",
    ];
    MONTHS.iter().find(|month| bytes.starts_with(month))?;
    let rest = &bytes[3..];
    let day = if rest.get(1) == Some(&b' ') { &b"  9 99:99:99"[..] } else { &b" 99 99:99:99"[..] };
    shaped(rest, day).map(|length| 3 + length)
}

/// Checks a shape in which 9 stands for any digit.
fn shaped(bytes: &[u8], shape: &[u8]) -> Option<usize> {
    let fits = |(byte, wanted): (&u8, &u8)| {
        if *wanted == b'9' { byte.is_ascii_digit() } else { byte == wanted }
    };
    (bytes.len() >= shape.len() && bytes.iter().zip(shape).all(fits)).then_some(shape.len())
}

fn head(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned()
}

fn tail(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(40)..]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(expected: &str, received: &str) -> bool {
        let facts = Facts { hostname: "host".to_owned(), pid: 42, argv0: "logger".to_owned() };
        check(expected, received.as_bytes(), &facts).is_ok()
    }

    #[test]
    fn placeholders_match_what_they_stand_for_and_nothing_else() {
        for (expected, good, bad) in [
            ("<30>{TS:stamp} x", "<30>Jan  2 03:04:05 x", "<30>Jan 2 03:04:05 x"),
            ("<30>{TS:stamp} x", "<30>Dec 12 03:04:05 x", "<30>dec 12 03:04:05 x"),
            ("{TS:rfc3339} x", "2026-01-02T03:04:05Z x", "2026-01-02 03:04:05Z x"),
            ("{TS:rfc3339} x", "2026-01-02T03:04:05+02:00 x", "2026-01-02T03:04:05.1Z x"),
            ("{TS:rfc3339micro} x", "2026-01-02T03:04:05.000001Z x", "2026-01-02T03:04:05.0001Z x"),
            (
                "{TS:rfc3339nano-z} x",
                "2026-01-02T03:04:05.120000001Z x",
                "2026-01-02T03:04:05.10Z x",
            ),
            ("{TS:rfc3339nano-z} x", "2026-01-02T03:04:05Z x", "2026-01-02T03:04:05.1234567891Z x"),
            ("{TS:float},", "1772719629.12,", "1772719629.120,"),
            ("{TS:float},", "1772719629,", "1772719629.,"),
            ("{HOSTNAME} {ARGV0}/t[{PID}]", "host logger/t[42]", "host logger/t[43]"),
            ("{LENGTH} x\n{LENGTH} yy\n", "2 x\n3 yy\n", "2 x\n2 yy\n"),
            ("a«b×3»c", "abbbc", "abbc"),
            ("{{.ID}} \\\\x", "{{.ID}} \\\\x", "{{.ID}} \\x"),
            ("{CHUNK:24}", "DY6paQAAAADvzauJZ0UjAQ==", "DY6paQAAAADvzauJZ0UjAQ="),
            ("end", "end", "end\n"),
            ("end\n", "end\n", "end"),
        ] {
            assert!(fits(expected, good), "{expected:?} should match {good:?}");
            assert!(!fits(expected, bad), "{expected:?} should not match {bad:?}");
        }
        let facts = Facts { hostname: String::new(), pid: 0, argv0: String::new() };
        assert!(check("\\xff!", b"\xff!", &facts).is_ok());
        assert!(check("\\xff!", "\u{ff}!".as_bytes(), &facts).is_err());
    }
}
