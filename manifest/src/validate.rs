// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! One set of `--log-opt` values against the declaration of its driver.

use std::collections::BTreeMap;
use std::fmt;

use crate::value::{
    Facility, FluentdAddress, ServerAddress, SyslogAddress, parse_bool, parse_duration,
    parse_size_binary, parse_size_decimal,
};
use crate::{DriverSpec, OptionKind, OptionSpec, Problem, ProblemCode};

/// Options that a driver accepts, under their proper names, defaults filled in.
#[derive(Clone, PartialEq, Eq)]
pub struct Normalized {
    values: BTreeMap<String, String>,
    defaulted: Vec<String>,
    secret: Vec<String>,
}

impl fmt::Debug for Normalized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.shown()).finish()
    }
}

impl Normalized {
    /// The value of an option; `None` when it was not given and has no default.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Whether the user wrote it; a default is not given.
    pub fn given(&self, name: &str) -> bool {
        self.values.contains_key(name) && !self.defaulted.iter().any(|default| default == name)
    }

    /// Every option and its value as it may be shown, in the order of their
    /// names: [`SECRET`] stands for what is secret.
    pub fn shown(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| {
            (name.as_str(), if self.secret.contains(name) { SECRET } else { value.as_str() })
        })
    }
}

/// What is shown for a value that is secret.
pub const SECRET: &str = "(secret)";

/// Checks `options` against `driver`: every name, every value.
///
/// An empty value counts as not given, as it does in Docker, except that of a
/// flag. A value comes back as it was written, except that an address is completed
/// with its port.
///
/// # Errors
/// Every problem there is, in the order of the options' names.
pub fn validate(
    driver: &DriverSpec,
    options: &BTreeMap<String, String>,
) -> Result<Normalized, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    for (written, value) in options {
        let Some(spec) = driver.option(written) else {
            problems.push(unknown(driver, written));
            continue;
        };
        if value.is_empty() && spec.kind != OptionKind::Flag {
            continue;
        }
        if values.contains_key(&spec.name) {
            let message =
                format!("log option \"{written}\": given twice, also as \"{}\"", spec.name);
            problems.push(Problem {
                field: written.clone(),
                code: ProblemCode::Duplicate,
                message,
            });
            continue;
        }
        match normalize(spec, value) {
            Ok(normal) => {
                values.insert(spec.name.clone(), normal);
            }
            Err(why) => {
                let message = format!("log option \"{written}\": \"{}\": {why}", shortened(value));
                problems.push(Problem {
                    field: written.clone(),
                    code: ProblemCode::Invalid,
                    message,
                });
            }
        }
    }
    let mut defaulted = Vec::new();
    let scheme = scheme(driver, &values);
    for spec in &driver.options {
        // A value that was refused above is present, only wrong.
        let present = options.iter().any(|(name, value)| spec.is_named(name) && !value.is_empty());
        match &spec.default {
            _ if !spec.goes_with(scheme.as_deref()) => {
                if let Some(value) = values.remove(&spec.name) {
                    problems.push(misplaced(driver, spec, &value));
                }
            }
            _ if present => {}
            Some(default) => {
                values.insert(spec.name.clone(), default.clone());
                defaulted.push(spec.name.clone());
            }
            None if spec.required => problems.push(missing(driver, spec)),
            None => {}
        }
    }
    for spec in driver.options.iter().filter(|spec| values.contains_key(&spec.name)) {
        problems.extend(spec.requires.iter().filter_map(|other| {
            let given = options.iter().any(|(name, value)| name == other && !value.is_empty());
            (!given).then(|| incomplete(spec, other))
        }));
    }
    if problems.is_empty() {
        let secret = driver.options.iter().filter(|option| option.secret);
        let secret = secret.map(|option| option.name.clone()).collect();
        return Ok(Normalized { values, defaulted, secret });
    }
    problems.sort_by(|a, b| a.field.cmp(&b.field));
    Err(problems)
}

impl DriverSpec {
    /// The option of this name or alias.
    pub fn option(&self, name: &str) -> Option<&OptionSpec> {
        self.options.iter().find(|option| option.is_named(name))
    }
}

impl OptionSpec {
    fn is_named(&self, name: &str) -> bool {
        self.name == name || self.aliases.iter().any(|alias| alias == name)
    }

    /// Whether it may be given with an address of this scheme; `None`: there is
    /// no address, which is a problem of its own.
    fn goes_with(&self, scheme: Option<&str>) -> bool {
        let is_this = |scheme| self.schemes.iter().any(|accepted| accepted == scheme);
        self.schemes.is_empty() || scheme.is_none_or(is_this)
    }
}

/// The scheme of the driver's address, if that is a good one.
fn scheme(driver: &DriverSpec, values: &BTreeMap<String, String>) -> Option<String> {
    let address = values.get(&format!("{}-address", driver.name))?;
    address.split_once("://").map(|(scheme, _)| scheme.to_owned())
}

