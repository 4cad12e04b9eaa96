//! Recordings that cannot be used, and why: the rest of a corpus is used without them.

use std::collections::BTreeMap;

use speechlens_audio::Audio;

use crate::corpus::{Corpus, Recording};
use crate::{Error, Result};

/// Names that a summary gives for each reason.
const NAMED: usize = 3;

/// Why a recording cannot be used.
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
#[strum(parse_err_ty = String, parse_err_fn = no_reason)]
pub enum Reason {
    /// The system does not let it be read.
    #[strum(serialize = "that cannot be opened")]
    Unreadable,
    /// The file is no recording, or of a kind that is not read.
    #[strum(serialize = "that cannot be decoded")]
    Undecodable,
    /// The file ends early, or its content is broken.
    #[strum(serialize = "truncated or damaged")]
    Damaged,
    /// The file holds no samples.
    #[strum(serialize = "without any sound")]
    Empty,
    /// All of its samples are 0.
    #[strum(serialize = "silent throughout")]
    Silent,
    /// Its channels cancel each other when they are mixed to one.
    #[strum(serialize = "whose channels cancel each other")]
    Cancelling,
    /// A sample is infinite or not a number.
    #[strum(serialize = "with samples that are no numbers")]
    NotFinite,
    /// It does not fit the length that the front end takes.
    #[strum(serialize = "longer than one second")]
    TooLong,
    /// It lasts longer than any recording may.
    #[strum(serialize = "longer than two hours")]
    Endless,
    /// It does not fill a frame, a window or a piece.
    #[strum(serialize = "too short")]
    TooShort,
    /// It is not of the shape that a network reads.
    #[strum(serialize = "that do not suit the network")]
    Misfit,
    /// The file is not named as the corpus names its files.
    #[strum(serialize = "not named as the corpus names its files")]
    Misnamed,
    /// The corpus does not tell the speaker's sex, which is the class.
    #[strum(serialize = "of speakers whose sex the corpus does not tell")]
    SexUnknown,
}

fn no_reason(words: &str) -> String {
    format!("`{words}` is no reason")
}

impl Reason {
    /// In words that follow a number: `3 truncated or damaged`.
    pub fn words(self) -> &'static str {
        self.into()
    }

    /// Why the audio crate cannot make anything of a recording.
    pub fn of(error: &speechlens_audio::Error) -> Reason {
        use speechlens_audio::Error;
        match error {
            Error::Open { .. } => Reason::Unreadable,
            Error::Damaged { .. } => Reason::Damaged,
            Error::Empty { .. } | Error::NoSamples => Reason::Empty,
            Error::Cancels { .. } => Reason::Cancelling,
            Error::NonFinite { .. } | Error::NonFiniteSample(_) => Reason::NotFinite,
            Error::TooLong { .. } => Reason::TooLong,
            Error::TooLongFile { .. } => Reason::Endless,
            Error::TooShort { .. } => Reason::TooShort,
            _ => Reason::Undecodable,
        }
    }
}

/// A recording that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// As the corpus calls it; a file that is no recording, by its name.
    pub id: String,
    /// Why.
    pub reason: Reason,
    /// One line that names it and says what to do.
    pub message: String,
}

impl LeftOut {
    /// The recording that is called so, if the error speaks of it alone.
    pub fn about(id: &str, error: &Error) -> Option<LeftOut> {
        let reason = match error {
            Error::Audio(source) => Reason::of(source),
            Error::FrontEnd { source, .. } => match source {
                speechlens_frontend::Error::Audio(source) => Reason::of(source),
                _ => Reason::TooShort,
            },
            Error::Silent(_) => Reason::Silent,
            Error::Changed(_) => Reason::Damaged,
            Error::NoPiece(_) => Reason::TooShort,
            _ => return None,
        };
        Some(LeftOut {
            id: id.to_owned(),
            reason,
            message: error.to_string(),
        })
    }

    /// A recording of a speaker whose sex is not known, where it is asked for.
    pub fn without_sex(recording: &Recording) -> LeftOut {
        LeftOut {
            id: recording.id.clone(),
            reason: Reason::SexUnknown,
            message: Error::UnknownSex(vec![recording.speaker.clone()]).to_string(),
        }
    }
}

/// The sound of a recording, which is not silent throughout.
pub(crate) fn sound(corpus: &dyn Corpus, index: usize) -> Result<Audio> {
    let audio = corpus.audio(index)?;
    match audio.samples.iter().all(|sample| *sample == 0.0) && !audio.samples.is_empty() {
        true => Err(Error::Silent(corpus.recordings()[index].id.clone())),
        false => Ok(audio),
    }
}

/// What was made of a recording, or why nothing can be, unless that is an error.
pub(crate) fn usable<T>(
    corpus: &dyn Corpus,
    recording: &Recording,
    made: Result<T>,
) -> Result<Result<T, LeftOut>> {
    match made {
        Err(error) if !corpus.is_strict() => match LeftOut::about(&recording.id, &error) {
            Some(unusable) => Ok(Err(unusable)),
            None => Err(error),
        },
        made => made.map(Ok),
    }
}

/// How many are left out and why:
/// `12 recordings: 10 longer than one second (0_01_3, 0_01_4, 0_01_5, …), 2 truncated or damaged (7_02_0, 7_02_1)`.
pub fn summary(left_out: &[LeftOut]) -> String {
    let recordings = match left_out.len() {
        1 => "recording",
        _ => "recordings",
    };
    format!("{} {recordings}: {}", left_out.len(), reasons(left_out))
}

/// Why, the most frequent reason first, with the first few names of each.
pub fn reasons(left_out: &[LeftOut]) -> String {
    let mut by_reason = BTreeMap::<Reason, Vec<&str>>::new();
    for one in left_out {
        by_reason.entry(one.reason).or_default().push(&one.id);
    }
    let mut groups: Vec<_> = by_reason.into_iter().collect();
    groups.sort_by_key(|(_, names)| std::cmp::Reverse(names.len()));
    let group = |(reason, names): &(Reason, Vec<&str>)| {
        let more = if names.len() > NAMED { ", …" } else { "" };
        let few = names[..names.len().min(NAMED)].join(", ");
        format!("{} {reason} ({few}{more})", names.len())
    };
    let groups: Vec<String> = groups.iter().map(group).collect();
    groups.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_counts_and_names_a_few() {
        let of = |id: &str, reason| LeftOut {
            id: id.into(),
            reason,
            message: String::new(),
        };
        let silent = of("z", Reason::Silent);
        let one = "1 recording: 1 silent throughout (z)";
        assert_eq!(summary(std::slice::from_ref(&silent)), one);
        let long = ["a", "b", "c", "d"].map(|id| of(id, Reason::TooLong));
        let all = [vec![silent], long.to_vec()].concat();
        assert_eq!(
            summary(&all),
            "5 recordings: 4 longer than one second (a, b, c, …), 1 silent throughout (z)"
        );
    }
}
