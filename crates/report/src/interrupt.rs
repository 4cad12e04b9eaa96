//! Ctrl-C in work that can be gone on with.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use signal_hook::consts::SIGINT;
use signal_hook::iterator::Signals;
use signal_hook::low_level;

/// The status of a process that Ctrl-C ended, as shells have it.
pub const STATUS: u8 = 130;

/// Listens to Ctrl-C. It ends the process, with a line that says how to go on, at once; or, while [`Interrupt::during`] runs
/// something that saves, when that has looked at [`Interrupt::is_asked`]. A second Ctrl-C ends it at once in any case.
pub struct Interrupt(Arc<State>);

struct State {
    advice: String,
    saves: AtomicBool,
    asked: AtomicBool,
}

/// Work that Ctrl-C stopped and that was saved: says how to go on.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Interrupted(String);

impl Interrupt {
    /// Listens from now on. `command` is what goes on, as words.
    ///
    /// # Errors
    /// If the system gives no notice of signals.
    pub fn listen(command: impl IntoIterator<Item = String>) -> io::Result<Self> {
        let words: Vec<String> = command.into_iter().map(quoted).collect();
        let state = Arc::new(State {
            advice: format!("stopped; go on with: {}", words.join(" ")),
            saves: AtomicBool::new(false),
            asked: AtomicBool::new(false),
        });
        let mut signals = Signals::new([SIGINT])?;
        let of_thread = Arc::clone(&state);
        thread::spawn(move || {
            for _ in signals.forever() {
                if of_thread.asked.swap(true, SeqCst) || !of_thread.saves.load(SeqCst) {
                    eprintln!("{}", of_thread.advice);
                    // Without what libraries do at an exit: the main thread may be using them.
                    low_level::exit(STATUS.into());
                }
            }
        });
        Ok(Interrupt(state))
    }

    /// Does what looks at [`Interrupt::is_asked`] from time to time and then saves and returns.
    pub fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        self.0.saves.store(true, SeqCst);
        let done = work();
        self.0.saves.store(false, SeqCst);
        done
    }

    /// Whether Ctrl-C was pressed.
    pub fn is_asked(&self) -> bool {
        self.0.asked.load(SeqCst)
    }

    /// The error to end with after saving.
    pub fn stopped(&self) -> Interrupted {
        Interrupted(self.0.advice.clone())
    }
}

/// A word as a shell takes it.
fn quoted(word: String) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./,:=@%+".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word,
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_change_them() {
        for (word, expected) in [
            ("a/b.h5", "a/b.h5"),
            ("", "''"),
            ("two words", "'two words'"),
            ("it's", r"'it'\''s'"),
            ("$HOME", "'$HOME'"),
        ] {
            assert_eq!(quoted(word.into()), expected);
        }
    }
}
