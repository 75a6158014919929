// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What may happen on a node within a minute, and what becomes of the release.

use super::*;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// Looks of a trial of a minute.
const LOOKS: u32 = 600;

/// What a logger does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    /// It runs to the end of the trial.
    Stays,
    /// Its container ends after so many looks, and its zone halts; another follows.
    Halts(u32),
    /// Its streams end; its zone takes its time.
    Drains(u32),
    /// It dies of a fault after so many looks, and the zone with it.
    Crashes(u32),
    /// It is killed while the zone lives on.
    Killed(u32),
    /// Its sender dies after so many looks, and the next one too.
    LosesSenders(u32),
    /// Its page says that it lost lines.
    Lies,
    /// It refuses its configuration.
    Refuses(u32),
}

use Act::{Crashes, Drains, Halts, Killed, Lies, LosesSenders, Refuses, Stays};

/// A place for one container after another.
#[derive(Debug, Clone, Copy)]
struct Slot {
    owner: u32,
    act: Act,
    /// Which release its loggers run.
    side: Side,
    /// Each container is a zone of its own (`docker run`), or the same again
    /// (`docker restart`).
    new_zones: bool,
    number: u32,
    zone: u64,
    /// Looks since it started; none while there is no container.
    age: Option<u32>,
}

fn slots(count: u32, first_owner: u32, act: Act) -> Vec<Slot> {
    let slot = |owner| Slot {
        owner,
        act,
        side: Side::OnTrial,
        new_zones: false,
        number: 0,
        zone: 0,
        age: None,
    };
    (first_owner..first_owner + count).map(slot).collect()
}

/// An owner of many zones.
const ONE: u32 = u32::MAX;

/// They are all of one owner.
fn of_one(mut slots: Vec<Slot>) -> Vec<Slot> {
    slots.iter_mut().for_each(|slot| slot.owner = ONE);
    slots
}

/// Each container is another zone.
fn in_new_zones(mut slots: Vec<Slot>) -> Vec<Slot> {
    slots.iter_mut().for_each(|slot| slot.new_zones = true);
    slots
}

/// They run the release before.
fn of_before(mut slots: Vec<Slot>) -> Vec<Slot> {
    slots.iter_mut().for_each(|slot| slot.side = Side::Before);
    slots
}

/// Lets a minute pass on a node with these containers. The look at which the
/// release was left, and why.
fn history(mut slots: Vec<Slot>) -> Option<(u32, String)> {
    let mut scene = Scene::new(true);
    let mut next = 100;
    for look in 0..LOOKS {
        for (place, slot) in slots.iter_mut().enumerate() {
            live(&mut scene, slot, u64::try_from(place).unwrap(), &mut next);
        }
        scene.after(LOOK);
        if let Some(why) = scene.verdict {
            return Some((look, why));
        }
    }
    None
}

/// What happens in a slot between two looks.
fn live(scene: &mut Scene, slot: &mut Slot, place: u64, next: &mut u32) {
    let Some(age) = slot.age else {
        slot.age = Some(0);
        slot.number = *next;
        *next += 10;
        if slot.zone == 0 || slot.new_zones {
            slot.zone =
                1000 * (place + 1) + if slot.new_zones { u64::from(*next) << 32 } else { 0 };
        }
        let zone = Zone(slot.zone, 0);
        let owner = if slot.new_zones && slot.owner != ONE { slot.zone } else { slot.owner.into() };
        scene.machine.owners.insert(zone, Owner(owner.to_string()));
        let file = match slot.side {
            Side::OnTrial => scene.files.on_trial,
            Side::Before => scene.files.before,
        };
        scene.run(slot.number, 1, slot.zone, file);
        scene.run(slot.number + 1, slot.number, slot.zone, file);
        scene.run(slot.number + 2, 1, slot.zone, scene.files.other);
        scene.say(slot.number, slot.zone, page(Life::Runs, [0; 4]));
        return;
    };
    slot.age = Some(age + 1);
    let (number, zone) = (slot.number, slot.zone);
    let over = |life: Option<Life>, scene: &mut Scene| {
        life.into_iter().for_each(|life| scene.say(number, zone, page(life, [0; 4])));
    };
    match slot.act {
        Halts(looks) if age >= looks => over(None, scene),
        Crashes(looks) if age >= looks => over(Some(Life::Crashed { signal: 11 }), scene),
        Refuses(looks) if age >= looks => over(Some(Life::Failed { status: 78 }), scene),
        Drains(looks) if age >= looks => {
            over(Some(Life::StreamsEnded), scene);
            scene.end(&[number, number + 1]);
            // The zone is there for another second.
            if age < looks + S {
                return;
            }
        }
        Killed(looks) if age >= looks => {
            scene.end(&[number, number + 1]);
            if age < looks + 3 * S {
                return;
            }
        }
        LosesSenders(looks) => {
            if age % looks == 0 {
                scene.end(&[number + 1]);
            } else if age % looks == looks / 2 {
                scene.run(number + 1, number, zone, scene.files.on_trial);
            }
            return;
        }
        Lies => {
            scene.say(number, zone, page(Life::Runs, [999, 0, 0, 0]));
            return;
        }
        _ => return,
    }
    scene.halt(zone);
    slot.age = None;
}

