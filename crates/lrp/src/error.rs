use std::path::PathBuf;

/// What can go wrong in this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A tensor operation.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// The network.
    #[error(transparent)]
    Network(#[from] speechlens_nn::Error),
    /// No such preset, and no file of that name.
    #[error("`{name}` is neither a preset ({presets}) nor a file that can be read ({source})")]
    NoComposite {
        /// What was asked for.
        name: String,
        /// The presets there are.
        presets: String,
        /// Why the file was not read.
        source: std::io::Error,
    },
    /// A composite file that does not say what it should.
    #[error("{path}: {problem}", path = path.display())]
    Composite {
        /// The file, or the preset's name.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A node that the composite does not cover.
    #[error("no rule covers the layer `{node}` of kind {kind}: add a row for it to the composite")]
    Uncovered {
        /// The node's name.
        node: String,
        /// Its kind.
        kind: speechlens_nn::Kind,
    },
    /// A rule or an option that does not fit a node.
    #[error("`{node}`: {problem}")]
    Misfit {
        /// The node's name.
        node: String,
        /// Why not, and what to do.
        problem: String,
    },
    /// No such layer.
    #[error("there is no layer `{name}`; there are {}", layers.join(", "))]
    NoLayer {
        /// What was asked for.
        name: String,
        /// The layers there are.
        layers: Vec<String>,
    },
    /// A reference where there is no linear layer to take it.
    #[error(
        "the reference {reference} needs a linear layer that reads the input; `{node}` is none"
    )]
    Reference {
        /// The reference.
        reference: f64,
        /// The node that reads the input.
        node: String,
    },
    /// Targets that do not fit the batch or the classes.
    #[error("{0}")]
    Target(String),
}

/// This crate's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;
