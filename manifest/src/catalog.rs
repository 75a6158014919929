// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The drivers of this source tree: the one closed list. Here and in the files
//! below is the only place where a driver or an option is declared; parsing,
//! validation, `logger drivers --json`, the agent's API and the documentation all
//! read it.

mod common;
mod fluentd;
mod gelf;
mod json_file;
mod syslog;

pub use common::{
    BUFFER_SIZE_BYTES, BUFFER_SIZE_DEFAULT_BYTES, DRAIN_TIMEOUT_MAX_MS, FLUSH_INTERVAL_MS,
};
pub use json_file::JSON_FILE_DIR;

use crate::{Carrier, DriverSpec, Extra, OptionKind, OptionSpec, Route, Runs};

/// Every driver, those of the platform included, in the order of their names.
pub fn drivers() -> Vec<DriverSpec> {
    vec![fluentd::spec(), gelf::spec(), json_file::spec(), none(), syslog::spec()]
}

/// The driver of this name.
pub fn driver(name: &str) -> Option<DriverSpec> {
    drivers().into_iter().find(|driver| driver.name == name)
}

fn none() -> DriverSpec {
    DriverSpec {
        name: "none".to_owned(),
        summary: "The container's output is kept nowhere.".to_owned(),
        runs: Runs::Platform,
        since: FIRST.to_owned(),
        example: Vec::new(),
        routes: Vec::new(),
        options: Vec::new(),
        extra: Extra::new(),
    }
}

/// Whether the value of an option of this name is to be shown to nobody, whatever
/// the driver.
pub fn is_secret(name: &str) -> bool {
    drivers().iter().filter_map(|driver| driver.option(name)).any(|option| option.secret)
}

/// The version in which everything declared here appeared.
const FIRST: &str = "0.1.0";

fn example(options: &[&str]) -> Vec<String> {
    options.iter().map(|&option| option.to_owned()).collect()
}

fn route(over: Carrier, options: &[&str]) -> Route {
    Route { over, options: example(options), extra: Extra::new() }
}

fn option(name: &str, kind: OptionKind, help: &str) -> OptionSpec {
    OptionSpec {
        name: name.to_owned(),
        aliases: Vec::new(),
        kind,
        default: None,
        required: false,
        accepted: Vec::new(),
        requires: Vec::new(),
        minimum: None,
        maximum: None,
        runs: None,
        help: help.to_owned(),
        since: FIRST.to_owned(),
        extension: false,
        secret: false,
        schemes: Vec::new(),
        extra: Extra::new(),
    }
}

impl OptionSpec {
    fn required(mut self) -> Self {
        self.required = true;
        self
    }

    fn default(mut self, value: &str) -> Self {
        self.default = Some(value.to_owned());
        self
    }

    fn accepted(mut self, forms: &[&str]) -> Self {
        self.accepted = forms.iter().map(|&form| form.to_owned()).collect();
        self
    }

    fn requires(mut self, name: &str) -> Self {
        self.requires.push(name.to_owned());
        self
    }

    fn bounds(mut self, minimum: u64, maximum: u64) -> Self {
        self.minimum = Some(minimum);
        self.maximum = (maximum < u64::MAX).then_some(maximum);
        self
    }

    fn schemes(mut self, schemes: &[&str]) -> Self {
        self.schemes = schemes.iter().map(|&scheme| scheme.to_owned()).collect();
        self
    }

    /// The platform takes no notice of it.
    fn in_zone(mut self) -> Self {
        self.runs = Some(Runs::Zone);
        self
    }

    fn extension(mut self) -> Self {
        self.extension = true;
        self
    }

    fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    fn alias(mut self, name: &str) -> Self {
        self.aliases.push(name.to_owned());
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn every_declaration_is_whole() {
        for driver in drivers() {
            let mut names = BTreeSet::new();
            for option in &driver.options {
                for name in std::iter::once(&option.name).chain(&option.aliases) {
                    assert!(names.insert(name.clone()), "{}: {name} twice", driver.name);
                }
                assert!(option.help.ends_with('.'), "{}: help is a sentence", option.name);
                assert!(!(option.required && option.default.is_some()), "{}", option.name);
                let closed = option.kind == OptionKind::Enum;
                assert!(!closed || !option.accepted.is_empty(), "{}", option.name);
                let known = |name: &String| driver.options.iter().any(|one| one.name == *name);
                assert!(option.requires.iter().all(known), "{}", option.name);
            }
        }
        let names: Vec<_> = drivers().into_iter().map(|driver| driver.name).collect();
        assert!(names.is_sorted());
    }

    #[test]
    fn every_default_is_a_value_that_is_accepted() {
        for driver in drivers() {
            for option in driver.options.iter().filter(|option| option.default.is_some()) {
                let written =
                    BTreeMap::from([(option.name.clone(), option.default.clone().unwrap())]);
                let problems = crate::validate(&driver, &written).err().unwrap_or_default();
                assert!(problems.iter().all(|p| p.field != option.name), "{problems:?}");
            }
        }
    }

    #[test]
    fn every_example_is_accepted() {
        for driver in drivers() {
            let split = |option: &String| {
                option.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))
            };
            let options: BTreeMap<_, _> = driver.example.iter().filter_map(split).collect();
            assert_eq!(options.len(), driver.example.len());
            assert_eq!(crate::validate(&driver, &options).err(), None, "{}", driver.name);
        }
    }

    #[test]
    fn every_driver_in_the_zone_has_routes_that_are_accepted() {
        for driver in drivers().iter().filter(|driver| driver.runs.in_zone()) {
            assert!(!driver.routes.is_empty(), "{}: nothing to try it on", driver.name);
            for route in &driver.routes {
                let networked = matches!(route.over, Carrier::Tcp | Carrier::Tls | Carrier::Udp);
                let address = if networked { "127.0.0.1:1" } else { "/path" };
                let options = route.options_to(&[
                    (Route::ADDRESS, address),
                    (Route::AUTHORITY, "/authority.pem"),
                    (Route::FOLDER, "/folder"),
                ]);
                assert_eq!(options.len(), route.options.len());
                assert_eq!(crate::validate(driver, &options).err(), None, "{}", driver.name);
                assert!(options.values().all(|value| !value.contains('{')), "{options:?}");
                let same = driver.routes.iter().filter(|other| other.over == route.over);
                assert_eq!(same.count(), 1, "{}: {:?} twice", driver.name, route.over);
            }
        }
    }

    #[test]
    fn what_needs_no_logger_is_without_the_options_that_do() {
        let platform: Vec<_> = drivers().into_iter().filter_map(DriverSpec::on_platform).collect();
        let names: Vec<_> = platform.iter().map(|driver| driver.name.as_str()).collect();
        assert_eq!(names, ["json-file", "none"]);
        let options: Vec<_> =
            platform[0].options.iter().map(|option| option.name.as_str()).collect();
        assert_eq!(options, ["max-size", "max-file"]);
    }

    #[test]
    fn the_catalog_survives_json() {
        let json = serde_json::to_string(&drivers()).unwrap();
        assert_eq!(serde_json::from_str::<Vec<DriverSpec>>(&json).unwrap(), drivers());
    }
}
