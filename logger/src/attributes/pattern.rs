// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A regular expression in RE2's syntax, as Go has it, run by `regex-lite`.
//!
//! The engine's syntax is near, not the same, so the text is rewritten first:
//! `\Q…\E`, octal escapes, `\C`, a `{` that is no repetition, `\s` without the
//! vertical tab, every punctuation escape; and what RE2 refuses is refused
//! (`a**`, counts above 1000, flags `x` and `u`).
//!
//! What remains different: no Unicode classes (`\pL` is an error); `(?i)` folds
//! ASCII letters only; `\C` is a character and not a byte; a flag may not be
//! given twice in one group; groups are nested at most 50 deep, and a pattern
//! may compile to at most 1 MiB.

use std::iter::Peekable;
use std::str::Chars;

use super::PatternError;

/// Highest count in a repetition, as in Go.
const REPEAT_MAX: u32 = 1000;
/// Compiled size, bytes. The engine's own bound is 10 MiB, too much for this.
const COMPILED_BYTES_MAX: usize = 1024 * 1024;

/// A compiled expression.
#[derive(Debug)]
pub(super) struct Pattern(regex_lite::Regex);

impl Pattern {
    pub(super) fn new(text: &str) -> Result<Self, PatternError> {
        let translated = Translator::new(text).translate()?;
        let regex = regex_lite::RegexBuilder::new(&translated)
            .size_limit(COMPILED_BYTES_MAX)
            .build()
            .map_err(|source| PatternError(source.to_string()))?;
        Ok(Self(regex))
    }

    /// Whether any part of `text` matches.
    pub(super) fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

struct Translator<'a> {
    rest: Peekable<Chars<'a>>,
    out: String,
}

type Translated<T> = Result<T, PatternError>;

fn refuse<T>(problem: impl Into<String>) -> Translated<T> {
    Err(PatternError(problem.into()))
}

impl<'a> Translator<'a> {
    fn new(text: &'a str) -> Self {
        Self { rest: text.chars().peekable(), out: String::with_capacity(text.len() * 2) }
    }

    fn translate(mut self) -> Translated<String> {
        let mut repeated = false;
        while let Some(c) = self.rest.next() {
            let repeats = match c {
                '*' | '+' | '?' => {
                    self.out.push(c);
                    true
                }
                '{' => self.repetition()?,
                _ => false,
            };
            if repeats {
                if repeated {
                    return refuse("repetition of a repetition");
                }
                if self.rest.next_if_eq(&'?').is_some() {
                    self.out.push('?');
                }
            } else {
                match c {
                    '{' => self.literal('{'),
                    '\\' => self.escape()?,
                    '[' => self.class()?,
                    '(' => self.group()?,
                    ')' | '|' | '^' | '$' | '.' => self.out.push(c),
                    _ => self.literal(c),
                }
            }
            repeated = repeats;
        }
        Ok(self.out)
    }

    /// Any character as itself, in a class or outside.
    fn literal(&mut self, c: char) {
        if c.is_ascii_alphanumeric() {
            self.out.push(c);
        } else {
            self.out.push_str(&format!("\\x{{{:x}}}", u32::from(c)));
        }
    }

    /// After `{`: whether it is `n}`, `n,}` or `n,m}`; otherwise nothing is taken.
    fn repetition(&mut self) -> Translated<bool> {
        let mut ahead = self.rest.clone();
        let inside: String = ahead.by_ref().take_while(|&c| c != '}').collect();
        // `take_while` takes the brace as well, if there is one.
        let closed = self.rest.clone().nth(inside.chars().count()) == Some('}');
        let (min, max) =
            inside.split_once(',').map_or((inside.as_str(), None), |(a, b)| (a, Some(b)));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !closed || min.is_empty() || !digits(min) || !max.is_none_or(digits) {
            return Ok(false);
        }
        for count in [Some(min), max].into_iter().flatten().filter(|count| !count.is_empty()) {
            if !count.parse::<u32>().is_ok_and(|count| count <= REPEAT_MAX) {
                return refuse(format!("repetition count {count} is over {REPEAT_MAX}"));
            }
        }
        self.rest = ahead;
        self.out.push_str(&format!("{{{inside}}}"));
        Ok(true)
    }

    /// After `\` outside a class.
    fn escape(&mut self) -> Translated<()> {
        match self.rest.peek().copied() {
            Some('Q') => {
                self.rest.next();
                self.quoted();
            }
            Some('C') => {
                self.rest.next();
                self.out.push_str("(?s:.)");
            }
            Some(c @ ('A' | 'z' | 'b' | 'B')) => {
                self.rest.next();
                // In a group, lest a following `{` be taken as part of it.
                self.out.push_str(&format!("(?:\\{c})"));
            }
            Some('s' | 'S' | 'd' | 'D' | 'w' | 'W') => {
                self.out.push('[');
                self.class_escape();
                self.out.push(']');
            }
            _ => {
                let c = self.escaped_char()?;
                self.literal(c);
            }
        }
        Ok(())
    }

    /// After `\Q`: all as itself up to `\E` or the end.
    fn quoted(&mut self) {
        while let Some(c) = self.rest.next() {
            if c == '\\' && self.rest.next_if_eq(&'E').is_some() {
                return;
            }
            self.literal(c);
        }
    }

