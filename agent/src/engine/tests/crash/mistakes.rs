// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Engines that are wrong in one way each. The model must catch every one of
//! them, or it proves nothing about the engine that is right.

use std::cell::Cell;
use std::collections::VecDeque;
use std::path::Path;

use crate::engine::tests::crash::effect::Effect;
use crate::engine::tests::crash::files::Rewrite;
use crate::engine::tests::crash::scenario::Scenario;

/// A mistake, and where it shows.
pub(super) struct Mistake {
    pub(super) name: &'static str,
    pub(super) scenario: fn() -> Scenario,
    pub(super) rewrite: fn() -> Rewrite,
}

/// Whether a path is below this folder of the root.
fn below(path: &Path, folder: &str) -> bool {
    path.starts_with(Path::new("/opt/docker").join(folder))
}

fn is(path: &Path, place: &str) -> bool {
    path == Path::new("/opt/docker").join(place)
}

/// Leaves effects out.
fn without(unwanted: impl Fn(&Effect) -> bool + Send + 'static) -> Rewrite {
    Box::new(move |effect| match effect {
        Some(effect) if !unwanted(effect) => vec![effect.clone()],
        _ => Vec::new(),
    })
}

/// Puts effects off, from the first that `late` picks until one that `until`
/// picks has been done, or to the end.
fn put_off(
    late: impl Fn(&Effect) -> bool + Send + 'static,
    until: impl Fn(&Effect) -> bool + Send + 'static,
) -> Rewrite {
    let mut held = VecDeque::new();
    let mut done = false;
    Box::new(move |effect| match effect {
        Some(effect) if !done && late(effect) => {
            held.push_back(effect.clone());
            Vec::new()
        }
        Some(effect) => {
            let mut effects = vec![effect.clone()];
            if !held.is_empty() && until(effect) {
                done = true;
                effects.extend(held.drain(..));
            }
            effects
        }
        None => held.drain(..).collect(),
    })
}

/// Does something else in an effect's place.
fn instead(other: impl Fn(&Effect) -> Option<Vec<Effect>> + Send + 'static) -> Rewrite {
    Box::new(move |effect| match effect {
        Some(effect) => other(effect).unwrap_or_else(|| vec![effect.clone()]),
        None => Vec::new(),
    })
}

fn no_fsync_of_files_in(folder: &'static str) -> Rewrite {
    without(move |effect| matches!(effect, Effect::SyncFile(path) if below(path, folder)))
}

/// Of those whose paths end so.
fn no_fsync_of_a_file(end: &'static str) -> Rewrite {
    without(
        move |effect| matches!(effect, Effect::SyncFile(path) if in_place(path).to_str().unwrap().ends_with(end)),
    )
}

fn no_fsync_of(place: &'static str) -> Rewrite {
    without(move |effect| matches!(effect, Effect::SyncDir(path) if is(path, place)))
}

fn in_state(effect: &Effect) -> bool {
    below(effect.path(), "state")
}

/// The name of a file without the mark of a temporary one.
fn in_place(path: &Path) -> std::path::PathBuf {
    let name = path.file_name().unwrap().to_str().unwrap();
    path.with_file_name(name.strip_prefix(".new-").unwrap_or(name))
}

/// Writes the state into its file, instead of beside it.
fn state_in_place() -> Rewrite {
    instead(|effect| {
        if !in_state(effect) {
            return None;
        }
        Some(match effect {
            Effect::Create(path) => vec![Effect::Truncate(in_place(path))],
            Effect::Write(path, bytes) => vec![Effect::Write(in_place(path), bytes.clone())],
            Effect::SetMode(path, mode) => vec![Effect::SetMode(in_place(path), *mode)],
            Effect::SyncFile(path) => vec![Effect::SyncFile(in_place(path))],
            Effect::Rename(..) => Vec::new(),
            other => vec![other.clone()],
        })
    })
}

/// Removes a collected release where it lies.
fn collect_in_place() -> Rewrite {
    let home = |path: &Path| {
        let rest =
            path.strip_prefix("/opt/docker/tmp").ok()?.to_str()?.strip_prefix("discarded-")?;
        Some(Path::new("/opt/docker/store").join(rest))
    };
    instead(move |effect| {
        let there = home(effect.path())?;
        Some(match effect {
            Effect::Rename(..) => Vec::new(),
            Effect::Unlink(_) => vec![Effect::Unlink(there)],
            Effect::RemoveDir(_) => vec![Effect::RemoveDir(there)],
            other => vec![other.clone()],
        })
    })
}

