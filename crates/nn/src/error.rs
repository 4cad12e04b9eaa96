use std::path::PathBuf;

/// What can go wrong in this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A tensor operation failed: shapes or types that do not fit, or the device.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// The graph is not well formed.
    #[error("node `{node}`: {problem}")]
    Graph {
        /// The node's name.
        node: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A text that is no graph.
    #[error("the graph: {0}")]
    Text(String),
    /// An input has another shape than the network reads.
    #[error(
        "the network reads `{name}` of shape [{}], not {got:?}",
        list(expected)
    )]
    InputShape {
        /// What the input is called.
        name: String,
        /// The shape of it, with the batch; none where an axis may be of any length.
        expected: Vec<Option<usize>>,
        /// The shape that came.
        got: Vec<usize>,
    },
    /// Tensors that do not fit the architecture.
    #[error("the weights do not fit the architecture: {0}")]
    Weights(String),
    /// A file that cannot be read or written.
    #[error("{path}: {source}; check the path, its permissions and the free space", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that is not what it should be.
    #[error("{path}: {problem}", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// Samples that cannot be read, or are too few.
    #[error("{0}")]
    Samples(String),
    /// A device that is not there.
    #[error("there is no device `{name}`: {problem}")]
    Device {
        /// What was asked for.
        name: String,
        /// Why not, and what to do.
        problem: String,
    },
    /// Training left the range of numbers.
    #[error("the loss is {loss} at step {step}: try a lower learning rate")]
    Diverged {
        /// The step, counted from 0.
        step: u64,
        /// The loss.
        loss: f64,
    },
}

/// This crate's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;

fn list(shape: &[Option<usize>]) -> String {
    let axis = |(place, length): (usize, &Option<usize>)| match (length, place) {
        (Some(length), _) => length.to_string(),
        (None, 0) => "N".to_owned(),
        (None, _) => "any".to_owned(),
    };
    let all: Vec<String> = shape.iter().enumerate().map(axis).collect();
    all.join(", ")
}
