//! The split of the speaker task: training and test have the same speakers, and of each some speech is held out.
//!
//! Of a speaker with several recordings the last fifth of them (rounded down, at least one) is held out; of one with a single
//! recording its last third.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::corpus::Recording;
use crate::left_out::{LeftOut, Reason};
use crate::split::round_robin;
use crate::{Error, Result};

/// Neighbouring frames share samples: 25 ms long, they begin every 10 ms. So many between two frames, and they share none.
const GAP: usize = 2;

/// A part of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Which recording.
    pub recording: usize,
    /// Its frames.
    pub frames: Range<usize>,
}

/// What each speaker is trained and tested on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldOut {
    /// The speakers, in the order of their names: the classes.
    pub speakers: Vec<String>,
    /// For training.
    pub train: Vec<Stretch>,
    /// For test.
    pub test: Vec<Stretch>,
    /// Speakers who have no segment to train on, or none to test on; they are left out.
    pub too_short: Vec<String>,
    /// Recordings of the other speakers that are shorter than a segment.
    pub left_out: Vec<LeftOut>,
}

impl HeldOut {
    /// Splits recordings of given lengths in frames, in their order. Stretches shorter than a segment are left out.
    ///
    /// # Errors
    /// If fewer than two speakers are left.
    pub fn split(recordings: &[Recording], frames: &[usize], segment: usize) -> Result<HeldOut> {
        let by_speaker = by_speaker(recordings);
        let whole = |recordings: &[usize]| {
            let stretch = |&recording: &usize| Stretch {
                recording,
                frames: 0..frames[recording],
            };
            recordings.iter().map(stretch).collect::<Vec<_>>()
        };
        let mut split = HeldOut {
            speakers: Vec::new(),
            train: Vec::new(),
            test: Vec::new(),
            too_short: Vec::new(),
            left_out: Vec::new(),
        };
        for (speaker, own) in &by_speaker {
            let [mut train, mut test] = match own[..] {
                [recording] => {
                    let held = frames[recording] / 3;
                    let cut = frames[recording] - held;
                    let part = |frames| vec![Stretch { recording, frames }];
                    [part(0..cut.saturating_sub(GAP)), part(cut..cut + held)]
                }
                _ => {
                    let (train, test) = own.split_at(own.len() - (own.len() / 5).max(1));
                    [whole(train), whole(test)]
                }
            };
            for part in [&mut train, &mut test] {
                part.retain(|stretch| stretch.frames.len() >= segment);
            }
            if train.is_empty() || test.is_empty() {
                split.too_short.push((*speaker).to_owned());
            } else {
                split.speakers.push((*speaker).to_owned());
                split.train.append(&mut train);
                split.test.append(&mut test);
                let short = own.iter().filter(|&&one| frames[one] < segment);
                let short = short.map(|&one| too_short(&recordings[one], frames[one], segment));
                split.left_out.extend(short);
            }
        }
        if split.speakers.len() < 2 {
            return Err(Error::TooFew(format!(
                "of {} speakers {} have speech enough to train and to test on, {segment} frames each: give recordings of two \
                 speakers or more",
                by_speaker.len(),
                split.speakers.len(),
            )));
        }
        Ok(split)
    }
}

fn too_short(recording: &Recording, frames: usize, segment: usize) -> LeftOut {
    let id = recording.id.clone();
    LeftOut {
        reason: Reason::TooShort,
        message: format!("recording {id}: has {frames} frames of 10 ms, and a segment {segment}"),
        id,
    }
}

/// At most so many of the recordings that are wanted: the first of each speaker, then the second of each, and so on. In the order
/// of the list.
pub fn in_turn(
    recordings: &[Recording],
    count: usize,
    is_wanted: impl Fn(&Recording) -> bool,
) -> Vec<usize> {
    let mut by_speaker: Vec<Vec<usize>> = by_speaker(recordings).into_values().collect();
    for own in &mut by_speaker {
        own.retain(|index| is_wanted(&recordings[*index]));
    }
    let mut chosen = round_robin(by_speaker);
    chosen.truncate(count);
    chosen.sort_unstable();
    chosen
}

