//! Training, validation and test, split by speaker.
//!
//! No speaker is in two parts, each part has as many recordings of men as of women, and every prefix of a part is as
//! balanced as it can be: its recordings alternate between the sexes, and within a sex go round the speakers.

use std::collections::{BTreeMap, BTreeSet};

use rand::RngExt;
use rand::seq::SliceRandom;

use crate::corpus::{Recording, Sex};
use crate::left_out::LeftOut;
use crate::seed::rng;
use crate::{Error, Result};

/// Which of a corpus's speakers take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speakers {
    /// At most so many of each sex, three at least, and as many of one as of the other, chosen by seed. The thesis takes 12 of AudioMNIST, which
    /// has no more women.
    PerSex(usize),
    /// All there are.
    All,
}

/// What recordings are for.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[strum(serialize_all = "lowercase", parse_err_ty = String, parse_err_fn = no_part)]
pub enum Part {
    /// For training.
    Train,
    /// For choosing among networks.
    Validation,
    /// For the numbers that are reported.
    Test,
}

fn no_part(name: &str) -> String {
    format!("`{name}` is none of train, validation and test")
}

impl Part {
    /// All of them.
    pub const ALL: [Part; 3] = [Part::Train, Part::Validation, Part::Test];

    /// What it is called in tables and on the command line.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// How many recordings a part has at most; a part has fewer if its speakers do. `None` takes all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// For training.
    pub train: Option<usize>,
    /// For validation.
    pub validation: Option<usize>,
    /// For test.
    pub test: Option<usize>,
}

impl Sizes {
    /// As many recordings as there are.
    pub fn all() -> Sizes {
        Sizes {
            train: None,
            validation: None,
            test: None,
        }
    }

    /// So many recordings, or as many as there are.
    pub fn at_most(train: usize, validation: usize, test: usize) -> Sizes {
        Sizes {
            train: Some(train),
            validation: Some(validation),
            test: Some(test),
        }
    }
}

/// Three lists of recordings, as indices into the corpus's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// For training.
    pub train: Vec<usize>,
    /// For choosing among networks.
    pub validation: Vec<usize>,
    /// For the numbers that are reported.
    pub test: Vec<usize>,
    /// Recordings of speakers whose sex is not known: they have no class.
    pub left_out: Vec<LeftOut>,
}

impl Split {
    /// Deals the speakers by `seed`: of as many of each sex, as the thesis does, half to training, a quarter each to
    /// validation and test (12 give 6, 3 and 3); of all there are, two thirds, a sixth and a sixth. Validation and test have at
    /// least one speaker of each sex; speakers with many recordings are spread over the parts.
    ///
    /// # Errors
    /// If there are fewer than three speakers of a sex, or a part would be empty.
    pub fn draw(
        recordings: &[Recording],
        speakers: Speakers,
        sizes: Sizes,
        seed: u64,
    ) -> Result<Split> {
        let hand: &[usize] = match speakers {
            Speakers::PerSex(_) => &[0, 0, 1, 2],
            Speakers::All => &[0, 0, 0, 0, 1, 2],
        };
        let (known, unknown): (Vec<&Recording>, Vec<&Recording>) =
            recordings.iter().partition(|r| r.sex.is_some());
        if known.is_empty() && !unknown.is_empty() {
            let speakers: BTreeSet<&String> = unknown.iter().map(|r| &r.speaker).collect();
            return Err(Error::UnknownSex(speakers.into_iter().cloned().collect()));
        }
        let of_sex = Sex::ALL.map(|sex| {
            let mut counts = BTreeMap::<&str, usize>::new();
            for recording in known.iter().filter(|r| r.sex == Some(sex)) {
                *counts.entry(&recording.speaker).or_default() += 1;
            }
            counts
        });
        let fewest = of_sex.iter().map(BTreeMap::len).min().unwrap_or(0);
        let mut parts = [const { Vec::new() }; 3];
        for (sex, counts) in Sex::ALL.into_iter().zip(&of_sex) {
            let mut names: Vec<&str> = counts.keys().copied().collect();
            names.shuffle(&mut rng(seed, &format!("split, {sex} speakers")));
            let wanted = match speakers {
                Speakers::PerSex(count) => count.max(3).min(fewest),
                Speakers::All => names.len(),
            };
            if names.len() < 3 {
                return Err(Error::TooFew(format!(
                    "there are {} {sex} speakers and 3 are needed, one each for training, validation and test at least",
                    names.len(),
                )));
            }
            names.truncate(wanted);
            // In hands of speakers with about as many recordings, so that the parts' recordings are in proportion too.
            names.sort_by_key(|name| std::cmp::Reverse(counts[name]));
            let mut deal = rng(seed, &format!("split, parts of the {sex} speakers"));
            for speakers in names.chunks(hand.len()) {
                let mut order = match speakers.len() == wanted {
                    true => hand[hand.len() - wanted..].to_vec(),
                    false if speakers.len() == hand.len() => hand.to_vec(),
                    false => vec![0; speakers.len()],
                };
                order.shuffle(&mut deal);
                for (name, part) in speakers.iter().zip(order) {
                    parts[part].push((*name).to_owned());
                }
            }
        }
        let split = Split::of_speakers(recordings, &parts, sizes, seed)?;
        Ok(Split {
            left_out: unknown.into_iter().map(LeftOut::without_sex).collect(),
            ..split
        })
    }

