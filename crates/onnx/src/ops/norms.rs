//! Normalization by an input's own statistics, and softmax.

use speechlens_nn::ops::{Add, BatchNorm, Mul, Normalize, Reshape, ShapeOf, Softmax, Standardize};

use super::Entry;
use super::functions::one;
use super::layers::told;
use crate::call::{Call, Known, Value};
use crate::lower::Builder;

pub(super) const OPS: &[Entry] = &[
    ("GroupNormalization", group_norm),
    ("InstanceNormalization", instance_norm),
    ("LayerNormalization", layer_norm),
    ("LogSoftmax", |call, to| softmax(call, to, true)),
    ("LpNormalization", |call, to| {
        let axes = vec![call.int("axis").unwrap_or(-1)];
        match call.int("p").unwrap_or(2) {
            2 => {
                let op = Normalize {
                    axes,
                    epsilon: 1e-30,
                    root_mean_square: false,
                };
                one(call, to, op)
            }
            p => Err(format!(
                "its norm is of order {p}, and of order 2 is supported"
            )),
        }
    }),
    ("RMSNormalization", root_mean_square),
    ("Softmax", |call, to| softmax(call, to, false)),
];

/// Before version 13 all axes from one on are one.
fn softmax(call: &Call, to: &mut Builder, log: bool) -> Result<Vec<Value>, String> {
    let flat = call.opset < 13;
    let axis = call.int("axis").unwrap_or(if flat { 1 } else { -1 });
    one(call, to, Softmax { axis, flat, log })
}

/// The axes from one on: counted from the end, or else how many first ones are left out.
fn axes_from(axis: i64) -> Result<(Vec<i64>, usize), String> {
    match axis {
        -8..0 => Ok(((axis..0).collect(), 0)),
        0..8 => Ok((Vec::new(), axis as usize)),
        _ => Err(format!("its axis is {axis}")),
    }
}

fn root_mean_square(call: &Call, to: &mut Builder) -> Result<Vec<Value>, String> {
    call.ignore(&["stash_type"]);
    let (axes, _) = axes_from(call.int("axis").unwrap_or(-1))?;
    if axes.is_empty() {
        return Err("its axis is counted from the first, which is not supported".into());
    }
    let op = Normalize {
        axes,
        epsilon: call.float("epsilon").unwrap_or(f64::from(1e-5f32)),
        root_mean_square: true,
    };
    let normalized = to.part("normalized", op, &[call.input(0)?])?;
    let scale = call.input(1)?;
    Ok(vec![to.add(Mul, &[&normalized, scale])?])
}

fn layer_norm(call: &Call, to: &mut Builder) -> Result<Vec<Value>, String> {
    call.ignore(&["stash_type"]);
    let epsilon = call.float("epsilon").unwrap_or(f64::from(1e-5f32));
    if call
        .node
        .outputs
        .iter()
        .skip(1)
        .any(|name| !name.is_empty())
    {
        return Err("its mean and deviation are used, which is not supported".into());
    }
    let scale = call.must_know(1, "scale")?;
    let (axes, first) = axes_from(call.int("axis").unwrap_or(-1))?;
    let op = Standardize {
        axes,
        first,
        epsilon,
    };
    let is = |known: &Known, value: f64| {
        let all = known.reals();
        all.is_ok_and(|all| all.iter().all(|x| *x == value))
    };
    let shift = call.known(2, "shift")?.filter(|shift| !is(shift, 0.0));
    let input = call.input(0)?;
    let (scaled, shifted) = (!is(scale, 1.0), shift.is_some());
    let mut given = match (scaled, shifted) {
        (false, false) => to.add(op, &[input])?,
        _ => to.part("standardized", op, &[input])?,
    };
    let of = |known: &Known| Value::Known(known.clone());
    if scaled {
        given = match shifted {
            true => to.part("scaled", Mul, &[&given, &of(scale)])?,
            false => to.add(Mul, &[&given, &of(scale)])?,
        };
    }
    if let Some(shift) = shift {
        given = to.add(Add, &[&given, &of(shift)])?;
    }
    Ok(vec![given])
}

/// Each channel times a factor, plus a shift.
fn by_channel(call: &Call, to: &mut Builder, standard: &Value) -> Result<Value, String> {
    let scale = call.must_know(1, "scale")?;
    let shift = call.must_know(2, "shift")?;
    let channels = scale.tensor.elem_count();
    let all = |value: f32| {
        candle_core::Tensor::full(value, channels, scale.tensor.device()).map_err(told)
    };
    let params = vec![
        ("weight", scale.tensor.clone()),
        ("bias", shift.tensor.clone()),
        ("running_mean", all(0.0)?),
        ("running_var", all(1.0)?),
    ];
    to.add_with(
        BatchNorm::new_2d(channels).epsilon(0.0),
        params,
        &[standard],
    )
}

fn instance_norm(call: &Call, to: &mut Builder) -> Result<Vec<Value>, String> {
    let epsilon = call.float("epsilon").unwrap_or(f64::from(1e-5f32));
    let op = Standardize {
        axes: Vec::new(),
        first: 2,
        epsilon,
    };
    let standard = to.part("standardized", op, &[call.input(0)?])?;
    Ok(vec![by_channel(call, to, &standard)?])
}

/// Groups of channels are standardized as one axis.
fn group_norm(call: &Call, to: &mut Builder) -> Result<Vec<Value>, String> {
    let epsilon = call.float("epsilon").unwrap_or(f64::from(1e-5f32));
    let groups = call
        .int("num_groups")
        .filter(|groups| *groups > 0)
        .ok_or("its attribute `num_groups` is missing, or no number of groups")?;
    call.ignore(&["stash_type"]);
    if call.opset < 21 {
        return Err("before version 21 its scale is one for each group, which is not supported: export it with a later opset_version".into());
    }
    let input = call.input(0)?;
    let shape = to.part("shape", ShapeOf::default(), &[input])?;
    let apart = Reshape {
        shape: Some(vec![0, groups, -1]),
        allow_zero: false,
    };
    let apart = to.part("groups", apart, &[input])?;
    let op = Standardize {
        axes: vec![-1],
        first: 0,
        epsilon,
    };
    let standard = to.part("standardized", op, &[&apart])?;
    let whole = to.part("whole", Reshape::default(), &[&standard, &shape])?;
    Ok(vec![by_channel(call, to, &whole)?])
}
