// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Figures, gathered over the rounds, as Markdown and as JSON.

use std::fmt;

use serde_json::{Value, json};

use super::cases::Case;
use super::subject::Role;

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Lines per second of processor time, user and system, all processes.
    LinesPerCpuSecond,
    /// Lines per second of real time.
    LinesPerSecond,
    /// Microseconds of processor time per line.
    MicrosPerLine,
    /// Share of what was written, in percent.
    Percent,
    /// Milliseconds.
    Millis,
    /// Microseconds.
    Micros,
    /// KiB of 1024 bytes.
    Kib,
    /// MB per second, of 1 000 000 bytes.
    MegabytesPerSecond,
    /// A number of things, named by the figure.
    Count,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unit::LinesPerCpuSecond => "lines/CPU s",
            Unit::LinesPerSecond => "lines/s",
            Unit::MicrosPerLine => "CPU µs/line",
            Unit::Percent => "%",
            Unit::Millis => "ms",
            Unit::Micros => "µs",
            Unit::Kib => "KiB",
            Unit::MegabytesPerSecond => "MB/s",
            Unit::Count => "",
        })
    }
}

/// One measured number.
#[derive(Debug, Clone)]
pub struct Figure {
    /// What was measured, unique within its case.
    pub name: &'static str,
    /// What the number counts.
    pub unit: Unit,
    /// The number.
    pub value: f64,
}

/// Smallest, middle and largest of several numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The smallest.
    pub min: f64,
    /// The middle one; of an even number of them, the mean of the middle two.
    pub median: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// The spread of at least one number.
    pub fn of(values: &[f64]) -> Option<Spread> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let lower =
            if sorted.len().is_multiple_of(2) { sorted[middle - 1] } else { sorted[middle] };
        Some(Spread { min, median: f64::midpoint(lower, sorted[middle]), max })
    }
}

/// The value that `percent` of the values do not exceed.
pub fn percentile(values: &[f64], percent: usize) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// Everything measured so far.
#[derive(Debug, Default)]
pub struct Results {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    case: &'static str,
    figure: &'static str,
    unit: Unit,
    /// Values by role, in the order of the rounds.
    values: Vec<(Role, Vec<f64>)>,
}

impl Row {
    fn of(&self, role: Role) -> Option<&[f64]> {
        let (_, values) = self.values.iter().find(|(of, _)| *of == role)?;
        Some(values)
    }

    /// The logger's value over the other's, round by round; rounds in which the other measured zero are left out.
    fn ratio_to(&self, other: Role) -> Option<Spread> {
        let pairs = self.of(Role::Logger)?.iter().zip(self.of(other)?);
        let ratios: Vec<f64> =
            pairs.filter(|(_, base)| **base > 0.0).map(|(ours, base)| ours / base).collect();
        Spread::of(&ratios)
    }
}

impl Results {
    /// Adds the figures of one run.
    pub(super) fn add(&mut self, case: &Case, role: Role, figures: Vec<Figure>) {
        for Figure { name, unit, value } in figures {
            let found =
                self.rows.iter().position(|row| row.case == case.name && row.figure == name);
            let idx = found.unwrap_or_else(|| {
                self.rows.push(Row { case: case.name, figure: name, unit, values: Vec::new() });
                self.rows.len() - 1
            });
            let values = &mut self.rows[idx].values;
            match values.iter_mut().find(|(of, _)| *of == role) {
                Some((_, values)) => values.push(value),
                None => values.push((role, vec![value])),
            }
        }
    }