/// What becomes of effects.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Dropped,
    PutOff,
}

/// Does not replace a copy of the state that is not like the other one, or does it
/// late. That a copy is replaced and no new state written shows in its generation:
/// the first file of a new one is that whose turn it is.
fn not_replaced(fate: Fate) -> Rewrite {
    let (mut created, mut begun, mut replacing) = (None, None, false);
    let mut held = Vec::new();
    Box::new(move |effect| {
        let Some(effect) = effect else {
            return if fate == Fate::PutOff { std::mem::take(&mut held) } else { Vec::new() };
        };
        let mut effects = match effect {
            Effect::Create(_) if in_state(effect) => {
                created = Some(effect.clone());
                return Vec::new();
            }
            Effect::Write(path, bytes) if in_state(effect) => {
                let generation = generation(bytes);
                let turn = if generation.is_multiple_of(2) { "a" } else { "b" };
                let first = in_place(path).ends_with(turn);
                replacing = !first && begun != Some(generation);
                begun = first.then_some(generation);
                created.take().into_iter().collect()
            }
            _ => Vec::new(),
        };
        effects.push(effect.clone());
        if !(replacing && in_state(effect)) {
            return effects;
        }
        replacing = !matches!(effect, Effect::SyncDir(_));
        held.extend(effects);
        Vec::new()
    })
}

/// Of the state in these bytes.
fn generation(bytes: &[u8]) -> u64 {
    let text = std::str::from_utf8(bytes).unwrap();
    let (_, rest) = text.split_once("\"generation\": ").unwrap();
    rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}

/// Writes the second copy of the state when all is over.
fn second_copy_late() -> Rewrite {
    let copies = Cell::new(0_u32);
    put_off(
        move |effect| {
            let begins = in_state(effect) && matches!(effect, Effect::Create(_));
            copies.set(copies.get() + u32::from(begins));
            in_state(effect) && copies.get() > 0 && copies.get().is_multiple_of(2)
        },
        |_| false,
    )
}

