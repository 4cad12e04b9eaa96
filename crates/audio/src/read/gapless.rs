//! What a coder added at either end of a recording, where no edit list tells it.

use symphonia::core::{
    formats::{FormatReader, Track},
    meta::{RawValue, Tag},
};

use super::Mono;

/// By how much a decoder of MP3 is behind its coder, in samples, beyond what the coder says it added: the transform's and the filterbank's
/// delay.
const MP3_DELAY: u64 = 528 + 1;

/// Samples that a coder added at the start and at the end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Added {
    pub start: u64,
    pub end: u64,
}

impl Added {
    /// What the tag of LAME says, and those of FFmpeg's libraries, in a Xing or Info frame: of `found` samples. The end is cut of as many
    /// frames as it counts: what follows them is another recording.
    pub fn by_lame(track: &Track, found: u64) -> Option<Self> {
        let start = track.delay.filter(|delay| *delay > 0)?.into();
        let last = track.num_frames.map_or(found, |kept| kept + start);
        let whole = last + u64::from(track.padding.unwrap_or(0));
        let end = match found <= whole {
            true => found.saturating_sub(last),
            false => 0,
        };
        Some(Added { start, end })
    }

    /// What iTunes' comment says: `iTunSMPB`, hexadecimal numbers of which the second to the fourth are the samples added at the start and
    /// at the end, and those between. In MP3 the decoder's delay comes on top, as it does with LAME's numbers; so foobar2000 and Rockbox take
    /// it. One that does not count what was `found` is of another file, from which the tags were copied.
    pub fn by_itunes(value: &str, is_mp3: bool, found: u64) -> Option<Self> {
        let mut numbers = value.split_ascii_whitespace().skip(1);
        let mut number = || u64::from_str_radix(numbers.next()?, 16).ok();
        let (start, end, between) = (number()?, number()?, number()?);
        if start.checked_add(end)?.checked_add(between)? != found {
            return None;
        }
        let delay = if is_mp3 { MP3_DELAY } else { 0 };
        Some(Added {
            start: start + delay,
            end: end.saturating_sub(delay),
        })
    }

    /// Cuts it.
    pub fn cut(self, mono: &mut Mono) {
        let samples = &mut mono.samples;
        samples.truncate(samples.len().saturating_sub(self.end as usize));
        samples.drain(..samples.len().min(self.start as usize));
    }
}

/// iTunes' comment, if a file has one: of its own kind in MP4, a comment or a text that is called so in ID3.
pub(super) fn itunes(container: &mut dyn FormatReader) -> Option<String> {
    let is_called_so = |tag: &Tag| {
        let raw = &tag.raw;
        let text = |value: &RawValue| matches!(value, RawValue::String(text) if **text == NAME);
        let fields = raw.sub_fields.iter().flatten();
        raw.key.ends_with(NAME) || fields.map(|field| &field.value).any(text)
    };
    let mut metadata = container.metadata();
    loop {
        let tags = &metadata.current()?.media.tags;
        if let Some(tag) = tags.iter().find(|tag| is_called_so(tag)) {
            return Some(tag.raw.value.to_string());
        }
        metadata.pop()?;
    }
}

const NAME: &str = "iTunSMPB";

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: &str = " 00000000 00000840 000001CA 00000000000031F6 00000000 00000000";

    #[test]
    fn itunes_counts_what_it_adds() {
        let whole = 0x840 + 0x1CA + 0x31F6;
        let added = |start, end| Some(Added { start, end });
        assert_eq!(Added::by_itunes(TAG, false, whole), added(0x840, 0x1CA));
        assert_eq!(Added::by_itunes(TAG, true, whole), added(0x840 + 529, 0));
        assert_eq!(Added::by_itunes(TAG, false, whole + 1024), None);
        let broken = [
            "",
            "0 840",
            "0 840 1CA x",
            "0 FFFFFFFFFFFFFFFF 1 1",
            "0 -1 1 1",
        ];
        for broken in broken {
            assert_eq!(Added::by_itunes(broken, false, whole), None, "{broken}");
        }
    }
}
