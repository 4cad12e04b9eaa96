//! A recording explained: what a network heard, what it answered, and why, as pictures, sound and a page.
//!
//! | | subject |
//! | --- | --- |
//! | [`Reader`] | recordings and arrays as the network reads them: seconds, pieces, or windows that slide over a recording |
//! | [`Settings`] | a method with its options, with what suits the network where nothing is said |
//! | [`Explainer`] | a network with a method and a [`Question`]: about what is predicted, about a class, or why this class rather than that |
//! | [`Pair`] | which part of a recording answers to which part of another |
//! | [`Deletion`] | what is left of the answer without what is relevant: what the explanation is worth |
//! | [`Frames`] | what a network says of each frame, beside what was asked about some |
//! | [`Seeing`] | relevance of samples in time and frequency |
//! | [`halves`] | a question to a speaker network whose answer is known |
//! | [`Plane`] | the windows joined on one plane of frequency and time |
//! | [`Sounds`] | what speaks for and against a class, to listen to |
//! | [`show`], [`files`], [`contact`] | the page, the files, and many recordings on one sheet |
//!
//! ```
//! use candle_core::{DType, Device};
//! use speechlens_audio::Audio;
//! use speechlens_explain::{Details, Explainer, Explanation, Question, Reader, Reading, Settings, TOP, files};
//! use speechlens_models::{Model, audionet};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A model of your own comes from `Model::load`; this one knows nothing yet.
//! let graph = audionet::architecture(2)?.random(1, &Device::Cpu)?;
//! let model = Model::of(&audionet::NETWORK, graph, vec!["male".into(), "female".into()])?;
//! let tone = (0..4000).map(|n| (0.2 * f64::from(n)).sin() as f32).collect();
//! let audio = Audio { samples: tone, rate: 8000 };
//!
//! let input = Reader::new(&model, Reading::default()).audio("tone.wav", audio)?;
//! let question = Question::new(&model, Some("female"), Some("male"))?; // why female rather than male?
//! let explainer = Explainer::new(&model, Settings::default(), question, Details::default(), (&Device::Cpu, DType::F32))?;
//! let answers = explainer.explain(&input, &|_| ())?;
//! assert_eq!(answers.relevance.shape(), [1, 8000]);
//!
//! let explanation = Explanation::new(&explainer, &answers, TOP);
//! let sounds = explanation.sounds(&input)?.expect("the input is a recording");
//! assert_eq!(sounds.supporting.samples.len(), 8000);
//! let folder = tempfile::tempdir()?;
//! files::write_page(folder.path(), "random", &input, &[explanation])?;
//! assert!(folder.path().join("index.html").exists());
//! # Ok(())
//! # }
//! ```

mod asked;
mod at;
pub mod contact;
mod deletion;
mod error;
mod explainer;
pub mod files;
mod frames;
pub mod halves;
mod input;
mod linked;
mod pair;
mod plane;
mod seen;
mod settings;
pub mod show;
mod sound;
pub mod tested;
mod worth;

pub use asked::{Asked, embedding};
pub use at::At;
pub use deletion::Deletion;
pub use error::{Error, Result};
pub use explainer::{Answers, Details, Explainer, Question, logits, outputs, to_tensor};
pub use frames::{Frames, span};
pub use input::{Heard, Input, Reader, Reading};
pub use linked::Linked;
pub use pair::{Pair, Side};
pub use plane::Plane;
pub use seen::{ROWS, Rows, Seeing};
pub use settings::{RULES_OF_LEVELS, Settings, composite, default_rules, suiting_rules};
pub use show::Explanation;
pub use sound::{Sounds, TOP};