    /// Recordings of a [task](crate::task), that have a class: as their table says; or else by speaker, so that none is in two
    /// parts, two thirds of the speakers for training, a sixth each for validation and test. A recording whose speaker nobody tells
    /// counts as one by itself. Speakers are dealt class by class, each among those of the class that most of its recordings have;
    /// where a class has fewer than three, they are all for training. The recordings of a part go round the classes, and within a
    /// class round the speakers.
    ///
    /// # Errors
    /// If a part that is wanted is empty, or training has not every class; the other parts may be.
    pub fn of_classes(
        recordings: &[Recording],
        wanted: &[Part],
        sizes: Sizes,
        seed: u64,
    ) -> Result<Split> {
        let is_told = recordings.iter().all(|recording| recording.part.is_some());
        let dealt = match is_told {
            true => recordings.iter().filter_map(|r| r.part).collect(),
            false => deal(recordings, seed),
        };
        let all: BTreeSet<_> = recordings.iter().filter_map(|r| r.class.as_ref()).collect();
        let mut parts = Part::ALL
            .into_iter()
            .zip([sizes.train, sizes.validation, sizes.test]);
        let mut next = || -> Result<Vec<usize>> {
            let (part, size) = parts.next().unwrap_or((Part::Test, None));
            let mut by_class = BTreeMap::<_, BTreeMap<&str, Vec<usize>>>::new();
            for (index, recording) in recordings.iter().enumerate() {
                if let (Some(class), true) = (&recording.class, dealt[index] == part) {
                    let of_class = by_class.entry(class).or_default();
                    of_class.entry(&recording.speaker).or_default().push(index);
                }
            }
            let missing = all.iter().find(|class| !by_class.contains_key(*class));
            match missing {
                _ if !wanted.contains(&part) => {}
                Some(class) if part == Part::Train => {
                    return Err(Error::TooFew(format!(
                        "class `{class}` has no recording for training: give more of it, by more than one speaker"
                    )));
                }
                _ if by_class.is_empty() && is_told => {
                    return Err(Error::TooFew(format!(
                        "no recording has the split `{part}`: give some, or leave the column out"
                    )));
                }
                _ if by_class.is_empty() => {
                    return Err(Error::TooFew(format!(
                        "no recording is left for {part}: give at least three of a class, by three speakers if they are told"
                    )));
                }
                _ => {}
            }
            let of_class = by_class.into_iter().map(|(class, speakers)| {
                let own = speakers.into_iter().map(|(speaker, mut own)| {
                    own.shuffle(&mut rng(seed, &format!("split, {class} of {speaker}")));
                    own
                });
                let mut own: Vec<Vec<usize>> = own.collect();
                own.shuffle(&mut rng(
                    seed,
                    &format!("split, speakers of {class} in {part}"),
                ));
                round_robin(own)
            });
            let mut indices = round_robin(of_class.collect());
            indices.truncate(size.unwrap_or(usize::MAX));
            Ok(indices)
        };
        Ok(Split {
            train: next()?,
            validation: next()?,
            test: next()?,
            left_out: Vec::new(),
        })
    }

