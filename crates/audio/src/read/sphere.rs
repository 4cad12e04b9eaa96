//! NIST SPHERE, of TIMIT and the LDC's corpora: a header of text, then samples.

use std::collections::HashMap;
use std::io::{Read, Seek};

use super::pcm::{Coding, Order, Pcm};
use super::{Fault, Opened};

/// The longest header that is read; the usual one has 1024 bytes.
const LONGEST: u64 = 1 << 16;

/// Finds the samples.
pub(super) fn open(mut file: impl Read + Seek) -> Result<Opened, Fault> {
    let end = file.seek(std::io::SeekFrom::End(0)).map_err(Fault::io)?;
    file.rewind().map_err(Fault::io)?;
    let mut header = Vec::new();
    file.take(LONGEST)
        .read_to_end(&mut header)
        .map_err(Fault::io)?;
    let header = String::from_utf8_lossy(&header);
    let mut lines = header.lines();
    let size = lines.nth(1).and_then(|line| line.trim().parse().ok());
    let size: u64 = size.ok_or_else(|| Fault::Format("its header has no size".into()))?;
    if size > end {
        return Err(Fault::early());
    }
    // NAME -TYPE VALUE
    let fields = lines.take_while(|line| line.trim() != "end_head");
    let fields: HashMap<&str, &str> = fields
        .filter_map(|line| {
            let (name, rest) = line.trim().split_once(char::is_whitespace)?;
            let (_, value) = rest.trim_start().split_once(char::is_whitespace)?;
            Some((name, value.trim()))
        })
        .collect();
    let number = |name: &str| -> Result<Option<u64>, Fault> {
        let wrong = |value| Fault::Format(format!("its {name} is `{value}`"));
        let value = fields.get(name);
        value
            .map(|value| value.parse().map_err(|_| wrong(value)))
            .transpose()
    };
    let needed = |name: &str| {
        number(name)?.ok_or_else(|| Fault::Format(format!("its header has no {name}")))
    };
    let bytes = number("sample_n_bytes")?.unwrap_or(2);
    let coding = match (fields.get("sample_coding").copied(), bytes) {
        (None | Some("pcm"), 1..=4) => Coding::Signed(bytes as usize),
        (Some("ulaw" | "mu-law"), 1) => Coding::MuLaw,
        (Some("alaw"), 1) => Coding::ALaw,
        (None | Some("pcm"), _) => {
            return Err(Fault::Format(format!("it claims samples of {bytes} bytes")));
        }
        (Some(other), _) => return Err(Fault::Unread(format!("NIST SPHERE coded as `{other}`"))),
    };
    let channels = number("channel_count")?.unwrap_or(1);
    let claimed = match number("sample_count")? {
        Some(count) => (|| {
            count
                .checked_mul(channels)?
                .checked_mul(coding.bytes() as u64)
        })(),
        None => Some(u64::MAX),
    };
    let rate = needed("sample_rate")?;
    let wrong = |what| Fault::Format(format!("it claims {what}"));
    Ok(Opened::Pcm(Pcm {
        channels: usize::try_from(channels).map_err(|_| wrong(format!("{channels} channels")))?,
        rate: u32::try_from(rate).map_err(|_| wrong(format!("{rate} Hz")))?,
        coding,
        order: match fields.get("sample_byte_format") {
            Some(format) if format.starts_with('1') && format.len() > 1 => Order::Big,
            _ => Order::Little,
        },
        data: Pcm::bytes(size, claimed.ok_or_else(Fault::early)?, end)?,
    }))
}
