use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use speechlens_nn::Graph;

use crate::file::File;
use crate::lower::{Lowered, Lowering};
use crate::tensor::DataType;
use crate::{Error, Problem, Result, proto};

/// An input that is given one number has no more values.
const LARGEST_GIVEN: usize = 1 << 24;

/// ONNX's numbers for these types.
const FLOAT: i32 = 1;
const INT64: i32 = 7;

/// A network as a file tells it.
pub struct Onnx {
    path: PathBuf,
    file: File,
}

/// What a network is given, or gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Axes {
    /// Its name.
    pub name: String,
    /// Its axes: a length, or the name of one that is free; `?` if that has none.
    pub shape: Vec<Result<usize, String>>,
    /// Whether its values are real numbers, and not whole ones or truth values.
    pub is_real: bool,
}

impl Onnx {
    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, is no ONNX network, or one of a version that is not known.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Onnx {
            path: path.to_owned(),
            file: File::read(path)?,
        })
    }

    /// As [`Onnx::open`], from the bytes of a file; `path` is for messages, and for constants in other files.
    ///
    /// # Errors
    /// As [`Onnx::open`].
    pub fn parse(bytes: impl Into<Bytes>, path: &Path) -> Result<Self> {
        Ok(Onnx {
            path: path.to_owned(),
            file: File::parse(bytes.into(), path)?,
        })
    }

    /// Gives an input behind the first the same number everywhere, for good: it is a constant then, of length 1 along free axes.
    ///
    /// # Errors
    /// If there is no such input, or it is of whole numbers and the number is not.
    pub fn give(&mut self, name: &str, number: f64) -> Result<()> {
        let wrong = |problem: String| Error::Format {
            path: self.path.clone(),
            problem,
        };
        let inputs = self.inputs();
        let others = inputs.iter().skip(1);
        let Some(input) = others.clone().find(|input| input.name == name) else {
            let names: Vec<&str> = others.map(|input| input.name.as_str()).collect();
            return Err(wrong(match (inputs.first(), names.as_slice()) {
                (Some(first), _) if first.name == name => {
                    format!("its input `{name}` is what the front end gives, and no constant")
                }
                (_, []) => format!("has no input `{name}`, and none but the first"),
                (_, names) => format!(
                    "has no input `{name}` behind the first; there are `{}`",
                    names.join("`, `")
                ),
            }));
        };
        if !input.is_real && number.fract() != 0.0 {
            return Err(wrong(format!(
                "its input `{name}` is of whole numbers, and {number} is none"
            )));
        }
        let lengths = input.shape.iter().map(|length| length.clone().unwrap_or(1));
        let lengths: Vec<usize> = lengths.collect();
        let count = lengths
            .iter()
            .try_fold(1usize, |all, n| all.checked_mul(*n));
        let count = count
            .filter(|count| *count <= LARGEST_GIVEN)
            .ok_or_else(|| {
                wrong(format!(
                    "its input `{name}` of the shape {lengths:?} is too large for one number"
                ))
            })?;
        let mut constant = proto::Tensor {
            name: name.to_owned(),
            dims: lengths.iter().map(|n| *n as i64).collect(),
            ..Default::default()
        };
        match input.is_real {
            true => {
                constant.data_type = FLOAT;
                constant.floats = vec![number as f32; count];
            }
            false => {
                constant.data_type = INT64;
                constant.longs = vec![number as i64; count];
            }
        }
        self.file.graph.initializers.push(constant);
        Ok(())
    }

    /// Takes this output for the first, which is the network's answer.
    ///
    /// # Errors
    /// If there is no such output.
    pub fn answer_with(&mut self, name: &str) -> Result<()> {
        let outputs = &mut self.file.graph.outputs;
        match outputs.iter().position(|output| output.name == name) {
            Some(place) => {
                outputs[..=place].rotate_right(1);
                Ok(())
            }
            None => {
                let names: Vec<&str> = outputs.iter().map(|output| output.name.as_str()).collect();
                Err(Error::Format {
                    path: self.path.clone(),
                    problem: format!("has no output `{name}`; there are `{}`", names.join("`, `")),
                })
            }
        }
    }

    /// The version of ONNX's ops.
    pub fn opset(&self) -> i64 {
        self.file.opset
    }

    /// What wrote the file.
    pub fn producer(&self) -> &str {
        &self.file.producer
    }

    /// What the network is given, constants left out.
    pub fn inputs(&self) -> Vec<Axes> {
        let graph = &self.file.graph;
        let is_constant = |name: &String| {
            graph
                .initializers
                .iter()
                .any(|constant| constant.name == *name)
        };
        let given = graph
            .inputs
            .iter()
            .filter(|input| !is_constant(&input.name));
        given.map(axes).collect()
    }

    /// What it gives.
    pub fn outputs(&self) -> Vec<Axes> {
        self.file.graph.outputs.iter().map(axes).collect()
    }

    /// How often each op stands in the file.
    pub fn ops(&self) -> BTreeMap<String, usize> {
        let mut count = BTreeMap::new();
        for node in &self.file.graph.nodes {
            *count.entry(node.op.clone()).or_default() += 1;
        }
        count
    }

    /// The nodes by name, with their ops.
    pub fn nodes(&self) -> Vec<(String, String)> {
        let nodes = self.file.graph.nodes.iter();
        nodes
            .map(|node| (node.name.clone(), node.op.clone()))
            .collect()
    }

    /// How many values its constants have.
    pub fn parameters(&self) -> u64 {
        let count = |constant: &proto::Tensor| {
            constant
                .dims
                .iter()
                .fold(1u64, |all, n| all.saturating_mul(n.unsigned_abs()))
        };
        let counts = self.file.graph.initializers.iter().map(count);
        counts.fold(0, u64::saturating_add)
    }

    /// Every node that cannot be made part of a graph; none if all can.
    ///
    /// # Errors
    /// If the file is broken.
    pub fn problems(&self) -> Result<Vec<Problem>> {
        Ok(self.lowered()?.problems)
    }

    /// The network as a graph.
    ///
    /// # Errors
    /// If a node cannot be made part of one: each of them is named. If the file is broken.
    pub fn graph(&self) -> Result<Graph> {
        let lowered = self.lowered()?;
        lowered.graph.ok_or(Error::Unsupported {
            path: self.path.clone(),
            problems: lowered.problems,
        })
    }

    fn lowered(&self) -> Result<Lowered> {
        let lowering = Lowering::new(self.file.opset, self.path.parent());
        lowering
            .network(&self.file.graph)
            .map_err(|problem| Error::Format {
                path: self.path.clone(),
                problem,
            })
    }
}

fn axes(value: &proto::Value) -> Axes {
    let tensor = value.kind.as_ref().and_then(|kind| kind.tensor.as_ref());
    let shape = tensor.and_then(|tensor| tensor.shape.as_ref());
    let axis = |axis: &proto::Axis| match usize::try_from(axis.length) {
        Ok(length) if length > 0 => Ok(length),
        _ if axis.name.is_empty() => Err("?".to_owned()),
        _ => Err(axis.name.clone()),
    };
    Axes {
        name: value.name.clone(),
        shape: shape.map_or(Vec::new(), |shape| shape.axes.iter().map(axis).collect()),
        is_real: tensor
            .is_none_or(|tensor| DataType::of(tensor.data_type).is_ok_and(DataType::is_real)),
    }
}
