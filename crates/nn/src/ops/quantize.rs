//! Numbers rounded to few steps, as quantized networks compute. To gradients and relevance the rounding is not there: they pass as
//! through the numbers themselves (the straight-through estimator, Bengio et al. 2013).

use std::ops::RangeInclusive;

use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

use super::functions::{Function, half_to_even};
use super::places::axis;
use crate::kernels::functions::{ROUNDING, each};
use crate::{Backward, Branch, Claims, Gradients, Kind, Map, Mode, Op, Params, Result};

/// `round(x / scale) + zero`, no less and no more than a type holds; halves go to the even neighbour. It reads x, the scale and, if it is
/// not 0, the zero: one of each, or one for each place of an axis.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantize {
    /// The axis, counted from the end if negative, where there are several scales.
    pub axis: i64,
    /// The lowest number that the type holds.
    pub low: f64,
    /// The highest one.
    pub high: f64,
}

/// `(x − zero) · scale`, which reads likewise.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dequantize {
    /// The axis, counted from the end if negative, where there are several scales.
    pub axis: i64,
}

/// A scale or a zero as it goes with `x`, of x's number type.
fn along(part: &Tensor, x: &Tensor, place: i64) -> Result<Tensor> {
    let part = part.to_dtype(x.dtype())?;
    if part.elem_count() == 1 {
        return Ok(part.reshape(())?);
    }
    let mut dims = vec![1; x.rank()];
    dims[axis(place, x.rank())?] = part.elem_count();
    Ok(part.reshape(dims)?)
}

/// The number type that whole numbers become, that of the scale.
fn real(x: &Tensor, scale: &Tensor) -> Result<Tensor> {
    Ok(match x.dtype().is_float() {
        true => x.clone(),
        false => x.to_dtype(scale.dtype())?,
    })
}

/// A scale and a zero that are one number each.
fn single(inputs: &[&Tensor]) -> Result<Option<(f32, f32)>> {
    if inputs[1..].iter().any(|part| part.elem_count() != 1) {
        return Ok(None);
    }
    let number = |part: &Tensor| -> Result<f32> {
        Ok(part.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?[0])
    };
    let zero = inputs.get(2).map(|zero| number(zero)).transpose()?;
    Ok(Some((number(inputs[1])?, zero.unwrap_or(0.0))))
}

/// `round(x / scale)` between two whole numbers; none if these are too large for it.
fn step(scale: f32, low: f32, high: f32) -> Option<impl Fn(f32) -> f32 + Copy + Send + Sync> {
    let suits = |bound: f32| bound.abs() < 65_536.0 && bound.fract() == 0.0;
    (suits(low) && suits(high)).then_some(move |x: f32| {
        let x = x / scale;
        // What is cut first is not too large to be rounded so.
        let cut = match (x < low, x > high) {
            (true, _) => low,
            (_, true) => high,
            _ => x,
        };
        (cut + ROUNDING) - ROUNDING
    })
}

/// What [`Quantize`] and then [`Dequantize`] make of x by one scale: the nearest number that a type of few bits can stand for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FakeQuantize {
    /// From one such number to the next.
    pub scale: f64,
    /// What stands for 0.
    pub zero: f64,
    /// The lowest number that the type holds.
    pub low: f64,
    /// The highest one.
    pub high: f64,
}

impl Function for FakeQuantize {
    const NAME: &'static str = "fake-quantize";

    fn values(&self, x: &Tensor) -> Result<Tensor> {
        let (low, high) = (self.low - self.zero, self.high - self.zero);
        let scale = self.scale as f32;
        let step = step(scale, low as f32, high as f32);
        if let Some(values) = step.and_then(|step| each(x, move |x| step(x) * scale)) {
            return Ok(values?);
        }
        let steps = half_to_even(&(x / self.scale)?)?.clamp(low, high)?;
        Ok((steps * self.scale)?)
    }

    fn slopes(&self, x: &Tensor, _: &Tensor) -> Result<Tensor> {
        Ok(x.ones_like()?)
    }

    fn claims(&self) -> Claims {
        match (self.low..=self.high).contains(&self.zero) && self.scale > 0.0 {
            true => Claims::KEEPS_NON_NEGATIVE.keeping_zero(),
            false => Claims::default(),
        }
    }
}

fn gradients(pass: &Backward, of_input: Tensor) -> Result<Gradients> {
    let mut inputs = vec![of_input];
    for other in &pass.inputs[1..] {
        inputs.push(other.zeros_like()?);
    }
    Ok(Gradients {
        inputs,
        params: Vec::new(),
    })
}

impl Op for Quantize {
    fn name(&self) -> &str {
        "quantize"
    }

    fn kind(&self) -> Kind {
        Kind::Activation
    }

    fn arity(&self) -> RangeInclusive<usize> {
        2..=3
    }