pub(super) const MISTAKES: &[Mistake] = &[
    Mistake {
        name: "no fsync of staged files",
        scenario: Scenario::update,
        rewrite: || no_fsync_of_files_in("tmp"),
    },
    Mistake {
        name: "no fsync of the staged directory",
        scenario: Scenario::update,
        rewrite: || {
            without(
                |effect| matches!(effect, Effect::SyncDir(path) if below(path, "tmp") && !is(path, "tmp")),
            )
        },
    },
    Mistake {
        name: "no fsync of store/",
        scenario: Scenario::update,
        rewrite: || no_fsync_of("store"),
    },
    Mistake {
        name: "no fsync of tmp/ before a collected release is removed",
        scenario: Scenario::collection,
        rewrite: || no_fsync_of("tmp"),
    },
    Mistake {
        name: "no fsync of bin/ after the switch",
        scenario: Scenario::update,
        rewrite: || no_fsync_of("bin"),
    },
    Mistake {
        name: "no fsync of the state file",
        scenario: Scenario::update,
        rewrite: || no_fsync_of_files_in("state"),
    },
    Mistake {
        name: "no fsync of state/",
        scenario: Scenario::update,
        rewrite: || no_fsync_of("state"),
    },
    Mistake {
        name: "no fsync of trust files",
        scenario: Scenario::check,
        rewrite: || no_fsync_of_files_in("trust"),
    },
    Mistake {
        name: "no fsync of trust/",
        scenario: Scenario::check,
        rewrite: || no_fsync_of("trust"),
    },
    Mistake {
        name: "no fsync of a new root of trust",
        scenario: Scenario::rotation,
        rewrite: || no_fsync_of_a_file(".root.json"),
    },
    Mistake {
        name: "no fsync of the clock floor",
        scenario: Scenario::check,
        rewrite: || no_fsync_of_a_file("trust/clock"),
    },
    Mistake {
        name: "no fsync of what a check in vain began",
        scenario: Scenario::withheld,
        rewrite: || no_fsync_of_a_file("-2.timestamp.json"),
    },
    Mistake {
        name: "floors removed by a root that replaces no key",
        scenario: Scenario::renewal,
        rewrite: || {
            instead(|effect| match effect {
                // The first thing that is written under it.
                Effect::Create(path) if path.ends_with(".new-2-2.timestamp.json") => {
                    let floors = path.with_file_name("timestamp.json");
                    Some(vec![Effect::Unlink(floors), effect.clone()])
                }
                _ => None,
            })
        },
    },
    Mistake {
        name: "no fsync of the install root",
        scenario: Scenario::first_install,
        rewrite: || no_fsync_of(""),
    },
    Mistake {
        name: "no fsync of the directory above the install root",
        scenario: Scenario::first_install,
        rewrite: || without(|effect| *effect == Effect::SyncDir("/opt".into())),
    },
    Mistake {
        name: "the timestamp before what it names",
        scenario: Scenario::check,
        rewrite: || {
            put_off(
                |effect| {
                    let name = effect.path().to_str().unwrap();
                    name.ends_with(".targets.json") || name.ends_with(".snapshot.json")
                },
                |effect| matches!(effect, Effect::Rename(_, to) if is(to, "trust/timestamp.json")),
            )
        },
    },
    Mistake {
        name: "old metadata removed before the new is in place",
        scenario: Scenario::check,
        rewrite: || {
            let timestamp = |path: &Path| path.to_str().unwrap().ends_with("timestamp.json");
            put_off(
                move |effect| timestamp(effect.path()),
                |effect| matches!(effect, Effect::Unlink(_)),
            )
        },
    },
    Mistake {
        name: "switch before intent",
        scenario: Scenario::update,
        rewrite: || {
            put_off(in_state, |effect| matches!(effect, Effect::SyncDir(path) if is(path, "bin")))
        },
    },
    Mistake {
        name: "confirmation before the switch",
        scenario: Scenario::update,
        rewrite: || {
            let begun = Cell::new(false);
            put_off(
                move |effect| {
                    begun.set(begun.get() || matches!(effect, Effect::Symlink(..)));
                    begun.get() && below(effect.path(), "bin")
                },
                |effect| matches!(effect, Effect::SyncDir(path) if is(path, "state")),
            )
        },
    },
    Mistake {
        name: "acknowledgement before it is durable",
        scenario: Scenario::update,
        rewrite: || put_off(|effect| below(effect.path(), "bin") || in_state(effect), |_| false),
    },
    Mistake {
        name: "collection before confirmation",
        scenario: Scenario::collection,
        rewrite: || {
            // The intent is the first file; the second one waits for the collection.
            let files = Cell::new(0);
            put_off(
                move |effect| {
                    if in_state(effect) && matches!(effect, Effect::Create(_)) {
                        files.set(files.get() + 1);
                    }
                    in_state(effect) && files.get() > 1
                },
                |_| false,
            )
        },
    },
    Mistake {
        name: "the state written in place",
        scenario: Scenario::first_install,
        rewrite: state_in_place,
    },
    Mistake {
        name: "one copy of the state written",
        scenario: Scenario::block,
        rewrite: || without(|effect| in_state(effect) && in_place(effect.path()).ends_with("a")),
    },
    Mistake {
        name: "acknowledgement before the second copy of the state is written",
        scenario: Scenario::block,
        rewrite: second_copy_late,
    },
    Mistake {
        name: "a copy of the state that cannot be read left where it is",
        scenario: Scenario::block,
        rewrite: || not_replaced(Fate::Dropped),
    },
    Mistake {
        name: "the older copy of the state told before the other one is replaced",
        scenario: Scenario::block,
        rewrite: || not_replaced(Fate::PutOff),
    },
    Mistake {
        name: "the link removed before it is made anew",
        scenario: Scenario::update,
        rewrite: || {
            instead(|effect| match effect {
                Effect::Rename(_, to) if is(to, "bin/logger") => {
                    Some(vec![Effect::Unlink(to.clone()), effect.clone()])
                }
                _ => None,
            })
        },
    },
    Mistake {
        name: "a release collected where it lies",
        scenario: Scenario::collection,
        rewrite: collect_in_place,
    },
    Mistake {
        name: "no fsync of history/",
        scenario: Scenario::block,
        rewrite: || no_fsync_of("history"),
    },
    Mistake {
        name: "the mode set after the fsync",
        scenario: Scenario::update,
        rewrite: || {
            put_off(
                |effect| matches!(effect, Effect::SetMode(path, _) if below(path, "tmp")),
                |effect| matches!(effect, Effect::SyncFile(_)),
            )
        },
    },
];
