//! Bytes from a reader to where they go.

use std::io::{self, ErrorKind, Read};

/// Hands everything that a reader gives to `take`, piece by piece. `lost` says what an error of the reader means; errors of
/// `take` stay what they are, so that a broken source and a full disk are told apart.
pub fn pump<E>(
    from: &mut impl Read,
    lost: impl Fn(io::Error) -> E,
    mut take: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut piece = vec![0; 1 << 16];
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(length) => take(&piece[..length])?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(lost(error)),
        }
    }
}