    /// After `\`, before one of `sSdDwW`: the members, to stand in a class.
    fn class_escape(&mut self) {
        match self.rest.next() {
            Some('s') => self.out.push_str("\\t\\n\\f\\r\\x20"),
            Some('S') => self.out.push_str("\\x00-\\x08\\x0b\\x0e-\\x1f\\x21-\\x{10ffff}"),
            Some(c) => self.out.extend(['\\', c]),
            None => {}
        }
    }

    /// After `\`: one character by its escape.
    fn escaped_char(&mut self) -> Translated<char> {
        let Some(c) = self.rest.next() else { return refuse("\\ at the end") };
        Ok(match c {
            'a' => '\x07',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            'x' => return self.hexadecimal(),
            '0'..='7' => return self.octal(c),
            'p' | 'P' => return refuse("Unicode classes are not supported"),
            _ if c.is_ascii() && !c.is_ascii_alphanumeric() => c,
            _ => return refuse(format!("unknown escape \\{c}")),
        })
    }

    /// After `\` and a digit; a single one but 0 would be a back-reference.
    fn octal(&mut self, first: char) -> Translated<char> {
        let is_octal = |c: &char| ('0'..='7').contains(c);
        if first != '0' && !self.rest.peek().is_some_and(is_octal) {
            return refuse("back-references are not supported");
        }
        let mut value = first.to_digit(8).unwrap_or(0);
        for _ in 0..2 {
            let digit = self.rest.next_if(is_octal).and_then(|c| c.to_digit(8));
            value = digit.map_or(value, |digit| value * 8 + digit);
        }
        char::from_u32(value).map_or_else(|| refuse("escape is no character"), Ok)
    }

    /// After `\x`: two digits, or any number of them in braces.
    fn hexadecimal(&mut self) -> Translated<char> {
        let digits: String = if self.rest.next_if_eq(&'{').is_some() {
            let digits = self.rest.clone().take_while(|&c| c != '}').collect();
            if !self.rest.any(|c| c == '}') {
                return refuse("\\x{ is not closed");
            }
            digits
        } else {
            let two: String = self.rest.by_ref().take(2).collect();
            if two.len() == 2 { two } else { String::new() }
        };
        let valid = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let value = u32::from_str_radix(&digits, 16).ok().filter(|_| valid);
        value.and_then(char::from_u32).map_or_else(|| refuse("bad \\x escape"), Ok)
    }

    /// After `(`.
    fn group(&mut self) -> Translated<()> {
        self.out.push('(');
        if self.rest.next_if_eq(&'?').is_none() {
            return Ok(());
        }
        let mut head = String::from("?");
        loop {
            let Some(c) = self.rest.next() else { return refuse("group is not closed") };
            head.push(c);
            match c {
                '>' if head.starts_with("?P<") || head.starts_with("?<") => break,
                _ if head.starts_with("?P") || head.starts_with("?<") => {}
                ':' | ')' => break,
                'i' | 'm' | 's' | 'U' | '-' => {}
                _ => return refuse(format!("unknown group flag {c:?}")),
            }
        }
        // A group of no flags changes nothing.
        self.out.push_str(if head == "?)" { ")" } else { &head });
        Ok(())
    }

    /// After `[`.
    fn class(&mut self) -> Translated<()> {
        self.out.push('[');
        if self.rest.next_if_eq(&'^').is_some() {
            self.out.push('^');
        }
        let mut first = true;
        loop {
            match self.rest.peek().copied() {
                None => return refuse("class [ is not closed"),
                Some(']') if !first => break,
                Some('[') if self.posix_class() => {}
                Some('\\') if matches!(self.second(), Some('s' | 'S' | 'd' | 'D' | 'w' | 'W')) => {
                    self.rest.next();
                    self.class_escape();
                }
                Some(_) => self.class_range()?,
            }
            first = false;
        }
        self.rest.next();
        self.out.push(']');
        Ok(())
    }

    fn second(&self) -> Option<char> {
        self.rest.clone().nth(1)
    }

    /// `[:name:]`, if that is what follows; the engine knows the names.
    fn posix_class(&mut self) -> bool {
        let ahead: String = self.rest.clone().take(12).collect();
        let end = ahead.find(":]").filter(|&end| end >= 2 && ahead.starts_with("[:"));
        let Some(name) = end.map(|end| &ahead[..end + 2]) else { return false };
        self.out.push_str(name);
        for _ in name.chars() {
            self.rest.next();
        }
        true
    }

    fn class_range(&mut self) -> Translated<()> {
        let low = self.class_char()?;
        let high = if self.rest.peek() == Some(&'-') && self.second().is_some_and(|c| c != ']') {
            self.rest.next();
            self.class_char()?
        } else {
            low
        };
        if high < low {
            return refuse(format!("class range {low:?} to {high:?} is the wrong way round"));
        }
        self.literal(low);
        self.out.push('-');
        self.literal(high);
        Ok(())
    }

    fn class_char(&mut self) -> Translated<char> {
        match self.rest.next() {
            Some('\\') => self.escaped_char(),
            Some(c) => Ok(c),
            None => refuse("class [ is not closed"),
        }
    }
}

#[cfg(test)]
mod tests;
