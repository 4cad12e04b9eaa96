//! Sun's and NeXT's AU.

use std::io::{Read, Seek};

use super::bytes::Bytes;
use super::pcm::{Coding, Order, Pcm};
use super::{Fault, Opened};

/// Finds the samples.
pub(super) fn open(file: impl Read + Seek) -> Result<Opened, Fault> {
    let mut file = Bytes::new(file, Order::Big)?;
    if &file.name()? == b"dns." {
        file.order = Order::Little;
    }
    let start = u64::from(file.u32()?);
    let size = u64::from(file.u32()?);
    let coding = match file.u32()? {
        1 => Coding::MuLaw,
        bytes @ 2..=5 => Coding::Signed(bytes as usize - 1),
        6 => Coding::Single,
        7 => Coding::Double,
        27 => Coding::ALaw,
        other => return Err(Fault::Unread(format!("AU of encoding {other}"))),
    };
    Ok(Opened::Pcm(Pcm {
        rate: file.u32()?,
        channels: file.u32()? as usize,
        coding,
        order: file.order,
        data: Pcm::bytes(start, size, file.end())?,
    }))
}
