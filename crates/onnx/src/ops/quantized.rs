//! Quantized numbers.

use speechlens_nn::ops::{Dequantize, Quantize, QuantizeScale};

use super::Entry;
use crate::call::{Call, Value};
use crate::lower::Builder;
use crate::tensor::DataType;

pub(super) const OPS: &[Entry] = &[
    ("DequantizeLinear", dequantize),
    ("DynamicQuantizeLinear", dynamic),
    ("QuantizeLinear", quantize),
];

fn axis(call: &Call) -> Result<i64, String> {
    if call.int("block_size").unwrap_or(0) != 0 {
        return Err("it is quantized in blocks, which is not supported".into());
    }
    Ok(call.int("axis").unwrap_or(1))
}

fn read<'a>(call: &'a Call) -> Vec<&'a Value> {
    call.inputs.iter().flatten().collect()
}

fn dequantize(call: &Call, to: &mut Builder) -> Result<Vec<Value>, String> {
    let axis = axis(call)?;
    Ok(vec![to.add(Dequantize { axis }, &read(call))?])
}

fn quantize(call: &Call, to: &mut Builder) -> Result<Vec<Value>, String> {
    let axis = axis(call)?;
    call.ignore(&["saturate", "precision"]);
    let data_type = match (call.int("output_dtype").unwrap_or(0), call.optional(2)) {
        (0, None) => DataType::Uint8,
        (0, Some(Value::Known(zero))) => zero.data_type,
        (0, Some(Value::Node(_))) => DataType::Uint8,
        (number, _) => DataType::of(number as i32)?,
    };
    let [low, high] = data_type
        .range()
        .ok_or("it is quantized to a type other than of 8 or 16 bits, which is not supported")?;
    Ok(vec![to.add(Quantize { axis, low, high }, &read(call))?])
}

fn dynamic(call: &Call, to: &mut Builder) -> Result<Vec<Value>, String> {
    let input = call.input(0)?;
    let scale = to.part("scale", QuantizeScale { zero: false }, &[input])?;
    let zero = to.part("zero", QuantizeScale { zero: true }, &[input])?;
    let op = Quantize {
        axis: 1,
        low: 0.0,
        high: 255.0,
    };
    Ok(vec![to.add(op, &[input, &scale, &zero])?, scale, zero])
}
