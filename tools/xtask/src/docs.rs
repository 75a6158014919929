// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! `docs/drivers.md`: every driver and option as the manifest declares them, for
//! whoever writes `docker run`.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use dockerlogger_manifest::{DriverSpec, OptionKind, OptionSpec, Runs, catalog};

use crate::command::{root, say};

/// Below the workspace's root.
const FILE: &str = "docs/drivers.md";

/// Writes the page; with `--check` only says whether it is what would be written.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let path = root().join(FILE);
    match arguments {
        [] => {
            std::fs::write(&path, page(&catalog::drivers()))
                .with_context(|| format!("failed to write {}", path.display()))?;
            say(&format!("{FILE} is written"));
            Ok(())
        }
        [check] if check == "--check" => self::check(&path),
        [other, ..] => bail!("unknown option \"{other}\"; accepted is --check"),
    }
}

/// Fails unless the page is what the manifest says. Writes nothing.
///
/// # Errors
/// When it is not, or cannot be read.
pub(crate) fn check(path: &Path) -> Result<()> {
    let written = std::fs::read_to_string(path)
        .with_context(|| format!("failed to read {}", path.display()))?;
    if written != page(&catalog::drivers()) {
        bail!("{} is not what the manifest says: run `cargo xtask docs`", path.display());
    }
    Ok(())
}

fn page(drivers: &[DriverSpec]) -> String {
    let shared = shared(drivers);
    let mut page = String::from(
        "<!-- Written by `cargo xtask docs` from manifest/src/catalog: change that, and run it. -->\n\n\
         # Drivers and options\n\n\
         For whoever writes `docker run --log-driver DRIVER --log-opt NAME=VALUE …`. What the drivers do with a line, and \
         when a server is away, is in the [guide](logging-drivers.md).\n\n\
         | driver | | runs |\n|---|---|---|\n",
    );
    for driver in drivers {
        let _ = writeln!(
            page,
            "| [`{0}`](#{0}) | {1} | {2} |",
            driver.name,
            cell(&driver.summary),
            place(&driver.runs)
        );
    }
    page.push_str(
        "\nAn option marked *ours* is neither Docker's nor Triton's; left out, it changes nothing. An empty value counts as \
         not given.\n",
    );
    for driver in drivers {
        let _ = write!(page, "\n## {}\n\n{}\n", driver.name, driver.summary);
        let own: Vec<&OptionSpec> = driver.options.iter().filter(|o| !shared.contains(o)).collect();
        if own.is_empty() {
            page.push_str("\nNo options.\n");
            continue;
        }
        let _ = write!(page, "\n```\n{}\n```\n\n", command(driver));
        table(&mut page, &own);
        page.push_str(
            "\nBesides, the [options of every driver that runs in the zone](#in-the-zone).\n",
        );
    }
    page.push_str(
        "\n## In the zone\n\nOptions of every driver that runs in the container's zone.\n\n",
    );
    table(&mut page, &shared);
    page
}

/// Options that every driver in the zone has in the same words.
fn shared(drivers: &[DriverSpec]) -> Vec<&OptionSpec> {
    let mut in_zone = drivers.iter().filter(|driver| driver.runs.in_zone());
    let Some(first) = in_zone.next() else { return Vec::new() };
    let others: Vec<_> = in_zone.collect();
    let same = |a: &OptionSpec, b: &OptionSpec| a.name == b.name && a.help == b.help;
    let everywhere = |option: &&OptionSpec| {
        others.iter().all(|driver| driver.options.iter().any(|other| same(option, other)))
    };
    first.options.iter().filter(everywhere).collect()
}

