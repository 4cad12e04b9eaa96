//! What WebM says an encoder added at the end (Matroska's DiscardPadding, RFC 9559), which Symphonia passes over.

use std::io::{Read, Seek};

use super::Fault;
use super::bytes::Bytes;
use super::pcm::Order;

const SEGMENT: u64 = 0x1853_8067;
const CLUSTER: u64 = 0x1F43_B675;
const BLOCK_GROUP: u64 = 0xA0;
const DISCARD_PADDING: u64 = 0x75A2;

/// The sum of the padding of all blocks, in seconds; of a file that ends early, of those before.
pub(super) fn padding(file: impl Read + Seek) -> f64 {
    let mut nanoseconds = 0;
    let _ = sum(file, &mut nanoseconds);
    nanoseconds as f64 * 1e-9
}

fn sum(file: impl Read + Seek, nanoseconds: &mut u64) -> Result<(), Fault> {
    let mut file = Bytes::new(file, Order::Big)?;
    while file.left() > 0 {
        let id = number(&mut file, true)?;
        let size = number(&mut file, false)?;
        match id {
            // Elements within these follow.
            SEGMENT | CLUSTER | BLOCK_GROUP => {}
            DISCARD_PADDING => {
                let mut bytes = (0..size.min(8)).map(|_| file.u8());
                let value = bytes.try_fold(0, |value, byte| Ok(value << 8 | u64::from(byte?)))?;
                *nanoseconds = nanoseconds.saturating_add(value);
            }
            _ => file.skip(size)?,
        }
    }
    Ok(())
}

/// A number of variable length: its first byte tells by its leading zeros how many follow. An identifier keeps the mark.
fn number(file: &mut Bytes<impl Read + Seek>, keep_mark: bool) -> Result<u64, Fault> {
    let first = file.u8()?;
    let following = first.leading_zeros();
    if following > 7 {
        return Err(Fault::early());
    }
    let mark = 0x80 >> following;
    let first = if keep_mark { first } else { first ^ mark };
    (0..following).try_fold(u64::from(first), |value, _| {
        Ok(value << 8 | u64::from(file.u8()?))
    })
}
