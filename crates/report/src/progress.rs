//! Progress of long work on the terminal: what is done, how fast, and how long it will take.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over `total` pieces of work, on standard error; hidden where that is no terminal, or when asked to be quiet.
pub fn bar(label: &str, total: usize, quiet: bool) -> ProgressBar {
    let bar = if quiet {
        ProgressBar::hidden()
    } else {
        ProgressBar::new(total as u64)
    };
    let template = "{prefix:24} {wide_bar:.cyan/dim} {pos}/{len}  {per_sec}  {eta} left  {msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.with_key(
            "per_sec",
            |state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
                let _ = write!(out, "{:.1}/s", state.per_sec());
            },
        ));
    }
    bar.set_prefix(label.to_owned());
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// A count of work whose total is not known.
pub fn counter(label: &str, quiet: bool) -> ProgressBar {
    let bar = if quiet {
        ProgressBar::hidden()
    } else {
        ProgressBar::new_spinner()
    };
    if let Ok(style) = ProgressStyle::with_template("{prefix:24} {pos}  {per_sec}  {elapsed}") {
        bar.set_style(style);
    }
    bar.set_prefix(label.to_owned());
    bar
}
