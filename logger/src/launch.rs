// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What dockerinit says about the container: the `DOCKERLOG_*` variables.
//!
//! Every one may be absent. A malformed entrypoint or command counts as empty,
//! as it always has: they only serve tags, and refusing them would end a
//! container that runs today. So do malformed labels and a malformed environment,
//! with a complaint: most containers have no use for them. Malformed options are
//! refused, because what the user asked for cannot be done.

use std::collections::BTreeMap;

use dockerlogger_manifest::{SECRET, catalog};
use serde_json::{Value, json};

use crate::report::report;
use crate::template::container::Container;

/// The container as its starter describes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Launch {
    /// `DOCKERLOG_CONFIG`: the log options.
    pub options: BTreeMap<String, String>,
    /// `DOCKERLOG_CONTAINERID`: 64 hex digits, or fewer.
    pub container_id: String,
    /// `DOCKERLOG_CONTAINERNAME`, with a leading `/` if it came with one.
    pub container_name: String,
    /// `DOCKERLOG_CREATETIME`: RFC 3339, as written.
    pub created: String,
    /// `DOCKERLOG_IMAGEID`.
    pub image_id: String,
    /// `DOCKERLOG_IMAGENAME`: as the user typed it.
    pub image_name: String,
    /// The program: the first of entrypoint and command.
    pub program: String,
    /// The rest of entrypoint and command.
    pub args: Vec<String>,
    /// `DOCKERLOG_LABELS`.
    pub labels: BTreeMap<String, String>,
    /// `DOCKERLOG_ENV`: `NAME=VALUE`, as written.
    pub env: Vec<String>,
    /// `TZ`, which dockerinit does not set.
    pub time_zone: Option<String>,
    /// `DOCKERLOGGER_TEST_POISON`: the sender aborts at this line. Only in builds
    /// with debug assertions, which a release is not: the tests need a record
    /// that kills, and none is known.
    #[cfg(debug_assertions)]
    pub test_poison: Option<String>,
    /// `DOCKERLOG_STATUS`, which dockerinit does not set: the status page's file.
    pub status_path: Option<String>,
    /// `DOCKERLOG_METADATA`, which dockerinit does not set: the zone's metadata
    /// socket.
    pub metadata_path: Option<String>,
    /// The base name under which this program was started.
    pub argv0: String,
    /// What is wrong with labels or environment, which count as empty then.
    pub complaints: Vec<String>,
}

/// A variable that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// It is not JSON.
    #[error("{variable} is not JSON, expected {expected}")]
    Json {
        /// Its name.
        variable: &'static str,
        /// What it should be.
        expected: &'static str,
        /// What the parser says.
        #[source]
        source: serde_json::Error,
    },
    /// It is JSON of another form.
    #[error("{variable} is {found}, expected {expected}")]
    Form {
        /// Its name.
        variable: &'static str,
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// A value in an object is not text.
    #[error("{variable}: the value of \"{key}\" is {found}, expected a string")]
    Member {
        /// The variable's name.
        variable: &'static str,
        /// The name inside the object.
        key: String,
        /// What the value is.
        found: &'static str,
    },
}

