// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Artifacts and images that were refused here, and how long the clock leaves
//! them alone: what is wrong with one is rarely different five minutes later, and
//! a fleet that asks again with every poll is an attack on its own server.
//!
//! In memory: a restart asks once more. It is what an operator tries, and an agent
//! that crashes in a loop is stopped by the service manager (5 starts in 10
//! minutes), or asks every two minutes at most.

use std::collections::BTreeMap;
use std::time::Duration;

use dockerlogger_manifest::Digest;
use jiff::{SignedDuration, Timestamp};

use crate::backoff::doubled;
use crate::random::jittered;

/// The pause after the second refusal; it doubles with each one that follows.
/// After the first there is none: what came may have been damaged on the way.
const PAUSE_MIN: Duration = Duration::from_secs(10 * 60);

/// The longest pause, jitter apart.
const PAUSE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Refusals that are remembered, at most.
const ENTRIES_MAX: usize = 32;

/// What is refused.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    /// An artifact.
    Artifact(Digest),
    /// The file of an image.
    Image(ImageFile),
}

/// The file of an image, as an image API calls it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ImageFile {
    /// The image.
    pub(crate) uuid: String,
    /// What the API says of its file.
    pub(crate) sha1: String,
}

/// Something that was refused once or more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// How often in a row.
    pub(crate) times: u32,
    /// The last time.
    at: Timestamp,
    /// The clock does not ask before this.
    pub(crate) until: Timestamp,
    /// The last reason, as a chain of causes.
    pub(crate) why: String,
}

/// What is wrong with an artifact whatever source it comes from.
pub(crate) const ANY_SOURCE: &str = "";

/// The memory of one engine: by what was refused, and by the source that it came from.
#[derive(Debug, Default)]
pub(crate) struct Refusals(BTreeMap<(Subject, String), Refusal>);

impl Refusals {
    /// It was refused once more.
    pub(crate) fn note(&mut self, subject: Subject, source: String, why: String, at: Timestamp) {
        let key = (subject, source);
        let times = self.0.get(&key).map_or(0, |refusal| refusal.times).saturating_add(1);
        let pause = SignedDuration::try_from(jittered(mean_pause(times))).unwrap_or_default();
        let until = at.checked_add(pause).unwrap_or(at);
        if self.0.len() >= ENTRIES_MAX && !self.0.contains_key(&key) {
            let oldest = self.0.iter().min_by_key(|(_, refusal)| refusal.at);
            let oldest = oldest.map(|(key, _)| key.clone());
            oldest.and_then(|key| self.0.remove(&key));
        }
        self.0.insert(key, Refusal { times, at, until, why });
    }

    /// The refusal that keeps the clock from asking now, if one does. A clock that
    /// was set back keeps nobody waiting.
    pub(crate) fn in_force(
        &self,
        subject: &Subject,
        source: &str,
        now: Timestamp,
    ) -> Option<&Refusal> {
        let refusals =
            [ANY_SOURCE, source].map(|source| self.0.get(&(subject.clone(), source.to_owned())));
        let mut refusals = refusals.into_iter().flatten();
        refusals.find(|refusal| refusal.at <= now && now < refusal.until)
    }

    /// It was taken after all.
    pub(crate) fn forget(&mut self, subject: &Subject) {
        self.0.retain(|(refused, _), _| refused != subject);
    }

    /// A source offers this image now; its older ones do not matter any more.
    pub(crate) fn forget_images_but(&mut self, image: &Subject, source: &str) {
        self.0.retain(|(refused, from), _| {
            from != source || refused == image || matches!(refused, Subject::Artifact(_))
        });
    }
}

/// The pause after so many refusals, jitter apart. Pure.
fn mean_pause(times: u32) -> Duration {
    times.checked_sub(2).map_or(Duration::ZERO, |times| doubled(PAUSE_MIN, times, PAUSE_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifact(byte: u8) -> Subject {
        Subject::Artifact(Digest::from_bytes([byte; 32]))
    }

    #[test]
    fn pauses_double_from_the_second_refusal_to_a_day() {
        let minutes = |times| mean_pause(times).as_secs() / 60;
        assert_eq!(
            [0, 1, 2, 3, 4, 9, 10, 40, u32::MAX].map(minutes),
            [0, 0, 10, 20, 40, 1280, 1440, 1440, 1440]
        );
    }

    #[test]
    fn a_refusal_is_of_one_thing_and_one_source_and_ends() {
        let (one, other) = (artifact(1), artifact(2));
        let at = |minutes| Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes);
        let mut refusals = Refusals::default();
        let mut refuse = |minutes| {
            refusals.note(one.clone(), "/a".to_owned(), "bad".to_owned(), at(minutes));
            let asked = |digest, source, minutes| refusals.in_force(digest, source, at(minutes));
            [
                asked(&one, "/a", minutes).is_some(),
                asked(&one, "/a", minutes + 7).is_some(),
                asked(&one, "/a", minutes + 13).is_some(),
                asked(&one, "/a", minutes - 1).is_some(),
                asked(&one, "/b", minutes).is_some(),
                asked(&other, "/a", minutes).is_some(),
            ]
        };
        assert_eq!(refuse(0), [false; 6]);
        assert_eq!(refuse(100), [true, true, false, false, false, false]);
        assert_eq!(refuse(200), [true, true, true, false, false, false]);
        refusals.forget(&one);
        assert_eq!(refusals.in_force(&one, "/a", at(200)), None);
    }

    #[test]
    fn another_image_of_a_source_takes_the_place_of_the_one_before() {
        let image = |uuid: &str, sha1: &str| {
            Subject::Image(ImageFile { uuid: uuid.to_owned(), sha1: sha1.to_owned() })
        };
        let noted = [
            (image("1", "a"), "/a"),
            (image("1", "b"), "/a"),
            (image("2", "a"), "/a"),
            (image("1", "a"), "/b"),
            (artifact(1), "/a"),
        ];
        let mut refusals = Refusals::default();
        for (subject, source) in noted.clone() {
            refusals.note(subject, source.to_owned(), String::new(), Timestamp::UNIX_EPOCH);
        }
        refusals.forget_images_but(&image("1", "a"), "/a");
        let kept = |(subject, source): (Subject, &str)| {
            refusals.0.contains_key(&(subject, source.to_owned()))
        };
        assert_eq!(noted.map(kept), [true, false, false, true, true]);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut refusals = Refusals::default();
        for second in 0..100_u8 {
            let at = Timestamp::from_second(second.into()).unwrap();
            refusals.note(artifact(second), String::new(), String::new(), at);
            assert!(refusals.0.len() <= ENTRIES_MAX);
        }
        assert!(refusals.0.contains_key(&(artifact(99), String::new())));
    }
}
