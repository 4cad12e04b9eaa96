//! `cargo xtask fetch`: a public data set, downloaded, checked and unpacked to where `cargo xtask reproduce` takes it.
//!
//! An archive grows in `NAME.tar.gz.part`, which a run that is stopped leaves for the next one. It is unpacked in
//! `NAME.unpacking` and renamed when whole, so that the data set's folder is complete or not there.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Error, Result, anyhow, bail};
use speechlens_report::progress;

use part::Part;
use sources::{DataSet, Proof, Source};

mod download;
mod part;
mod pump;
mod recordings;
mod sources;
#[cfg(test)]
mod tests;
mod unpack;

/// Download a public data set, check it, and unpack it for `cargo xtask reproduce`.
///
/// A download that was stopped goes on when started again; a data set that is there already is left alone. If you have the
/// archive of LibriSpeech or MUSAN, copy it to DIR/LibriSpeech.tar.gz.part or DIR/musan.tar.gz.part: it is checked and unpacked.
#[derive(clap::Args)]
pub struct Arguments {
    /// The data set.
    #[arg(value_enum, value_name = "DATA-SET")]
    data_set: DataSet,
    /// The folder to put the data set's own folder in (data/musan, say); made if it is not there.
    #[arg(short, long, value_name = "DIR", default_value = "data")]
    output: PathBuf,
    /// Show no progress.
    #[arg(long)]
    quiet: bool,
}

/// How to fetch.
pub struct Options {
    /// How long a server may be silent until the connection counts as lost.
    pub patience: Duration,
    /// Tries in a row that bring no new byte until it is given up.
    pub tries: u32,
    /// The pause after the first of them; each further one is twice as long.
    pub pause: Duration,
    /// Show no progress.
    pub quiet: bool,
}

/// What was to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The data set is new.
    Fetched(PathBuf),
    /// It was there before.
    AlreadyThere(PathBuf),
}

/// Why a data set is not there.
#[derive(Debug)]
enum Fault {
    /// The archive is damaged, or not what it should be: no use in keeping it.
    Archive(String),
    /// The network, the server or the disk.
    Other(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Fault::Other(error)
    }
}

/// Fetches what is asked for and says how to use it.
pub fn run(arguments: &Arguments) -> Result<()> {
    let folder = &arguments.output;
    let Some(source) = arguments.data_set.source() else {
        let folder = folder.join("VoxCeleb1");
        println!("{}", sources::voxceleb_by_hand(&folder.to_string_lossy()));
        return Ok(());
    };
    let options = Options {
        patience: Duration::from_secs(60),
        tries: 6,
        pause: Duration::from_secs(1),
        quiet: arguments.quiet,
    };
    let (state, folder) = match fetch(&source, folder, &options)? {
        Outcome::Fetched(folder) => ("is whole", folder),
        Outcome::AlreadyThere(folder) => ("is there already", folder),
    };
    println!(
        "{} {state}: {}\nUse it:\n  cargo xtask reproduce {} {}",
        source.title,
        folder.display(),
        source.option,
        folder.display()
    );
    Ok(())
}

