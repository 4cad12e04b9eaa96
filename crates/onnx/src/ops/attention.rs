//! Attention as one op: the products, the softmax between them, and a mask.

use candle_core::{Device, Tensor};
use speechlens_nn::ops::{
    Add, Cast, Elementwise, Filled, MatMul, Mul, Number, Power, Reshape, ShapeOf, Softmax,
    Transpose, Triangle, Where,
};

use super::Entry;
use super::layers::told;
use crate::call::{Call, Known, Value};
use crate::lower::Builder;
use crate::tensor::DataType;

pub(super) const OPS: &[Entry] = &[("Attention", attention)];

/// `[N, T, heads · d]` to `[N, heads, T, d]`, of heads that are not apart yet.
fn apart(to: &mut Builder, part: &str, x: &Value, heads: i64) -> Result<Value, String> {
    let shape = Reshape {
        shape: Some(vec![0, 0, heads, -1]),
        allow_zero: false,
    };
    let split = to.part(&format!("{part}.heads"), shape, &[x])?;
    to.part(part, order(&[0, 2, 1, 3]), &[&split])
}

fn order(axes: &[usize]) -> Transpose {
    Transpose {
        axes: Some(axes.to_vec()),
    }
}

/// Scores where a mask holds, and −∞ elsewhere.
fn masked(to: &mut Builder, part: &str, scores: &Value, mask: &Value) -> Result<Value, String> {
    let lowest = Tensor::new(f32::NEG_INFINITY, &Device::Cpu).map_err(told)?;
    let lowest = Value::Known(Known {
        tensor: lowest,
        data_type: DataType::Float,
        name: format!("{part}.lowest"),
    });
    to.part(part, Where, &[mask, scores, &lowest])
}

/// `softmax(s Q Kᵀ + mask) V`, `s = 1/√d` unless it is given.
fn attention(call: &Call, to: &mut Builder) -> Result<Vec<Value>, String> {
    call.ignore(&["qk_matmul_output_mode", "softmax_precision"]);
    let outputs = call.node.outputs.iter().skip(1);
    let past = [4, 5, 6]
        .iter()
        .any(|place| call.optional(*place).is_some());
    if past || outputs.into_iter().any(|name| !name.is_empty()) {
        return Err("it keeps keys and values from call to call, which is not supported".into());
    }
    if call.float("softcap").unwrap_or(0.0) != 0.0 {
        return Err("its scores are capped, which is not supported".into());
    }
    let heads = (call.int("q_num_heads"), call.int("kv_num_heads"));
    let [mut q, mut k, mut v] = [call.input(0)?, call.input(1)?, call.input(2)?].map(Value::clone);
    match heads {
        (None, None) => {}
        (Some(own), Some(others)) if own == others && own > 0 => {
            q = apart(to, "q", &q, own)?;
            k = apart(to, "k", &k, own)?;
            v = apart(to, "v", &v, own)?;
        }
        _ => {
            return Err(
                "its queries have other heads than its keys, which is not supported".into(),
            );
        }
    }
    let scale = match call.float("scale") {
        Some(scale) => to.number(scale)?,
        None => {
            let width = ShapeOf {
                start: -1,
                end: None,
            };
            let width = to.part("width", width, &[&q])?;
            let width = to.part("width.real", Cast { to: Number::Real }, &[&width])?;
            to.part("scale", Elementwise(Power { exponent: -0.5 }), &[&width])?
        }
    };
    let q = to.part("scaled", Mul, &[&q, &scale])?;
    let k = to.part("turned", order(&[0, 1, 3, 2]), &[&k])?;
    let mut scores = to.part("scores", MatMul, &[&q, &k])?;
    if call.flag("is_causal", false) {
        let shape = to.part("causal.shape", ShapeOf::default(), &[&scores])?;
        let ones = Filled {
            value: 1.0,
            whole: false,
        };
        let ones = to.part("causal.ones", ones, &[&shape])?;
        let before = Triangle {
            upper: false,
            diagonal: 0,
        };
        let mask = to.part("causal.mask", before, &[&ones])?;
        scores = masked(to, "causal", &scores, &mask)?;
    }
    if let Some(mask) = call.optional(3) {
        let is_truth = matches!(mask, Value::Known(known) if known.data_type == DataType::Bool);
        scores = match is_truth {
            true => masked(to, "masked", &scores, mask)?,
            false => to.part("masked", Add, &[&scores, mask])?,
        };
    }
    let softmax = Softmax {
        axis: -1,
        flat: false,
        log: false,
    };
    let weights = to.part("weights", softmax, &[&scores])?;
    if heads.0.is_none() {
        return Ok(vec![to.add(MatMul, &[&weights, &v])?]);
    }
    let given = to.part("each", MatMul, &[&weights, &v])?;
    let given = to.part("back", order(&[0, 2, 1, 3]), &[&given])?;
    let shape = Reshape {
        shape: Some(vec![0, 0, -1]),
        allow_zero: false,
    };
    Ok(vec![to.add(shape, &[&given])?])
}
