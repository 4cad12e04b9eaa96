//! AIFF (Apple 1989) and AIFF-C (1991).

use std::io::{Read, Seek};

use super::bytes::Bytes;
use super::pcm::{Coding, Order, Pcm, is_open};
use super::{Fault, Opened};

/// What a `COMM` chunk says.
struct Common {
    channels: u16,
    frames: u32,
    rate: f64,
    coding: Coding,
    order: Order,
}

impl Common {
    fn read(file: &mut Bytes<impl Read + Seek>, is_aifc: bool) -> Result<Self, Fault> {
        let channels = file.u16()?;
        let frames = file.u32()?;
        let bits = file.u16()?;
        let rate = file.extended()?;
        let compression = match is_aifc {
            true => file.name()?,
            false => *b"NONE",
        };
        let integer = || match bits.div_ceil(8) {
            bytes @ 1..=4 => Ok(Coding::Signed(bytes.into())),
            _ => Err(Fault::Format(format!("it claims samples of {bits} bits"))),
        };
        let (coding, order) = match &compression {
            b"NONE" | b"twos" => (integer()?, Order::Big),
            b"sowt" => (integer()?, Order::Little),
            b"in24" => (Coding::Signed(3), Order::Big),
            b"42ni" => (Coding::Signed(3), Order::Little),
            b"in32" => (Coding::Signed(4), Order::Big),
            b"23ni" => (Coding::Signed(4), Order::Little),
            b"raw " => (Coding::Unsigned, Order::Big),
            b"fl32" | b"FL32" => (Coding::Single, Order::Big),
            b"fl64" | b"FL64" => (Coding::Double, Order::Big),
            b"ulaw" | b"ULAW" => (Coding::MuLaw, Order::Big),
            b"alaw" | b"ALAW" => (Coding::ALaw, Order::Big),
            other => {
                let name = String::from_utf8_lossy(other);
                return Err(Fault::Unread(format!("AIFF-C coded as `{}`", name.trim())));
            }
        };
        Ok(Common {
            channels,
            frames,
            rate,
            coding,
            order,
        })
    }
}

/// Finds the samples.
pub(super) fn open(file: impl Read + Seek) -> Result<Opened, Fault> {
    let mut file = Bytes::new(file, Order::Big)?;
    file.skip(8)?;
    let is_aifc = &file.name()? == b"AIFC";
    let (mut common, mut sound) = (None, None);
    while file.left() >= 8 && (common.is_none() || sound.is_none()) {
        let (name, size) = (file.name()?, u64::from(file.u32()?));
        let start = file.position();
        match &name {
            b"COMM" => common = Some(Common::read(&mut file, is_aifc)?),
            b"SSND" => {
                let offset = u64::from(file.u32()?);
                sound = Some(start + 8 + offset);
            }
            _ => {}
        }
        if is_open(size) || file.end() - start < size {
            break;
        }
        file.seek((start + size.next_multiple_of(2)).min(file.end()))?;
    }
    let common = common.ok_or_else(|| Fault::Format("it has no `COMM` chunk".into()))?;
    let start = sound.ok_or_else(Fault::early)?;
    if !(1.0..=f64::from(u32::MAX)).contains(&common.rate) {
        return Err(Fault::Format(format!(
            "it claims a rate of {} Hz",
            common.rate
        )));
    }
    let frame_bytes = u64::from(common.channels) * common.coding.bytes() as u64;
    Ok(Opened::Pcm(Pcm {
        channels: common.channels.into(),
        rate: common.rate.round() as u32,
        coding: common.coding,
        order: common.order,
        data: match is_open(common.frames.into()) || is_open(u64::from(common.frames) * frame_bytes)
        {
            true => Pcm::bytes(start, u64::MAX, file.end())?,
            false => Pcm::bytes(start, u64::from(common.frames) * frame_bytes, file.end())?,
        },
    }))
}
