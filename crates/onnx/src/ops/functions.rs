//! Functions of every value.

use candle_core::DType;
use speechlens_nn::Op;
use speechlens_nn::ops::{
    Abs, Cast, Ceil, Celu, Clip, Cos, Dropout, Elementwise, Elu, Erf, Exp, Floor, Function, Gelu,
    HardSigmoid, HardSwish, LeakyRelu, Log, Max, Min, Mish, Neg, Number, PRelu, Power, Reciprocal,
    Relu, Round, Selu, Sigmoid, Sign, Sin, Softplus, Softsign, Sqrt, Tanh,
};

use super::Entry;
use crate::call::{Call, Known, Value};
use crate::lower::Builder;
use crate::tensor::DataType;

pub(super) const OPS: &[Entry] = &[
    ("Abs", |call, to| one(call, to, Elementwise(Abs))),
    ("Cast", cast),
    ("CastLike", cast_like),
    ("Ceil", |call, to| one(call, to, Elementwise(Ceil))),
    ("Celu", |call, to| {
        let alpha = call.float("alpha").unwrap_or(1.0);
        one(call, to, Elementwise(Celu { alpha }))
    }),
    ("Clip", clip),
    ("Cos", |call, to| one(call, to, Elementwise(Cos))),
    ("Dropout", dropout),
    ("Elu", |call, to| {
        let alpha = call.float("alpha").unwrap_or(1.0);
        one(call, to, Elementwise(Elu { alpha }))
    }),
    ("Erf", |call, to| one(call, to, Elementwise(Erf))),
    ("Exp", |call, to| one(call, to, Elementwise(Exp))),
    ("Floor", |call, to| one(call, to, Elementwise(Floor))),
    ("Gelu", gelu),
    ("HardSigmoid", |call, to| {
        let alpha = call.float("alpha").unwrap_or(f64::from(0.2f32));
        let beta = call.float("beta").unwrap_or(0.5);
        one(call, to, Elementwise(HardSigmoid { alpha, beta }))
    }),
    ("HardSwish", |call, to| {
        one(call, to, Elementwise(HardSwish))
    }),
    ("Identity", |call, _| Ok(vec![call.input(0)?.clone()])),
    ("LeakyRelu", |call, to| {
        let slope = call.float("alpha").unwrap_or(f64::from(0.01f32));
        one(call, to, LeakyRelu { slope })
    }),
    ("Log", |call, to| one(call, to, Elementwise(Log))),
    ("Mish", |call, to| one(call, to, Elementwise(Mish))),
    ("Neg", |call, to| one(call, to, Elementwise(Neg))),
    ("PRelu", prelu),
    ("Reciprocal", |call, to| {
        one(call, to, Elementwise(Reciprocal))
    }),
    ("Relu", |call, to| one(call, to, Relu)),
    ("Round", |call, to| one(call, to, Elementwise(Round))),
    ("Selu", |call, to| {
        let alpha = call.float("alpha").unwrap_or(f64::from(1.673_263_2_f32));
        let gamma = call.float("gamma").unwrap_or(f64::from(1.050_701_f32));
        one(call, to, Elementwise(Selu { alpha, gamma }))
    }),
    ("Sigmoid", |call, to| one(call, to, Sigmoid)),
    ("Sign", |call, to| one(call, to, Elementwise(Sign))),
    ("Sin", |call, to| one(call, to, Elementwise(Sin))),
    ("Softplus", |call, to| one(call, to, Elementwise(Softplus))),
    ("Softsign", |call, to| one(call, to, Elementwise(Softsign))),
    ("Sqrt", |call, to| one(call, to, Elementwise(Sqrt))),
    ("Tanh", |call, to| one(call, to, Tanh)),
];

/// An op that reads the first input.
pub(super) fn one(
    call: &Call,
    to: &mut Builder,
    op: impl Op + 'static,
) -> Result<Vec<Value>, String> {
    Ok(vec![to.add(op, &[call.input(0)?])?])
}

/// A function of the first input.
pub(super) fn function(
    call: &Call,
    to: &mut Builder,
    function: impl Function,
) -> Result<Vec<Value>, String> {
    one(call, to, Elementwise(function))
}

fn cast(call: &Call, to: &mut Builder) -> Result<Vec<Value>, String> {
    call.ignore(&["saturate"]);
    let data_type = DataType::of(call.int("to").ok_or("its attribute `to` is missing")? as i32)?;
    one(
        call,
        to,
        Cast {
            to: number(data_type),
        },
    )
}