/// The value in its normal form, or why it is refused and what is accepted.
fn normalize(spec: &OptionSpec, value: &str) -> Result<String, String> {
    let bounded = |number: u64| {
        let low = spec.minimum.is_some_and(|minimum| number < minimum);
        let high = spec.maximum.is_some_and(|maximum| number > maximum);
        match (low || high, spec.accepted.as_slice()) {
            (false, _) => Ok(()),
            (true, []) => Err(format!("expected at least {}", spec.minimum.unwrap_or_default())),
            (true, accepted) => Err(format!("out of range, expected {}", accepted.join(" or "))),
        }
    };
    match &spec.kind {
        OptionKind::Text | OptionKind::Template | OptionKind::Flag | OptionKind::Unknown(_) => {}
        OptionKind::Enum => {
            if !spec.accepted.iter().any(|accepted| accepted == value) {
                return Err(format!("expected one of {}", spec.accepted.join(", ")));
            }
        }
        OptionKind::Boolean => {
            parse_bool(value).map_err(|error| error.to_string())?;
        }
        OptionKind::SizeBinary => {
            bounded(parse_size_binary(value).map_err(|error| error.to_string())?)?;
        }
        OptionKind::SizeDecimal => {
            bounded(parse_size_decimal(value).map_err(|error| error.to_string())?)?;
        }
        OptionKind::PositiveInteger => {
            let number = value.parse().map_err(|_| "expected a whole number of at least 1")?;
            bounded(number)?;
        }
        OptionKind::UnsignedInteger => {
            let number = value.parse().map_err(|_| "expected a whole number of at least 0")?;
            bounded(number)?;
        }
        OptionKind::Duration => {
            let duration = parse_duration(value).map_err(|error| error.to_string())?;
            // A default outside the bounds stands for none, and may be written.
            let default = spec.default.as_deref().map(parse_duration);
            if default == Some(Ok(duration)) {
                return Ok(value.to_owned());
            }
            bounded(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))?;
        }
        OptionKind::SyslogFacility => {
            value.parse::<Facility>().map_err(|error| error.to_string())?;
        }
        OptionKind::Path => {
            if !value.starts_with('/') || value.contains('\0') {
                return Err("expected an absolute path".to_owned());
            }
        }
        OptionKind::SyslogAddress => {
            let address: SyslogAddress = value.parse().map_err(|error| format!("{error}"))?;
            return Ok(address.to_string());
        }
        OptionKind::FluentdAddress => {
            let address: FluentdAddress = value.parse().map_err(|error| format!("{error}"))?;
            return Ok(address.to_string());
        }
        OptionKind::ServerAddress => {
            let address: ServerAddress = value.parse().map_err(|error| format!("{error}"))?;
            let begins = format!("{}://", address.transport.scheme());
            if !spec.accepted.iter().any(|form| form.starts_with(&begins)) {
                return Err(format!("expected {}", spec.accepted.join(" or ")));
            }
            return Ok(address.to_string());
        }
    }
    Ok(value.to_owned())
}

fn unknown(driver: &DriverSpec, written: &str) -> Problem {
    let names: Vec<_> = driver.options.iter().map(|option| option.name.as_str()).collect();
    let accepted = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let message = format!(
        "log option \"{}\": unknown for log driver \"{}\", which accepts {accepted}",
        shortened(written),
        driver.name
    );
    Problem { field: written.to_owned(), code: ProblemCode::Unknown, message }
}

fn missing(driver: &DriverSpec, spec: &OptionSpec) -> Problem {
    let example = spec.accepted.join(" or ");
    let message = format!(
        "log option \"{}\": required by log driver \"{}\", expected {}",
        spec.name,
        driver.name,
        if example.is_empty() { "a value" } else { &example }
    );
    Problem { field: spec.name.clone(), code: ProblemCode::Missing, message }
}

fn incomplete(spec: &OptionSpec, other: &str) -> Problem {
    let message = format!("log option \"{other}\": required with log option \"{}\"", spec.name);
    Problem { field: other.to_owned(), code: ProblemCode::Missing, message }
}

fn misplaced(driver: &DriverSpec, spec: &OptionSpec, value: &str) -> Problem {
    let schemes: Vec<_> = spec.schemes.iter().map(|scheme| format!("{scheme}://")).collect();
    let message = format!(
        "log option \"{}\": \"{}\": only with a {}-address that begins with {}",
        spec.name,
        shortened(value),
        driver.name,
        schemes.join(" or ")
    );
    Problem { field: spec.name.clone(), code: ProblemCode::Invalid, message }
}

/// What a message quotes of a value that may be huge or hold control characters.
fn shortened(value: &str) -> String {
    let mut text: String = value.chars().take(100).flat_map(char::escape_debug).collect();
    if value.chars().nth(100).is_some() {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests;
