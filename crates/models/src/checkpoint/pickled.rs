//! What `torch.save` writes, in both of its formats: a pickle, and the storages that its tensors lie in.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::ops::Range;

use candle_core::Tensor;
use candle_core::pickle::Object;
use zip::ZipArchive;
use zip::read::{ArchiveOffset, Config};

use super::stored::{StorageId, Stored};
use super::{COUNTER, REMEDY, pickle};

/// What the first pickle of a legacy file ends with: PyTorch's magic number.
const LEGACY: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
/// Where it stands: behind the protocol and, from protocol 4 on, a frame's length.
const LEGACY_AT: [usize; 2] = [2, 11];
const ZIP: &[u8] = b"PK\x03\x04";
/// What any pickle begins with.
const PICKLE: u8 = 0x80;
const SAFETENSORS: u8 = b'{';

/// A file and what it lists.
#[derive(Debug)]
pub struct Pickled {
    bytes: Vec<u8>,
    storages: Storages,
    state_dicts: BTreeMap<String, BTreeMap<String, Result<Stored, String>>>,
}

#[derive(Debug)]
enum Storages {
    /// In the entries `ROOT/data/KEY` of a zip archive.
    Zip { root: String },
    /// At these places of the file.
    Legacy(BTreeMap<String, Range<usize>>),
}

type Archive<'a> = ZipArchive<Cursor<&'a [u8]>>;

impl Pickled {
    /// Whether a file is something else than safetensors.
    pub fn may_be(bytes: &[u8]) -> bool {
        bytes.starts_with(ZIP)
            || behind_magic(bytes).is_some()
            || bytes.get(8) != Some(&SAFETENSORS)
    }

    /// Lists what stands in a file.
    pub fn read(bytes: Vec<u8>) -> Result<Self, String> {
        let read = if bytes.starts_with(ZIP) {
            read_zip(&bytes)
        } else if let Some(rest) = behind_magic(&bytes) {
            read_legacy(&bytes, rest)
        } else if bytes.first() == Some(&PICKLE) {
            Err(format!("is a pickle, but none of torch.save; {REMEDY}"))
        } else {
            Err(format!(
                "is no checkpoint of PyTorch and no safetensors; {REMEDY}"
            ))
        };
        let (object, storages) = read?;
        let mut state_dicts = BTreeMap::new();
        collect(&object, "", &mut state_dicts);
        match (state_dicts.is_empty(), module(&object)) {
            (false, _) => Ok(Pickled {
                bytes,
                storages,
                state_dicts,
            }),
            (true, Some(class)) => Err(format!("holds a whole pickled {class}; {REMEDY}")),
            (true, None) => Err(format!("holds no tensors by name; {REMEDY}")),
        }
    }

    /// See [`super::Checkpoint::state_dicts`].
    pub fn state_dicts(&self) -> BTreeMap<&str, Vec<&str>> {
        let dicts = self.state_dicts.iter();
        dicts
            .map(|(place, dict)| (place.as_str(), dict.keys().map(String::as_str).collect()))
            .collect()
    }

