//! What can go wrong, and what to do about it.

/// Everything that can go wrong in this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A recording that cannot be read.
    #[error(transparent)]
    Audio(#[from] speechlens_audio::Error),
    /// A recording or an array that does not suit the network.
    #[error("{name}: {problem}")]
    Input {
        /// The file.
        name: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A recording of which no features can be made.
    #[error("{name}: {source}")]
    Recording {
        /// The file.
        name: String,
        /// What is wrong and what to do.
        source: speechlens_frontend::Error,
    },
    /// What the network reads.
    #[error(transparent)]
    Model(#[from] speechlens_models::Error),
    /// An input without sound, of which a network has nothing to say.
    #[error(
        "{name}: is silent: all its values are the same, and what a network answers to that means nothing; give a recording \
         with sound"
    )]
    Silent {
        /// The file.
        name: String,
    },
    /// Logits that are infinite or not a number.
    #[error(
        "its answer to {0} is not a finite number: its weights are, but values outgrow the numbers that it computes in; train or import it again"
    )]
    NotFinite(String),
    /// A setting that makes no sense, or that the network does not know.
    #[error("{0}")]
    Setting(String),
    /// The method, on this network.
    #[error("{method}: {source}")]
    Method {
        /// What the method is called.
        method: String,
        /// What is wrong.
        source: speechlens_attribution::Error,
    },
    /// Rules of layer-wise relevance propagation.
    #[error(transparent)]
    Rules(#[from] speechlens_lrp::Error),
    /// Computing an explanation.
    #[error(transparent)]
    Attribution(#[from] speechlens_attribution::Error),
    /// The network.
    #[error(transparent)]
    Network(#[from] speechlens_nn::Error),
    /// A tensor operation.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// A picture, an array or a file.
    #[error(transparent)]
    Report(#[from] speechlens_report::Error),
}

impl Error {
    /// A problem with an input.
    pub(crate) fn input(name: &str, problem: impl ToString) -> Self {
        Error::Input {
            name: name.to_owned(),
            problem: problem.to_string(),
        }
    }
}

/// This crate's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;
