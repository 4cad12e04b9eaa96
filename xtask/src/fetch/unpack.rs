//! A `.tar.gz` into a folder, and nothing outside of it.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;
use tar::{Archive, EntryType};

use super::pump::pump;
use super::{Fault, disk};

/// Unpacks files and folders. As an archive of recordings has no links, one is refused, and so no path can lead outside
/// through one.
///
/// # Errors
/// A [`Fault`]. The archive's: if it is damaged or cut off, unpacks to more than `most` bytes, or has a path that leads out of
/// `folder`, two files of one name, or anything but files and folders.
pub fn unpack(archive: impl Read, folder: &Path, most: u64) -> Result<(), Fault> {
    let mut stream = Bounded {
        inner: MultiGzDecoder::new(archive),
        left: most,
    };
    let mut tar = Archive::new(&mut stream);
    for entry in tar.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let name = entry.path().map_err(damaged)?.into_owned();
        let path = folder.join(inside(&name)?);
        match entry.header().entry_type() {
            // Git's note of the commit.
            EntryType::XGlobalHeader => {}
            EntryType::Directory => fs::create_dir_all(&path).map_err(refused(&path))?,
            EntryType::Regular => {
                if let Some(parent) = path.parent() {
                    fs::create_dir_all(parent).map_err(refused(parent))?;
                }
                let mut left = entry.size();
                let mut file = File::create_new(&path).map_err(refused(&path))?;
                pump(&mut entry, damaged, |bytes| {
                    left = left.saturating_sub(bytes.len() as u64);
                    file.write_all(bytes).map_err(refused(&path))
                })?;
                if left > 0 {
                    let reason = format!("it ends in the middle of {}", name.display());
                    return Err(Fault::Archive(reason));
                }
            }
            other => {
                let kind = match other {
                    EntryType::Symlink | EntryType::Link => "a link",
                    EntryType::Char | EntryType::Block | EntryType::Fifo => "a device",
                    _ => "neither a file nor a folder",
                };
                return Err(Fault::Archive(format!("{} is {kind}", name.display())));
            }
        }
    }
    // The checksum of gzip comes after the last file.
    io::copy(&mut stream, &mut io::sink()).map_err(damaged)?;
    Ok(())
}

/// A path of the archive, if it stays below the folder that it is joined to.
fn inside(name: &Path) -> Result<PathBuf, Fault> {
    let part = |component| match component {
        Component::Normal(part) => Some(Path::new(part)),
        Component::CurDir => Some(Path::new("")),
        Component::ParentDir | Component::RootDir | Component::Prefix(_) => None,
    };
    let parts: Option<PathBuf> = name.components().map(part).collect();
    parts.ok_or_else(|| Fault::Archive(format!("{} leads out of its folder", name.display())))
}

fn damaged(error: io::Error) -> Fault {
    Fault::Archive(error.to_string())
}

/// Whose fault it is that a file cannot be made.
fn refused(path: &Path) -> impl Fn(io::Error) -> Fault {
    move |error| match error.kind() {
        // The folder is new, so the archive has a name twice, or one that no file can have.
        ErrorKind::AlreadyExists
        | ErrorKind::NotADirectory
        | ErrorKind::InvalidFilename
        | ErrorKind::InvalidInput => Fault::Archive(format!("{}: {error}", path.display())),
        _ => Fault::Other(disk(path)(error)),
    }
}

/// A reader that gives only so much: a few bytes can unpack to more than any disk holds.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        match self.left.checked_sub(length as u64) {
            Some(left) => self.left = left,
            None => return Err(io::Error::other("it unpacks to more than it can hold")),
        }
        Ok(length)
    }
}
