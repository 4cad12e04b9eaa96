//! A store computed from the recordings of a corpus.

use std::path::Path;

use hdf5::File;
use speechlens_audio::Audio;
use speechlens_frontend::FrontEnd;

use super::{FORMAT, by_time, placement, rows_of, toml};
use crate::corpus::{Corpus, Recording};
use crate::feature_file::{self, Job, write_column};
use crate::hdf5_file::{Failure, write_attribute};
use crate::ragged::{Rows, write_ranges};
use crate::{Error, Result};

/// Recordings in memory at a time.
const CHUNK: usize = 64;

/// A store that is to be made.
pub(super) struct Making<'a> {
    job: Job<'a>,
    front_end: &'a FrontEnd,
    text: String,
    seed: u64,
    /// Over all that it depends on.
    pub key: String,
}

impl<'a> Making<'a> {
    pub fn new(
        corpus: &'a dyn Corpus,
        indices: &'a [usize],
        front_end: &'a FrontEnd,
        seed: u64,
        progress: &'a (dyn Fn(usize) + Sync),
    ) -> Result<Self> {
        let job = Job {
            corpus,
            indices,
            progress,
        };
        let text = toml(front_end)?;
        Ok(Making {
            key: job.key(FORMAT, &[text.clone(), seed.to_string()]),
            job,
            front_end,
            text,
            seed,
        })
    }

    pub fn write(&self, path: &Path) -> Result<()> {
        let one = |recording: &Recording, audio: &Audio| {
            let placement = placement(self.seed, &recording.id);
            let made = match self.front_end.placed_at(audio, placement) {
                Ok(Some((samples, offset))) => Ok((samples, Some(offset as u32))),
                Ok(None) => {
                    let material = self.front_end.material(audio, placement);
                    material.map(|own| (by_time(&own), None))
                }
                Err(error) => Err(error),
            };
            made.map_err(|source| Error::FrontEnd {
                id: recording.id.clone(),
                source,
            })
        };
        let about = [FORMAT, &self.key, &self.job.corpus.origin()];
        feature_file::write(path, about, |file: &File| {
            write_attribute(file, "frontend", &self.text)?;
            let mut material = Rows::<f32>::new(path, rows_of(self.front_end).unwrap_or(1))?;
            let count = self.job.indices.len();
            let (mut ranges, mut offsets) = (vec![0..0; count], vec![None; count]);
            let content = self.job.compute(
                CHUNK,
                one,
                |place, (own, offset): (Vec<f32>, Option<u32>)| -> Result<(), Failure> {
                    ranges[place] = material.append(&own)?;
                    offsets[place] = offset;
                    Ok(())
                },
            )?;
            let offsets: Option<Vec<u32>> = content.of(&offsets).into_iter().collect();
            if let Some(offsets) = offsets {
                write_column(file, "offset", &offsets)?;
            }
            material.write(file, "material")?;
            write_ranges(file, "material", &content.of(&ranges))?;
            Ok(content)
        })
    }
}