    /// The tensors of a dictionary that are wanted by their names, in f32.
    pub fn tensors(
        &self,
        state_dict: &str,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<BTreeMap<String, Tensor>, String> {
        let mut of_storage: BTreeMap<&str, Vec<(&str, &Stored)>> = BTreeMap::new();
        let mut numbers = 0usize;
        let stored = self.state_dicts.get(state_dict).into_iter().flatten();
        for (name, stored) in stored.filter(|(name, _)| is_wanted(name)) {
            let stored = stored
                .as_ref()
                .map_err(|problem| format!("`{name}` {problem}"))?;
            numbers = numbers.saturating_add(stored.count().unwrap_or(usize::MAX));
            let key = stored.storage.key.as_str();
            of_storage.entry(key).or_default().push((name, stored));
        }
        // Tensors may share numbers, but not so many of them.
        if numbers > self.bytes.len() {
            return Err(
                "has tensors of more numbers than the file has bytes; save it again".into(),
            );
        }
        let mut tensors = BTreeMap::new();
        for (key, of_storage) in of_storage {
            let bytes = self.storage(key)?;
            for (name, stored) in of_storage {
                let tensor = stored
                    .read(&bytes)
                    .map_err(|problem| format!("`{name}` {problem}"))?;
                tensors.insert(name.to_owned(), tensor);
            }
        }
        Ok(tensors)
    }

    fn storage(&self, key: &str) -> Result<Cow<'_, [u8]>, String> {
        match &self.storages {
            Storages::Zip { root } => {
                let name = format!("{root}data/{key}");
                Ok(Cow::Owned(entry(&mut open(&self.bytes)?, &name)?))
            }
            Storages::Legacy(places) => match places.get(key) {
                Some(place) => Ok(Cow::Borrowed(&self.bytes[place.clone()])),
                None => Err(format!("has no storage `{key}`; save it again")),
            },
        }
    }
}

/// What follows a legacy file's magic number.
fn behind_magic(bytes: &[u8]) -> Option<&[u8]> {
    let places = LEGACY_AT.iter().filter(|_| bytes.first() == Some(&PICKLE));
    let mut behind = places.filter_map(|at| bytes.get(*at..)?.strip_prefix(LEGACY));
    behind.next()
}

/// The archive begins where the file does. Left to find out, the reader takes what PyTorch writes between directory and end for
/// bytes before the archive, if an entry of the directory happens to be as long.
fn open(bytes: &[u8]) -> Result<Archive<'_>, String> {
    let config = Config {
        archive_offset: ArchiveOffset::Known(0),
    };
    ZipArchive::with_config(config, Cursor::new(bytes))
        .map_err(|error| format!("is no whole zip archive ({error}); copy it again"))
}