    /// A table with one row per figure: `min / median / max` per program, and the logger's value over the others'.
    pub fn markdown(&self) -> String {
        let roles = self.roles();
        let others: Vec<Role> =
            roles.iter().copied().filter(|role| *role != Role::Logger).collect();
        let mut head = vec!["case".to_owned(), "figure".to_owned(), "unit".to_owned()];
        head.extend(roles.iter().map(ToString::to_string));
        head.extend(others.iter().map(|role| format!("logger ÷ {role}")));
        let mut table = format!("| {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len()));
        for row in &self.rows {
            let mut cells = vec![row.case.to_owned(), row.figure.to_owned(), row.unit.to_string()];
            cells.extend(roles.iter().map(|role| cell(row.of(*role).and_then(Spread::of))));
            cells.extend(others.iter().map(|role| cell(row.ratio_to(*role))));
            table += &format!("| {} |\n", cells.join(" | "));
        }
        table
    }

    /// The same with every single value.
    pub fn json(&self, machine: &Value) -> Value {
        let rows: Vec<Value> = self.rows.iter().map(json_of).collect();
        json!({ "machine": machine, "figures": rows })
    }

    fn roles(&self) -> Vec<Role> {
        let mut roles: Vec<Role> =
            self.rows.iter().flat_map(|row| row.values.iter().map(|(role, _)| *role)).collect();
        roles.sort_unstable();
        roles.dedup();
        roles
    }
}

fn json_of(row: &Row) -> Value {
    let programs: serde_json::Map<String, Value> = row
        .values
        .iter()
        .map(|(role, values)| {
            let spread = Spread::of(values).map_or(Value::Null, spread_json);
            (role.to_string(), json!({ "values": values, "spread": spread }))
        })
        .collect();
    let ratios: serde_json::Map<String, Value> = [Role::Peer, Role::Limit, Role::Floor]
        .into_iter()
        .filter_map(|role| Some((role.to_string(), spread_json(row.ratio_to(role)?))))
        .collect();
    json!({
        "case": row.case,
        "figure": row.figure,
        "unit": row.unit.to_string(),
        "programs": programs,
        "logger_over": ratios,
    })
}

fn spread_json(spread: Spread) -> Value {
    json!({ "min": spread.min, "median": spread.median, "max": spread.max })
}

fn cell(spread: Option<Spread>) -> String {
    match spread {
        None => "–".to_owned(),
        Some(Spread { min, max, median }) if min.total_cmp(&max).is_eq() => short(median),
        Some(spread) => {
            format!("{} / {} / {}", short(spread.min), short(spread.median), short(spread.max))
        }
    }
}

/// Three significant digits, large numbers in thousands.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 999_500.0 => format!("{:.2} M", value / 1e6),
        size if size >= 9_995.0 => format!("{:.1} k", value / 1e3),
        size if size >= 99.95 || value.fract().abs() < 1e-9 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        size if size >= 0.0995 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_and_percentiles() {
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(Spread::of(&[3.0, 1.0]), Some(Spread { min: 1.0, median: 2.0, max: 3.0 }));
        assert_eq!(Spread::of(&[9.0, 1.0, 2.0]).unwrap().median, 2.0);
        let values: Vec<f64> = (1..=50).map(f64::from).collect();
        assert_eq!(percentile(&values, 95), Some(48.0));
        assert_eq!(percentile(&[7.0], 95), Some(7.0));
        assert_eq!(percentile(&[], 95), None);
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (0.0123, "0.012"),
            (0.5, "0.50"),
            (12.34, "12.3"),
            (1234.5, "1234"),
            (23_456.0, "23.5 k"),
            (4_400_000.0, "4.40 M"),
        ] {
            assert_eq!(short(value), text);
        }
    }

    #[test]
    fn ratios_are_of_one_round() {
        let row = Row {
            case: "case",
            figure: "figure",
            unit: Unit::Count,
            values: vec![(Role::Logger, vec![10.0, 30.0, 5.0]), (Role::Peer, vec![5.0, 10.0, 0.0])],
        };
        assert_eq!(row.ratio_to(Role::Peer), Some(Spread { min: 2.0, median: 2.5, max: 3.0 }));
        assert_eq!(row.ratio_to(Role::Limit), None);
        let results = Results { rows: vec![row] };
        assert!(
            results
                .markdown()
                .contains("| case | figure |  | 5 / 10 / 30 | 0 / 5 / 10 | 2 / 2.50 / 3 |")
        );
    }
}