    /// The recordings of a part.
    pub fn part(&self, part: Part) -> &[usize] {
        match part {
            Part::Train => &self.train,
            Part::Validation => &self.validation,
            Part::Test => &self.test,
        }
    }

    /// The recordings of given speakers, for training, validation and test; `seed` chooses and orders them.
    pub fn of_speakers(
        recordings: &[Recording],
        parts: &[Vec<String>; 3],
        sizes: Sizes,
        seed: u64,
    ) -> Result<Split> {
        let mut by_speaker = BTreeMap::<&str, Vec<usize>>::new();
        for (index, recording) in recordings.iter().enumerate() {
            by_speaker
                .entry(&recording.speaker)
                .or_default()
                .push(index);
        }
        let mut take = |names: &[String], size: Option<usize>| -> Result<Vec<usize>> {
            let mut of_sex: [Vec<Vec<usize>>; 2] = Default::default();
            for name in names {
                // Taken out, so that a speaker who is named twice is an error too.
                let Some(mut own) = by_speaker.remove(name.as_str()) else {
                    return Err(Error::TooFew(format!(
                        "speaker {name} has no recordings, or stands in the split twice"
                    )));
                };
                own.shuffle(&mut rng(seed, &format!("split, recordings of {name}")));
                let sex = recordings[own[0]].sex;
                let sex = sex.ok_or_else(|| Error::UnknownSex(vec![name.clone()]))?;
                of_sex[sex.index()].push(own);
            }
            Ok(alternate(of_sex.map(round_robin), size, seed))
        };
        let mut take = |name: &str, names: &[String], size: Option<usize>| match take(names, size)?
        {
            part if part.is_empty() => Err(Error::TooFew(format!(
                "no recordings are left for {name}: each part needs a pair, one of a man and one of a woman"
            ))),
            part => Ok(part),
        };
        Ok(Split {
            train: take("training", &parts[0], sizes.train)?,
            validation: take("validation", &parts[1], sizes.validation)?,
            test: take("test", &parts[2], sizes.test)?,
            left_out: Vec::new(),
        })
    }
}

/// The part of each recording, by its speaker.
fn deal(recordings: &[Recording], seed: u64) -> Vec<Part> {
    use Part::{Test, Train, Validation};
    let mut by_speaker = BTreeMap::<&str, BTreeMap<Option<&String>, usize>>::new();
    for recording in recordings {
        let classes = by_speaker.entry(&recording.speaker).or_default();
        *classes.entry(recording.class.as_ref()).or_default() += 1;
    }
    let mut by_class = BTreeMap::<Option<&String>, Vec<&str>>::new();
    for (speaker, classes) in by_speaker {
        // Of several the first.
        let most = classes.iter().rev().max_by_key(|(_, count)| **count);
        let class = most.and_then(|(class, _)| *class);
        by_class.entry(class).or_default().push(speaker);
    }
    let hand = [Train, Train, Train, Train, Validation, Test];
    let mut parts = BTreeMap::new();
    for (class, mut speakers) in by_class {
        let label = class.map_or("", String::as_str);
        let mut rng = rng(seed, &format!("split, speakers of {label}"));
        speakers.shuffle(&mut rng);
        let all = speakers.len();
        for speakers in speakers.chunks(hand.len()) {
            let mut order = match speakers.len() {
                whole if whole == hand.len() => hand.to_vec(),
                few if few == all && few >= 3 => hand[hand.len() - few..].to_vec(),
                few => vec![Train; few],
            };
            order.shuffle(&mut rng);
            parts.extend(speakers.iter().copied().zip(order));
        }
    }
    let part = |recording: &Recording| parts.get(recording.speaker.as_str()).copied();
    recordings
        .iter()
        .map(|r| part(r).unwrap_or(Train))
        .collect()
}

/// Fails unless there are recordings of both sexes, as where all of one cannot be used.
///
/// # Errors
/// If there are none of one.
pub fn check_both<'a>(
    recordings: impl IntoIterator<Item = &'a Recording>,
    part: &str,
) -> Result<()> {
    let sexes: Vec<Option<Sex>> = recordings.into_iter().map(|one| one.sex).collect();
    let has = |sex: &Sex| sexes.contains(&Some(*sex));
    match Sex::ALL.iter().find(|sex| !has(sex)) {
        None => Ok(()),
        Some(sex) => Err(Error::TooFew(format!(
            "{part}: of the {sex} speakers no recording can be used; both sexes are needed"
        ))),
    }
}

