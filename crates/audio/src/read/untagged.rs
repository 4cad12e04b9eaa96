//! A file without the ID3v1 tag at its end, which is no part of any format but MP3.

use std::io::{self, Read, Seek, SeekFrom};

use symphonia::core::io::MediaSource;

/// How long such a tag is.
const TAG: u64 = 128;

/// A file up to its tag.
pub(super) struct Untagged {
    file: Box<dyn MediaSource>,
    position: u64,
    end: u64,
}

impl Untagged {
    pub fn new(mut file: Box<dyn MediaSource>) -> io::Result<Self> {
        let mut end = file.seek(SeekFrom::End(0))?;
        if end >= TAG {
            file.seek(SeekFrom::Start(end - TAG))?;
            let mut name = [0; 3];
            file.read_exact(&mut name)?;
            if &name == b"TAG" {
                end -= TAG;
            }
        }
        file.rewind()?;
        Ok(Untagged {
            file,
            position: 0,
            end,
        })
    }
}

impl Read for Untagged {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.end.saturating_sub(self.position);
        let read = self.file.by_ref().take(left).read(buffer)?;
        self.position += read as u64;
        Ok(read)
    }
}

impl Seek for Untagged {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::End(back) => SeekFrom::Start(self.end.saturating_add_signed(back)),
            to => to,
        };
        self.position = self.file.seek(to)?;
        Ok(self.position)
    }
}

impl MediaSource for Untagged {
    fn is_seekable(&self) -> bool {
        self.file.is_seekable()
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.end)
    }
}
