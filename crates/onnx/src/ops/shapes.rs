//! Other shapes, and the whole numbers that say them.

use speechlens_nn::ops::{
    Filled, FlattenAt, Range, Reshape, ShapeOf, Squeeze, Unsqueeze, WholeProduct,
};

use super::functions::one;
use super::{Entry, check_made};
use crate::call::{Call, Value};
use crate::lower::Builder;
use crate::tensor::{self, DataType};

pub(super) const OPS: &[Entry] = &[
    ("ConstantOfShape", filled),
    ("Flatten", |call, to| {
        let axis = call.int("axis").unwrap_or(1);
        one(call, to, FlattenAt { axis })
    }),
    ("Range", |call, to| {
        Ok(vec![to.add(
            Range,
            &[call.input(0)?, call.input(1)?, call.input(2)?],
        )?])
    }),
    ("Reshape", reshape),
    ("Shape", |call, to| {
        let (start, end) = (call.int("start").unwrap_or(0), call.int("end"));
        one(call, to, ShapeOf { start, end })
    }),
    ("Size", |call, to| {
        let shape = to.part("shape", ShapeOf::default(), &[call.input(0)?])?;
        Ok(vec![to.add(WholeProduct { rank: 0 }, &[&shape])?])
    }),
    ("Squeeze", |call, to| {
        let axes = call.axes(1)?.unwrap_or_default();
        one(call, to, Squeeze { axes })
    }),
    ("Unsqueeze", |call, to| {
        let axes = call.axes(1)?.ok_or("says no axes")?;
        one(call, to, Unsqueeze { axes })
    }),
];

fn filled(call: &Call, to: &mut Builder) -> Result<Vec<Value>, String> {
    check_made(call, 0)?;
    let (value, whole) = match call.tensor("value") {
        None => (0.0, false),
        Some(value) => {
            let (tensor, data_type) = tensor::read(value, None)?;
            let values = tensor
                .flatten_all()
                .and_then(|flat| flat.to_dtype(candle_core::DType::F64)?.to_vec1());
            let values: Vec<f64> = values.map_err(|error| error.to_string())?;
            let value = values.first().ok_or("says no value")?;
            (*value, !data_type.is_real() && data_type != DataType::Bool)
        }
    };
    // As text there is no infinity; as f32 there is.
    let value = value.clamp(f64::MIN, f64::MAX);
    one(call, to, Filled { value, whole })
}

fn reshape(call: &Call, to: &mut Builder) -> Result<Vec<Value>, String> {
    let allow_zero = call.flag("allowzero", false);
    match call.input(1)? {
        Value::Known(shape) => {
            let shape = Some(shape.whole()?);
            one(call, to, Reshape { shape, allow_zero })
        }
        shape => {
            let op = Reshape {
                shape: None,
                allow_zero,
            };
            Ok(vec![to.add(op, &[call.input(0)?, shape])?])
        }
    }
}