/// The bytes of an entry, which their checksum vouches for.
fn entry(archive: &mut Archive, name: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = match archive.by_name(name) {
        Ok(mut entry) => entry
            .read_to_end(&mut bytes)
            .map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match read {
        Ok(_) => Ok(bytes),
        Err(error) => Err(format!("is damaged at `{name}` ({error}); copy it again")),
    }
}

fn read_zip(bytes: &[u8]) -> Result<(Object, Storages), String> {
    let mut archive = open(bytes)?;
    let names = archive.file_names().filter_map(Result::ok);
    let names: Vec<String> = names.map(|name| name.into_owned()).collect();
    let roots = names
        .iter()
        .filter_map(|name| name.strip_suffix("data.pkl"));
    // The file's own name, as a folder.
    let Some(root) = roots.min_by_key(|root| root.len()).map(str::to_owned) else {
        return Err(format!(
            "is a zip archive, but none of torch.save; {REMEDY}"
        ));
    };
    let is = |name: &str| format!("{root}{name}");
    if names.contains(&is("constants.pkl")) {
        return Err(format!(
            "is a TorchScript archive; load it by `torch.jit.load`, and {REMEDY}"
        ));
    }
    let order = is("byteorder");
    if names.contains(&order) && entry(&mut archive, &order)? != b"little" {
        return Err(big_endian());
    }
    let pickled = entry(&mut archive, &is("data.pkl"))?;
    Ok((
        pickle::read(&mut pickled.as_slice())?,
        Storages::Zip { root },
    ))
}

/// Behind the magic number: a version, what the machine was like, the object, the storages' keys, and the storages: a count of
/// numbers and the numbers.
fn read_legacy(bytes: &[u8], mut rest: &[u8]) -> Result<(Object, Storages), String> {
    pickle::read(&mut rest)?;
    let machine = pickle::read(&mut rest)?;
    let little = Object::Unicode("little_endian".into());
    if let Object::Dict(items) = machine
        && items.contains(&(little, Object::Bool(false)))
    {
        return Err(big_endian());
    }
    let object = pickle::read(&mut rest)?;
    let Object::List(keys) = pickle::read(&mut rest)? else {
        return Err("has no list of storages; save it again".into());
    };
    let mut ids = BTreeMap::new();
    storage_ids(&object, &mut ids)?;
    let mut places = BTreeMap::new();
    for key in keys {
        let id = key.unicode().ok().and_then(|key| ids.get(&key));
        let id = id.ok_or("has a storage that no tensor uses; save it again")?;
        let truncated = || "is truncated; copy it again".to_owned();
        let (count, after) = rest.split_first_chunk().ok_or_else(truncated)?;
        let length = usize::try_from(u64::from_le_bytes(*count)).ok();
        let length = length.and_then(|count| count.checked_mul(id.numbers.size));
        let end = length.filter(|length| *length <= after.len());
        let (_, after) = after.split_at(end.ok_or_else(truncated)?);
        places.insert(
            id.key.clone(),
            bytes.len() - rest.len() + size_of::<u64>()..bytes.len() - after.len(),
        );
        rest = after;
    }
    Ok((object, Storages::Legacy(places)))
}

fn big_endian() -> String {
    "was saved on a big-endian machine; load it in PyTorch here and save it again".into()
}

/// Every storage of an object, by its key.
fn storage_ids(object: &Object, ids: &mut BTreeMap<String, StorageId>) -> Result<(), String> {
    if let Object::PersistentLoad(id) = object
        && module_class(object).is_none()
    {
        let id = StorageId::of(id)?;
        ids.insert(id.key.clone(), id);
    }
    children(object).try_for_each(|child| storage_ids(child, ids))
}

/// The dictionaries that hold tensors by name, by the keys that lead to them.
fn collect(
    object: &Object,
    place: &str,
    found: &mut BTreeMap<String, BTreeMap<String, Result<Stored, String>>>,
) {
    let Object::Dict(items) = object else {
        return;
    };
    for (key, value) in items {
        let key = match key {
            Object::Unicode(key) => key.clone(),
            Object::Int(key) => key.to_string(),
            _ => continue,
        };
        if let Some(stored) = Stored::of(value) {
            if !key.ends_with(COUNTER) {
                found
                    .entry(place.to_owned())
                    .or_default()
                    .insert(key, stored);
            }
        } else {
            let dot = if place.is_empty() { "" } else { "." };
            collect(value, &format!("{place}{dot}{key}"), found);
        }
    }
}

/// The class of a module that is pickled whole, the outermost.
fn module(object: &Object) -> Option<String> {
    if let Object::Build { callable, args } = object
        && let (Object::Reduce { callable, .. }, Object::Dict(state)) = (&**callable, &**args)
        && state
            .iter()
            .any(|(key, _)| *key == Object::Unicode("_modules".into()))
    {
        return Some(match module_class(callable) {
            Some(class) => format!("module (`{class}`)"),
            None => "module".into(),
        });
    }
    children(object).find_map(module)
}

/// The class that an object names; the legacy format adds its source.
fn module_class(object: &Object) -> Option<String> {
    match object {
        Object::Class {
            module_name,
            class_name,
        } => Some(format!("{module_name}.{class_name}")),
        Object::PersistentLoad(id) => match &**id {
            Object::Tuple(parts) => match parts.as_slice() {
                [Object::Unicode(tag), class, ..] if tag == "module" => module_class(class),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

fn children(object: &Object) -> Box<dyn Iterator<Item = &Object> + '_> {
    match object {
        Object::Tuple(objects) | Object::List(objects) => Box::new(objects.iter()),
        Object::Dict(items) => Box::new(items.iter().flat_map(|(key, value)| [key, value])),
        Object::Reduce { callable, args } | Object::Build { callable, args } => {
            Box::new([&**callable, &**args].into_iter())
        }
        Object::PersistentLoad(id) => Box::new(std::iter::once(&**id)),
        _ => Box::new(std::iter::empty()),
    }
}
