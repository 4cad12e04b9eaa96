//! Measures of an explanation.
//!
//! [`flip`] sets bins of the input to a value, in an order that an explanation gives, and watches the network's answer: if
//! the explanation is true, the most relevant bins matter most, and the least relevant least.

pub mod dataset;
pub mod flip;

pub use dataset::Dataset;

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
    /// The explanation to be measured.
    #[error("the explanation failed: {0}")]
    Explanation(String),
    /// A plan that cannot be carried out.
    #[error("{0}")]
    Plan(String),
}

/// This crate's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;
