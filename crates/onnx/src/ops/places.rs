//! Values at other places.

use speechlens_nn::ops::{
    Chunk, Concat, Cut, Expand, Gather, GatherElements, GatherNd, Pad, Padding, Scatter, Slice,
    Tile, TopPlaces, Transpose, Triangle,
};

use super::functions::one;
use super::{Entry, check_made};
use crate::call::{Call, Known, Value};
use crate::lower::Builder;

pub(super) const OPS: &[Entry] = &[
    ("Concat", concat),
    ("Expand", |call, to| {
        check_made(call, 1)?;
        Ok(vec![to.add(Expand, &[call.input(0)?, call.input(1)?])?])
    }),
    ("Gather", |call, to| {
        let axis = call.int("axis").unwrap_or(0);
        Ok(vec![
            to.add(Gather { axis }, &[call.input(0)?, call.input(1)?])?,
        ])
    }),
    ("GatherElements", |call, to| {
        let axis = call.int("axis").unwrap_or(0);
        Ok(vec![to.add(
            GatherElements { axis },
            &[call.input(0)?, call.input(1)?],
        )?])
    }),
    ("GatherND", |call, to| {
        let batch = call.int("batch_dims").unwrap_or(0);
        let batch = usize::try_from(batch).map_err(|_| format!("has {batch} axes of a batch"))?;
        let op = GatherNd { batch };
        Ok(vec![to.add(op, &[call.input(0)?, call.input(1)?])?])
    }),
    ("Pad", pad),
    ("Scatter", scatter_elements),
    ("ScatterElements", scatter_elements),
    ("ScatterND", |call, to| scatter(call, to, None)),
    ("Slice", slice),
    ("Split", split),
    ("Tile", |call, to| {
        check_made(call, 1)?;
        Ok(vec![to.add(Tile, &[call.input(0)?, call.input(1)?])?])
    }),
    ("TopK", top),
    ("Transpose", |call, to| {
        let axes = call
            .ints("perm")
            .map(|perm| perm.iter().map(|axis| *axis as usize).collect());
        one(call, to, Transpose { axes })
    }),
    ("Trilu", |call, to| {
        let diagonal = call.known(1, "diagonal")?.map(Known::whole).transpose()?;
        let diagonal = diagonal.and_then(|all| all.first().copied());
        let op = Triangle {
            upper: call.flag("upper", true),
            diagonal: diagonal.unwrap_or(0),
        };
        one(call, to, op)
    }),
];

fn scatter_elements(call: &Call, to: &mut Builder) -> Result<Vec<Value>, String> {
    scatter(call, to, Some(call.int("axis").unwrap_or(0)))
}

fn scatter(call: &Call, to: &mut Builder, axis: Option<i64>) -> Result<Vec<Value>, String> {
    match call.text("reduction") {
        None | Some("none") => {}
        Some(other) => {
            return Err(format!(
                "draws values for one place together (`{other}`), which is not supported"
            ));
        }
    }
    let read = [call.input(0)?, call.input(1)?, call.input(2)?];
    Ok(vec![to.add(Scatter { axis }, &read)?])
}

/// The places of the largest (smallest) values, and what stands there.
fn top(call: &Call, to: &mut Builder) -> Result<Vec<Value>, String> {
    call.ignore(&["sorted"]);
    let axis = call.int("axis").unwrap_or(-1);
    let count = match call.int("k") {
        Some(count) => Some(count),
        None => call
            .must_know(1, "number of values")?
            .whole()?
            .first()
            .copied(),
    };
    let count = count.and_then(|count| usize::try_from(count).ok());
    let op = TopPlaces {
        axis,
        count: count.ok_or("its number of values is none")?,
        smallest: !call.flag("largest", true),
    };
    let input = call.input(0)?;
    let places = to.part("places", op, &[input])?;
    let values = to.add(GatherElements { axis }, &[input, &places])?;
    Ok(vec![values, places])
}

fn concat(call: &Call, to: &mut Builder) -> Result<Vec<Value>, String> {
    let axis = call.int("axis").ok_or("its attribute `axis` is missing")?;
    let inputs: Vec<&Value> = call.inputs.iter().flatten().collect();
    Ok(vec![to.add(Concat { axis }, &inputs)?])
}

