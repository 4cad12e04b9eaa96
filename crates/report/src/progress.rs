//! Progress of long work on the terminal: what is done, how fast, and how long it will take.

use std::time::Duration;

use indicatif::ProgressStyle;
pub use indicatif::{DecimalBytes, HumanDuration, ProgressBar};

/// A bar over `total` pieces of work, on standard error; hidden where that is no terminal, or when asked to be quiet.
pub fn bar(label: &str, total: usize, quiet: bool) -> ProgressBar {
    let amounts = "{pos}/{len}  {per_sec}";
    with_amounts(label, total as u64, amounts, quiet)
}

/// A bar over `total` bytes.
pub fn bytes(label: &str, total: u64, quiet: bool) -> ProgressBar {
    let amounts = "{decimal_bytes}/{decimal_total_bytes}  {decimal_bytes_per_sec}";
    with_amounts(label, total, amounts, quiet)
}

fn with_amounts(label: &str, total: u64, amounts: &str, quiet: bool) -> ProgressBar {
    let bar = if quiet {
        ProgressBar::hidden()
    } else {
        ProgressBar::new(total)
    };
    let template = format!("{{prefix:24}} {{wide_bar:.cyan/dim}} {amounts}  {{eta}} left  {{msg}}");
    if let Ok(style) = ProgressStyle::with_template(&template) {
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