/// Brings a data set into `folder`, if it is not there.
///
/// # Errors
/// One line that names the address or the file. The data set's folder is then not there; what was downloaded is kept, unless
/// it is wrong.
pub fn fetch(source: &Source, folder: &Path, options: &Options) -> Result<Outcome> {
    let target = folder.join(source.folder);
    let archive = folder.join(format!("{}.tar.gz.part", source.folder));
    let unpacking = folder.join(format!("{}.unpacking", source.folder));
    if is_there(source, &target)? {
        // A run that was killed at its very end leaves them.
        let _ = fs::remove_file(&archive);
        let _ = fs::remove_dir_all(&unpacking);
        return Ok(Outcome::AlreadyThere(target));
    }
    fs::create_dir_all(folder).map_err(disk(folder))?;
    let mut part = Part::open(&archive)?;
    // Another run may have come to its end between the look and the lock.
    if is_there(source, &target)? {
        part.remove()?;
        return Ok(Outcome::AlreadyThere(target));
    }
    remove_folder(&unpacking)?;
    if !options.quiet {
        println!(
            "{} ({}), {:.1} GB: {}\n{}",
            source.title,
            source.licence,
            source.proof.bytes() as f64 / 1e9,
            source.url,
            source.proof
        );
    }

    let fetched = obtain(source, &mut part, options)
        .and_then(|()| unpack(source, &mut part, &unpacking, &target, options));
    let removed = remove_folder(&unpacking);
    match fetched {
        Ok(()) => {
            removed?;
            part.remove()?;
            Ok(Outcome::Fetched(target))
        }
        Err(Fault::Other(error)) => Err(error),
        Err(Fault::Archive(reason)) => {
            part.remove()?;
            bail!(
                "{}: the archive is not as it should be: {reason}; it was deleted: run this again to download it afresh",
                source.url
            )
        }
    }
}

/// Whether a data set is in its folder.
fn is_there(source: &Source, target: &Path) -> Result<bool> {
    if !target.try_exists().map_err(disk(target))? {
        return Ok(false);
    }
    match source.missing_in(target) {
        None => Ok(true),
        Some(name) => bail!(
            "{}: is there, but without {name} in it, so it is not {}; move it away, or choose another folder with -o",
            target.display(),
            source.title
        ),
    }
}

/// Downloads the archive and checks it, if it can be checked before it is unpacked.
fn obtain(source: &Source, part: &mut Part, options: &Options) -> Result<(), Fault> {
    // What an earlier run kept may be of a file that was replaced since.
    let mut kept = part.length()? > 0;
    loop {
        download::download(source, part, options)?;
        let Proof::Archive { bytes, sha256 } = &source.proof else {
            return Ok(());
        };
        let bar = progress::bytes("checking", *bytes, options.quiet);
        let found = part.sha256(|read| bar.inc(read))?;
        bar.finish_and_clear();
        if found == *sha256 {
            return Ok(());
        }
        if !kept {
            let reason = format!("its SHA-256 is {found}, where {sha256} is expected");
            return Err(Fault::Archive(reason));
        }
        eprintln!("what was kept of an earlier download does not fit: starting afresh");
        part.clear()?;
        kept = false;
    }
}

/// Unpacks the archive, checks what came out, and puts it in its place.
fn unpack(
    source: &Source,
    part: &mut Part,
    unpacking: &Path,
    target: &Path,
    options: &Options,
) -> Result<(), Fault> {
    let bar = progress::bytes("unpacking", part.length()?, options.quiet);
    let archive = bar.wrap_read(part.reader()?);
    unpack::unpack(archive, unpacking, source.proof.most_unpacked())?;
    bar.finish_and_clear();
    let top = unpacking.join(&source.top);
    if let Some(name) = source.missing_in(&top) {
        let reason = format!("there is no {}/{name} in it", source.top);
        return Err(Fault::Archive(reason));
    }
    if let Proof::AudioMnist {
        recordings,
        speakers,
        ..
    } = source.proof
    {
        recordings::check(&top, recordings, speakers, options.quiet).map_err(Fault::Archive)?;
    }
    fs::rename(top, target).map_err(disk(target))?;
    Ok(())
}

fn remove_folder(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(disk(folder)),
    }
}

/// What the disk refuses, as one line that names the file and what helps.
fn disk(path: &Path) -> impl Fn(io::Error) -> Error {
    move |error| {
        let help = match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                "; make room, or choose another folder with -o; run this again to go on"
            }
            ErrorKind::PermissionDenied
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::NotADirectory
            | ErrorKind::AlreadyExists
            | ErrorKind::IsADirectory => "; choose another folder with -o",
            _ => "",
        };
        anyhow!("{}: {error}{help}", path.display())
    }
}
