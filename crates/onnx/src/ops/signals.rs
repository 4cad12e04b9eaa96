//! Fourier transforms and mel filters inside a network.

use std::f64::consts::TAU;

use candle_core::{Device, Tensor};
use speechlens_nn::ops::{Conv1d, Dft, Reshape, Transpose};

use super::Entry;
use super::functions::one;
use super::layers::told;
use crate::call::{Call, Known, Value};
use crate::lower::Builder;
use crate::tensor::DataType;

pub(super) const OPS: &[Entry] = &[("DFT", dft), ("MelWeightMatrix", mel), ("STFT", stft)];

/// The axis is an attribute before version 20, and an input from it on.
fn dft(call: &Call, to: &mut Builder) -> Result<Vec<Value>, String> {
    let length = call.known(1, "length")?.and_then(Known::single);
    let default = if call.opset < 20 { 1 } else { -2 };
    let axis = match call.int("axis") {
        Some(axis) => axis,
        None => call
            .known(2, "axis")?
            .and_then(Known::single)
            .map_or(default, |axis| axis as i64),
    };
    let op = Dft {
        axis,
        inverse: call.flag("inverse", false),
        onesided: call.flag("onesided", false),
        length: length.map(|length| length as usize),
    };
    one(call, to, op)
}

/// No transform has more values, and no matrix of bands an eighth of them.
const LARGEST: usize = 1 << 26;

/// A convolution by the window times cosines and sines, `[N, samples, 1]` to `[N, frames, bins, 2]`.
fn stft(call: &Call, to: &mut Builder) -> Result<Vec<Value>, String> {
    let step = call
        .must_know(1, "step")?
        .single()
        .ok_or("its step is no number")? as usize;
    let window = call.known(2, "window")?.map(Known::reals).transpose()?;
    let length = call
        .known(3, "frame length")?
        .and_then(Known::single)
        .map(|n| n as usize);
    let length = length
        .or(window.as_ref().map(Vec::len))
        .ok_or("has no window, and no frame length")?;
    if window.as_ref().is_some_and(|window| window.len() != length) {
        return Err(format!("its window is not a frame of {length}"));
    }
    let bins = match call.flag("onesided", true) {
        true => length / 2 + 1,
        false => length,
    };
    let count = bins.checked_mul(length);
    if length == 0 || step == 0 || count.is_none_or(|count| count > LARGEST) {
        return Err(format!(
            "its frames of {length} values, {step} apart, are not supported"
        ));
    }
    let window = window.unwrap_or_else(|| vec![1.0; length]);
    let mut weight = Vec::with_capacity(2 * bins * length);
    for bin in 0..bins {
        let angle = |t: usize| TAU * ((bin * t) % length) as f64 / length as f64;
        weight.extend(
            window
                .iter()
                .enumerate()
                .map(|(t, w)| (w * angle(t).cos()) as f32),
        );
        weight.extend(
            window
                .iter()
                .enumerate()
                .map(|(t, w)| (-w * angle(t).sin()) as f32),
        );
    }
    let weight = Tensor::from_vec(weight, (2 * bins, 1, length), &Device::Cpu).map_err(told)?;
    let shaped = |shape: Vec<i64>| Reshape {
        shape: Some(shape),
        allow_zero: false,
    };
    let signal = to.part("signal", shaped(vec![0, 1, -1]), &[call.input(0)?])?;
    let conv = Conv1d::new(1, 2 * bins, length).stride(step).without_bias();
    let parts = to.part_with("parts", conv, vec![("weight", weight)], &[&signal])?;
    let frames = Transpose {
        axes: Some(vec![0, 2, 1]),
    };
    let frames = to.part("frames", frames, &[&parts])?;
    Ok(vec![
        to.add(shaped(vec![0, 0, bins as i64, 2]), &[&frames])?,
    ])
}

/// Triangles over the bins of a transform, equally wide in mel (HTK's); as ONNX has it, the last one ends below the upper frequency.
fn mel(call: &Call, _: &mut Builder) -> Result<Vec<Value>, String> {
    let number = |place, what| -> Result<f64, String> {
        call.must_know(place, what)?
            .single()
            .ok_or_else(|| format!("its {what} is no number"))
    };
    let data_type = DataType::of(call.int("output_datatype").unwrap_or(1) as i32)?;
    let [bands, length, rate] = [
        number(0, "number of bands")?,
        number(1, "length")?,
        number(2, "rate")?,
    ];
    let [low, high] = [number(3, "lower frequency")?, number(4, "upper frequency")?];
    let (bands, rows) = (bands as usize, (length as usize) / 2 + 1);
    let count = bands.checked_mul(rows);
    if bands == 0 || count.is_none_or(|count| count > LARGEST / 8) || rate <= 0.0 {
        return Err(format!("{bands} bands of {rows} bins at {rate} Hz"));
    }
    let mel = |hz: f64| 2595.0 * (1.0 + hz / 700.0).log10();
    let hz = |mel: f64| 700.0 * (10f64.powf(mel / 2595.0) - 1.0);
    let step = (mel(high) - mel(low)) / (bands + 2) as f64;
    let bin =
        |edge: usize| ((length + 1.0) * hz(mel(low) + edge as f64 * step) / rate).floor() as usize;
    let mut matrix = vec![0f32; rows * bands];
    for band in 0..bands {
        let [lower, centre, upper] = [bin(band), bin(band + 1), bin(band + 2)];
        if centre == lower && centre < rows {
            matrix[centre * bands + band] = 1.0;
        }
        for row in lower..upper.min(rows) {
            let weight = match row <= centre {
                true if centre == lower => 1.0,
                true => (row - lower) as f64 / (centre - lower) as f64,
                false => (upper - row) as f64 / (upper - centre) as f64,
            };
            matrix[row * bands + band] = weight as f32;
        }
    }
    let tensor = Tensor::from_vec(matrix, (rows, bands), &Device::Cpu).map_err(told)?;
    Ok(vec![Value::Known(Known {
        tensor,
        data_type,
        name: call.node.outputs.first().cloned().unwrap_or_default(),
    })])
}
