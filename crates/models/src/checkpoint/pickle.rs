//! Pickles of protocols 2 to 5, as values; nothing that they name is called. Candle's machine knows protocol 2 alone. A hostile
//! pickle could have a machine take all memory or the whole stack: this one stops before.
//!
//! What the operations do is told in Python's `pickletools`.

use std::collections::HashMap;

use candle_core::pickle::Object;

/// How deep values may stand in each other: PyTorch's do in some ten.
const DEPTH: usize = 64;
/// How much may be made, in values: of a network with a thousand tensors and its optimizer about a tenth is.
const SIZE: usize = 5_000_000;
/// So many bytes of text count as a value.
const TEXT: usize = 64;

/// Reads one pickle from the front of `bytes` and leaves what follows it.
pub fn read(bytes: &mut &[u8]) -> Result<Object, String> {
    let mut machine = Machine {
        bytes,
        stack: Vec::new(),
        memo: HashMap::new(),
    };
    let mut size = 0;
    loop {
        if let Some(object) = machine.step()? {
            return Ok(object);
        }
        if let Some(top) = machine.stack.last() {
            measure(top, 0, &mut size)?;
        }
    }
}

struct Machine<'a, 'b> {
    bytes: &'a mut &'b [u8],
    stack: Vec<Object>,
    memo: HashMap<u32, Object>,
}

