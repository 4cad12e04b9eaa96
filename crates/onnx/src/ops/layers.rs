//! Layers with weights: dense ones, convolutions, batch normalization, and products of matrices.

use candle_core::{DType, Tensor};
use speechlens_nn::Pair;
use speechlens_nn::ops::{
    Add, BatchNorm, Conv1d, Conv2d, ConvTranspose, Cut, Einsum, Fit, Linear, MatMul, Padding,
    Slice, Squeeze, Transpose, Unsqueeze, WindowPad,
};

use super::Entry;
use crate::call::{Call, Known, Value};
use crate::lower::Builder;

pub(super) const OPS: &[Entry] = &[
    ("BatchNormalization", batch_norm),
    ("Conv", conv),
    ("ConvTranspose", conv_transpose),
    ("Einsum", |call, to| {
        let op = Einsum::parse(call.text("equation").unwrap_or_default())?;
        Ok(vec![to.add(op, &[call.input(0)?, call.input(1)?])?])
    }),
    ("Gemm", gemm),
    ("MatMul", matmul),
];

pub(super) fn told(error: candle_core::Error) -> String {
    error.to_string()
}

/// Weights as the graph keeps them.
fn weights(known: &Known) -> Result<Tensor, String> {
    known.tensor.to_dtype(DType::F32).map_err(told)
}

/// No size of a window is larger: sizes that are multiplied stay numbers.
const LARGEST: i64 = 1 << 20;

/// A number of groups.
fn groups(call: &Call) -> Result<usize, String> {
    let groups = call.int("group").unwrap_or(1);
    match (1..=LARGEST).contains(&groups) {
        true => Ok(groups as usize),
        false => Err(format!("its attribute `group` is {groups}")),
    }
}

/// How the windows of a convolution or a pool lie on what it reads, along each axis.
pub(super) struct Windows {
    pub kernel: Vec<usize>,
    pub stride: Vec<usize>,
    pub dilation: Vec<usize>,
    pub before: Vec<usize>,
    pub after: Vec<usize>,
    pub fit: Option<Fit>,
}

impl Windows {
    pub fn of(call: &Call, kernel: Vec<usize>) -> Result<Self, String> {
        let axes = kernel.len();
        let list = |name, default: usize, count: usize| -> Result<Vec<usize>, String> {
            let Some(given) = call.ints(name) else {
                return Ok(vec![default; count]);
            };
            match given.len() == count && given.iter().all(|n| (0..=LARGEST).contains(n)) {
                true => Ok(given.iter().map(|n| *n as usize).collect()),
                false => Err(format!(
                    "its attribute `{name}` is {given:?}, and not {count} numbers from 0 to {LARGEST}"
                )),
            }
        };
        let (stride, dilation) = (list("strides", 1, axes)?, list("dilations", 1, axes)?);
        let mut before = list("pads", 0, 2 * axes)?;
        let after = before.split_off(axes);
        let fit = match call.text("auto_pad") {
            None | Some("NOTSET" | "") => None,
            Some("VALID") => None,
            Some("SAME_UPPER") => Some(Fit::Same { upper: true }),
            Some("SAME_LOWER") => Some(Fit::Same { upper: false }),
            Some(other) => return Err(format!("its attribute `auto_pad` is `{other}`")),
        };
        Ok(Windows {
            kernel,
            stride,
            dilation,
            before,
            after,
            fit,
        })
    }

    /// What is read with padding where the op itself cannot have it, and what padding the op then has on both ends of each axis.
    pub fn padded(
        &self,
        call: &Call,
        to: &mut Builder,
        with: Padding,
    ) -> Result<(Value, Vec<usize>), String> {
        let input = call.input(0)?.clone();
        if self.fit.is_none() && self.before == self.after {
            return Ok((input, self.before.clone()));
        }
        Ok((
            to.part("pad", self.pad(with), &[&input])?,
            vec![0; self.kernel.len()],
        ))
    }

    /// The padding by itself.
    pub fn pad(&self, with: Padding) -> WindowPad {
        WindowPad {
            kernel: self.kernel.clone(),
            stride: self.stride.clone(),
            dilation: self.dilation.clone(),
            before: self.before.clone(),
            after: self.after.clone(),
            fit: self.fit,
            with,
        }
    }
}

