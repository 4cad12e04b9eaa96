//! The messages of an ONNX file, as far as networks need them (onnx.proto of ONNX 1.18). What is not told here is passed over.

use bytes::Bytes;
use prost::Message;

/// A file.
#[derive(Clone, PartialEq, Message)]
pub struct Model {
    /// The version of the format.
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    /// What wrote it.
    #[prost(string, tag = "2")]
    pub producer: String,
    /// The version of what wrote it.
    #[prost(string, tag = "3")]
    pub producer_version: String,
    /// The network.
    #[prost(message, optional, tag = "7")]
    pub graph: Option<Graph>,
    /// The versions of the sets of ops.
    #[prost(message, repeated, tag = "8")]
    pub opsets: Vec<Opset>,
    /// Ops that are told by others.
    #[prost(message, repeated, tag = "25")]
    pub functions: Vec<Function>,
}

/// The version of a set of ops.
#[derive(Clone, PartialEq, Message)]
pub struct Opset {
    /// Whose ops; empty for ONNX's own.
    #[prost(string, tag = "1")]
    pub domain: String,
    /// The version.
    #[prost(int64, tag = "2")]
    pub version: i64,
}

/// An op that is told by others.
#[derive(Clone, PartialEq, Message)]
pub struct Function {
    /// What it is called.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Whose it is.
    #[prost(string, tag = "10")]
    pub domain: String,
}

/// Nodes, each after those it reads.
#[derive(Clone, PartialEq, Message)]
pub struct Graph {
    /// The nodes.
    #[prost(message, repeated, tag = "1")]
    pub nodes: Vec<Node>,
    /// Constants.
    #[prost(message, repeated, tag = "5")]
    pub initializers: Vec<Tensor>,
    /// What is given; in old files constants too.
    #[prost(message, repeated, tag = "11")]
    pub inputs: Vec<Value>,
    /// What comes out.
    #[prost(message, repeated, tag = "12")]
    pub outputs: Vec<Value>,
    /// Constants most of which is 0.
    #[prost(message, repeated, tag = "15")]
    pub sparse: Vec<Empty>,
}

/// A message of which nothing is read.
#[derive(Clone, PartialEq, Message)]
pub struct Empty {}

/// One op with what it reads and gives, by name; what is left out has no name.
#[derive(Clone, PartialEq, Message)]
pub struct Node {
    /// What it reads.
    #[prost(string, repeated, tag = "1")]
    pub inputs: Vec<String>,
    /// What it gives.
    #[prost(string, repeated, tag = "2")]
    pub outputs: Vec<String>,
    /// Its name; often none.
    #[prost(string, tag = "3")]
    pub name: String,
    /// The op.
    #[prost(string, tag = "4")]
    pub op: String,
    /// Its attributes.
    #[prost(message, repeated, tag = "5")]
    pub attributes: Vec<Attribute>,
    /// Whose op it is; empty for ONNX's own.
    #[prost(string, tag = "7")]
    pub domain: String,
}

/// One attribute of a node.
#[derive(Clone, PartialEq, Message)]
pub struct Attribute {
    /// What it is called.
    #[prost(string, tag = "1")]
    pub name: String,
    /// A number.
    #[prost(float, tag = "2")]
    pub float: f32,
    /// A whole number.
    #[prost(int64, tag = "3")]
    pub int: i64,
    /// A text.
    #[prost(bytes = "vec", tag = "4")]
    pub string: Vec<u8>,
    /// A constant.
    #[prost(message, optional, tag = "5")]
    pub tensor: Option<Tensor>,
    /// Nodes.
    #[prost(message, optional, tag = "6")]
    pub graph: Option<Graph>,
    /// Numbers.
    #[prost(float, repeated, tag = "7")]
    pub floats: Vec<f32>,
    /// Whole numbers.
    #[prost(int64, repeated, tag = "8")]
    pub ints: Vec<i64>,
    /// Texts.
    #[prost(bytes = "vec", repeated, tag = "9")]
    pub strings: Vec<Vec<u8>>,
    /// Which of these it is.
    #[prost(int32, tag = "20")]
    pub kind: i32,
}

/// A constant: its values stand in the field of their type, as raw bytes, or in another file.
#[derive(Clone, PartialEq, Message)]
pub struct Tensor {
    /// The lengths of its axes.
    #[prost(int64, repeated, tag = "1")]
    pub dims: Vec<i64>,
    /// What its values are.
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    /// Values of 32 bits.
    #[prost(float, repeated, tag = "4")]
    pub floats: Vec<f32>,
    /// Whole values of up to 32 bits, truth values, and the bits of halves.
    #[prost(int32, repeated, tag = "5")]
    pub ints: Vec<i32>,
    /// Whole values of 64 bits.
    #[prost(int64, repeated, tag = "7")]
    pub longs: Vec<i64>,
    /// Its name.
    #[prost(string, tag = "8")]
    pub name: String,
    /// Values as they lie in memory, the lowest byte first.
    #[prost(bytes = "bytes", tag = "9")]
    pub raw: Bytes,
    /// Values of 64 bits.
    #[prost(double, repeated, tag = "10")]
    pub doubles: Vec<f64>,
    /// Whole values that are not negative.
    #[prost(uint64, repeated, tag = "11")]
    pub unsigned: Vec<u64>,
    /// Where they stand in another file.
    #[prost(message, repeated, tag = "13")]
    pub external: Vec<Entry>,
    /// 1 if they do.
    #[prost(int32, tag = "14")]
    pub location: i32,
}

/// A key and its value.
#[derive(Clone, PartialEq, Message)]
pub struct Entry {
    /// The key.
    #[prost(string, tag = "1")]
    pub key: String,
    /// The value.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// What is given, or comes out.
#[derive(Clone, PartialEq, Message)]
pub struct Value {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// What it is.
    #[prost(message, optional, tag = "2")]
    pub kind: Option<Kind>,
}

/// What a value is.
#[derive(Clone, PartialEq, Message)]
pub struct Kind {
    /// If it is a tensor.
    #[prost(message, optional, tag = "1")]
    pub tensor: Option<TensorKind>,
}

/// The type and the shape of a tensor.
#[derive(Clone, PartialEq, Message)]
pub struct TensorKind {
    /// What its values are.
    #[prost(int32, tag = "1")]
    pub data_type: i32,
    /// Its shape, if it is told.
    #[prost(message, optional, tag = "2")]
    pub shape: Option<Shape>,
}

/// The axes of a tensor.
#[derive(Clone, PartialEq, Message)]
pub struct Shape {
    /// Each of them.
    #[prost(message, repeated, tag = "1")]
    pub axes: Vec<Axis>,
}

/// An axis: a length, or a name for one that is free.
#[derive(Clone, PartialEq, Message)]
pub struct Axis {
    /// The length; 0 and below if it is free.
    #[prost(int64, tag = "1")]
    pub length: i64,
    /// What it is called.
    #[prost(string, tag = "2")]
    pub name: String,
}