    fn forward(&self, _: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        let x = real(inputs[0], inputs[1])?;
        if let Some((scale, zero)) = single(inputs)? {
            let step = step(scale, self.low as f32 - zero, self.high as f32 - zero);
            if let Some(steps) = step.and_then(|step| each(&x, move |x| step(x) + zero)) {
                return Ok(steps?);
            }
        }
        let mut steps = half_to_even(&x.broadcast_div(&along(inputs[1], &x, self.axis)?)?)?;
        if let Some(zero) = inputs.get(2) {
            steps = steps.broadcast_add(&along(zero, &x, self.axis)?)?;
        }
        Ok(steps.clamp(self.low, self.high)?)
    }

    fn branches(&self, _: usize) -> Vec<Branch<'_>> {
        Branch::only(Map::Each)
    }

    fn backward(&self, pass: &Backward) -> Result<Gradients> {
        let scale = along(pass.inputs[1], pass.gradient, self.axis)?;
        gradients(pass, pass.gradient.broadcast_div(&scale)?)
    }
}

impl Op for Dequantize {
    fn name(&self) -> &str {
        "dequantize"
    }

    fn kind(&self) -> Kind {
        Kind::Activation
    }

    fn arity(&self) -> RangeInclusive<usize> {
        2..=3
    }

    fn forward(&self, _: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        let mut x = real(inputs[0], inputs[1])?;
        if let Some((scale, zero)) = single(inputs)?
            && let Some(values) = each(&x, |x| (x - zero) * scale)
        {
            return Ok(values?);
        }
        if let Some(zero) = inputs.get(2) {
            x = x.broadcast_sub(&along(zero, &x, self.axis)?)?;
        }
        Ok(x.broadcast_mul(&along(inputs[1], &x, self.axis)?)?)
    }

    fn branches(&self, _: usize) -> Vec<Branch<'_>> {
        Branch::only(Map::Each)
    }

    fn backward(&self, pass: &Backward) -> Result<Gradients> {
        let scale = along(pass.inputs[1], pass.gradient, self.axis)?;
        let of_input = pass.gradient.broadcast_mul(&scale)?;
        gradients(pass, of_input)
    }
}

/// The step of 8 bits, and the number that stands for 0, by which the values of `x` reach from the lowest to the highest: ONNX's
/// DynamicQuantizeLinear. It takes no relevance.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuantizeScale {
    /// Whether the number for 0 is given, and not the step.
    pub zero: bool,
}

impl Op for QuantizeScale {
    fn name(&self) -> &str {
        "quantize-scale"
    }

    fn kind(&self) -> Kind {
        Kind::Choice
    }

    fn forward(&self, _: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        let all = inputs[0].flatten_all()?;
        let all = match all.dtype().is_float() {
            true => all,
            false => all.to_dtype(DType::F32)?,
        };
        let nought = Tensor::zeros((), all.dtype(), &Device::Cpu)?.to_device(all.device())?;
        let (low, high) = (all.min(0)?.minimum(&nought)?, all.max(0)?.maximum(&nought)?);
        let scale = ((high - &low)? / 255.0)?;
        // Of silence any step will do.
        let scale = scale.ne(0.0)?.where_cond(&scale, &scale.ones_like()?)?;
        Ok(match self.zero {
            false => scale,
            true => half_to_even(&(low.neg()? / scale)?)?.clamp(0.0, 255.0)?,
        })
    }

    fn branches(&self, _: usize) -> Vec<Branch<'_>> {
        Vec::new()
    }

    fn backward(&self, pass: &Backward) -> Result<Gradients> {
        gradients(pass, pass.inputs[0].zeros_like()?)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::{Device, Tensor};

    use crate::Architecture;
    use crate::ops::{Constant, Quantize};

    /// Halves go to the even neighbour, in one pass as in several.
    #[test]
    fn numbers_are_rounded_as_in_other_types() {
        let mut net = Architecture::reading("input", vec![None]);
        let scale = net.add("scale", Constant { shape: vec![] }, []).unwrap();
        let (axis, low, high) = (0, -128.0, 127.0);
        let quantize = Quantize { axis, low, high };
        net.add("quantize", quantize, [net.input(), scale]).unwrap();
        let graph = net.random(1, &Device::Cpu).unwrap();
        let half = |_: &str, _: &Tensor| Ok(Tensor::new(0.5f32, &Device::Cpu)?);
        let graph = graph.map_weights(half).unwrap();
        let input = [0.25, 0.75, 1.25, -0.25, -0.75, 0.3, -99.0, 99.0];
        let input = Tensor::new(&input.map(|x: f64| x as f32), &Device::Cpu).unwrap();
        let found = graph.forward(&input).unwrap();
        assert_eq!(
            found.to_vec1::<f32>().unwrap(),
            [0.0, 2.0, 2.0, 0.0, -2.0, 1.0, -128.0, 127.0]
        );
    }
}