/// A second.
const S: u32 = 10;

#[test]
fn good_releases_stay() {
    let quiet = || of_before(slots(10, 100, Stays));
    let cases = [
        ("containers of seconds", slots(20, 0, Halts(2 * S))),
        ("containers of no time", in_new_zones(slots(20, 0, Halts(1)))),
        ("they drain first", slots(20, 0, Drains(S))),
        ("one restarts again and again", [slots(1, 0, Halts(S)), slots(3, 1, Stays)].concat()),
        ("it alone", slots(1, 0, Halts(S))),
        ("one logger is killed a hundred times", [slots(1, 0, Killed(1)), quiet()].concat()),
        ("the same in many zones", {
            let killer = in_new_zones(of_one(slots(20, 0, Killed(1))));
            [killer, slots(5, 50, Halts(5 * S)), quiet()].concat()
        }),
        ("and beside one other", [of_one(slots(9, 0, Killed(1))), slots(1, 50, Stays)].concat()),
        ("one crashes his loggers", [of_one(slots(20, 0, Crashes(1))), quiet()].concat()),
        ("one writes lies on pages", [of_one(slots(20, 0, Lies)), quiet()].concat()),
        ("two do", [slots(2, 0, Lies), slots(5, 10, Stays)].concat()),
        ("one kills his senders", [slots(1, 0, LosesSenders(4)), quiet()].concat()),
        ("three have wrong options", [slots(3, 0, Refuses(1)), slots(9, 10, Stays)].concat()),
        ("all zones halt", slots(20, 0, Halts(30 * S))),
        (
            "the node kills what it finds",
            [slots(10, 0, Killed(9 * S)), of_before(slots(10, 100, Killed(9 * S)))].concat(),
        ),
    ];
    for (name, slots) in cases {
        assert_eq!(history(slots), None, "{name}");
    }
}

#[test]
fn bad_releases_go_within_a_minute() {
    let busy = || slots(5, 200, Halts(S));
    let quiet = || of_before(slots(10, 100, Stays));
    let cases = [
        ("dies at once", slots(20, 0, Crashes(1)), "loggers died"),
        ("dies after 15 s", [slots(20, 0, Crashes(15 * S)), quiet()].concat(), "loggers died"),
        ("dies after 40 s without a word", slots(20, 0, Killed(40 * S)), "loggers died"),
        ("dies after 15 s, in new zones", in_new_zones(slots(20, 0, Crashes(15 * S))), "died"),
        (
            "dies after 15 s beside containers of seconds",
            [slots(4, 0, Crashes(15 * S)), in_new_zones(slots(16, 20, Halts(2 * S)))].concat(),
            "loggers died",
        ),
        (
            "dies with TLS, in one of five",
            [slots(4, 0, Crashes(5 * S)), slots(11, 50, Stays), busy()].concat(),
            "loggers died",
        ),
        (
            "the same where all are one owner's",
            of_one([slots(4, 0, Crashes(5 * S)), slots(16, 50, Stays)].concat()),
            "loggers died",
        ),
        ("kills its senders", [slots(4, 0, LosesSenders(2 * S)), busy()].concat(), "senders died"),
        ("loses lines", [slots(3, 0, Lies), slots(9, 10, Stays)].concat(), "loggers lost lines"),
        ("refuses all", [slots(12, 0, Refuses(1)), busy()].concat(), "refused their configuration"),
        ("the only container, thrice", slots(1, 0, Crashes(15 * S)), "3 loggers died"),
        ("the containers of two owners", slots(2, 0, Crashes(9 * S)), "loggers died"),
    ];
    for (name, slots, words) in cases {
        let (_, why) = history(slots).expect(name);
        assert!(why.contains(words), "{name}: {why}");
    }
}
