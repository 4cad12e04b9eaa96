//! `speechlens cache`

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use clap::Subcommand;
use speechlens_data::Cache;
use speechlens_data::cache::Entry;
use speechlens_report::progress::{DecimalBytes, HumanDuration};
use speechlens_report::results::Row;
use speechlens_report::table::Table;

/// See and clear the folder in which features are kept.
///
/// `train`, `evaluate` and `augment` compute features of recordings once and keep them, so that the next run need not. What was made of other
/// recordings or in another way (--limit, --crop, --seed, --trim, --pieces) is kept beside it; what was made of files that
/// have changed since is not used again. All of it can be made again from the recordings, so that clearing loses nothing but time.
///
/// The folder is the one that the variable SPEECHLENS_CACHE names, or else `speechlens` in the system's folder of caches: ~/.cache, or
/// $XDG_CACHE_HOME; on macOS ~/Library/Caches.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    task: Option<Task>,
    /// Another folder, as given to `train --store`.
    #[arg(long, global = true, value_name = "DIR")]
    store: Option<std::path::PathBuf>,
}

#[derive(Subcommand)]
enum Task {
    /// Say what is kept, made of what, how large it is, and when it was last used. This is done if nothing is asked for.
    List,
    /// Remove what is kept. Other files in the folder stay.
    Clear {
        /// Only what was not used for so many days.
        #[arg(long, value_name = "DAYS", default_value_t = 0)]
        older_than: u32,
    },
    /// Say where the folder is.
    Path,
}

/// Runs the subcommand.
pub fn run(arguments: &Arguments) -> Result<()> {
    let cache = match &arguments.store {
        Some(folder) => Cache::at(folder.clone()),
        None => Cache::of_user()?,
    };
    match arguments.task.as_ref().unwrap_or(&Task::List) {
        Task::List => {
            let entries = cache.entries()?;
            if !entries.is_empty() {
                println!("{}", table(&entries).text());
            }
            println!("{}: {}", cache.folder().display(), total(&entries));
        }
        Task::Clear { older_than } => {
            let unused_for = Duration::from_secs(u64::from(*older_than) * 24 * 3600);
            let gone = cache.clear(unused_for)?;
            println!("{}: removed {}", cache.folder().display(), total(&gone));
        }
        Task::Path => println!("{}", cache.folder().display()),
    }
    Ok(())
}

fn total(entries: &[Entry]) -> String {
    let bytes = entries.iter().map(|entry| entry.bytes).sum();
    let stores = if entries.len() == 1 {
        "store"
    } else {
        "stores"
    };
    format!("{} {stores}, {}", entries.len(), DecimalBytes(bytes))
}

fn table(entries: &[Entry]) -> Table {
    let name = |path: &Path| {
        path.file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    let row = |entry: &Entry| {
        let (recordings, features, origin) = match &entry.content {
            Some(content) => (
                content.recordings.to_string(),
                content.features,
                content.origin.clone(),
            ),
            None => ("?".into(), "damaged", "?".into()),
        };
        let unused = SystemTime::now().duration_since(entry.used);
        let cells = [
            features.to_owned(),
            recordings,
            DecimalBytes(entry.bytes).to_string(),
            format!("{} ago", HumanDuration(unused.unwrap_or_default())),
            origin,
        ];
        Row::measured(name(&entry.path), cells)
    };
    Table {
        corner: "store".into(),
        columns: ["features", "recordings", "size", "last used", "made of"]
            .map(str::to_owned)
            .to_vec(),
        rows: entries.iter().map(row).collect(),
    }
}
