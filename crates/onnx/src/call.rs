//! A node of a file on its way into a graph: what it reads, and its attributes by their types.

use std::cell::RefCell;
use std::rc::Rc;

use candle_core::{DType, Tensor};
use speechlens_nn::NodeId;

use crate::proto;
use crate::tensor::DataType;

/// A value of the file.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// It is the same whatever the network is given.
    Known(Known),
    /// What a node of the graph gives.
    Node(NodeId),
}

/// A constant.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub tensor: Tensor,
    pub data_type: DataType,
    /// What it is called.
    pub name: String,
}

impl Known {
    /// Whether it is of whole numbers.
    pub fn is_whole(&self) -> bool {
        !self.data_type.is_real() && self.data_type != DataType::Bool
    }

    /// Whole numbers, row by row.
    pub fn whole(&self) -> Result<Vec<i64>, String> {
        let flat = || self.tensor.flatten_all()?.to_dtype(DType::I64)?.to_vec1();
        flat().map_err(|error: candle_core::Error| error.to_string())
    }

    /// Numbers, row by row.
    pub fn reals(&self) -> Result<Vec<f64>, String> {
        let flat = || self.tensor.flatten_all()?.to_dtype(DType::F64)?.to_vec1();
        flat().map_err(|error: candle_core::Error| error.to_string())
    }

    /// Its only value.
    pub fn single(&self) -> Option<f64> {
        match self.reals().ok()?.as_slice() {
            [only] => Some(*only),
            _ => None,
        }
    }
}

/// A node of a file, with what it reads.
pub(crate) struct Call<'a> {
    pub node: &'a proto::Node,
    pub inputs: Vec<Option<Value>>,
    pub opset: i64,
    /// The attributes that were asked for.
    read: Rc<RefCell<Vec<&'static str>>>,
}

impl<'a> Call<'a> {
    pub fn new(node: &'a proto::Node, inputs: Vec<Option<Value>>, opset: i64) -> Self {
        Call {
            node,
            inputs,
            opset,
            read: Rc::default(),
        }
    }

    /// The same node as if it read something else.
    pub fn reading(&self, inputs: Vec<Option<Value>>) -> Self {
        Call {
            node: self.node,
            inputs,
            opset: self.opset,
            read: self.read.clone(),
        }
    }

    /// An attribute that is there.
    fn attribute(&self, name: &'static str) -> Option<&'a proto::Attribute> {
        self.read.borrow_mut().push(name);
        self.node
            .attributes
            .iter()
            .find(|attribute| attribute.name == name)
    }

    /// Attributes that change nothing here.
    pub fn ignore(&self, names: &[&'static str]) {
        self.read.borrow_mut().extend(names);
    }

    /// An attribute that nobody asked for.
    pub fn unread(&self) -> Option<&str> {
        let read = self.read.borrow();
        let names = self
            .node
            .attributes
            .iter()
            .map(|attribute| attribute.name.as_str());
        names.into_iter().find(|name| !read.contains(name))
    }

    pub fn int(&self, name: &'static str) -> Option<i64> {
        self.attribute(name).map(|attribute| attribute.int)
    }

    pub fn flag(&self, name: &'static str, default: bool) -> bool {
        self.int(name).map_or(default, |flag| flag != 0)
    }

    pub fn ints(&self, name: &'static str) -> Option<&'a [i64]> {
        self.attribute(name)
            .map(|attribute| attribute.ints.as_slice())
    }

    pub fn float(&self, name: &'static str) -> Option<f64> {
        self.attribute(name).map(|attribute| attribute.float.into())
    }

    pub fn floats(&self, name: &'static str) -> Option<&'a [f32]> {
        self.attribute(name)
            .map(|attribute| attribute.floats.as_slice())
    }

    pub fn text(&self, name: &'static str) -> Option<&'a str> {
        let text = self
            .attribute(name)
            .map(|attribute| attribute.string.as_slice());
        text.and_then(|text| std::str::from_utf8(text).ok())
    }

    pub fn texts(&self, name: &'static str) -> Option<Vec<&'a str>> {
        let texts = self.attribute(name)?.strings.iter();
        texts.map(|text| std::str::from_utf8(text).ok()).collect()
    }

    pub fn tensor(&self, name: &'static str) -> Option<&'a proto::Tensor> {
        self.attribute(name)?.tensor.as_ref()
    }

    pub fn graph(&self, name: &'static str) -> Option<&'a proto::Graph> {
        self.attribute(name)?.graph.as_ref()
    }

    /// An input that must be there.
    pub fn input(&self, place: usize) -> Result<&Value, String> {
        self.optional(place)
            .ok_or_else(|| format!("its input {} is missing", place + 1))
    }

    /// An input that may be left out.
    pub fn optional(&self, place: usize) -> Option<&Value> {
        self.inputs.get(place).and_then(Option::as_ref)
    }

    /// An input that may be left out, and must be the same whatever the network is given.
    pub fn known(&self, place: usize, what: &str) -> Result<Option<&Known>, String> {
        match self.optional(place) {
            None => Ok(None),
            Some(Value::Known(known)) => Ok(Some(known)),
            Some(Value::Node(_)) => Err(format!(
                "its {what} is computed from what the network is given, which is not supported"
            )),
        }
    }

    /// As [`Call::known`], of one that must be there.
    pub fn must_know(&self, place: usize, what: &str) -> Result<&Known, String> {
        self.known(place, what)?
            .ok_or_else(|| format!("its {what} is missing"))
    }

    /// Axes as an attribute or, in later versions, an input.
    pub fn axes(&self, place: usize) -> Result<Option<Vec<i64>>, String> {
        match self.ints("axes") {
            Some(axes) => Ok(Some(axes.to_vec())),
            None => self
                .known(place, "list of axes")?
                .map(Known::whole)
                .transpose(),
        }
    }
}
