//! Sums, means and the like along axes.

use speechlens_nn::Op;
use speechlens_nn::ops::{
    Abs, Add, Along, ArgMax, CumSum, Elementwise, Exp, Log, Power, ReduceMax, ReduceMean,
    ReduceMin, ReduceSum, Sqrt, Squeeze, Sub, WholeProduct,
};

use super::Entry;
use crate::call::{Call, Value};
use crate::lower::Builder;

pub(super) const OPS: &[Entry] = &[
    ("ArgMax", |call, to| {
        let (axis, keep) = (call.int("axis").unwrap_or(0), call.flag("keepdims", true));
        if call.flag("select_last_index", false) {
            return Err("takes the last of several largest values, which is not supported".into());
        }
        Ok(vec![to.add(ArgMax { axis, keep }, &[call.input(0)?])?])
    }),
    ("CumSum", |call, to| {
        let axis = call.must_know(1, "axis")?.whole()?;
        let op = CumSum {
            axis: *axis.first().ok_or("its axis is missing")?,
            exclusive: call.flag("exclusive", false),
            reverse: call.flag("reverse", false),
        };
        Ok(vec![to.add(op, &[call.input(0)?])?])
    }),
    ("ReduceL1", |call, to| {
        after(call, to, Elementwise(Abs), false)
    }),
    ("ReduceL2", |call, to| {
        after(call, to, Elementwise(Power { exponent: 2.0 }), true)
    }),
    ("ReduceLogSum", |call, to| {
        let along = along(call)?.ok_or("draws nothing together, which is not supported")?;
        let sum = to.part("sum", ReduceSum(along), &[call.input(0)?])?;
        Ok(vec![to.add(Elementwise(Log), &[&sum])?])
    }),
    ("ReduceLogSumExp", log_sum_exp),
    ("ReduceMax", |call, to| reduced(call, to, ReduceMax)),
    ("ReduceMean", |call, to| reduced(call, to, ReduceMean)),
    ("ReduceMin", |call, to| reduced(call, to, ReduceMin)),
    ("ReduceProd", |call, to| {
        // Of shapes; a product of values along an axis has no relevance of its own.
        let keep = call.flag("keepdims", true);
        call.axes(1)?;
        call.flag("noop_with_empty_axes", false);
        Ok(vec![to.add(
            WholeProduct {
                rank: usize::from(keep),
            },
            &[call.input(0)?],
        )?])
    }),
    ("ReduceSum", |call, to| reduced(call, to, ReduceSum)),
    ("ReduceSumSquare", |call, to| {
        after(call, to, Elementwise(Power { exponent: 2.0 }), false)
    }),
];

/// The axes; none if nothing is drawn together.
fn along(call: &Call) -> Result<Option<Along>, String> {
    let keep = call.flag("keepdims", true);
    let nothing = call.flag("noop_with_empty_axes", false);
    let axes = call.axes(1)?.unwrap_or_default();
    Ok(match axes.is_empty() && nothing {
        true => None,
        false => Some(Along {
            axes,
            keep,
            first: 0,
        }),
    })
}

fn reduced<O: Op + 'static>(
    call: &Call,
    to: &mut Builder,
    op: fn(Along) -> O,
) -> Result<Vec<Value>, String> {
    match along(call)? {
        Some(along) => Ok(vec![to.add(op(along), &[call.input(0)?])?]),
        None => Ok(vec![call.input(0)?.clone()]),
    }
}

/// The sum of a function's values, or its root.
fn after(
    call: &Call,
    to: &mut Builder,
    function: impl Op + 'static,
    root: bool,
) -> Result<Vec<Value>, String> {
    let along = along(call)?.ok_or("draws nothing together, which is not supported")?;
    let values = to.part("values", function, &[call.input(0)?])?;
    Ok(vec![match root {
        false => to.add(ReduceSum(along), &[&values])?,
        true => {
            let sum = to.part("sum", ReduceSum(along), &[&values])?;
            to.add(Elementwise(Sqrt), &[&sum])?
        }
    }])
}

/// The largest is taken out before, that nothing overflows.
fn log_sum_exp(call: &Call, to: &mut Builder) -> Result<Vec<Value>, String> {
    let along = along(call)?.ok_or("draws nothing together, which is not supported")?;
    let kept = Along {
        keep: true,
        ..along.clone()
    };
    let input = call.input(0)?;
    let largest = to.part("largest", ReduceMax(kept.clone()), &[input])?;
    let rest = to.part("rest", Sub, &[input, &largest])?;
    let exp = to.part("exp", Elementwise(Exp), &[&rest])?;
    let sum = to.part("sum", ReduceSum(kept), &[&exp])?;
    let log = to.part("log", Elementwise(Log), &[&sum])?;
    if along.keep {
        return Ok(vec![to.add(Add, &[&log, &largest])?]);
    }
    let all = to.part("all", Add, &[&log, &largest])?;
    // With no axes named every axis is of length 1 now.
    Ok(vec![to.add(Squeeze { axes: along.axes }, &[&all])?])
}
