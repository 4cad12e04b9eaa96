//! Recurrent layers: a node for each direction.

use candle_core::Tensor;
use speechlens_nn::ops::{Cell, Concat, Cut, Recurrent, Slice, Squeeze, Unsqueeze};

use super::Entry;
use super::layers::told;
use crate::call::{Call, Value};
use crate::lower::Builder;

pub(super) const OPS: &[Entry] = &[
    ("GRU", |call, to| {
        // The file's order is z, r, n.
        let cell = match call.flag("linear_before_reset", false) {
            true => Cell::Gru,
            false => Cell::GruResetBefore,
        };
        layers(call, to, &|_| Ok(cell), &[1, 0, 2], &["Sigmoid", "Tanh"])
    }),
    ("LSTM", |call, to| {
        if call.optional(7).is_some() {
            return Err("its gates see the cell (peepholes), which is not supported".into());
        }
        if call.flag("input_forget", false) {
            return Err("its input and forget gates are coupled, which is not supported".into());
        }
        // The file's order is i, o, f, g.
        layers(
            call,
            to,
            &|_| Ok(Cell::Lstm),
            &[0, 2, 3, 1],
            &["Sigmoid", "Tanh", "Tanh"],
        )
    }),
    ("RNN", |call, to| {
        let names = call.texts("activations").unwrap_or_default();
        let cell = |direction: usize| match names.get(direction).copied() {
            None | Some("Tanh") => Ok(Cell::Tanh),
            Some("Relu") => Ok(Cell::Relu),
            Some(other) => Err(format!("its activation `{other}` is not supported")),
        };
        layers(call, to, &cell, &[0], &[])
    }),
];

/// The rows of each gate in another order, of one direction.
fn reordered(all: &Tensor, direction: usize, order: &[usize]) -> candle_core::Result<Tensor> {
    let rows = all.get(direction)?;
    let hidden = rows.dim(0)? / order.len();
    let gates: candle_core::Result<Vec<Tensor>> = order
        .iter()
        .map(|gate| rows.narrow(0, gate * hidden, hidden))
        .collect();
    Tensor::cat(&gates?, 0)
}

fn cut(axis: i64, start: i64, end: Option<i64>) -> Slice {
    Slice {
        cuts: Some(vec![Cut {
            axis,
            start,
            end,
            step: 1,
        }]),
    }
}

/// What is given are the values of all steps `[T, D, N, hidden]`, the last of each direction `[D, N, hidden]`, and its cells.
fn layers(
    call: &Call,
    to: &mut Builder,
    cell: &dyn Fn(usize) -> Result<Cell, String>,
    order: &[usize],
    activations: &[&str],
) -> Result<Vec<Value>, String> {
    let reverse: &[bool] = match call.text("direction") {
        None | Some("forward") => &[false],
        Some("reverse") => &[true],
        Some("bidirectional") => &[false, true],
        Some(other) => return Err(format!("its direction `{other}` is not known")),
    };
    if let (Some(given), false) = (call.texts("activations"), activations.is_empty()) {
        let expected = activations.iter().cycle().take(given.len());
        if !given.iter().eq(expected) {
            return Err(format!("its activations {given:?} are not supported"));
        }
    }
    if call.float("clip").is_some() || call.int("layout").unwrap_or(0) != 0 {
        return Err(
            "its values are clipped, or its batch stands first, which is not supported".into(),
        );
    }
    if call.optional(4).is_some() {
        return Err("its inputs are of different lengths, which is not supported".into());
    }
    let (of_input, of_state) = (
        &call.must_know(1, "weight")?.tensor,
        &call.must_know(2, "weight")?.tensor,
    );
    let bias = call.known(3, "bias")?;
    let (_, rows, inputs) = of_input.dims3().map_err(told)?;
    let hidden = rows / order.len();
    if call
        .int("hidden_size")
        .is_some_and(|given| given != hidden as i64)
    {
        return Err("its weights are not of its hidden size".into());
    }
    let has_cell = order.len() == 4;
    let mut all = Vec::new();
    for (direction, reverse) in reverse.iter().enumerate() {
        let mut params = vec![
            (
                "weight_ih",
                reordered(of_input, direction, order).map_err(told)?,
            ),
            (
                "weight_hh",
                reordered(of_state, direction, order).map_err(told)?,
            ),
        ];
        if let Some(bias) = bias {
            let part = |start: usize| {
                let half = bias.tensor.narrow(1, start, rows)?;
                reordered(&half, direction, order)
            };
            params.push(("bias_ih", part(0).map_err(told)?));
            params.push(("bias_hh", part(rows).map_err(told)?));
        }
        let mut read = vec![call.input(0)?.clone()];
        for place in [5, 6] {
            if let (Some(state), true) = (call.optional(place), place == 5 || has_cell) {
                let part = cut(0, direction as i64, Some(direction as i64 + 1));
                let own = to.part(&format!("state{place}.{direction}"), part, &[state])?;
                let squeezed = Squeeze { axes: vec![0] };
                read.push(to.part(&format!("state{place}.{direction}.of"), squeezed, &[&own])?);
            } else if has_cell && call.optional(6).is_some() && place == 5 {
                return Err("has a state of its cells and none of what it gives".into());
            }
        }
        let op = Recurrent {
            cell: cell(direction)?,
            inputs,
            hidden,
            reverse: *reverse,
            bias: bias.is_some(),
        };
        let name = if *reverse { "reverse" } else { "forward" };
        let read: Vec<&Value> = read.iter().collect();
        all.push((to.part_with(name, op, params, &read)?, *reverse));
    }
    let hidden = hidden as i64;
    let mut steps = Vec::new();
    let mut ends = [Vec::new(), Vec::new()];
    for (place, (layer, reverse)) in all.iter().enumerate() {
        let name = |what: &str| format!("{what}.{place}");
        let last = if *reverse {
            cut(0, 0, Some(1))
        } else {
            cut(0, -1, None)
        };
        let last = to.part(&name("last"), last, &[layer])?;
        let given = match has_cell {
            true => to.part(&name("given"), cut(-1, 0, Some(hidden)), &[layer])?,
            false => layer.clone(),
        };
        let direction = Unsqueeze { axes: vec![1] };
        steps.push(to.part(&name("steps"), direction, &[&given])?);
        for (n, end) in ends
            .iter_mut()
            .enumerate()
            .take(if has_cell { 2 } else { 1 })
        {
            let start = n as i64 * hidden;
            let op = cut(-1, start, Some(start + hidden));
            end.push(match has_cell {
                true => to.part(&name(&format!("end{n}")), op, &[&last])?,
                false => last.clone(),
            });
        }
    }
    let [given, cells] = ends;
    let mut joined = |axis: i64, parts: Vec<Value>, name: &str| match parts.as_slice() {
        [] => Ok(None),
        [only] => Ok(Some(only.clone())),
        several => {
            let parts: Vec<&Value> = several.iter().collect();
            to.part(name, Concat { axis }, &parts).map(Some)
        }
    };
    let outputs = [
        joined(1, steps, "all")?,
        joined(0, given, "end")?,
        joined(0, cells, "cells")?,
    ];
    Ok(outputs.into_iter().flatten().collect())
}