fn cast_like(call: &Call, to: &mut Builder) -> Result<Vec<Value>, String> {
    call.ignore(&["saturate"]);
    let like = match call.input(1)? {
        Value::Known(known) => number(known.data_type),
        Value::Node(_) => Number::Real,
    };
    one(call, to, Cast { to: like })
}

fn number(data_type: DataType) -> Number {
    match data_type {
        DataType::Bool => Number::Truth,
        real if real.is_real() => Number::Real,
        _ => Number::Whole,
    }
}

/// Bounds are attributes before version 11, and inputs from it on.
fn clip(call: &Call, to: &mut Builder) -> Result<Vec<Value>, String> {
    let bounds = [1, 2].map(|place| call.optional(place));
    if bounds
        .iter()
        .flatten()
        .any(|bound| matches!(bound, Value::Node(_)))
    {
        return clip_to_computed(call.input(0)?, bounds, to);
    }
    let bound = |name, place| -> Result<Option<f64>, String> {
        match call.float(name) {
            Some(bound) => Ok(Some(bound)),
            None => Ok(call.known(place, "bound")?.and_then(Known::single)),
        }
    };
    let (low, high) = (bound("min", 1)?, bound("max", 2)?);
    function(call, to, Clip { low, high })
}

fn clip_to_computed(
    input: &Value,
    [low, high]: [Option<&Value>; 2],
    to: &mut Builder,
) -> Result<Vec<Value>, String> {
    let raised = match (low, high) {
        (None, _) => input.clone(),
        (Some(low), None) => to.add(Max, &[input, low])?,
        (Some(low), Some(_)) => to.part("raised", Max, &[input, low])?,
    };
    Ok(vec![match high {
        None => raised,
        Some(high) => to.add(Min, &[&raised, high])?,
    }])
}

/// In inference it passes its input on; a mask is all true.
fn dropout(call: &Call, to: &mut Builder) -> Result<Vec<Value>, String> {
    call.ignore(&["seed"]);
    let ratio = call.float("ratio");
    let ratio = match ratio {
        Some(ratio) => ratio,
        None => call
            .known(1, "ratio")?
            .and_then(Known::single)
            .unwrap_or(0.5),
    };
    if call
        .known(2, "mode")?
        .and_then(Known::single)
        .is_some_and(|mode| mode != 0.0)
    {
        return Err("it draws in inference too, which is not supported".into());
    }
    if call
        .node
        .outputs
        .get(1)
        .is_some_and(|mask| !mask.is_empty())
    {
        return Err("its mask is used, which is not supported".into());
    }
    one(call, to, Dropout { p: ratio })
}

fn gelu(call: &Call, to: &mut Builder) -> Result<Vec<Value>, String> {
    let tanh = match call.text("approximate") {
        None | Some("none") => false,
        Some("tanh") => true,
        Some(other) => return Err(format!("its approximation `{other}` is not known")),
    };
    function(call, to, Gelu::new(tanh))
}

/// One slope for each channel, or for all.
fn prelu(call: &Call, to: &mut Builder) -> Result<Vec<Value>, String> {
    let slope = &call.must_know(1, "slope")?.tensor;
    let dims = slope.dims();
    let told = |error: candle_core::Error| error.to_string();
    let channels = slope.elem_count();
    // Along the channels alone, [C, 1, …] or [1, C, 1, …], or one value. Of a vector, which lies along the last axis, only old files
    // mean the channels.
    let is_by_channel = match dims {
        [first, _, ..] if *first == channels => true,
        [1, second, _, ..] => *second == channels,
        [_] => call.opset <= 9,
        _ => false,
    };
    if channels != 1 && !is_by_channel {
        return Err(format!(
            "its slopes are of the shape {dims:?}, and one for each channel is supported"
        ));
    }
    let slope = slope
        .flatten_all()
        .map_err(told)?
        .to_dtype(DType::F32)
        .map_err(told)?;
    let op = PRelu {
        parameters: channels,
    };
    Ok(vec![to.add_with(
        op,
        vec![("weight", slope)],
        &[call.input(0)?],
    )?])
}

/// The power of every value by the same exponent.
pub(super) fn power(call: &Call, to: &mut Builder, exponent: f64) -> Result<Vec<Value>, String> {
    function(call, to, Power { exponent })
}
