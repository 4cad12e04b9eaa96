//! Quantized numbers.

use candle_core::{DType, Tensor};
use speechlens_nn::ops::{Dequantize, Quantize, QuantizeScale};

use super::layers::{conv, matmul};
use super::{Entry, Lower};
use crate::call::{Call, Known, Value};
use crate::lower::Builder;
use crate::tensor::DataType;

pub(super) const OPS: &[Entry] = &[
    ("ConvInteger", |call, to| of_integers(call, to, 0, conv)),
    ("MatMulInteger", |call, to| {
        of_integers(call, to, -1, matmul)
    }),
    ("QLinearConv", |call, to| linear(call, to, 0, conv)),
    ("QLinearMatMul", |call, to| linear(call, to, -1, matmul)),
    ("DequantizeLinear", dequantize),
    ("DynamicQuantizeLinear", dynamic),
    ("QuantizeLinear", quantize),
];

const NO_RANGE: &str =
    "it is quantized to a type other than of 8 or 16 bits, which is not supported";

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
    let [low, high] = data_type.range().ok_or(NO_RANGE)?;
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

/// Whole numbers as what they stand for, of one scale and zero or of one for each place of an axis.
fn real(
    to: &mut Builder,
    part: &str,
    [x, scale]: [&Value; 2],
    zero: Option<&Value>,
    axis: i64,
) -> Result<Value, String> {
    let Value::Known(whole) = x else {
        let read: Vec<&Value> = [x, scale].into_iter().chain(zero).collect();
        return to.part(part, Dequantize { axis }, &read);
    };
    let rank = whole.tensor.rank();
    let told = |error: candle_core::Error| error.to_string();
    let along = |value: &Value| -> Result<Tensor, String> {
        let Value::Known(known) = value else {
            return Err("its weight has a computed scale or zero, which is not supported".into());
        };
        let part = known.tensor.to_dtype(DType::F32).map_err(told)?;
        let mut dims = vec![1; rank];
        let place = if axis < 0 { axis + rank as i64 } else { axis } as usize;
        if part.elem_count() > 1 {
            *dims.get_mut(place).ok_or("its scales are of no axis")? = part.elem_count();
        }
        part.reshape(dims).map_err(told)
    };
    let mut tensor = whole.tensor.to_dtype(DType::F32).map_err(told)?;
    if let Some(zero) = zero {
        tensor = tensor.broadcast_sub(&along(zero)?).map_err(told)?;
    }
    Ok(Value::Known(Known {
        tensor: tensor.broadcast_mul(&along(scale)?).map_err(told)?,
        data_type: DataType::Float,
        name: whole.name.clone(),
    }))
}

/// A product of whole numbers, whose zeros may be other numbers: along an axis of the second one for each place.
fn of_integers(
    call: &Call,
    to: &mut Builder,
    axis: i64,
    layer: Lower,
) -> Result<Vec<Value>, String> {
    let one = to.number(1.0)?;
    let part = |to: &mut Builder, place: usize, part: &str| {
        let zero = call.optional(place + 2);
        real(to, part, [call.input(place)?, &one], zero, axis)
    };
    let (first, second) = (part(to, 0, "first")?, part(to, 1, "second")?);
    layer(&call.reading(vec![Some(first), Some(second)]), to)
}

/// A layer from quantized numbers to such numbers.
fn linear(call: &Call, to: &mut Builder, axis: i64, layer: Lower) -> Result<Vec<Value>, String> {
    let part = |to: &mut Builder, place: usize, part: &str| {
        let (x, scale) = (call.input(place)?, call.input(place + 1)?);
        real(to, part, [x, scale], call.optional(place + 2), axis)
    };
    let mut inputs = vec![Some(part(to, 0, "first")?), Some(part(to, 3, "second")?)];
    if let Some(bias) = call.known(8, "bias")? {
        let told = |error: candle_core::Error| error.to_string();
        let scale = |place| -> Result<Tensor, String> {
            let scale = &call.must_know(place, "scale")?.tensor;
            scale.flatten_all().map_err(told)
        };
        let scale = scale(1)?.broadcast_mul(&scale(4)?).map_err(told)?;
        let bias_of = bias.tensor.to_dtype(DType::F32).map_err(told)?;
        inputs.push(Some(Value::Known(Known {
            tensor: bias_of.broadcast_mul(&scale).map_err(told)?,
            data_type: DataType::Float,
            name: bias.name.clone(),
        })));
    }
    let given = to.within("product", |to| layer(&call.reading(inputs), to))?;
    let zero = call.must_know(7, "zero")?;
    let [low, high] = zero.data_type.range().ok_or(NO_RANGE)?;
    let read = [
        given.first().ok_or("gives nothing")?,
        call.input(6)?,
        call.input(7)?,
    ];
    Ok(vec![to.add(Quantize { axis: 1, low, high }, &read)?])
}