fn table(page: &mut String, options: &[&OptionSpec]) {
    page.push_str("| option | type | default | accepted | | since |\n|---|---|---|---|---|---|\n");
    for option in options {
        let default = match &option.default {
            _ if option.required => "**required**".to_owned(),
            Some(default) => format!("`{default}`"),
            None => "none".to_owned(),
        };
        let accepted: Vec<_> = option.accepted.iter().map(|form| accepted(option, form)).collect();
        let _ = writeln!(
            page,
            "| `{}`{} | {} | {} | {} | {} | {} |",
            option.name,
            if option.extension { " *ours*" } else { "" },
            kind(&option.kind),
            cell(&default),
            cell(&accepted.join(", ")),
            cell(&meaning(option)),
            option.since
        );
    }
}

/// What it does, and with what it goes.
fn meaning(option: &OptionSpec) -> String {
    let mut text = option.help.clone();
    let names = |names: &[String]| {
        names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    };
    for (what, with) in [
        ("Also called", &option.aliases),
        ("Only for addresses with", &option.schemes),
        ("Asks for", &option.requires),
    ] {
        if !with.is_empty() {
            let _ = write!(text, " {what} {}.", names(with));
        }
    }
    text
}

fn accepted(option: &OptionSpec, form: &str) -> String {
    // Values and forms are code; sentences about them are not.
    let is_code = option.kind == OptionKind::Enum || !form.contains(' ');
    if is_code { format!("`{form}`") } else { form.to_owned() }
}

fn command(driver: &DriverSpec) -> String {
    let mut text = format!("docker run --log-driver {}", driver.name);
    for option in &driver.example {
        let quote = if option.contains('{') { "'" } else { "" };
        let _ = write!(text, " \\\n           --log-opt {quote}{option}{quote}");
    }
    text.push_str(" nginx");
    text
}

fn place(runs: &Runs) -> &str {
    match runs {
        Runs::Zone => "in the zone",
        Runs::Platform => "in the platform",
        Runs::Both => "in the platform on Triton, in the zone elsewhere",
        Runs::Unknown(place) => place,
    }
}

fn kind(kind: &OptionKind) -> &str {
    match kind {
        OptionKind::Text => "text",
        OptionKind::Template => "template",
        OptionKind::Enum => "one of",
        OptionKind::Flag => "flag",
        OptionKind::Boolean => "boolean",
        OptionKind::SizeBinary => "size, powers of 1024",
        OptionKind::SizeDecimal => "size, powers of 1000",
        OptionKind::PositiveInteger => "whole number from 1",
        OptionKind::UnsignedInteger => "whole number",
        OptionKind::Duration => "duration",
        OptionKind::SyslogFacility => "facility",
        OptionKind::SyslogAddress | OptionKind::FluentdAddress | OptionKind::ServerAddress => {
            "address"
        }
        OptionKind::Path => "path",
        OptionKind::Unknown(name) => name,
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_in_step_with_the_manifest() {
        run(&["--check".to_owned()]).unwrap();
    }

    #[test]
    fn a_check_finds_what_is_out_of_step_and_writes_nothing() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("drivers.md");
        let problem = check(&path).unwrap_err().to_string();
        assert!(problem.contains("failed to read"), "{problem}");
        assert!(!path.exists());

        std::fs::write(&path, "of last year").unwrap();
        let problem = check(&path).unwrap_err().to_string();
        assert!(
            problem.contains("drivers.md") && problem.contains("cargo xtask docs"),
            "{problem}"
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "of last year");

        let page = page(&catalog::drivers());
        std::fs::write(&path, &page).unwrap();
        check(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), page);
    }

    #[test]
    fn an_option_that_is_not_known_writes_nothing() {
        let problem = run(&["--chekc".to_owned()]).unwrap_err().to_string();
        assert_eq!(problem, "unknown option \"--chekc\"; accepted is --check");
    }

    #[test]
    fn every_option_is_on_the_page() {
        let drivers = catalog::drivers();
        let page = page(&drivers);
        for option in drivers.iter().flat_map(|driver| &driver.options) {
            assert!(page.contains(&format!("| `{}`", option.name)), "{}", option.name);
        }
    }
}
