//! LibriSpeech (Panayotov et al. 2015): read books, cut into pieces of at most one second.
//!
//! As its authors publish it: `SPEAKERS.TXT`, with a sex for every speaker, and `SUBSET/SPEAKER/CHAPTER/*.flac`, utterances
//! of up to 35 s. A recording here is a piece of an utterance.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;
use speechlens_audio::Audio;
use speechlens_audio::silence::{Cutting, segments};

use crate::corpus::{Corpus, Recording, Sex, entries, file_stamp};
use crate::{Error, Result};

const SPEAKERS: &str = "SPEAKERS.TXT";

/// Decoded utterances that are kept. Neighbouring pieces come from one utterance, and every thread works on another.
const KEPT: usize = 32;

/// How utterances are cut. Silence is left out either way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cut {
    /// At pauses, and at the quietest moment where there is none for a second: pieces of 0.25 to 1 s.
    Pauses,
    /// Into pieces of so many seconds, one after another within what lies between pauses of 0.3 s.
    Fixed(f64),
}

impl Cut {
    fn pieces(self, audio: &Audio) -> Vec<Range<usize>> {
        match self {
            Cut::Pauses => segments(audio, &Cutting::default()),
            Cut::Fixed(seconds) => {
                let length = ((seconds.min(1.0) * f64::from(audio.rate)) as usize).max(1);
                let whole = Cutting {
                    pause: 0.3,
                    longest: audio.seconds() + 1.0,
                    ..Cutting::default()
                };
                let stretches = segments(audio, &whole).into_iter();
                stretches
                    .flat_map(|speech| {
                        let starts = (speech.start..).step_by(length);
                        let pieces = starts.map(move |start| start..start + length);
                        pieces.take_while(move |piece| piece.end <= speech.end)
                    })
                    .collect()
            }
        }
    }
}

struct Utterance {
    path: PathBuf,
    speaker: String,
    sex: Sex,
}

/// The corpus in a folder, cut into pieces.
pub struct LibriSpeech {
    utterances: Vec<Utterance>,
    /// The utterance and the samples of each recording.
    pieces: Vec<(usize, Range<usize>)>,
    recordings: Vec<Recording>,
    decoded: Mutex<VecDeque<(usize, Arc<Audio>)>>,
}

impl LibriSpeech {
    /// Whether a folder looks like LibriSpeech.
    pub fn is_at(folder: &Path) -> bool {
        folder.join(SPEAKERS).is_file()
    }

    /// Finds the utterances of all subsets that are there, decodes them in parallel and cuts them. `progress` hears the
    /// number of utterances done so far.
    pub fn open(folder: &Path, cut: Cut, progress: &(dyn Fn(usize) + Sync)) -> Result<LibriSpeech> {
        let utterances = utterances(folder)?;
        let done = AtomicUsize::new(0);
        let cut_one = |utterance: &Utterance| {
            let pieces = cut.pieces(&speechlens_audio::read(&utterance.path)?);
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
            Ok(pieces)
        };
        let cuts = utterances
            .par_iter()
            .map(cut_one)
            .collect::<Result<Vec<_>>>()?;

        let mut pieces = Vec::new();
        let mut recordings = Vec::new();
        for (number, (utterance, ranges)) in utterances.iter().zip(cuts).enumerate() {
            let name = utterance
                .path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy();
            for range in ranges {
                recordings.push(Recording {
                    id: format!("{name}:{}-{}", range.start, range.end),
                    speaker: utterance.speaker.clone(),
                    sex: utterance.sex,
                    digit: None,
                });
                pieces.push((number, range));
            }
        }
        Ok(LibriSpeech {
            utterances,
            pieces,
            recordings,
            decoded: Mutex::default(),
        })
    }

    /// An utterance's sound, decoded or still known.
    fn decode(&self, utterance: usize) -> Result<Arc<Audio>> {
        let lock = || self.decoded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, audio)) = lock().iter().find(|(number, _)| *number == utterance) {
            return Ok(audio.clone());
        }
        let audio = Arc::new(speechlens_audio::read(&self.utterances[utterance].path)?);
        let mut decoded = lock();
        decoded.push_back((utterance, audio.clone()));
        if decoded.len() > KEPT {
            decoded.pop_front();
        }
        Ok(audio)
    }
}