impl Launch {
    /// Reads the variables through `variable`. `argv0` is the path under which
    /// this program was started.
    ///
    /// # Errors
    /// When the options are not JSON of the right form.
    pub fn read(
        argv0: &str,
        variable: impl Fn(&'static str) -> Option<String>,
    ) -> Result<Self, LaunchError> {
        let text = |name| variable(name).unwrap_or_default();
        let mut command = strings(&text("DOCKERLOG_ENTRYPOINT"));
        command.extend(strings(&text("DOCKERLOG_CMD")));
        let args = command.split_off(command.len().min(1));
        let mut complaints = Vec::new();
        Ok(Self {
            options: parse_options("DOCKERLOG_CONFIG", &text("DOCKERLOG_CONFIG"))?,
            container_id: text("DOCKERLOG_CONTAINERID"),
            container_name: text("DOCKERLOG_CONTAINERNAME"),
            created: text("DOCKERLOG_CREATETIME"),
            image_id: text("DOCKERLOG_IMAGEID"),
            image_name: text("DOCKERLOG_IMAGENAME"),
            program: command.pop().unwrap_or_default(),
            args,
            labels: parse_options("DOCKERLOG_LABELS", &text("DOCKERLOG_LABELS"))
                .unwrap_or_else(|error| none(&error, &mut complaints)),
            env: parse_list("DOCKERLOG_ENV", &text("DOCKERLOG_ENV"))
                .unwrap_or_else(|error| none(&error, &mut complaints)),
            time_zone: variable("TZ"),
            status_path: variable("DOCKERLOG_STATUS"),
            metadata_path: variable("DOCKERLOG_METADATA"),
            #[cfg(debug_assertions)]
            test_poison: variable("DOCKERLOGGER_TEST_POISON"),
            argv0: argv0.rsplit('/').next().unwrap_or_default().to_owned(),
            complaints,
        })
    }

    /// The container's identity, as templates and records know it. A create time
    /// that is none counts as Go's zero time.
    pub fn container(&self, hostname: &[u8]) -> Container {
        Container {
            config: self.options.clone(),
            container_id: self.container_id.clone(),
            container_name: self.container_name.clone(),
            entrypoint: self.program.clone(),
            args: self.args.clone(),
            image_id: self.image_id.clone(),
            image_name: self.image_name.clone(),
            created: self.created.parse().unwrap_or_default(),
            env: self.env.clone(),
            labels: self.labels.clone(),
            log_path: String::new(),
            hostname: String::from_utf8_lossy(hostname).into_owned(),
        }
    }

    /// All of it, for `logger ctxdump`, under the names of Docker's own; secrets
    /// are not shown.
    pub fn to_json(&self) -> Value {
        let config: BTreeMap<&str, &str> = self
            .options
            .iter()
            .map(|(name, value)| {
                (name.as_str(), if catalog::is_secret(name) { SECRET } else { value.as_str() })
            })
            .collect();
        json!({
            "Config": config,
            "ContainerID": self.container_id,
            "ContainerName": self.container_name,
            "ContainerEntrypoint": self.program,
            "ContainerArgs": self.args,
            "ContainerImageID": self.image_id,
            "ContainerImageName": self.image_name,
            "ContainerCreated": self.created,
            "ContainerLabels": self.labels,
            "ContainerEnv": self.env,
            "LogPath": "",
        })
    }
}

/// Nothing, in the place of what cannot be used.
fn none<T: Default>(error: &LaunchError, complaints: &mut Vec<String>) -> T {
    complaints.push(format!("{}; it counts as empty", report(error)));
    T::default()
}

/// A JSON object of strings; absent or empty text is an empty object.
///
/// # Errors
/// When it is anything else; `variable` is what the message calls it.
pub fn parse_options(
    variable: &'static str,
    text: &str,
) -> Result<BTreeMap<String, String>, LaunchError> {
    let expected = "a JSON object of strings";
    match parse(variable, text, expected)? {
        Value::Null => Ok(BTreeMap::new()),
        Value::Object(members) => members
            .into_iter()
            .map(|(key, value)| match value {
                Value::String(value) => Ok((key, value)),
                other => Err(LaunchError::Member { variable, key, found: kind(&other) }),
            })
            .collect(),
        other => Err(LaunchError::Form { variable, expected, found: kind(&other) }),
    }
}

/// A JSON array of strings; absent or empty text is an empty array.
///
/// # Errors
/// When it is anything else; `variable` is what the message calls it.
pub(crate) fn parse_list(variable: &'static str, text: &str) -> Result<Vec<String>, LaunchError> {
    let expected = "a JSON array of strings";
    match parse(variable, text, expected)? {
        Value::Null => Ok(Vec::new()),
        Value::Array(items) => items
            .into_iter()
            .map(|item| match item {
                Value::String(item) => Ok(item),
                _ => Err(LaunchError::Form {
                    variable,
                    expected,
                    found: "an array with other items",
                }),
            })
            .collect(),
        other => Err(LaunchError::Form { variable, expected, found: kind(&other) }),
    }
}

fn parse(variable: &'static str, text: &str, expected: &'static str) -> Result<Value, LaunchError> {
    if text.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(text).map_err(|source| LaunchError::Json { variable, expected, source })
}

/// An array of strings, or one string; anything else counts as empty.
fn strings(text: &str) -> Vec<String> {
    match serde_json::from_str(text) {
        Ok(Value::String(one)) => vec![one],
        Ok(Value::Array(items)) => items
            .into_iter()
            .map(|item| if let Value::String(item) = item { Some(item) } else { None })
            .collect::<Option<_>>()
            .unwrap_or_default(),
        _ => Vec::new(),
    }
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Launch, LaunchError> {
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name);
        Launch::read("/lib/sdc/docker/logger", |name| find(name).map(|(_, v)| (*v).to_owned()))
    }

