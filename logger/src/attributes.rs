// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Which labels and environment variables go along with a container's lines.
//!
//! The options `labels`, `labels-regex`, `env` and `env-regex` of Docker, in
//! that order; what comes later overwrites what has the same key, so the
//! environment beats labels. An empty option selects nothing.

use std::collections::BTreeMap;

mod pattern;

use self::pattern::Pattern;

/// Why the attributes cannot be chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("log option \"{option}\": {pattern:?} is not a regular expression in RE2 syntax")]
pub struct AttributesError {
    /// `labels-regex` or `env-regex`.
    pub option: &'static str,
    /// What was given.
    pub pattern: String,
    /// What is wrong with it.
    #[source]
    pub source: PatternError,
}

/// What is wrong with a regular expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(String);

/// The attributes that `config` selects from `labels` and `env`.
///
/// The names in the options `labels` and `env` are divided by `,` and taken as
/// they are, spaces included. An entry of `env` without `=` is no variable; of
/// two with the same name the last counts. As in Docker, `env-regex` is looked
/// at only if there is an environment at all.
///
/// # Errors
///
/// A regular expression that is none, with the name of its option.
pub fn extra_attributes(
    config: &BTreeMap<String, String>,
    labels: &BTreeMap<String, String>,
    env: &[String],
) -> Result<BTreeMap<String, String>, AttributesError> {
    let labels = labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let variables = env.iter().filter_map(|entry| entry.split_once('=')).collect();
    let mut chosen = BTreeMap::new();
    choose_named(config, "labels", &labels, &mut chosen);
    choose_matching(config, "labels-regex", &labels, &mut chosen)?;
    if !env.is_empty() {
        choose_named(config, "env", &variables, &mut chosen);
        choose_matching(config, "env-regex", &variables, &mut chosen)?;
    }
    Ok(chosen)
}

fn choose_named(
    config: &BTreeMap<String, String>,
    option: &'static str,
    from: &BTreeMap<&str, &str>,
    chosen: &mut BTreeMap<String, String>,
) {
    let names = config.get(option).filter(|names| !names.is_empty());
    for name in names.into_iter().flat_map(|names| names.split(',')) {
        if let Some(value) = from.get(name) {
            chosen.insert(name.to_owned(), (*value).to_owned());
        }
    }
}

fn choose_matching(
    config: &BTreeMap<String, String>,
    option: &'static str,
    from: &BTreeMap<&str, &str>,
    chosen: &mut BTreeMap<String, String>,
) -> Result<(), AttributesError> {
    let Some(text) = config.get(option).filter(|text| !text.is_empty()) else { return Ok(()) };
    let pattern = Pattern::new(text).map_err(|source| AttributesError {
        option,
        pattern: text.clone(),
        source,
    })?;
    for (key, value) in from.iter().filter(|(key, _)| pattern.is_match(key)) {
        chosen.insert((*key).to_owned(), (*value).to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    const LABELS: &[(&str, &str)] =
        &[("com.example.team", "core"), ("tier", "web"), ("_hidden", "x"), ("empty", "")];

    fn choose(
        config: &[(&str, &str)],
        env: &[&str],
    ) -> Result<BTreeMap<String, String>, AttributesError> {
        let env: Vec<String> = env.iter().map(|entry| (*entry).to_owned()).collect();
        extra_attributes(&map(config), &map(LABELS), &env)
    }

    #[track_caller]
    fn check(config: &[(&str, &str)], env: &[&str], expected: &[(&str, &str)]) {
        assert_eq!(choose(config, env).unwrap(), map(expected), "{config:?} {env:?}");
    }

    const ENV: &[&str] = &["APP_ENV=prod", "APP_REGION=eu", "PATH=/bin", "NOEQ"];

    #[test]
    fn vectors_choose_what_docker_chooses() {
        check(
            &[
                ("labels", "tier,com.example.team,empty,nosuch"),
                ("env", "APP_ENV,NOPE"),
                ("env-regex", "^APP_"),
                ("labels-regex", "^com\\."),
            ],
            ENV,
            &[
                ("APP_ENV", "prod"),
                ("APP_REGION", "eu"),
                ("com.example.team", "core"),
                ("empty", ""),
                ("tier", "web"),
            ],
        );
        check(
            &[
                ("labels", "tier,com.example.team,_hidden"),
                ("env", "APP_ENV"),
                ("env-regex", "^APP_"),
                ("labels-regex", "^com"),
            ],
            ENV,
            &[
                ("APP_ENV", "prod"),
                ("APP_REGION", "eu"),
                ("_hidden", "x"),
                ("com.example.team", "core"),
                ("tier", "web"),
            ],
        );
        check(
            &[("labels", "tier"), ("env", "APP_ENV")],
            ENV,
            &[("APP_ENV", "prod"), ("tier", "web")],
        );
    }

    #[test]
    fn names_are_taken_as_they_are() {
        check(&[], ENV, &[]);
        check(&[("labels", ""), ("env", "")], ENV, &[]);
        check(&[("labels", "empty, tier")], ENV, &[("empty", "")]);
        check(&[("labels", ",,tier,")], ENV, &[("tier", "web")]);
        check(&[("env", "NOEQ,PATH")], ENV, &[("PATH", "/bin")]);
        check(&[("env", "A,B")], &["A=1", "A=2", "B=x=y", "=z"], &[("A", "2"), ("B", "x=y")]);
        check(&[("env", ",")], &["=z"], &[("", "z")]);
    }

    #[test]
    fn the_environment_beats_labels() {
        check(&[("labels", "tier"), ("env", "tier")], &["tier=env"], &[("tier", "env")]);
        check(
            &[("labels-regex", "i"), ("env-regex", "^tier$")],
            &["tier=e"],
            &[("tier", "e"), ("_hidden", "x")],
        );
    }

    #[test]
    fn a_bad_pattern_names_option_and_text() {
        let error = choose(&[("labels-regex", "(")], ENV).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"log option "labels-regex": "(" is not a regular expression in RE2 syntax"#
        );
        assert!(
            std::error::Error::source(&error).is_some_and(|source| !source.to_string().is_empty())
        );
        assert_eq!(choose(&[("env-regex", "[")], ENV).unwrap_err().option, "env-regex");
        check(&[("env-regex", "[")], &[], &[]);
        assert!(choose(&[("env-regex", "[")], &["NOEQ"]).is_err(), "an entry without = counts");
    }
}
