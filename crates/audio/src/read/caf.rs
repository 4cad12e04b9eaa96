//! Apple's Core Audio Format, where its samples are uncompressed: Symphonia's reader takes neither a byte a sample nor an open end.

use std::io::{Read, Seek};
use std::ops::Range;

use super::bytes::Bytes;
use super::pcm::{Coding, Order, Pcm};
use super::{Fault, Opened};

/// Codings that Symphonia decodes.
const CODED: [&[u8; 4]; 5] = [b"alac", b"aac ", b"flac", b"opus", b".mp3"];

/// What the `desc` chunk says.
struct Description {
    rate: f64,
    channels: u32,
    /// Numbers that the table of packets has for each.
    fields: u64,
    /// None if Symphonia is to decode it.
    coding: Option<(Coding, Order)>,
}

impl Description {
    fn read(file: &mut Bytes<impl Read + Seek>) -> Result<Self, Fault> {
        let rate = f64::from_bits(file.u64()?);
        let format = file.name()?;
        let flags = file.u32()?;
        let packet = file.u32()?;
        let frames = file.u32()?;
        let channels = file.u32()?;
        let bits = file.u32()?;
        let order = match flags & 2 {
            0 => Order::Big,
            _ => Order::Little,
        };
        let coding = match (&format, flags & 1, packet.checked_div(channels)) {
            (b"lpcm", 0, Some(bytes @ 1..=4)) => Some(Coding::Signed(bytes as usize)),
            (b"lpcm", 1, Some(4)) => Some(Coding::Single),
            (b"lpcm", 1, Some(8)) => Some(Coding::Double),
            (b"lpcm", ..) => {
                return Err(Fault::Format(format!(
                    "it claims samples of {bits} bits, {packet} bytes for {channels} channels"
                )));
            }
            (b"ulaw", ..) => Some(Coding::MuLaw),
            (b"alaw", ..) => Some(Coding::ALaw),
            (coded, ..) if CODED.contains(&coded) => None,
            (other, ..) => {
                let name = String::from_utf8_lossy(other);
                return Err(Fault::Unread(format!("CAF coded as `{}`", name.trim())));
            }
        };
        Ok(Description {
            rate,
            channels,
            fields: u64::from(packet == 0) + u64::from(frames == 0),
            coding: coding.map(|coding| (coding, order)),
        })
    }
}

/// Finds the samples.
pub(super) fn open(file: impl Read + Seek) -> Result<Opened, Fault> {
    let mut file = Bytes::new(file, Order::Big)?;
    file.skip(8)?;
    let (mut description, mut packets) = (None::<Description>, None);
    while file.left() > 0 {
        let (name, size) = (file.name()?, file.u64()?);
        let start = file.position();
        match &name {
            b"desc" => description = Some(Description::read(&mut file)?),
            b"data" => {
                let description: Description = description
                    .ok_or_else(|| Fault::Format("its samples have no format".into()))?;
                let Some((coding, order)) = description.coding else {
                    let end = start.saturating_add(size);
                    return match packets {
                        Some((table, used)) => plain(&mut file, table, used, end),
                        None => Ok(Opened::Coded),
                    };
                };
                // A count of edits stands before the samples.
                let end = file.end();
                let data = Pcm::bytes(start, size, end)?;
                return Ok(Opened::Pcm(Pcm {
                    channels: description.channels as usize,
                    rate: super::rate(description.rate)?,
                    coding,
                    order,
                    data: (data.start + 4).min(data.end)..data.end,
                }));
            }
            b"pakt" => {
                let fields = description.as_ref().map_or(0, |d| d.fields);
                let used = table(&mut file, fields)?.saturating_sub(start);
                packets = Some((start..start.saturating_add(size), used));
            }
            _ => {}
        }
        file.seek(start.checked_add(size).ok_or_else(Fault::early)?)?;
    }
    Err(Fault::early())
}

/// Where a table of packets ends.
fn table(file: &mut Bytes<impl Read + Seek>, fields: u64) -> Result<u64, Fault> {
    let packets = file.u64()?;
    file.skip(16)?;
    for _ in 0..packets.saturating_mul(fields) {
        // Seven bits a byte; the last has the eighth clear.
        while file.u8()? >= 0x80 {}
    }
    Ok(file.position())
}

/// The file up to the end of its samples, with a table of packets that is as long as its contents. libsndfile makes it longer, and
/// adds a byte at the end; Symphonia looks for a chunk behind the contents, and in that byte.
fn plain(
    file: &mut Bytes<impl Read + Seek>,
    table: Range<u64>,
    used: u64,
    end: u64,
) -> Result<Opened, Fault> {
    let mut bytes = file.slice(0..table.start - 8)?;
    bytes.extend(used.to_be_bytes());
    bytes.extend(file.slice(table.start..table.start + used)?);
    bytes.extend(file.slice(table.end..end)?);
    Ok(Opened::Rewritten(bytes))
}
