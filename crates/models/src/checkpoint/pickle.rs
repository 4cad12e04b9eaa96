//! Pickles, read by candle's machine, which calls nothing that they name. A hostile one could still have it take all memory
//! or the whole stack: here it is stopped before.

use candle_core::pickle::{Object, Stack};

/// How deep values may stand in each other: PyTorch's do in some ten.
const DEPTH: usize = 64;
/// How much may be made, in values: of a network with a thousand tensors and its optimizer about a tenth is.
const SIZE: usize = 5_000_000;
/// So many bytes of text count as a value.
const TEXT: usize = 64;

const GLOBAL: u8 = b'c';
const UNICODE: u8 = b'X';
const LONG: u8 = 0x8a;

/// Reads one pickle from the front of `bytes` and leaves what follows it.
pub fn read(bytes: &mut &[u8]) -> Result<Object, String> {
    let mut stack = Stack::empty();
    let mut size = 0;
    loop {
        check_length(bytes)?;
        // What candle says is of opcodes and stacks.
        let ended = stack.read(bytes).map_err(
            |_| "is pickled in a way that cannot be read; load it in PyTorch and save it again",
        )?;
        if ended {
            return stack
                .finalize()
                .map_err(|_| "holds an empty pickle; save it again".into());
        }
        if let Some(top) = stack.stack().last() {
            measure(top, 0, &mut size)?;
        }
    }
}

/// Fails if the next operation is not there whole, or has a number that candle cannot hold.
fn check_length(bytes: &[u8]) -> Result<(), String> {
    let truncated = || "is truncated; copy it again".to_owned();
    let (operation, rest) = bytes.split_first().ok_or_else(truncated)?;
    let length = match *operation {
        b'K' | b'q' | b'h' | 0x80 => 1,
        b'M' => 2,
        b'J' | b'r' | b'j' => 4,
        b'G' => 8,
        LONG => 1 + usize::from(*rest.first().ok_or_else(truncated)?),
        UNICODE => {
            let length = rest.first_chunk().ok_or_else(truncated)?;
            4 + u32::from_le_bytes(*length) as usize
        }
        GLOBAL => {
            let lines = rest.split(|byte| *byte == b'\n').take(2);
            lines.map(|line| line.len() + 1).sum()
        }
        _ => 0,
    };
    if length > rest.len() {
        return Err(truncated());
    }
    if *operation == LONG && length > 1 + size_of::<i64>() {
        return Err("holds a number of more than 64 bits; save the state dict alone".into());
    }
    Ok(())
}

/// Adds a value's size. Each is measured when it is made, so that none can be deeper than one more than [`DEPTH`].
fn measure(value: &Object, depth: usize, size: &mut usize) -> Result<(), String> {
    *size += 1;
    if depth > DEPTH || *size > SIZE {
        return Err(
            "holds more, or deeper, values than any network; save the state dict alone".into(),
        );
    }
    let mut of = |value: &Object| measure(value, depth + 1, size);
    match value {
        Object::Tuple(values) | Object::List(values) => values.iter().try_for_each(of),
        Object::Dict(items) => items
            .iter()
            .try_for_each(|(key, value)| of(key).and_then(|()| of(value))),
        Object::Reduce { callable, args } | Object::Build { callable, args } => {
            of(callable).and_then(|()| of(args))
        }
        Object::PersistentLoad(id) => of(id),
        Object::Unicode(text) => {
            *size += text.len() / TEXT;
            Ok(())
        }
        Object::Class {
            module_name,
            class_name,
        } => {
            *size += (module_name.len() + class_name.len()) / TEXT;
            Ok(())
        }
        Object::Int(_)
        | Object::Long(_)
        | Object::Float(_)
        | Object::Bool(_)
        | Object::None
        | Object::Mark => Ok(()),
    }
}
