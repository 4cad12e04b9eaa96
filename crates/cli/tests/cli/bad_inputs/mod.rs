//! Files that are damaged, hostile or of another kind: each gets one line that names it and says what to do, in little memory,
//! in little time, and nothing is written. (What people mistake is in `mistakes.rs`.)

mod arrays;
mod checkpoints;
mod composites;
mod corpora;
mod disks;
mod models;
mod recordings;
mod stores;

use std::time::{Duration, Instant};

use crate::support::Folder;

/// The memory a run may ask for, in kilobytes: a header that claims more is not to be believed.
const MEMORY: u32 = 3_000_000;
/// What no run may take, however busy the machine.
const TIME: Duration = Duration::from_secs(60);

/// A file, and words that its message has beside its name.
type Case<'a> = (&'a str, &'a [&'a str]);

/// Runs `arguments` for each file, in place of the word FILE, and expects one line that names it, and no output.
fn expect(folder: &Folder, arguments: &[&str], cases: &[Case]) {
    let before = folder.files();
    let mut problems = Vec::new();
    for (name, words) in cases {
        let arguments: Vec<&str> = arguments
            .iter()
            .map(|word| if *word == "FILE" { *name } else { *word })
            .collect();
        let started = Instant::now();
        match folder.fail_within(&arguments, &format!("ulimit -v {MEMORY}")) {
            Ok(message) => {
                let mut missing = [name].into_iter().chain(*words);
                if let Some(word) = missing.find(|word| !message.contains(**word)) {
                    problems.push(format!("`{word}` is missing: {message}"));
                }
            }
            Err(problem) => problems.push(problem),
        }
        assert!(started.elapsed() < TIME, "{arguments:?} takes too long");
        assert_eq!(
            folder.files(),
            before,
            "{arguments:?} leaves something behind"
        );
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
