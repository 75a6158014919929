// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Expected files against a directory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use serde_json::Value;

use super::{Facts, array, check, string};

/// What a file has to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileForm {
    /// These lines.
    Lines(Vec<String>),
    /// Lines of this form.
    Each(String),
    /// About as much.
    Amount {
        /// Unpacked.
        bytes: usize,
        /// Exact, unless the file was rotated.
        lines: usize,
    },
}

pub(super) fn forms(files: &Value) -> BTreeMap<String, FileForm> {
    let number = |value: &Value| value.as_u64().and_then(|n| usize::try_from(n).ok());
    let form = |value: &Value| match (number(&value["bytes"]), number(&value["lines"])) {
        (Some(bytes), Some(lines)) => FileForm::Amount { bytes, lines },
        _ if value.is_array() => FileForm::Lines(array(value).iter().map(string).collect()),
        _ => FileForm::Each(string(&value["each"])),
    };
    let files = files.as_object().into_iter().flatten();
    files.map(|(name, value)| (name.clone(), form(value))).collect()
}

/// Checks that `dir` holds exactly the files `expected`; the current file is called `current`, and is rotated at
/// `max_bytes` if at all.
///
/// # Errors
/// What differs.
pub fn check_files(
    expected: &BTreeMap<String, FileForm>,
    dir: &Path,
    current: &str,
    max_bytes: Option<usize>,
    facts: &Facts,
) -> Result<(), String> {
    let named: BTreeMap<String, &FileForm> = expected
        .iter()
        .map(|(name, form)| (name.replace("container.log", current), form))
        .collect();
    let found: BTreeSet<String> = fs::read_dir(dir)
        .map_err(|error| error.to_string())?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    if !found.iter().eq(named.keys()) {
        return Err(format!("files {found:?}, not {:?}", named.keys()));
    }
    for (name, form) in named {
        let text = unpacked(&dir.join(&name)).map_err(|error| format!("{name}: {error}"))?;
        check_file(form, &text, max_bytes, name == current, facts)
            .map_err(|why| format!("{name}: {why}"))?;
    }
    Ok(())
}

fn check_file(
    form: &FileForm,
    text: &[u8],
    max_bytes: Option<usize>,
    is_current: bool,
    facts: &Facts,
) -> Result<(), String> {
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    // Every entry but the last is one that was written below the limit.
    let before_last = text.len() - lines.last().map_or(0, |line| line.len());
    if let Some(max) = max_bytes
        && (before_last >= max || !is_current && text.len() < max)
    {
        return Err(format!("{} bytes, {before_last} before the last entry", text.len()));
    }
    match form {
        FileForm::Lines(expected) => {
            check(&expected.iter().map(|line| format!("{line}\n")).collect::<String>(), text, facts)
        }
        FileForm::Each(expected) => {
            let expected = format!("{expected}\n");
            lines.iter().try_for_each(|line| check(&expected, line, facts))
        }
        FileForm::Amount { bytes, lines: expected } => {
            let slack = if max_bytes.is_some() { ROTATED_SLACK_LINES } else { 0 };
            let differs = lines.len().abs_diff(*expected) > slack
                || text.len().abs_diff(*bytes) > expected * FRACTION_BYTES;
            if differs {
                Err(format!("{} bytes, {} lines", text.len(), lines.len()))
            } else {
                Ok(())
            }
        }
    }
}

fn unpacked(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let mut file = fs::File::open(path)?;
    if path.extension().is_some_and(|extension| extension == "gz") {
        GzDecoder::new(file).read_to_end(&mut text)?;
    } else {
        file.read_to_end(&mut text)?;
    }
    Ok(text)
}

/// What the fraction of a time may be longer or shorter.
const FRACTION_BYTES: usize = 10;

/// How many lines more or less that makes in a file of some hundred.
const ROTATED_SLACK_LINES: usize = 10;
