//! WAV: RIFF and, with sizes of 64 bits, RF64 (EBU Tech 3306), BW64 and Sony's Wave64; RIFX has its bytes the other way round.

use std::io::{Read, Seek};

use super::bytes::Bytes;
use super::pcm::{Coding, Order, Pcm, is_open};
use super::{Fault, Opened};

/// Formats of samples in a `fmt ` chunk (Microsoft's mmreg.h) that are not read here or by Symphonia.
const UNREAD: [(u16, &str); 9] = [
    (0x0010, "OKI ADPCM"),
    (0x0014, "G.723 ADPCM"),
    (0x0022, "TrueSpeech"),
    (0x0031, "GSM 6.10"),
    (0x0040, "G.721 ADPCM"),
    (0x0050, "MPEG audio"),
    (0x0055, "MP3"),
    (0x0161, "Windows Media Audio"),
    (0x00FF, "AAC"),
];
const MICROSOFT_ADPCM: u16 = 2;
const IMA_ADPCM: u16 = 0x11;
const EXTENSIBLE: u16 = 0xFFFE;

/// How chunks are written.
struct Form {
    order: Order,
    /// Whether names have 16 bytes, and sizes 8 and count the header too, as in Wave64.
    wide: bool,
}

/// What a `fmt ` chunk says.
struct Format {
    tag: u16,
    channels: u16,
    rate: u32,
    /// Bytes a frame.
    block: u16,
    bits: u16,
}

impl Format {
    fn read(body: &mut Bytes<impl Read + Seek>) -> Result<Self, Fault> {
        let mut format = Format {
            tag: body.u16()?,
            channels: body.u16()?,
            rate: body.u32()?,
            block: {
                body.u32()?;
                body.u16()?
            },
            bits: body.u16()?,
        };
        if format.tag == EXTENSIBLE {
            // The size of what follows, valid bits, the speakers' places, and the format as a GUID, which begins with its tag.
            body.skip(8)?;
            format.tag = body.u16()?;
        }
        Ok(format)
    }

    fn coding(&self) -> Result<Option<Coding>, Fault> {
        let bytes = match self.channels {
            0 => 0,
            channels if self.block.is_multiple_of(channels) => self.block / channels,
            _ => 0,
        };
        let bytes = match bytes {
            0 => self.bits.div_ceil(8),
            bytes => bytes,
        };
        Ok(Some(match (self.tag, bytes) {
            (1, 1) => Coding::Unsigned,
            (1, 2..=4) => Coding::Signed(bytes.into()),
            (3, 4) => Coding::Single,
            (3, 8) => Coding::Double,
            (6, 1) => Coding::ALaw,
            (7, 1) => Coding::MuLaw,
            (MICROSOFT_ADPCM | IMA_ADPCM, _) => return Ok(None),
            (1 | 3 | 6 | 7, _) => {
                return Err(Fault::Format(format!(
                    "it claims samples of {} bits in {bytes} bytes",
                    self.bits
                )));
            }
            (tag, _) => {
                let name = UNREAD.iter().find(|(known, _)| *known == tag);
                return Err(Fault::Unread(match name {
                    Some((_, name)) => format!("WAV that holds {name}"),
                    None => format!("WAV that holds samples of format {tag:#06x}"),
                }));
            }
        }))
    }
}

/// Finds the samples.
pub(super) fn open(file: impl Read + Seek) -> Result<Opened, Fault> {
    let mut file = Bytes::new(file, Order::Little)?;
    let magic = file.name()?;
    let form = Form {
        order: match &magic {
            b"RIFX" => Order::Big,
            _ => Order::Little,
        },
        wide: &magic == b"riff",
    };
    file.order = form.order;
    let whole = match form.wide {
        true => {
            file.skip(12)?;
            let size = file.u64()?;
            file.skip(16)?;
            size
        }
        false => {
            let size = u64::from(file.u32()?);
            file.skip(4)?;
            size + 8
        }
    };
    let (mut format, mut large) = (None, None);
    while file.left() > 0 {
        let (name, size) = header(&mut file, &form)?;
        let start = file.position();
        match &name {
            b"fmt " => format = Some(Format::read(&mut file)?),
            b"ds64" => {
                file.skip(8)?;
                large = Some(file.u64()?);
            }
            b"data" => {
                let claimed = match large {
                    Some(size) if &magic != b"RIFF" => size,
                    _ => size,
                };
                let format =
                    format.ok_or_else(|| Fault::Format("its samples have no format".into()))?;
                let Some(coding) = format.coding()? else {
                    return Ok(Opened::Coded);
                };
                // A writer that was stopped leaves 0 as the size of data, and a size of the file that is not the file's.
                let unfinished = claimed == 0 && whole != file.end();
                let claimed = if unfinished { u64::MAX } else { claimed };
                return Ok(Opened::Pcm(Pcm {
                    channels: format.channels.into(),
                    rate: format.rate,
                    coding,
                    order: form.order,
                    data: Pcm::bytes(start, claimed, file.end())?,
                }));
            }
            _ => {}
        }
        if is_open(size) || file.end() - start < size {
            return Err(Fault::early());
        }
        file.seek(start + size)?;
        skip_padding(&mut file, size, &form)?;
    }
    Err(match format {
        Some(_) => Fault::early(),
        None => Fault::Format("it has no `fmt ` and no `data` chunk".into()),
    })
}

fn header(file: &mut Bytes<impl Read + Seek>, form: &Form) -> Result<([u8; 4], u64), Fault> {
    let name = file.name()?;
    if !form.wide {
        return Ok((name, file.u32()?.into()));
    }
    file.skip(12)?;
    let size = file.u64()?.checked_sub(24);
    Ok((name, size.ok_or_else(Fault::early)?))
}

/// Chunks begin at even bytes, in Wave64 at multiples of 8; some programs forget it.
fn skip_padding(file: &mut Bytes<impl Read + Seek>, size: u64, form: &Form) -> Result<(), Fault> {
    let even = if form.wide { 8 } else { 2 };
    let padding = size.next_multiple_of(even) - size;
    if padding == 0 || file.left() < padding + 4 {
        let end = file.end();
        return file.seek((file.position() + padding).min(end));
    }
    let unpadded = file.position();
    let is_name = |name: [u8; 4]| name.iter().all(|byte| (b' '..=b'~').contains(byte));
    let without = is_name(file.name()?);
    file.seek(unpadded + padding)?;
    let with = is_name(file.name()?);
    let padded = with || !without;
    file.seek(unpadded + if padded { padding } else { 0 })
}
