// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Delegated roles: their names, and which targets they are trusted with.

use std::fmt;
use std::str::FromStr;

use tough::schema::{DelegatedRole, PathSet};

/// The name of a delegated role, which becomes part of a file name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RoleName(String);

/// A pattern for names of targets; `*` and `?` stand for anything but `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PathPattern(String);

/// A text is not what it should be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub(crate) struct FormError(&'static str);

impl RoleName {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RoleName {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        let plain = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        let taken = ["root", "timestamp", "snapshot", "targets"].contains(&text);
        if taken || !(1..=32).contains(&text.len()) || !text.bytes().all(plain) {
            return Err(FormError("1-32 of a-z, 0-9 and -, and no role of the root"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PathPattern {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PathPattern {
    type Err = FormError;

    /// Refuses what verifiers do not agree about: classes, braces, escapes, `**`.
    fn from_str(text: &str) -> Result<Self, FormError> {
        let plain = |c: char| c.is_ascii_graphic() && !"[]{}\\!".contains(c);
        let relative = !text.starts_with('/') && text.split('/').all(|part| !part.is_empty());
        if text.is_empty() || !relative || !text.chars().all(plain) || text.contains("**") {
            return Err(FormError("a relative path in which * and ? alone stand for others"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// Whether a role is trusted with a target, as the specification has it:
/// pattern and name are compared folder by folder.
pub(crate) fn covers(role: &DelegatedRole, name: &str) -> bool {
    match &role.paths {
        PathSet::Paths(patterns) => patterns.iter().any(|pattern| matches(pattern.value(), name)),
        PathSet::PathHashPrefixes(_) => false,
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    let (patterns, parts) = (pattern.split('/'), name.split('/'));
    patterns.clone().count() == parts.clone().count()
        && patterns.zip(parts).all(|(pattern, part)| part_matches(pattern, part))
}

fn part_matches(pattern: &str, part: &str) -> bool {
    let mut characters = pattern.chars();
    match characters.next() {
        None => part.is_empty(),
        Some('*') => {
            let rest = characters.as_str();
            let mut ends = part.char_indices().map(|(at, _)| at).chain([part.len()]);
            ends.any(|at| part_matches(rest, &part[at..]))
        }
        Some(wanted) => {
            let mut others = part.chars();
            others.next().is_some_and(|got| wanted == '?' || wanted == got)
                && part_matches(characters.as_str(), others.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_cover_names_folder_by_folder() {
        for (pattern, name, covered) in [
            ("releases/2.*.json", "releases/2.0.0.json", true),
            ("releases/2.*.json", "releases/1.2.0.json", false),
            ("*", "a/b", false),
            ("*/*", "a/b", true),
            ("logger-2.*", "logger-2.0.0-x.tar.zst", true),
            ("foo-?.tgz", "foo-1.tgz", true),
            ("foo-?.tgz", "foo-.tgz", false),
            ("a*b*c", "aXbYbc", true),
            ("a*b*c", "aXbYb", false),
        ] {
            assert_eq!(matches(pattern, name), covered, "{pattern} {name}");
        }
    }

    #[test]
    fn names_and_patterns_are_plain() {
        for name in ["beta", "team-2"] {
            assert_eq!(name.parse::<RoleName>().unwrap().as_str(), name);
        }
        for name in ["", "targets", "root", "../x", "A", "a/b", &"a".repeat(33)] {
            assert!(name.parse::<RoleName>().is_err(), "{name}");
        }
        for pattern in ["", "/a", "a//b", "[ab]", "{a,b}", "a\\*", "**", "a b"] {
            assert!(pattern.parse::<PathPattern>().is_err(), "{pattern}");
        }
    }
}
