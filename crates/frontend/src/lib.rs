//! What a network reads of a recording, as data: a rate, a length, and stages by name, in TOML.
//!
//! ```
//! use speechlens_audio::Audio;
//! use speechlens_frontend::{FrontEnd, Reading};
//!
//! let front_end = FrontEnd::parse(r#"
//!     rate = 16000
//!     length = { frames = 100 }
//!
//!     [[stage]]
//!     op = "stft"
//!     length = 400
//!     hop = 160
//!
//!     [[stage]]
//!     op = "power"
//!
//!     [[stage]]
//!     op = "mel"
//!     bands = 40
//!
//!     [[stage]]
//!     op = "log"
//!     floor = 1e-10
//! "#)?;
//! assert_eq!(front_end.shape(), [Some(40), Some(100)]); // mel bands × frames
//!
//! // Two seconds of noise at 8 kHz: two windows of a second.
//! let noise = (0..16000).map(|i| ((i * 7919) % 1000) as f32 / 1000.0 - 0.5).collect();
//! let heard = front_end.compute(&Audio { samples: noise, rate: 8000 }, &Reading::default())?;
//! assert_eq!(heard.windows.shape(), [2, 40, 100]);
//! assert_eq!(heard.sound.rate, 16000);
//! # Ok::<(), speechlens_frontend::Error>(())
//! ```
//!
//! A [`FrontEnd`] gives features and the sound that they stand for, so that relevance can be drawn on true axes ([`Axes`]) and
//! heard. [`NAMED`] has those of known networks, and [`thesis`] the numbers of the thesis's. A stage is a file in `stages/` and a
//! line in its list.

mod axes;
mod error;
mod front_end;
mod length;
mod placement;
mod signal;
mod stages;
pub mod thesis;

pub use axes::Axes;
pub use error::{Error, Result};
pub use front_end::{Framing, FrontEnd, Heard, NAMED, Place, Reading, about};
pub use length::Length;
pub use placement::Placement;
pub use signal::Signal;
pub use stages::{Planned, Stage, stages};
