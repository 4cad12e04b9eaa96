//! Numbers from a file's header.

use std::io::{Read, Seek, SeekFrom};

use super::Fault;
use super::pcm::Order;

/// A file that is read from the front, number by number.
pub(super) struct Bytes<R> {
    file: R,
    pub order: Order,
    position: u64,
    end: u64,
}

impl<R: Read + Seek> Bytes<R> {
    pub fn new(mut file: R, order: Order) -> Result<Self, Fault> {
        let end = file.seek(SeekFrom::End(0)).map_err(Fault::io)?;
        file.rewind().map_err(Fault::io)?;
        Ok(Bytes {
            file,
            order,
            position: 0,
            end,
        })
    }

    pub fn position(&self) -> u64 {
        self.position
    }

    /// Where the file ends.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// How many bytes follow.
    pub fn left(&self) -> u64 {
        self.end.saturating_sub(self.position)
    }

    pub fn seek(&mut self, to: u64) -> Result<(), Fault> {
        if to > self.end {
            return Err(Fault::early());
        }
        self.position = to;
        self.file.seek(SeekFrom::Start(to)).map_err(Fault::io)?;
        Ok(())
    }

    pub fn skip(&mut self, bytes: u64) -> Result<(), Fault> {
        let to = self.position.checked_add(bytes);
        self.seek(to.ok_or_else(Fault::early)?)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut bytes = [0; N];
        self.file.read_exact(&mut bytes).map_err(Fault::io)?;
        self.position += N as u64;
        Ok(bytes)
    }

    /// Four bytes as they stand.
    pub fn name(&mut self) -> Result<[u8; 4], Fault> {
        self.take()
    }

    pub fn u8(&mut self) -> Result<u8, Fault> {
        let [byte] = self.take()?;
        Ok(byte)
    }

    pub fn u16(&mut self) -> Result<u16, Fault> {
        let bytes = self.take()?;
        Ok(match self.order {
            Order::Little => u16::from_le_bytes(bytes),
            Order::Big => u16::from_be_bytes(bytes),
        })
    }

    pub fn u32(&mut self) -> Result<u32, Fault> {
        let bytes = self.take()?;
        Ok(match self.order {
            Order::Little => u32::from_le_bytes(bytes),
            Order::Big => u32::from_be_bytes(bytes),
        })
    }

    pub fn u64(&mut self) -> Result<u64, Fault> {
        let bytes = self.take()?;
        Ok(match self.order {
            Order::Little => u64::from_le_bytes(bytes),
            Order::Big => u64::from_be_bytes(bytes),
        })
    }

    /// The 80 bits of an extended number (IEEE 754), as AIFF has its sampling rate.
    pub fn extended(&mut self) -> Result<f64, Fault> {
        let head = self.u16()?;
        let mantissa = self.u64()?;
        let exponent = i32::from(head & 0x7FFF) - 16383 - 63;
        let value = mantissa as f64 * 2f64.powi(exponent);
        Ok(if head & 0x8000 == 0 { value } else { -value })
    }
}