/// The recordings of each speaker.
fn by_speaker(recordings: &[Recording]) -> BTreeMap<&str, Vec<usize>> {
    let mut all = BTreeMap::<&str, Vec<usize>>::new();
    for (index, recording) in recordings.iter().enumerate() {
        all.entry(&recording.speaker).or_default().push(index);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Speakers `0`, `1`, … with recordings of these lengths.
    fn corpus(lengths: &[Vec<usize>]) -> (Vec<Recording>, Vec<usize>) {
        let recordings = lengths.iter().enumerate().flat_map(|(speaker, lengths)| {
            lengths.iter().enumerate().map(move |(take, &frames)| {
                let recording = Recording {
                    id: format!("{speaker}-{take}"),
                    speaker: format!("{speaker:02}"),
                    sex: None,
                    digit: None,
                    ..Recording::default()
                };
                (recording, frames)
            })
        });
        recordings.unzip()
    }

    #[test]
    fn the_last_recordings_or_the_last_third_are_held_out() {
        let lengths = [vec![500; 10], vec![900], vec![300, 199, 400], vec![500]];
        let (recordings, frames) = corpus(&lengths);
        let split = HeldOut::split(&recordings, &frames, 200).unwrap();
        assert_eq!(split.speakers, ["00", "01", "02"]);
        // A third of 500 frames is no segment.
        assert_eq!(split.too_short, ["03"]);
        let ids: Vec<_> = split.left_out.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(ids, ["2-1"]);
        let stretch = |recording, frames| Stretch { recording, frames };
        let test = [
            stretch(8, 0..500),
            stretch(9, 0..500),
            stretch(10, 600..900),
            stretch(13, 0..400),
        ];
        assert_eq!(split.test, test);
        assert_eq!(
            split.train[..8],
            [0, 1, 2, 3, 4, 5, 6, 7].map(|r| stretch(r, 0..500))
        );
        assert_eq!(split.train[8..], [stretch(10, 0..598), stretch(11, 0..300)]);
    }

    #[test]
    fn recordings_are_taken_of_each_speaker_in_turn() {
        let (recordings, _) = corpus(&[vec![1; 3], vec![1], vec![1; 2]]);
        assert_eq!(in_turn(&recordings, 2, |_| true), [0, 3]);
        assert_eq!(in_turn(&recordings, 4, |_| true), [0, 1, 3, 4]);
        assert_eq!(in_turn(&recordings, 9, |_| true), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn fewer_than_two_speakers_is_an_error_with_numbers() {
        let (recordings, frames) = corpus(&[vec![500; 3], vec![100; 3]]);
        let error = HeldOut::split(&recordings, &frames, 200)
            .unwrap_err()
            .to_string();
        assert!(error.contains("of 2 speakers 1 have"), "{error}");
        assert!(HeldOut::split(&[], &[], 200).is_err());
    }

    proptest! {
        /// No frame is in both parts, every speaker of the split is in both, and no speaker is lost.
        #[test]
        fn parts_are_disjoint_and_complete(
            lengths in prop::collection::vec(prop::collection::vec(0usize..1500, 1..13), 2..10),
        ) {
            let (recordings, frames) = corpus(&lengths);
            let Ok(split) = HeldOut::split(&recordings, &frames, 200) else { return Ok(()) };
            prop_assert_eq!(split.speakers.len() + split.too_short.len(), lengths.len());
            let speakers = |part: &[Stretch]| {
                let mut names: Vec<_> = part.iter().map(|s| recordings[s.recording].speaker.clone()).collect();
                names.sort();
                names.dedup();
                names
            };
            prop_assert_eq!(&speakers(&split.train), &split.speakers);
            prop_assert_eq!(&speakers(&split.test), &split.speakers);
            for stretch in split.train.iter().chain(&split.test) {
                prop_assert!(stretch.frames.len() >= 200 && stretch.frames.end <= frames[stretch.recording]);
            }
            for train in &split.train {
                for test in split.test.iter().filter(|test| test.recording == train.recording) {
                    // Frame n is samples 160 n to 160 n + 400.
                    prop_assert!(160 * (train.frames.end - 1) + 400 <= 160 * test.frames.start);
                }
            }
        }
    }
}
