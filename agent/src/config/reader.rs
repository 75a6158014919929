// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Takes keys out of a JSON object one by one and remembers every problem.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use dockerlogger_manifest::value::{parse_duration, parse_size_binary};
use serde_json::{Map, Value};

use crate::engine::EngineConfig;

use crate::config::{ConfigProblem, KEYS};

/// How much of a wrong value a message quotes, in characters.
const QUOTED_CHARS_MAX: usize = 120;

#[derive(Debug)]
pub(super) struct Reader {
    keys: Map<String, Value>,
    problems: Vec<ConfigProblem>,
}

impl Reader {
    pub(super) fn new(keys: Map<String, Value>) -> Reader {
        Reader { keys, problems: Vec::new() }
    }

    /// The text under `key` through `parse`; `None` when it is absent or wrong. What a wrong value
    /// should have been is said by [`KEYS`], the same way for every key; the parser's own words are not
    /// repeated, since they may quote what must not be shown.
    pub(super) fn text<T, E>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let value = self.keys.remove(key)?;
        let Value::String(text) = &value else {
            self.wrong_type(key, &value);
            return None;
        };
        match parse(text) {
            Ok(parsed) => Some(parsed),
            Err(_) => {
                self.problem(key, format!("{} is not accepted; {}", quoted(&value), accepts(key)));
                None
            }
        }
    }

    /// Like [`Reader::text`], and `null` is the same as absent.
    pub(super) fn optional_text<T, E>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        if self.keys.get(key).is_some_and(Value::is_null) {
            self.keys.remove(key);
            return None;
        }
        self.text(key, parse)
    }

    /// The texts under `key` through `parse`; nothing when it is absent or wrong.
    pub(super) fn list<T, E>(
        &mut self,
        key: &'static str,
        max: usize,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<T> {
        let Some(value) = self.keys.remove(key).filter(|value| !value.is_null()) else {
            return Vec::new();
        };
        let Value::Array(items) = &value else {
            self.wrong_type(key, &value);
            return Vec::new();
        };
        let mut parsed = Vec::new();
        for item in items {
            match item.as_str().map(&parse) {
                Some(Ok(item)) => parsed.push(item),
                _ => {
                    let problem = format!("{} is not accepted; {}", quoted(item), accepts(key));
                    self.problem(key, problem);
                    return Vec::new();
                }
            }
        }
        if parsed.len() > max {
            self.problem(key, format!("{} are too many; {}", parsed.len(), accepts(key)));
            return Vec::new();
        }
        parsed
    }

    /// Notes what is wrong with a key beyond its own value.
    pub(super) fn refuse(&mut self, key: &'static str, why: &str) {
        self.problem(key, format!("{why}; {}", accepts(key)));
    }

    /// The value under `key`, else that of `default`; `None` only where a problem was noted.
    pub(super) fn parsed_or<T>(&mut self, key: &'static str, default: &str) -> Option<T>
    where
        T: FromStr,
    {
        if !self.keys.contains_key(key) {
            self.keys.insert(key.to_owned(), default.into());
        }
        self.text(key, str::parse)
    }

    pub(super) fn absolute_path(&mut self, key: &'static str, default: &str) -> Option<PathBuf> {
        if !self.keys.contains_key(key) {
            return Some(PathBuf::from(default));
        }
        self.text(key, |text| {
            let plain = Path::new(text)
                .components()
                .all(|part| !matches!(part, std::path::Component::ParentDir));
            let accepted = Path::new(text).is_absolute() && plain && !text.contains('\0');
            if accepted { Ok(PathBuf::from(text)) } else { Err(()) }
        })
    }

    pub(super) fn duration(
        &mut self,
        key: &'static str,
        bounds: &RangeInclusive<Duration>,
    ) -> Option<Duration> {
        self.text(key, |text| {
            parse_duration(text).ok().filter(|duration| bounds.contains(duration)).ok_or(())
        })
    }

    pub(super) fn bytes(&mut self, key: &'static str) -> Option<u64> {
        match self.keys.get(key) {
            Some(Value::Number(number)) if number.as_u64().is_some() => {
                let bytes = number.as_u64();
                self.keys.remove(key);
                bytes
            }
            _ => self.text(key, parse_size_binary),
        }
    }

    /// A number from [`EngineConfig::RETAIN`] to `max`.
    pub(super) fn count(&mut self, key: &'static str, max: usize) -> Option<usize> {
        let value = self.keys.remove(key)?;
        let count = value.as_u64().and_then(|count| usize::try_from(count).ok());
        let accepted = count.filter(|count| (EngineConfig::RETAIN..=max).contains(count));
        if accepted.is_none() {
            self.problem(key, format!("{} is not accepted; {}", quoted(&value), accepts(key)));
        }
        accepted
    }

    /// All problems; keys nobody asked for are the last of them.
    pub(super) fn finish(mut self) -> Vec<ConfigProblem> {
        let known: Vec<&str> = KEYS.iter().map(|(key, _)| *key).collect();
        for key in std::mem::take(&mut self.keys).keys() {
            self.problems.push(ConfigProblem {
                key: key.chars().take(QUOTED_CHARS_MAX).collect(),
                message: format!("unknown key; known keys: {}", known.join(", ")),
            });
        }
        self.problems
    }

    fn wrong_type(&mut self, key: &'static str, value: &Value) {
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "text",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        };
        self.problem(key, format!("{} is {kind}; {}", quoted(value), accepts(key)));
    }

    fn problem(&mut self, key: &str, message: String) {
        self.problems.push(ConfigProblem { key: key.to_owned(), message });
    }
}

fn accepts(key: &str) -> String {
    match KEYS.iter().find(|(known, _)| *known == key) {
        Some((_, accepted)) => format!("accepted: {accepted}"),
        None => "not a key".to_owned(),
    }
}

/// The value as JSON, shortened; what looks like a URL's credentials is hidden.
fn quoted(value: &Value) -> String {
    let text = match value {
        Value::String(text) => Value::from(super::redacted(text)).to_string(),
        other => other.to_string(),
    };
    if text.chars().count() <= QUOTED_CHARS_MAX {
        return text;
    }
    let start: String = text.chars().take(QUOTED_CHARS_MAX).collect();
    format!("{start}…")
}
