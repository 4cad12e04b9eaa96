//! How each op of ONNX becomes nodes of a graph: a file a family, a line an op.

mod arithmetic;
mod attention;
mod functions;
mod layers;
mod norms;
mod places;
mod pools;
mod quantized;
mod recurrent;
mod reductions;
mod resizes;
mod shapes;
mod signals;

use crate::call::{Call, Value};
use crate::lower::Builder;
use crate::proto;

/// Adds the nodes that do what a node of the file does, and says what these give, one after the other.
pub(crate) type Lower = fn(&Call, &mut Builder) -> Result<Vec<Value>, String>;

/// An op by its name in ONNX.
pub(crate) type Entry = (&'static str, Lower);

/// Ops that are dealt with where values are kept.
fn apart(_: &Call, _: &mut Builder) -> Result<Vec<Value>, String> {
    Err("is not supported here".into())
}

const APART: &[Entry] = &[("Constant", apart), ("If", apart)];

const FAMILIES: &[&[Entry]] = &[
    APART,
    arithmetic::OPS,
    attention::OPS,
    functions::OPS,
    layers::OPS,
    norms::OPS,
    places::OPS,
    pools::OPS,
    quantized::OPS,
    recurrent::OPS,
    reductions::OPS,
    resizes::OPS,
    shapes::OPS,
    signals::OPS,
];

/// How a node's op is read, if it is known.
pub(crate) fn known(node: &proto::Node) -> Result<Lower, String> {
    if !matches!(node.domain.as_str(), "" | "ai.onnx") {
        return Err(format!(
            "its op is one of `{}`, which is not supported",
            node.domain
        ));
    }
    let mut all = FAMILIES.iter().flat_map(|family| family.iter());
    match all.find(|(name, _)| *name == node.op) {
        Some((_, lower)) => Ok(*lower),
        None => Err("the op is not supported".into()),
    }
}

/// No constant that a file's numbers ask for has more values: a file of a few bytes could else ask for any memory.
const LARGEST_MADE: i64 = 1 << 24;

/// Whether what a node makes is a constant that is too large, of the shape that the input at this place says.
pub(crate) fn check_made(call: &Call, shape: usize) -> Result<(), String> {
    let (Value::Known(_), Value::Known(shape)) = (call.input(0)?, call.input(shape)?) else {
        return Ok(());
    };
    let lengths = shape.whole()?;
    // Of a shape without values, the others are multiplied too.
    let mut positive = lengths.iter().map(|n| (*n).max(1));
    match positive.try_fold(1i64, i64::checked_mul) {
        Some(count) if count <= LARGEST_MADE => Ok(()),
        _ => Err(format!(
            "makes a constant of the shape {lengths:?}, which is too large"
        )),
    }
}
