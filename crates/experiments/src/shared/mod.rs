//! What the experiments share: how a run is asked for, its trained networks, and what several of them measure and draw.

mod arguments;
mod findings;
pub mod fit;
pub mod gender;
mod lab;
pub mod methods;
pub mod recipes;
pub mod recordings;
pub mod speaker;

pub use arguments::{Arguments, Profile, source};
pub use findings::Findings;
pub use lab::Lab;