pub(super) fn conv(call: &Call, to: &mut Builder) -> Result<Vec<Value>, String> {
    let weight = weights(call.must_know(1, "weight")?)?;
    let bias = call.known(2, "bias")?.map(weights).transpose()?;
    let groups = groups(call)?;
    let (kernel, [outputs, inputs]) = match weight.dims() {
        [outputs, inputs, kernel @ ..] if matches!(kernel.len(), 1 | 2) => {
            (kernel.to_vec(), [*outputs, inputs * groups])
        }
        dims => {
            return Err(format!(
                "its weight is of the shape {dims:?}: convolutions over one or two axes are supported"
            ));
        }
    };
    if call
        .ints("kernel_shape")
        .is_some_and(|given| given.iter().map(|n| *n as usize).ne(kernel.iter().copied()))
    {
        return Err("its kernel is not that of its weight".into());
    }
    let windows = Windows::of(call, kernel)?;
    let (input, padding) = windows.padded(call, to, Padding::Value(0.0))?;
    let mut params = vec![("weight", weight)];
    let has_bias = bias.is_some();
    params.extend(bias.map(|bias| ("bias", bias)));
    let Windows {
        kernel,
        stride,
        dilation,
        ..
    } = windows;
    let given = match (
        kernel.as_slice(),
        stride.as_slice(),
        dilation.as_slice(),
        padding.as_slice(),
    ) {
        ([kernel], [stride], [dilation], [padding]) => {
            let op = Conv1d::new(inputs, outputs, *kernel)
                .stride(*stride)
                .dilation(*dilation)
                .padding(*padding)
                .groups(groups);
            let op = if has_bias { op } else { op.without_bias() };
            to.add_with(op, params, &[&input])?
        }
        ([h, w], [sh, sw], [dh, dw], [ph, pw]) => {
            let op = Conv2d::new(inputs, outputs, (*h, *w))
                .stride((*sh, *sw))
                .dilation((*dh, *dw))
                .padding((*ph, *pw))
                .groups(groups);
            let op = if has_bias { op } else { op.without_bias() };
            to.add_with(op, params, &[&input])?
        }
        _ => return Err("its windows are of no axes".into()),
    };
    Ok(vec![given])
}

fn batch_norm(call: &Call, to: &mut Builder) -> Result<Vec<Value>, String> {
    let epsilon = call.float("epsilon").unwrap_or(f64::from(1e-5f32));
    call.ignore(&["momentum", "spatial"]);
    if call.flag("training_mode", false) {
        return Err(
            "it takes the statistics of the batch, as in training: export the network in eval mode"
                .into(),
        );
    }
    let params = [
        (1, "weight", "scale"),
        (2, "bias", "shift"),
        (3, "running_mean", "mean"),
        (4, "running_var", "variance"),
    ];
    let params =
        params.map(|(place, name, what)| Ok((name, weights(call.must_know(place, what)?)?)));
    let params = params.into_iter().collect::<Result<Vec<_>, String>>()?;
    let channels = params[0].1.elem_count();
    let op = BatchNorm::new_2d(channels).epsilon(epsilon);
    Ok(vec![to.add_with(op, params, &[call.input(0)?])?])
}

/// Padding cuts what is given; where it differs from end to end, a slice does.
fn conv_transpose(call: &Call, to: &mut Builder) -> Result<Vec<Value>, String> {
    let weight = weights(call.must_know(1, "weight")?)?;
    let bias = call.known(2, "bias")?.map(weights).transpose()?;
    let groups = groups(call)?;
    if call.ints("output_shape").is_some()
        || call
            .text("auto_pad")
            .is_some_and(|pad| pad.starts_with("SAME"))
    {
        return Err(
            "its output's shape is given, and not its padding, which is not supported".into(),
        );
    }
    call.ignore(&["kernel_shape"]);
    let (over_time, weight) = match weight.rank() {
        3 => (true, weight.unsqueeze(2).map_err(told)?),
        4 => (false, weight),
        rank => {
            return Err(format!(
                "its weight has {rank} axes: convolutions over one or two axes are supported"
            ));
        }
    };
    let (inputs, outputs, height, width) = weight.dims4().map_err(told)?;
    let axes = if over_time { 1 } else { 2 };
    let windows = Windows::of(call, vec![1; axes])?;
    let more = match call.ints("output_padding") {
        None => vec![0; axes],
        Some(more) => more
            .iter()
            .map(|n| (*n).clamp(0, LARGEST) as usize)
            .collect(),
    };
    let pair = |list: &[usize], above: usize| match list {
        [only] => Pair {
            height: above,
            width: *only,
        },
        [height, width] => Pair {
            height: *height,
            width: *width,
        },
        _ => Pair {
            height: above,
            width: above,
        },
    };
    let is_even = windows.before == windows.after;
    let has_bias = bias.is_some();
    let op = ConvTranspose {
        inputs,
        outputs: outputs * groups,
        kernel: Pair { height, width },
        stride: pair(&windows.stride, 1),
        padding: if is_even {
            pair(&windows.before, 0)
        } else {
            0.into()
        },
        output_padding: pair(&more, 0),
        dilation: pair(&windows.dilation, 1),
        groups,
        bias: has_bias,
        over_time,
    };
    let mut params = vec![("weight", weight)];
    params.extend(bias.map(|bias| ("bias", bias)));
    let input = call.input(0)?;
    if is_even {
        return Ok(vec![to.add_with(op, params, &[input])?]);
    }
    let whole = to.part_with("whole", op, params, &[input])?;
    let cut = |(axis, (before, after)): (usize, (&usize, &usize))| Cut {
        axis: axis as i64 - axes as i64,
        start: *before as i64,
        end: (*after > 0).then_some(-(*after as i64)),
        step: 1,
    };
    let ends = windows.before.iter().zip(&windows.after);
    let cuts = Some(ends.enumerate().map(cut).collect());
    Ok(vec![to.add(Slice { cuts }, &[&whole])?])
}