    #[test]
    fn nothing_is_required() {
        let launch = read(&[]).unwrap();
        assert_eq!(launch, Launch { argv0: "logger".to_owned(), ..Launch::default() });
        assert_eq!(launch.container(b"h").command(), "");
    }

    #[test]
    fn commands_in_every_form() {
        for (entrypoint, cmd, line) in [
            (r#"["/bin/sh","-c"]"#, r#"["date"]"#, "/bin/sh -c date"),
            ("[]", r#"["a","b"]"#, "a b"),
            ("", r#""just text""#, "just text"),
            (r#""e""#, r#"["a"]"#, "e a"),
            ("nonsense", "[1]", ""),
        ] {
            let launch =
                read(&[("DOCKERLOG_ENTRYPOINT", entrypoint), ("DOCKERLOG_CMD", cmd)]).unwrap();
            assert_eq!(launch.container(b"h").command(), line);
        }
    }

    /// 1 MiB, which Linux hands to no program: `execve(2)` takes 128 KiB a string.
    #[test]
    fn large_variables() {
        let env = format!(r#"["A={}"]"#, "v".repeat(1 << 20));
        let labels = format!(r#"{{"a":"{}"}}"#, "v".repeat(1 << 20));
        let command = format!(r#"["{}"]"#, "c".repeat(1 << 20));
        let launch = read(&[
            ("DOCKERLOG_ENV", &env),
            ("DOCKERLOG_LABELS", &labels),
            ("DOCKERLOG_CMD", &command),
        ])
        .unwrap();
        assert_eq!(launch.env[0].len(), (1 << 20) + 2);
        assert_eq!(launch.labels["a"].len(), 1 << 20);
        assert_eq!(launch.container(b"h").command().len(), 1 << 20);
    }

    #[test]
    fn refusals() {
        for (name, text, message) in [
            (
                "DOCKERLOG_CONFIG",
                "{",
                "DOCKERLOG_CONFIG is not JSON, expected a JSON object of strings",
            ),
            (
                "DOCKERLOG_CONFIG",
                "[]",
                "DOCKERLOG_CONFIG is an array, expected a JSON object of strings",
            ),
            (
                "DOCKERLOG_CONFIG",
                r#"{"a":1}"#,
                "DOCKERLOG_CONFIG: the value of \"a\" is a number, expected a string",
            ),
        ] {
            assert_eq!(read(&[(name, text)]).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn labels_and_environment_that_cannot_be_used_are_none() {
        for (name, text, complaint) in [
            ("DOCKERLOG_LABELS", "3", "is a number, expected a JSON object of strings"),
            (
                "DOCKERLOG_LABELS",
                r#"{"a":"b","c":1}"#,
                ": the value of \"c\" is a number, expected a string",
            ),
            ("DOCKERLOG_ENV", "{}", "is an object, expected a JSON array of strings"),
            (
                "DOCKERLOG_ENV",
                "[1]",
                "is an array with other items, expected a JSON array of strings",
            ),
            (
                "DOCKERLOG_ENV",
                "[",
                "is not JSON, expected a JSON array of strings: EOF while parsing a list at line 1 column 1",
            ),
        ] {
            let launch = read(&[(name, text)]).unwrap();
            assert!(launch.labels.is_empty() && launch.env.is_empty());
            let [found] = launch.complaints.as_slice() else { panic!("{launch:?}") };
            let space = if complaint.starts_with(':') { "" } else { " " };
            assert_eq!(*found, format!("{name}{space}{complaint}; it counts as empty"));
        }
    }
}
