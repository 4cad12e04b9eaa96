//! Labelled data sets, and measures of an explanation over them.
//!
//! [`Windows`] has any front end's features with any class, [`NoisyWindows`] with music and noise behind the speech. Training and the
//! measures read both.
//!
//! [`flip`] sets bins of the input to a value, in an order that an explanation gives, and watches the network's answer: if
//! the explanation is true, the most relevant bins matter most, and the least relevant least.
//!
//! ```
//! use speechlens_eval::flip::{Order, counts, ranking};
//!
//! // Four bins; the third is the most relevant one.
//! let (input, relevance) = ([0.0, -20.0, -40.0, -80.0], [0.1, -0.3, 0.9, 0.0]);
//! assert_eq!(ranking(Order::MostRelevant, &input, &relevance, 1, 0), [2, 0, 3, 1]);
//! assert_eq!(ranking(Order::Loudest, &input, &relevance, 1, 0), [0, 1, 2, 3]);
//! assert_eq!(counts(&[0.0, 50.0], input.len()), [0, 2]);
//! ```
//!
//! An [`Augmentation`] takes the bins away for good, from the data that a network is trained on again. The other measures ask
//! for less than truth, or know more:
//!
//! | measure | what it asks |
//! | --- | --- |
//! | [`flip`] | does the answer hang on what is called relevant? |
//! | [`gain`] | does it tell what matters from what does not? |
//! | [`known_answer`] | does it find what is known to matter? |
//! | [`randomization`] | does the explanation depend on what the network learnt? |
//! | [`robustness`] | does it hold when the input hardly moves? |
//! | [`agreement`] | do two explanations say the same? |
//! | [`heatmap`] | how simple is its picture, where does it lie? |
//! | [`throughput`] | how many recordings a second? |
//!
//! [`search`] chooses rules of layer-wise relevance propagation by such a measure.

pub mod agreement;
pub mod augment;
pub mod flip;
pub mod gain;
pub mod heatmap;
pub mod known_answer;
pub mod noisy_windows;
pub mod randomization;
pub mod robustness;
pub mod search;
pub mod throughput;
pub mod windows;

pub use augment::{Augmentation, Replacement};
pub use noisy_windows::NoisyWindows;
pub use windows::{Windows, to_tensor};

/// What can go wrong in this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A tensor operation.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// The network.
    #[error(transparent)]
    Network(#[from] speechlens_nn::Error),
    /// The data.
    #[error(transparent)]
    Data(#[from] speechlens_data::Error),
    /// The method of explanation.
    #[error(transparent)]
    Attribution(#[from] speechlens_attribution::Error),
    /// Rules of layer-wise relevance propagation.
    #[error(transparent)]
    Rules(#[from] speechlens_lrp::Error),
    /// The explanation to be measured.
    #[error("the explanation failed: {0}")]
    Explanation(String),
    /// A plan that cannot be carried out.
    #[error("{0}")]
    Plan(String),
}

/// This crate's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;
