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
        let scale = track.timescale?.0 as f64;
        let start = track.media_time?.0 as f64 / scale;
        let length = track.edited_duration?.0 as f64 / movie;
        // Edits are often written in milliseconds; the track's own length is exact.
        let rest = track.duration.map(|end| end.0 as f64 / scale - start);
        let exact = rest.filter(|rest| *rest > 0.0 && (rest - length).abs() <= 1.0 / movie);
        Some(Edit {
            track: track.track_id?,
            start,
            length: exact.unwrap_or(length),
        })
    });
    Some(Edits(edits.collect()))
}

impl Edits {
    /// Keeps what is to be heard of a track; false if no edit tells.
    pub fn apply(&self, track: u32, mono: &mut Mono) -> bool {
        let Some(edit) = self.0.iter().find(|edit| edit.track == track) else {
            return false;
        };
        let samples = |seconds: f64| (seconds * f64::from(mono.rate)).round() as usize;
        let (start, length) = (samples(edit.start), samples(edit.length));
        mono.samples.drain(..start.min(mono.samples.len()));
        if length > 0 {
            mono.samples.truncate(length);
        }
        true
    }
}
