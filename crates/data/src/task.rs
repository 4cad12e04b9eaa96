//! Tasks of any classes: those of a table of labels, and the digits of a corpus. Their recordings have a
//! [class](Recording::class), and [`Split::of_classes`](crate::Split::of_classes) deals them.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use csv::{ReaderBuilder, StringRecord, Trim};
use speechlens_audio::Audio;

use crate::corpus::{Corpus, Recording};
use crate::left_out::{LeftOut, Reason};
use crate::pieces::Cut;
use crate::prepared::{Preparation, Prepared};
use crate::{Error, Files, Pieces, Result, corpus, folder};

/// The columns of a table of labels.
const COLUMNS: [&str; 4] = ["path", "label", "speaker", "split"];

/// The classes of recordings, sorted as text.
pub fn classes(recordings: &[Recording]) -> Vec<String> {
    let classes = recordings.iter().filter_map(|r| r.class.as_ref());
    let classes: BTreeSet<&String> = classes.collect();
    classes.into_iter().cloned().collect()
}

/// Opens a table of labels, made ready: as [`open`](crate::open) does with corpora, but that recordings are cut only if asked
/// for.
///
/// # Errors
/// Those of [`labels`]; or if nothing can be used, or something cannot where that is an error.
pub fn open(
    table: &Path,
    preparation: Preparation,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Box<dyn Corpus>> {
    let prepared = Prepared::new(labels(table)?, preparation)?;
    Ok(match preparation.pieces {
        true => Box::new(Pieces::cut(prepared, Cut::Longer, progress)?),
        false => Box::new(prepared),
    })
}

/// The same of a corpus's digits; see [`Digits`].
///
/// # Errors
/// If it has none; and as [`open`].
pub fn open_digits(
    source: &str,
    seed: u64,
    preparation: Preparation,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Box<dyn Corpus>> {
    let corpus = corpus::open(source, seed, preparation, progress)?;
    let digits = Digits::new(corpus);
    match digits
        .recordings()
        .iter()
        .any(|recording| recording.class.is_some())
    {
        true => Ok(Box::new(digits)),
        false => Err(Error::malformed(
            Path::new(source),
            "no corpus of digits: give AudioMNIST's folder, the word `synthetic`, or a table of labels (.csv)",
        )),
    }
}

/// Recordings of a table with a label for each, CSV in UTF-8 or Latin-1: a line of titles, `path` and `label`, and if they are
/// known `speaker` and `split` (train, validation or test), in any order; then a line for each recording. Paths are relative to
/// the table's folder. Where a table tells no speaker, every recording counts as of one by itself, which is called as its path.
///
/// Files that are not there are left out, and told.
///
/// # Errors
/// That name the line: a column that is not known, or missing; an empty field; a path that is there twice; a speaker in two
/// parts; a split that some lines have and others have not. If there are fewer than two classes, or no file is there.
pub fn labels(table: &Path) -> Result<Files> {
    let text = folder::text(table)?;
    let at =
        |line: u64, problem: String| Error::malformed(table, format!("line {line}: {problem}"));
    let mut reader = ReaderBuilder::new()
        .trim(Trim::All)
        .from_reader(text.as_bytes());
    let broken = |error: csv::Error| {
        let line = error.position().map_or(1, csv::Position::line);
        let problem = match error.kind() {
            csv::ErrorKind::UnequalLengths {
                expected_len, len, ..
            } => format!(
                "has {len} fields, and the titles are {expected_len}: put fields with commas between quotes"
            ),
            _ => error.to_string(),
        };
        at(line, problem)
    };
    let titles = reader.headers().map_err(broken)?;
    let columns = columns(titles).map_err(|problem| at(1, problem))?;
    let folder = table.parent().unwrap_or(Path::new(""));
    let mut files = Files::new(folder::stem(table), table);
    let mut lines = HashMap::<String, u64>::new();
    let mut of_speakers = HashMap::<String, (u64, Recording)>::new();
    let mut first: Option<(u64, Recording)> = None;
    for row in reader.records() {
        let row = row.map_err(broken)?;
        let line = row.position().map_or(1, csv::Position::line);
        let recording = recording(&row, &columns).map_err(|problem| at(line, problem))?;
        if let Some(before) = lines.insert(recording.id.clone(), line) {
            let problem = format!("{} stands in line {before} too: remove one", recording.id);
            return Err(at(line, problem));
        }
        let (start, other) = first.get_or_insert_with(|| (line, recording.clone()));
        if other.part.is_some() != recording.part.is_some() {
            let has = |part| if part { "has a split" } else { "has none" };
            let problem = format!(
                "{}, and line {start} {}: give one in every line, or leave the column out",
                has(recording.part.is_some()),
                has(other.part.is_some())
            );
            return Err(at(line, problem));
        }
        let of_speaker = of_speakers.entry(recording.speaker.clone());
        let (start, other) = of_speaker.or_insert_with(|| (line, recording.clone()));
        if let (Some(one), Some(two)) = (other.part, recording.part)
            && one != two
        {
            let problem = format!(
                "speaker {} is for {two} here and for {one} in line {start}: a voice that was heard says nothing of others; give each \
                     speaker one split",
                recording.speaker
            );
            return Err(at(line, problem));
        }
        let path = folder.join(&recording.id);
        if path.is_file() {
            files.push(path, recording);
            continue;
        }
        let problem = format!(
            "there is no file {}: paths are relative to the table's folder",
            path.display()
        );
        files.left_out.push(LeftOut {
            id: recording.id,
            reason: Reason::Unreadable,
            message: at(line, problem).to_string(),
        });
    }
    if files.recordings().is_empty() && !files.left_out.is_empty() {
        return Err(Error::NothingUsable(files.left_out));
    }
    match &classes(files.recordings())[..] {
        [] => Err(Error::malformed(
            table,
            "has no recordings below its titles",
        )),
        [class] => Err(Error::malformed(
            table,
            format!("its only class is `{class}`: give recordings of two at least"),
        )),
        _ => Ok(files),
    }
}

/// Where each of [`COLUMNS`] stands.
fn columns(titles: &StringRecord) -> Result<[Option<usize>; 4], String> {
    let mut places = [None; 4];
    for (place, title) in titles.iter().enumerate() {
        let known = COLUMNS
            .iter()
            .position(|column| title.eq_ignore_ascii_case(column));
        let Some(known) = known else {
            return Err(format!(
                "the column `{title}` is not known; the titles are path, label, and if they are known speaker and split, with commas \
                 between them"
            ));
        };
        if places[known].replace(place).is_some() {
            return Err(format!("the column `{title}` is there twice"));
        }
    }
    match places {
        [Some(_), Some(_), ..] => Ok(places),
        [None, ..] => Err("there is no column `path`: the first line is for the titles".into()),
        _ => Err("there is no column `label`: the first line is for the titles".into()),
    }
}

/// What a line tells.
fn recording(row: &StringRecord, columns: &[Option<usize>; 4]) -> Result<Recording, String> {
    let field = |column: usize| columns[column].and_then(|place| row.get(place));
    let filled = |column: usize| match field(column) {
        None | Some("") => Err(format!("its {} is empty", COLUMNS[column])),
        Some(text) => Ok(text.to_owned()),
    };
    let id = filled(0)?;
    let speaker = match columns[2] {
        None => id.clone(),
        Some(_) => filled(2)?,
    };
    let part = field(3).filter(|part| !part.is_empty());
    Ok(Recording {
        class: Some(filled(1)?),
        part: part.map(str::parse).transpose()?,
        id,
        speaker,
        ..Recording::default()
    })
}

/// A corpus of digits, in which the digit is the class.
pub struct Digits<C> {
    corpus: C,
    recordings: Vec<Recording>,
}

impl<C: Corpus> Digits<C> {
    /// The recordings of a corpus, of which those of digits have a class.
    pub fn new(corpus: C) -> Self {
        let with_class = |recording: &Recording| Recording {
            class: recording.digit.map(|digit| digit.to_string()),
            ..recording.clone()
        };
        Digits {
            recordings: corpus.recordings().iter().map(with_class).collect(),
            corpus,
        }
    }
}

impl<C: Corpus> Corpus for Digits<C> {
    fn name(&self) -> &str {
        self.corpus.name()
    }

    fn recordings(&self) -> &[Recording] {
        &self.recordings
    }

    fn audio(&self, index: usize) -> Result<Audio> {
        self.corpus.audio(index)
    }

    fn fingerprint(&self, index: usize) -> Result<String> {
        self.corpus.fingerprint(index)
    }

    fn origin(&self) -> String {
        self.corpus.origin()
    }

    fn left_out(&self) -> &[LeftOut] {
        self.corpus.left_out()
    }

    fn is_strict(&self) -> bool {
        self.corpus.is_strict()
    }
}
