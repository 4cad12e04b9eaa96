//! Pools: the largest or the mean of windows, and of all.

use speechlens_nn::ops::{
    Along, AvgPool1d, AvgPool2d, AvgWindows, Fit, MaxPool1d, MaxPool2d, Padding, ReduceMax,
    ReduceMean,
};

use super::Entry;
use super::functions::one;
use super::layers::Windows;
use crate::call::{Call, Value};
use crate::lower::Builder;

pub(super) const OPS: &[Entry] = &[
    ("AveragePool", average),
    ("GlobalAveragePool", |call, to| {
        one(call, to, ReduceMean(behind_channels()))
    }),
    ("GlobalMaxPool", |call, to| {
        one(call, to, ReduceMax(behind_channels()))
    }),
    ("MaxPool", largest),
];

/// The windows of a pool.
fn windows(call: &Call) -> Result<Windows, String> {
    let kernel = call
        .ints("kernel_shape")
        .ok_or("its attribute `kernel_shape` is missing")?;
    let kernel: Vec<usize> = kernel
        .iter()
        .map(|n| (*n).clamp(0, 1 << 20) as usize)
        .collect();
    let mut windows = Windows::of(call, kernel)?;
    if call.flag("ceil_mode", false) && windows.fit.is_none() {
        windows.fit = Some(Fit::Ceil);
    }
    Ok(windows)
}

fn largest(call: &Call, to: &mut Builder) -> Result<Vec<Value>, String> {
    if call
        .node
        .outputs
        .get(1)
        .is_some_and(|places| !places.is_empty())
    {
        return Err("the places of its largest values are used, which is not supported".into());
    }
    call.ignore(&["storage_order"]);
    let windows = windows(call)?;
    if windows.dilation.iter().any(|step| *step != 1) {
        return Err("its windows are dilated, which is not supported of the largest".into());
    }
    let (input, padding) = windows.padded(call, to, Padding::Lowest)?;
    let given = match (
        windows.kernel.as_slice(),
        windows.stride.as_slice(),
        padding.as_slice(),
    ) {
        ([kernel], [stride], [padding]) => to.add(
            MaxPool1d::new(*kernel, *stride).padding(*padding),
            &[&input],
        )?,
        ([h, w], [sh, sw], [ph, pw]) => {
            let op = MaxPool2d::new((*h, *w), (*sh, *sw)).padding((*ph, *pw));
            to.add(op, &[&input])?
        }
        (kernel, ..) => {
            return Err(format!(
                "pools over {} axes are not supported",
                kernel.len()
            ));
        }
    };
    Ok(vec![given])
}

fn average(call: &Call, to: &mut Builder) -> Result<Vec<Value>, String> {
    let counts_padding = call.flag("count_include_pad", false);
    let windows = windows(call)?;
    let is_padded = windows.before.iter().chain(&windows.after).any(|n| *n != 0);
    let is_plain = windows.fit.is_none()
        && windows.before == windows.after
        && windows.dilation.iter().all(|step| *step == 1)
        && (counts_padding || !is_padded);
    if !is_plain {
        let op = AvgWindows {
            windows: windows.pad(Padding::Value(0.0)),
            counts_padding,
        };
        return one(call, to, op);
    }
    let (kernel, stride) = (windows.kernel.as_slice(), windows.stride.as_slice());
    match (kernel, stride, windows.before.as_slice()) {
        ([kernel], [stride], [padding]) => {
            one(call, to, AvgPool1d::new(*kernel, *stride).padding(*padding))
        }
        ([h, w], [sh, sw], [ph, pw]) => {
            let op = AvgPool2d::new((*h, *w), (*sh, *sw)).padding((*ph, *pw));
            one(call, to, op)
        }
        _ => Err(format!(
            "pools over {} axes are not supported",
            kernel.len()
        )),
    }
}

/// All axes behind the channels.
fn behind_channels() -> Along {
    Along {
        axes: Vec::new(),
        first: 2,
        keep: true,
    }
}
