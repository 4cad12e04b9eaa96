use std::fmt;
use std::path::PathBuf;

/// What can go wrong in this crate. The text ends with what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that cannot be read.
    #[error("{path}: {source}; check the path and its permissions", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that is no ONNX network, or a broken one.
    #[error("{path}: {problem}", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// What cannot be made a graph of.
    #[error(
        "{path}: {problems}; `speechlens inspect {path}` lists what its network is made of",
        path = path.display(),
        problems = listed(problems)
    )]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// Every node that is not supported.
        problems: Vec<Problem>,
    },
}

/// This crate's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A node that cannot be made part of a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The node.
    pub node: String,
    /// Its op.
    pub op: String,
    /// What is not supported of it.
    pub problem: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names come from the file, and may hold what a terminal would obey.
        let (node, op) = (self.node.escape_debug(), self.op.escape_debug());
        write!(f, "node `{node}` ({op}): {}", self.problem)
    }
}

/// So many are told in one line.
const TOLD: usize = 3;

fn listed(problems: &[Problem]) -> String {
    let mut text = problems
        .iter()
        .take(TOLD)
        .map(Problem::to_string)
        .collect::<Vec<_>>()
        .join("; ");
    if problems.len() > TOLD {
        text += &format!("; and {} more", problems.len() - TOLD);
    }
    text
}
