//! More or fewer values along axes.

use speechlens_nn::ops::{Coordinates, Nearest, Resize};

use super::Entry;
use super::functions::one;
use crate::call::{Call, Known, Value};
use crate::lower::Builder;

pub(super) const OPS: &[Entry] = &[("Resize", resize), ("Upsample", upsample)];

/// A list that is there, and not empty: before version 13 what is left out is a list of nothing.
fn list<'a>(call: &'a Call, place: usize, what: &str) -> Result<Option<&'a Known>, String> {
    let known = call.known(place, what)?;
    Ok(known.filter(|known| known.tensor.elem_count() > 0))
}

fn scales(known: &Known) -> Result<Option<Vec<f64>>, String> {
    known.reals().map(Some)
}

/// As it was before the places could be chosen: `k/s`, and the value before.
fn plain(call: &Call, to: &mut Builder, scales: Option<Vec<f64>>) -> Result<Vec<Value>, String> {
    let nearest = match call.text("mode") {
        None | Some("nearest") => Some(Nearest::Floor),
        Some("linear" | "bilinear") => None,
        Some(other) => return Err(format!("its mode `{other}` is not supported")),
    };
    let op = Resize {
        scales,
        sizes: None,
        coordinates: Coordinates::Asymmetric,
        nearest,
    };
    one(call, to, op)
}

fn upsample(call: &Call, to: &mut Builder) -> Result<Vec<Value>, String> {
    let given = scales(call.must_know(1, "list of scales")?)?;
    plain(call, to, given)
}

fn resize(call: &Call, to: &mut Builder) -> Result<Vec<Value>, String> {
    if call.opset < 11 {
        let given = scales(call.must_know(1, "list of scales")?)?;
        return plain(call, to, given);
    }
    call.ignore(&["cubic_coeff_a", "extrapolation_value", "exclude_outside"]);
    if call.int("antialias").unwrap_or(0) != 0 || call.ints("axes").is_some() {
        return Err("it smooths, or names some axes alone, which is not supported".into());
    }
    if call
        .text("keep_aspect_ratio_policy")
        .is_some_and(|policy| policy != "stretch")
    {
        return Err("it keeps the ratio of the axes, which is not supported".into());
    }
    let coordinates = match call.text("coordinate_transformation_mode") {
        None | Some("half_pixel") => Coordinates::HalfPixel,
        Some("pytorch_half_pixel") => Coordinates::PytorchHalfPixel,
        Some("asymmetric") => Coordinates::Asymmetric,
        Some("align_corners") => Coordinates::AlignCorners,
        Some(other) => return Err(format!("its coordinates `{other}` are not supported")),
    };
    let rounding = match call.text("nearest_mode") {
        None | Some("round_prefer_floor") => Nearest::RoundPreferFloor,
        Some("round_prefer_ceil") => Nearest::RoundPreferCeil,
        Some("floor") => Nearest::Floor,
        Some("ceil") => Nearest::Ceil,
        Some(other) => return Err(format!("its rounding `{other}` is not known")),
    };
    let nearest = match call.text("mode") {
        None | Some("nearest") => Some(rounding),
        Some("linear") => None,
        Some(other) => return Err(format!("its mode `{other}` is not supported")),
    };
    let op = |scales, sizes| Resize {
        scales,
        sizes,
        coordinates,
        nearest,
    };
    if let Some(given) = list(call, 2, "list of scales")? {
        return one(call, to, op(scales(given)?, None));
    }
    match call.input(3)? {
        Value::Known(sizes) => one(call, to, op(None, Some(sizes.whole()?))),
        sizes => Ok(vec![to.add(op(None, None), &[call.input(0)?, sizes])?]),
    }
}