/// Every FLAC file of speakers whose sex is known.
fn utterances(folder: &Path) -> Result<Vec<Utterance>> {
    let table = folder.join(SPEAKERS);
    let text = std::fs::read_to_string(&table).map_err(Error::io(&table))?;
    let sexes = parse_speakers(&text).map_err(|reason| Error::malformed(&table, reason))?;
    let folders = |folder: &Path| -> Result<Vec<PathBuf>> {
        Ok(entries(folder)?
            .into_iter()
            .filter(|path| path.is_dir())
            .collect())
    };

    let mut utterances = Vec::new();
    for subset in folders(folder)? {
        for speaker in folders(&subset)? {
            let name = speaker
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let Some(&sex) = sexes.get(&name) else {
                let reason = format!(
                    "{SPEAKERS} has no speaker {name}; expected SUBSET/SPEAKER/CHAPTER/*.flac"
                );
                return Err(Error::malformed(&speaker, reason));
            };
            for chapter in folders(&speaker)? {
                let flacs = entries(&chapter)?;
                let flacs = flacs
                    .into_iter()
                    .filter(|path| path.extension().is_some_and(|ending| ending == "flac"));
                utterances.extend(flacs.map(|path| Utterance {
                    path,
                    speaker: name.clone(),
                    sex,
                }));
            }
        }
    }
    if utterances.is_empty() {
        return Err(Error::malformed(
            folder,
            "no SUBSET/SPEAKER/CHAPTER/*.flac in this folder",
        ));
    }
    Ok(utterances)
}

/// The sex of every speaker: lines of `ID | SEX | …`, comments after `;`.
fn parse_speakers(text: &str) -> Result<HashMap<String, Sex>, String> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with(';'))
        .map(|(number, line)| {
            let mut fields = line.split('|').map(str::trim);
            let (Some(id), Some(sex)) = (fields.next(), fields.next()) else {
                return Err(format!("line {}: expected `ID | SEX | …`", number + 1));
            };
            let sex = sex
                .parse()
                .map_err(|e| format!("line {}: {e}", number + 1))?;
            Ok((id.to_owned(), sex))
        })
        .collect()
}

impl Corpus for LibriSpeech {
    fn name(&self) -> &str {
        "LibriSpeech"
    }

    fn recordings(&self) -> &[Recording] {
        &self.recordings
    }

    fn audio(&self, index: usize) -> Result<Audio> {
        let (utterance, range) = &self.pieces[index];
        let audio = self.decode(*utterance)?;
        // The file may have changed since it was cut.
        if range.end > audio.samples.len() {
            let reason = "shorter than when the corpus was opened; open it again";
            return Err(Error::malformed(&self.utterances[*utterance].path, reason));
        }
        Ok(audio.slice(range.clone()))
    }

    fn fingerprint(&self, index: usize) -> Result<String> {
        file_stamp(&self.utterances[self.pieces[index].0].path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_speaker_table() {
        let text = ";ID |SEX| SUBSET\n14   | F | train-clean-360  | 25.03 | Kristin LeMoine\n\n17|M|x|1|a | b\n";
        let sexes = parse_speakers(text).unwrap();
        assert_eq!(sexes.len(), 2);
        assert_eq!((sexes["14"], sexes["17"]), (Sex::Female, Sex::Male));
        assert!(
            parse_speakers("; fine\n14 | X |")
                .unwrap_err()
                .contains("line 2")
        );
        assert!(parse_speakers("14").unwrap_err().contains("line 1"));
    }

    #[test]
    fn fixed_pieces_have_one_length_and_leave_silence_out() {
        // 1.2 s of tone, 0.6 s of silence, 0.7 s of tone.
        let tone = |n: usize| 0.3 * (n as f32 * 0.3).sin();
        let samples = (0..40_000).map(|n| {
            if (19_200..28_800).contains(&n) {
                0.0
            } else {
                tone(n)
            }
        });
        let audio = Audio {
            samples: samples.collect(),
            rate: 16_000,
        };
        let pieces = Cut::Fixed(0.5).pieces(&audio);
        assert!(pieces.iter().all(|piece| piece.len() == 8000));
        assert_eq!(pieces.len(), 3);
        assert!(pieces[1].end <= 19_200 + 400 && pieces[2].start >= 28_800 - 400);
    }

    #[test]
    fn a_speaker_without_a_sex_is_an_error_that_names_the_folder() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join(SPEAKERS), "1 | F | x | 1 | a\n").unwrap();
        let open = || {
            LibriSpeech::open(root.path(), Cut::Pauses, &|_| ())
                .err()
                .unwrap()
                .to_string()
        };
        assert!(open().contains("no SUBSET"));
        std::fs::create_dir_all(root.path().join("dev/2/3")).unwrap();
        assert!(open().contains("no speaker 2"));
    }
}