/// The first of every list, then the second of every list, and so on.
pub(crate) fn round_robin(lists: Vec<Vec<usize>>) -> Vec<usize> {
    let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
    (0..longest)
        .flat_map(|turn| lists.iter().filter_map(move |list| list.get(turn).copied()))
        .collect()
}

/// One of each, as long as there are both and `size` allows; which sex comes first is drawn for every pair.
fn alternate([male, female]: [Vec<usize>; 2], size: Option<usize>, seed: u64) -> Vec<usize> {
    let pairs = size.map_or(usize::MAX, |size| size / 2);
    let mut rng = rng(seed, "split, order of the sexes");
    male.into_iter()
        .zip(female)
        .take(pairs)
        .flat_map(|(m, f)| if rng.random_bool(0.5) { [m, f] } else { [f, m] })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::left_out::Reason;
    use proptest::prelude::*;
    use std::collections::HashSet;

    /// A corpus whose speakers have the given numbers of recordings.
    fn corpus(male: &[usize], female: &[usize]) -> Vec<Recording> {
        let speakers = male
            .iter()
            .map(|n| (Sex::Male, *n))
            .chain(female.iter().map(|n| (Sex::Female, *n)));
        speakers
            .enumerate()
            .flat_map(|(speaker, (sex, count))| {
                (0..count).map(move |take| Recording {
                    id: format!("{speaker}-{take}"),
                    speaker: speaker.to_string(),
                    sex: Some(sex),
                    digit: None,
                    ..Recording::default()
                })
            })
            .collect()
    }

    fn parts(split: &Split) -> [&Vec<usize>; 3] {
        [&split.train, &split.validation, &split.test]
    }

    #[test]
    fn the_thesis_sizes() {
        let recordings = corpus(&[500; 48], &[500; 12]);
        let split = Split::draw(
            &recordings,
            Speakers::PerSex(12),
            Sizes::at_most(6000, 3000, 3000),
            3,
        )
        .unwrap();
        assert_eq!(parts(&split).map(Vec::len), [6000, 3000, 3000]);
        let speakers = |part: &[usize]| {
            part.iter()
                .map(|&i| &recordings[i].speaker)
                .collect::<HashSet<_>>()
                .len()
        };
        assert_eq!(parts(&split).map(|part| speakers(part)), [12, 6, 6]);
    }

    /// The corpus of 59 speakers, 19 women among them, and 3000 recordings that the issue of real digits is about.
    #[test]
    fn as_many_of_one_sex_as_of_the_other() {
        let recordings = corpus(&[51; 40], &[50; 19]);
        let all = Speakers::PerSex(usize::MAX);
        let split = Split::draw(&recordings, all, Sizes::all(), 3).unwrap();
        let speakers = |part: &[usize], sex| {
            let of_sex = part.iter().map(|&i| &recordings[i]);
            let of_sex = of_sex.filter(|r| r.sex == Some(sex));
            of_sex.map(|r| &r.speaker).collect::<HashSet<_>>().len()
        };
        for sex in Sex::ALL {
            let speakers = parts(&split).map(|part| speakers(part, sex));
            assert_eq!(speakers, [11, 4, 4], "{sex}");
        }
    }

    #[test]
    fn too_few_speakers_is_an_error_with_numbers() {
        for speakers in [Speakers::PerSex(12), Speakers::All] {
            let recordings = corpus(&[5; 12], &[5; 2]);
            let error = Split::draw(&recordings, speakers, Sizes::all(), 0);
            let error = error.unwrap_err().to_string();
            assert!(
                error.contains("2 female") && error.contains("3 are needed"),
                "{error}"
            );
        }
    }

    #[test]
    fn speakers_without_a_sex_are_left_out() {
        let mut recordings = corpus(&[2; 12], &[2; 12]);
        let forget =
            |recordings: &mut [Recording]| recordings.iter_mut().for_each(|r| r.sex = None);
        forget(&mut recordings[..8]);
        let split = Split::draw(&recordings, Speakers::All, Sizes::all(), 0).unwrap();
        assert!(parts(&split).into_iter().flatten().all(|index| *index >= 8));
        let ids: Vec<_> = split.left_out.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(
            ids,
            ["0-0", "0-1", "1-0", "1-1", "2-0", "2-1", "3-0", "3-1"]
        );
        assert!(split.left_out[0].reason == Reason::SexUnknown);
        // Of none it is known.
        forget(&mut recordings);
        let error = Split::draw(&recordings, Speakers::All, Sizes::all(), 0).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("24 of the speakers") && error.contains("(0, 1, 10, …)"),
            "{error}"
        );
    }

    /// One speaker in twenty has ten times as many recordings, as in the part of LibriSpeech that is at hand.
    #[test]
    fn a_part_without_a_pair_is_an_error() {
        let recordings = corpus(&[5; 12], &[5; 12]);
        let error =
            Split::draw(&recordings, Speakers::All, Sizes::at_most(10, 10, 1), 0).unwrap_err();
        assert!(error.to_string().contains("test"), "{error}");
    }

    #[test]
    fn recordings_are_in_proportion_though_speakers_differ() {
        let counts: Vec<usize> = (0..120)
            .map(|n| if n % 20 == 0 { 100 } else { 10 })
            .collect();
        let recordings = corpus(&counts, &counts);
        for seed in 0..20 {
            let split = Split::draw(&recordings, Speakers::All, Sizes::all(), seed).unwrap();
            let whole = recordings.len() as f64;
            let shares = parts(&split).map(|part| part.len() as f64 / whole);
            assert!((shares[0] - 2.0 / 3.0).abs() < 0.1, "{shares:?}");
            assert!((shares[1] - 1.0 / 6.0).abs() < 0.1, "{shares:?}");
        }
    }

    proptest! {
        #[test]
        fn speakers_are_disjoint_and_parts_are_balanced(
            male in prop::collection::vec(1usize..12, 3..20),
            female in prop::collection::vec(1usize..12, 3..20),
            caps in prop::array::uniform3(prop::option::of(2usize..60)),
            seed: u64,
        ) {
            let recordings = corpus(&male, &female);
            let sizes = Sizes { train: caps[0], validation: caps[1], test: caps[2] };
            let split = Split::draw(&recordings, Speakers::All, sizes, seed).unwrap();
            prop_assert_eq!(&split, &Split::draw(&recordings, Speakers::All, sizes, seed).unwrap());

            let mut owner = std::collections::HashMap::new();
            let mut seen = HashSet::new();
            for (number, part) in parts(&split).into_iter().enumerate() {
                prop_assert!(caps[number].is_none_or(|cap| part.len() <= cap));
                let mut taken = std::collections::HashMap::<&str, usize>::new();
                let mut of_sex = [0usize; 2];
                for (place, &index) in part.iter().enumerate() {
                    let recording = &recordings[index];
                    prop_assert!(seen.insert(index), "a recording twice");
                    prop_assert_eq!(*owner.entry(&recording.speaker).or_insert(number), number);
                    *taken.entry(&recording.speaker).or_default() += 1;
                    of_sex[recording.sex.unwrap().index()] += 1;
                    if place % 2 == 1 {
                        prop_assert_eq!(of_sex[0], of_sex[1]);
                    }
                }
                // A speaker has one recording more than another of the sex only if the other has no more to give.
                for (a, &of_a) in &taken {
                    for (b, &of_b) in &taken {
                        let of = |name: &str| recordings.iter().filter(|r| r.speaker == name).collect::<Vec<_>>();
                        if of(a)[0].sex == of(b)[0].sex && of_a > of_b + 1 {
                            prop_assert_eq!(of_b, of(b).len());
                        }
                    }
                }
            }
        }

        #[test]
        fn another_seed_deals_other_speakers(seed in 0u64..1000) {
            let recordings = corpus(&[2; 40], &[2; 40]);
            let draw = |seed| Split::draw(&recordings, Speakers::All, Sizes::all(), seed).unwrap();
            prop_assert_ne!(draw(seed), draw(seed + 1));
        }
    }
}