/// Amounts are an attribute before version 11, and an input from it on.
fn pad(call: &Call, to: &mut Builder) -> Result<Vec<Value>, String> {
    let mut amounts = match call.ints("pads") {
        Some(pads) => pads.to_vec(),
        None => call.must_know(1, "amount of padding")?.whole()?,
    };
    let value = match call.float("value") {
        Some(value) => value,
        None => call
            .known(2, "value")?
            .and_then(Known::single)
            .unwrap_or(0.0),
    };
    let with = match call.text("mode") {
        None | Some("constant") if value == f64::NEG_INFINITY => Padding::Lowest,
        None | Some("constant") => Padding::Value(value.clamp(f64::MIN, f64::MAX)),
        Some("reflect") => Padding::Reflect,
        Some("edge") => Padding::Edge,
        Some("wrap") => Padding::Wrap,
        Some(other) => return Err(format!("its mode `{other}` is not supported")),
    };
    let axes = call.known(3, "list of axes")?.map(Known::whole);
    let axes = axes.transpose()?.unwrap_or_default();
    if amounts.len() % 2 != 0 {
        return Err("pads one end of an axis, and not the other".into());
    }
    let after = amounts.split_off(amounts.len() / 2);
    let op = Pad {
        before: amounts,
        after,
        with,
        axes,
    };
    one(call, to, op)
}

/// Cuts are attributes before version 10, and inputs from it on.
fn slice(call: &Call, to: &mut Builder) -> Result<Vec<Value>, String> {
    let lists: Option<[Option<Vec<i64>>; 4]> = match (call.ints("starts"), call.ints("ends")) {
        (Some(starts), Some(ends)) => Some([
            Some(starts.to_vec()),
            Some(ends.to_vec()),
            call.ints("axes").map(<[i64]>::to_vec),
            None,
        ]),
        _ => {
            let known = (1..5).all(|place| !matches!(call.optional(place), Some(Value::Node(_))));
            let list = |place| call.known(place, "cut")?.map(Known::whole).transpose();
            match known {
                true => Some([list(1)?, list(2)?, list(3)?, list(4)?]),
                false => None,
            }
        }
    };
    match lists {
        Some([Some(starts), Some(ends), axes, steps]) => {
            let cuts = Cut::all(&starts, &ends, axes.as_deref(), steps.as_deref());
            let cuts = Some(cuts.map_err(|error| error.to_string())?);
            one(call, to, Slice { cuts })
        }
        Some(_) => Err("says no starts and ends".into()),
        None => {
            let inputs: Vec<&Value> = call.inputs.iter().flatten().collect();
            if inputs.len() != call.inputs.len() {
                return Err("leaves its axes out before its steps, which is not supported".into());
            }
            Ok(vec![to.add(Slice { cuts: None }, &inputs)?])
        }
    }
}

fn equal(call: &Call, to: &mut Builder, axis: i64) -> Result<Vec<Value>, String> {
    let parts = call.node.outputs.len();
    let part = |part: usize| {
        let op = Chunk { axis, part, parts };
        match part {
            0 => to.add(op, &[call.input(0)?]),
            _ => to.part(&part.to_string(), op, &[call.input(0)?]),
        }
    };
    (0..parts).map(part).collect()
}

/// A slice for each part. Sizes are an attribute before version 13, and an input from it on.
fn split(call: &Call, to: &mut Builder) -> Result<Vec<Value>, String> {
    let axis = call.int("axis").unwrap_or(0);
    call.ignore(&["num_outputs"]);
    let sizes = match call.ints("split") {
        Some(sizes) => sizes.to_vec(),
        None => match call.known(1, "list of sizes")? {
            Some(sizes) => sizes.whole()?,
            None => return equal(call, to, axis),
        },
    };
    if sizes.iter().any(|size| !(0..1 << 40).contains(size)) {
        return Err(format!("its sizes are {sizes:?}"));
    }
    let mut start = 0;
    let mut parts = Vec::new();
    for (place, size) in sizes.iter().enumerate() {
        let cut = Cut {
            axis,
            start,
            end: Some(start + size),
            step: 1,
        };
        start += size;
        let op = Slice {
            cuts: Some(vec![cut]),
        };
        parts.push(match place {
            0 => to.add(op, &[call.input(0)?])?,
            _ => to.part(&place.to_string(), op, &[call.input(0)?])?,
        });
    }
    Ok(parts)
}
