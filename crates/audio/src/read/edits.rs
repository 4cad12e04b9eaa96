//! MP4's edit lists (ISO/IEC 14496-12, 8.6.6): which part of a track is to be heard. Encoders of AAC say by them what they added.

use std::io::{BufReader, Read};

use super::Mono;

/// The edits of a file's tracks.
pub(super) struct Edits(Vec<Edit>);

struct Edit {
    track: u32,
    /// From when on it is heard, in seconds.
    start: f64,
    /// For how long, in seconds; to its end, if 0.
    length: f64,
}

/// Reads a file's edit lists, if it has some that make sense.
pub(super) fn read(file: impl Read) -> Option<Edits> {
    let media = mp4parse::read_mp4(&mut BufReader::new(file)).ok()?;
    let movie = media.timescale?.0 as f64;
    let edits = media.tracks.iter().filter_map(|track| {
        Some(Edit {
            track: track.track_id?,
            start: track.media_time?.0 as f64 / track.timescale?.0 as f64,
            length: track.edited_duration?.0 as f64 / movie,
        })
    });
    Some(Edits(edits.collect()))
}

impl Edits {
    /// Keeps what is to be heard of a track.
    pub fn apply(&self, track: u32, mono: &mut Mono) {
        let Some(edit) = self.0.iter().find(|edit| edit.track == track) else {
            return;
        };
        let samples = |seconds: f64| (seconds * f64::from(mono.rate)).round() as usize;
        let (start, length) = (samples(edit.start), samples(edit.length));
        mono.samples.drain(..start.min(mono.samples.len()));
        if length > 0 {
            mono.samples.truncate(length);
        }
    }
}