impl<'b> Machine<'_, 'b> {
    /// Does the next operation; the last gives what was made.
    fn step(&mut self) -> Result<Option<Object>, String> {
        let [operation] = self.number()?;
        let made = match operation {
            // The protocol, and a frame's length: the frame's operations follow as others do.
            0x80 => {
                self.number::<1>()?;
                return Ok(None);
            }
            0x95 => {
                self.number::<8>()?;
                return Ok(None);
            }
            b'.' => return self.pop().map(Some),
            b'N' => Object::None,
            0x88 => Object::Bool(true),
            0x89 => Object::Bool(false),
            b'K' => Object::Int(u8::from_le_bytes(self.number()?).into()),
            b'M' => Object::Int(u16::from_le_bytes(self.number()?).into()),
            b'J' => Object::Int(i32::from_le_bytes(self.number()?)),
            0x8a => {
                let [length] = self.number()?;
                self.long(length.into())?
            }
            0x8b => {
                let length = u32::from_le_bytes(self.number()?);
                self.long(length.into())?
            }
            b'G' => Object::Float(f64::from_be_bytes(self.number()?)),
            // Text, and bytes, which no weight is made of: they are passed over.
            0x8c => self.short().and_then(text)?,
            b'X' => self.medium().and_then(text)?,
            0x8d => self.long_run().and_then(text)?,
            b'C' => self.short().map(|_| Object::None)?,
            b'B' => self.medium().map(|_| Object::None)?,
            0x8e | 0x96 => self.long_run().map(|_| Object::None)?,
            b'c' => Object::Class {
                module_name: self.line()?,
                class_name: self.line()?,
            },
            0x93 => match (self.pop()?, self.pop()?) {
                (Object::Unicode(class_name), Object::Unicode(module_name)) => Object::Class {
                    module_name,
                    class_name,
                },
                _ => return Err(unreadable()),
            },
            b'(' => Object::Mark,
            b')' => Object::Tuple(Vec::new()),
            b't' => Object::Tuple(self.pop_to_mark()?),
            0x85..=0x87 => {
                let count = usize::from(operation - 0x84);
                let first = self.stack.len().checked_sub(count);
                Object::Tuple(self.stack.split_off(first.ok_or_else(unreadable)?))
            }
            b']' | 0x8f => Object::List(Vec::new()),
            b'}' => Object::Dict(Vec::new()),
            b'l' | 0x91 => Object::List(self.pop_to_mark()?),
            b'd' => Object::Dict(pairs(self.pop_to_mark()?)?),
            b'a' => {
                let value = self.pop()?;
                return self.append(vec![value]);
            }
            b'e' | 0x90 => {
                let values = self.pop_to_mark()?;
                return self.append(values);
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                return self.set(vec![(key, value)]);
            }
            b'u' => {
                let items = pairs(self.pop_to_mark()?)?;
                return self.set(items);
            }
            b'0' => {
                self.pop()?;
                return Ok(None);
            }
            b'1' => {
                self.pop_to_mark()?;
                return Ok(None);
            }
            b'2' => self.top()?.clone(),
            b'Q' => Object::PersistentLoad(Box::new(self.pop()?)),
            b'R' | 0x81 => {
                let (args, callable) = (self.pop()?, self.pop()?);
                reduce(callable, args)
            }
            // With arguments by name.
            0x92 => {
                let (_, args, callable) = (self.pop()?, self.pop()?, self.pop()?);
                reduce(callable, args)
            }
            b'b' => match (self.pop()?, self.pop()?) {
                (Object::Dict(state), Object::Dict(mut items)) => {
                    items.extend(state);
                    Object::Dict(items)
                }
                (args, callable) => Object::Build {
                    callable: Box::new(callable),
                    args: Box::new(args),
                },
            },
            b'q' => {
                let [place] = self.number()?;
                return self.remember(place.into());
            }
            b'r' => {
                let place = u32::from_le_bytes(self.number()?);
                return self.remember(place);
            }
            0x94 => return self.remember(self.memo.len() as u32),
            b'h' => {
                let [place] = self.number()?;
                self.recall(place.into())?
            }
            b'j' => {
                let place = u32::from_le_bytes(self.number()?);
                self.recall(place)?
            }
            _ => return Err(unreadable()),
        };
        self.stack.push(made);
        Ok(None)
    }

    fn take(&mut self, length: u64) -> Result<&'b [u8], String> {
        let bytes: &'b [u8] = self.bytes;
        let length = usize::try_from(length).ok();
        let split = length.and_then(|length| bytes.split_at_checked(length));
        let (taken, rest) = split.ok_or("is truncated; copy it again")?;
        *self.bytes = rest;
        Ok(taken)
    }

    fn number<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N as u64)?);
        Ok(bytes)
    }

    /// Bytes behind their count in 1, 4 or 8 bytes.
    fn short(&mut self) -> Result<&'b [u8], String> {
        let [length] = self.number()?;
        self.take(length.into())
    }

    fn medium(&mut self) -> Result<&'b [u8], String> {
        let length = u32::from_le_bytes(self.number()?);
        self.take(length.into())
    }

    fn long_run(&mut self) -> Result<&'b [u8], String> {
        let length = u64::from_le_bytes(self.number()?);
        self.take(length)
    }

    /// What stands before the next end of a line.
    fn line(&mut self) -> Result<String, String> {
        let length = self.bytes.iter().position(|byte| *byte == b'\n');
        let line = self.take(length.map_or(u64::MAX, |length| length as u64))?;
        self.take(1)?;
        String::from_utf8(line.to_vec()).map_err(|_| unreadable())
    }

    /// A number of any length, in two's complement.
    fn long(&mut self, length: u64) -> Result<Object, String> {
        let bytes = self.take(length)?;
        let negative = bytes.last().is_some_and(|byte| *byte >= 0x80);
        let mut whole = [if negative { 0xff } else { 0 }; 8];
        let place = whole
            .get_mut(..bytes.len())
            .ok_or("holds a number of more than 64 bits; save the state dict alone")?;
        place.copy_from_slice(bytes);
        Ok(Object::Long(i64::from_le_bytes(whole)))
    }

    fn top(&mut self) -> Result<&mut Object, String> {
        self.stack.last_mut().ok_or_else(unreadable)
    }

    fn pop(&mut self) -> Result<Object, String> {
        self.stack.pop().ok_or_else(unreadable)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Object>, String> {
        let mark = self
            .stack
            .iter()
            .rposition(|object| matches!(object, Object::Mark));
        let values = self.stack.split_off(mark.ok_or_else(unreadable)? + 1);
        self.stack.pop();
        Ok(values)
    }

    /// To the list on the stack; other objects, as sets and those of a class, keep no values.
    fn append(&mut self, values: Vec<Object>) -> Result<Option<Object>, String> {
        if let Object::List(list) = self.top()? {
            list.extend(values);
        }
        Ok(None)
    }

    /// To the dictionary on the stack, or to nothing likewise.
    fn set(&mut self, items: Vec<(Object, Object)>) -> Result<Option<Object>, String> {
        if let Object::Dict(dict) = self.top()? {
            dict.extend(items);
        }
        Ok(None)
    }

    fn remember(&mut self, place: u32) -> Result<Option<Object>, String> {
        let object = self.top()?.clone();
        self.memo.insert(place, object);
        Ok(None)
    }

    fn recall(&self, place: u32) -> Result<Object, String> {
        self.memo.get(&place).cloned().ok_or_else(unreadable)
    }
}

fn unreadable() -> String {
    "is pickled in a way that cannot be read; load it in PyTorch and save it again".into()
}

fn text(bytes: &[u8]) -> Result<Object, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| unreadable())?;
    Ok(Object::Unicode(text.to_owned()))
}

fn pairs(values: Vec<Object>) -> Result<Vec<(Object, Object)>, String> {
    if !values.len().is_multiple_of(2) {
        return Err(unreadable());
    }
    let mut values = values.into_iter();
    Ok(std::iter::from_fn(|| Some((values.next()?, values.next()?))).collect())
}

/// A call, which is not made; dictionaries of Python's library begin empty.
fn reduce(callable: Object, args: Object) -> Object {
    match &callable {
        Object::Class {
            module_name,
            class_name,
        } if module_name == "collections"
            && ["OrderedDict", "defaultdict"].contains(&class_name.as_str()) =>
        {
            Object::Dict(Vec::new())
        }
        _ => Object::Reduce {
            callable: Box::new(callable),
            args: Box::new(args),
        },
    }
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
