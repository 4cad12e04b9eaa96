//! A recording explained.

pub mod contact;
mod error;
mod explainer;
pub mod files;
mod input;
mod plane;
mod settings;
pub mod show;
mod sound;

pub use error::{Error, Result};
pub use explainer::{Answers, Details, Explainer, Question, answer, logits};
pub use input::{Grid, Heard, Input, Place, Reader, Reading};
pub use plane::Plane;
pub use settings::{Name, Settings, composite, default_rules};
pub use show::Explanation;
pub use sound::Sounds;