/// A dense layer, with a weight as `[inputs, outputs]`.
fn dense(
    call: &Call,
    to: &mut Builder,
    weight: &Tensor,
    bias: Option<Tensor>,
) -> Result<Value, String> {
    let weight = weight
        .t()
        .and_then(|weight| weight.contiguous())
        .map_err(told)?;
    let (outputs, inputs) = weight.dims2().map_err(told)?;
    let op = Linear::new(inputs, outputs).on_any_axes();
    let (op, mut params) = (
        if bias.is_some() {
            op
        } else {
            op.without_bias()
        },
        vec![("weight", weight)],
    );
    params.extend(bias.map(|bias| ("bias", bias)));
    to.add_with(op, params, &[call.input(0)?])
}

/// `α A B + β C`.
fn gemm(call: &Call, to: &mut Builder) -> Result<Vec<Value>, String> {
    let (alpha, beta) = (
        call.float("alpha").unwrap_or(1.0),
        call.float("beta").unwrap_or(1.0),
    );
    let (turn_a, turn_b) = (call.flag("transA", false), call.flag("transB", false));
    if turn_a {
        return Err("its first matrix is transposed (transA), which is not supported".into());
    }
    let Value::Known(weight) = call.input(1)? else {
        if (alpha, beta) != (1.0, 1.0) {
            return Err(
                "its second matrix is computed, with alpha or beta, which is not supported".into(),
            );
        }
        let mut second = call.input(1)?.clone();
        if turn_b {
            second = to.part("transposed", Transpose { axes: None }, &[&second])?;
        }
        return Ok(vec![match call.optional(2) {
            None => to.add(MatMul, &[call.input(0)?, &second])?,
            Some(other) => {
                let product = to.part("product", MatMul, &[call.input(0)?, &second])?;
                to.add(Add, &[&product, other])?
            }
        }]);
    };
    let mut weight = (weights(weight)? * alpha).map_err(told)?;
    if turn_b {
        weight = weight.t().map_err(told)?;
    }
    let outputs = weight.dim(1).map_err(told)?;
    let Some(given) = call.known(2, "bias")? else {
        return Ok(vec![dense(call, to, &weight, None)?]);
    };
    let bias = (weights(given)? * beta).map_err(told)?;
    let row = match (bias.elem_count(), bias.dims()) {
        (count, [.., last]) if count == outputs && *last == outputs => bias.flatten_all(),
        (1, _) => bias
            .flatten_all()
            .and_then(|bias| bias.broadcast_as(outputs)?.contiguous()),
        // One for each row is no bias of a layer.
        _ => return Err("its bias differs from row to row, which is not supported".into()),
    };
    Ok(vec![dense(call, to, &weight, Some(row.map_err(told)?))?])
}

/// With a constant matrix it is a dense layer.
pub(super) fn matmul(call: &Call, to: &mut Builder) -> Result<Vec<Value>, String> {
    match (call.input(0)?, call.input(1)?) {
        (Value::Node(_), Value::Known(weight)) if weight.tensor.rank() == 2 => {
            Ok(vec![dense(call, to, &weights(weight)?, None)?])
        }
        (Value::Node(first), Value::Known(weight)) if weight.tensor.rank() == 1 => {
            let column = weights(weight)?.unsqueeze(1).map_err(told)?;
            let op = Linear::new(column.dims()[0], 1).without_bias();
            let row = column.t().and_then(|row| row.contiguous()).map_err(told)?;
            let product = to.part_with(
                "product",
                op,
                vec![("weight", row)],
                &[&Value::Node(*first)],
            )?;
            Ok(vec![to.add(Squeeze { axes: vec![-1] }, &[&product])?])
        }
        (first, second) => product(to, first, second),
    }
}

/// The product of matrices; a vector is a row before one, and a column behind one.
fn product(to: &mut Builder, first: &Value, second: &Value) -> Result<Vec<Value>, String> {
    let is_vector =
        |value: &Value| matches!(value, Value::Known(known) if known.tensor.rank() == 1);
    if is_vector(first) {
        let row = to.part("row", Unsqueeze { axes: vec![0] }, &[first])?;
        let product = to.part("product", MatMul, &[&row, second])?;
        return Ok(vec![to.add(Squeeze { axes: vec![-2] }, &[&product])?]);
    }
    if is_vector(second) {
        let column = to.part("column", Unsqueeze { axes: vec![1] }, &[second])?;
        let product = to.part("product", MatMul, &[first, &column])?;
        return Ok(vec![to.add(Squeeze { axes: vec![-1] }, &[&product])?]);
    }
    Ok(vec![to.add(MatMul, &[first, second])?])
}
