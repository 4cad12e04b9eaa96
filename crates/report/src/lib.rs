//! What a run of SpeechLens shows: heatmaps, curves, tables, `results.json`, and the page that holds them all.
//!
//! The crate draws arrays and prints numbers; it knows nothing of networks or recordings. Every drawing is a
//! [`Picture`]: SVG inside a [`Page`], whose colours follow the reader's light or dark theme, or PNG in a file.
//!
//! | module | subject |
//! | --- | --- |
//! | [`axes`] | labels, ranges, ticks; linear and logarithmic |
//! | [`heatmap`] | arrays [frequency, time] as pictures, alone and side by side |
//! | [`waveform`] | waveforms in the colours of their relevance |
//! | [`curves`] | line charts |
//! | [`animation`] | pictures one after another |
//! | [`table`] | the thesis's numbers beside the measured ones, for a page and for a terminal |
//! | [`results`] | `results.json` |
//! | [`thesis`] | what was published, as data |
//! | [`beside`] | what was measured beside what was published |
//! | [`page`] | the self-contained HTML report |
//! | [`exhibit`] | one recording's explanation, to look at, point at and listen to |
//! | [`colormap`] | colours by value |
//! | [`progress`] | bars on the terminal |
//! | [`npy`] | NumPy arrays |
//! | [`number`] | numbers in few digits |
//! | [`atomic`] | files that are whole or not there |
//!
//! ```
//! use ndarray::Array2;
//! use speechlens_report::{Axes, Block, Page, Panel, Section, limit};
//!
//! # fn main() -> speechlens_report::Result<()> {
//! // [frequency, time]: a spectrogram in dB, and the relevance of its bins.
//! let decibels = Array2::from_shape_fn((32, 40), |(f, t)| -80.0 + (f * t % 81) as f32);
//! let relevance = decibels.mapv(|v| 0.01 * (v + 40.0));
//!
//! let panel = Panel::overlay(
//!     Axes::spectrogram(1.0, 4000.0),
//!     decibels.view(),
//!     relevance.view(),
//!     limit(relevance.view()),
//! )?
//! .titled("female");
//!
//! let folder = tempfile::tempdir().expect("a temporary folder");
//! panel.picture()?.write_png(&folder.path().join("heatmap.png"))?;
//!
//! let page = Page {
//!     title: "What the network listens to".into(),
//!     lead: "One heatmap.".into(),
//!     facts: vec![("seed".into(), "1".into())],
//!     sections: vec![Section {
//!         id: "figure-6.1".into(),
//!         title: "Heatmap".into(),
//!         blocks: vec![
//!             Block::text("Red bins speak for the class, blue ones against it."),
//!             Block::figure(panel.picture()?, "A heatmap over a spectrogram", "Relevance of a recording."),
//!         ],
//!     }],
//!     ..Page::default()
//! };
//! page.write(&folder.path().join("index.html"))?;
//! # Ok(())
//! # }
//! ```

pub mod animation;
pub mod atomic;
pub mod axes;
pub mod beside;
pub mod colormap;
pub mod curves;
pub mod exhibit;
pub mod heatmap;
pub mod interrupt;
pub mod npy;
pub mod number;
pub mod page;
pub mod progress;
pub mod results;
pub mod table;
pub mod thesis;
pub mod waveform;

mod error;
mod frame;
mod palette;
mod picture;

pub use animation::Animation;
pub use axes::{Axes, Axis};
pub use curves::{Chart, Series};
pub use error::{Error, Result};
pub use exhibit::{Account, Answer, Aside, Exhibit, Figure, Fold, Link, Sound, Strip, Worth};
pub use heatmap::{Panel, grid, limit};
pub use page::{Block, Headline, Opening, Page, Section};
pub use picture::Picture;
pub use results::{Cell, Experiment, Results, Row, Run};
pub use table::Table;
pub use thesis::Thesis;
pub use waveform::{Trace, stack};
