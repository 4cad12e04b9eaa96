use std::path::PathBuf;

/// What can go wrong while a report is made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("{path}: {source}; check the path, its permissions and the free space", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A results file is not what the schema says.
    #[error("{path}: not a results file: {source}; run `cargo xtask reproduce` again to write a new one", path = path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: serde_json::Error,
    },
    /// A NumPy file that is not what it should be.
    #[error("{path}: {problem}; give f32 or f64 values as numpy.save writes them", path = path.display())]
    Npy {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Results that contradict the schema.
    #[error("results: {0}")]
    Schema(String),
    /// Two arrays that must have one shape have not.
    #[error(
        "the {what} is {}×{}, the spectrogram {}×{}; give both the same [frequency, time] shape",
        found.0, found.1, expected.0, expected.1
    )]
    Shape {
        /// The array that does not fit.
        what: &'static str,
        /// Its shape.
        found: (usize, usize),
        /// The shape it should have.
        expected: (usize, usize),
    },
    /// An array to be drawn is empty or holds a value that is not a number.
    #[error("the {what} cannot be drawn: {why}")]
    Undrawable {
        /// The array or chart.
        what: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The thesis has no such figure, table or fact.
    #[error("assets/thesis.json has no entry \"{0}\"")]
    NoSuchEntry(String),
    /// The drawing library failed.
    #[error("drawing: {0}")]
    Drawing(String),
    /// A page's data could not be written as JSON.
    #[error("page data: {0}")]
    Data(serde_json::Error),
    /// The page template failed.
    #[error("page template: {0}")]
    Template(#[from] minijinja::Error),
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
