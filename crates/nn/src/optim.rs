//! Optimizers with PyTorch's arithmetic, their state in tensors that a checkpoint can hold.

use std::collections::BTreeMap;

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, DType, InplaceOp2, InplaceOp3, Layout, Tensor, Var};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::kernels::cpu;
#[cfg(feature = "cuda")]
use crate::kernels::cuda;
#[cfg(any(feature = "cuda", test))]
use crate::kernels::cuda::Expression;

/// How parameters follow their gradients.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "optimizer", rename_all = "lowercase")]
pub enum Optimizer {
    /// `m ← μ·m + g`, `w ← w − lr·m`.
    Sgd {
        /// Learning rate.
        lr: f64,
        /// μ.
        momentum: f64,
    },
    /// Decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2), β = (0.9, 0.999), ε = 1e-8.
    AdamW {
        /// Learning rate.
        lr: f64,
        /// Decay of the weights, per step and unit of the learning rate.
        weight_decay: f64,
    },
}

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

impl Optimizer {
    /// The names of the tensors kept for each parameter.
    pub fn slots(&self) -> &'static [&'static str] {
        match self {
            Optimizer::Sgd { .. } => &["momentum"],
            Optimizer::AdamW { .. } => &["first", "second"],
        }
    }

    /// Zeros for a parameter's slots.
    pub fn start(&self, parameter: &Tensor) -> Result<BTreeMap<String, Var>> {
        self.slots()
            .iter()
            .map(|slot| {
                Ok((
                    (*slot).to_owned(),
                    Var::from_tensor(&parameter.zeros_like()?)?,
                ))
            })
            .collect()
    }

    /// The same with its learning rate times `factor`.
    pub fn scaled(self, factor: f64) -> Optimizer {
        match self {
            Optimizer::Sgd { lr, momentum } => Optimizer::Sgd {
                lr: lr * factor,
                momentum,
            },
            Optimizer::AdamW { lr, weight_decay } => Optimizer::AdamW {
                lr: lr * factor,
                weight_decay,
            },
        }
    }

    /// Moves `parameter` along `gradient`, the `step`th time (counted from 1).
    pub fn update(
        &self,
        step: u64,
        parameter: &Var,
        gradient: &Tensor,
        slots: &BTreeMap<String, Var>,
    ) -> Result<()> {
        let in_place = !gradient.device().is_cpu() || gradient.dtype() == DType::F32;
        match *self {
            Optimizer::Sgd { lr, momentum } => {
                let buffer = &slots["momentum"];
                if in_place {
                    buffer.inplace_op2(
                        &gradient.contiguous()?,
                        &Mix {
                            keep: momentum,
                            take: 1.0,
                            square: false,
                        },
                    )?;
                    parameter.inplace_op2(
                        buffer,
                        &Mix {
                            keep: 1.0,
                            take: -lr,
                            square: false,
                        },
                    )?;
                } else {
                    buffer.set(&((buffer.as_tensor() * momentum)? + gradient)?)?;
                    parameter.set(&(parameter.as_tensor() - (buffer.as_tensor() * lr)?)?)?;
                }
            }
            Optimizer::AdamW { lr, weight_decay } => {
                let (first, second) = (&slots["first"], &slots["second"]);
                let scale = lr / (1.0 - BETA1.powi(step as i32));
                let correction = (1.0 - BETA2.powi(step as i32)).sqrt();
                let keep = 1.0 - lr * weight_decay;
                if in_place {
                    let gradient = gradient.contiguous()?;
                    first.inplace_op2(
                        &gradient,
                        &Mix {
                            keep: BETA1,
                            take: 1.0 - BETA1,
                            square: false,
                        },
                    )?;
                    second.inplace_op2(
                        &gradient,
                        &Mix {
                            keep: BETA2,
                            take: 1.0 - BETA2,
                            square: true,
                        },
                    )?;
                    parameter.inplace_op3(
                        first,
                        second,
                        &AdamStep {
                            keep,
                            scale,
                            correction,
                        },
                    )?;
                } else {
                    first.set(&((first.as_tensor() * BETA1)? + (gradient * (1.0 - BETA1))?)?)?;
                    second.set(
                        &((second.as_tensor() * BETA2)? + (gradient.sqr()? * (1.0 - BETA2))?)?,
                    )?;
                    let spread = ((second.as_tensor().sqrt()? / correction)? + EPSILON)?;
                    let moved =
                        ((parameter.as_tensor() * keep)? - (first.as_tensor() / spread)? * scale)?;
                    parameter.set(&moved)?;
                }
            }
        }
        Ok(())
    }
}

/// Values that one thread takes at a time.
const CHUNK: usize = 1 << 16;

fn values<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> candle_core::Result<&'a mut [f32]> {
    let dtype = storage.dtype();
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&mut values[start..end]),
        _ => Err(cpu::unsupported("an optimizer's step in place", dtype)),
    }
}

/// `x ← keep·x + take·y`, or `take·y²`.
struct Mix {
    keep: f64,
    take: f64,
    square: bool,
}

impl Mix {
    /// The same on NVIDIA devices, of x and y.
    #[cfg(any(feature = "cuda", test))]
    fn expression(&self) -> Expression {
        Expression {
            text: match self.square {
                true => "p * a + q * b * b",
                false => "p * a + q * b",
            },
            numbers: [self.keep, self.take, 0.0],
        }
    }
}

impl InplaceOp2 for Mix {
    fn name(&self) -> &'static str {
        "mix"
    }

    fn cpu_fwd(
        &self,
        x: &mut CpuStorage,
        xl: &Layout,
        y: &CpuStorage,
        yl: &Layout,
    ) -> candle_core::Result<()> {
        let (keep, take) = (self.keep as f32, self.take as f32);
        let y = cpu::slice::<f32>(y, yl)?;
        values(x, xl)?
            .par_chunks_mut(CHUNK)
            .zip(y.par_chunks(CHUNK))
            .for_each(|(x, y)| {
                if self.square {
                    x.iter_mut()
                        .zip(y)
                        .for_each(|(x, y)| *x = keep * *x + take * y * y);
                } else {
                    x.iter_mut()
                        .zip(y)
                        .for_each(|(x, y)| *x = keep * *x + take * y);
                }
            });
        Ok(())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &mut CudaStorage,
        xl: &Layout,
        y: &CudaStorage,
        yl: &Layout,
    ) -> candle_core::Result<()> {
        cuda::expression_in_place(self.expression(), "mix", (x, xl), [(y, yl); 2])
    }
}

/// `w ← keep·w − scale · m / (√v / correction + ε)`.
struct AdamStep {
    keep: f64,
    scale: f64,
    correction: f64,
}

impl AdamStep {
    /// The same on NVIDIA devices, of w, m and v.
    #[cfg(any(feature = "cuda", test))]
    fn expression(&self) -> Expression {
        Expression {
            text: "p * a - q * b / (sqrt(c) * r + T(1e-8))",
            numbers: [self.keep, self.scale, self.correction.recip()],
        }
    }
}

impl InplaceOp3 for AdamStep {
    fn name(&self) -> &'static str {
        "adam-step"
    }

    fn cpu_fwd(
        &self,
        w: &mut CpuStorage,
        wl: &Layout,
        m: &CpuStorage,
        ml: &Layout,
        v: &CpuStorage,
        vl: &Layout,
    ) -> candle_core::Result<()> {
        let (keep, scale, correction) = (
            self.keep as f32,
            self.scale as f32,
            self.correction.recip() as f32,
        );
        let (m, v) = (cpu::slice::<f32>(m, ml)?, cpu::slice::<f32>(v, vl)?);
        let step = |((w, m), v): ((&mut [f32], &[f32]), &[f32])| {
            for ((w, m), v) in w.iter_mut().zip(m).zip(v) {
                *w = keep * *w - scale * m / (v.sqrt() * correction + EPSILON as f32);
            }
        };
        values(w, wl)?
            .par_chunks_mut(CHUNK)
            .zip(m.par_chunks(CHUNK))
            .zip(v.par_chunks(CHUNK))
            .for_each(step);
        Ok(())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        w: &mut CudaStorage,
        wl: &Layout,
        m: &CudaStorage,
        ml: &Layout,
        v: &CudaStorage,
        vl: &Layout,
    ) -> candle_core::Result<()> {
        let others = [(m, ml), (v, vl)];
        cuda::expression_in_place(self.expression(), "adam-step", (w, wl), others)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::kernels::cuda::rehearse;

    /// The step in place (f32) and by tensor operations (f64) are one arithmetic.
    #[test]
    fn both_paths_take_the_same_steps() {
        for optimizer in [
            Optimizer::Sgd {
                lr: 0.1,
                momentum: 0.9,
            },
            Optimizer::AdamW {
                lr: 0.1,
                weight_decay: 0.01,
            },
        ] {
            let start = Tensor::new(&[1.0f32, -2.0, 0.5], &Device::Cpu).unwrap();
            let paths = [DType::F32, DType::F64].map(|dtype| {
                let parameter = Var::from_tensor(&start.to_dtype(dtype).unwrap()).unwrap();
                let slots = optimizer.start(&parameter).unwrap();
                for step in 1..=5 {
                    let gradient = (parameter.as_tensor().detach() * 0.7).unwrap();
                    optimizer
                        .update(step, &parameter, &gradient, &slots)
                        .unwrap();
                }
                parameter
                    .to_dtype(DType::F64)
                    .unwrap()
                    .to_vec1::<f64>()
                    .unwrap()
            });
            for (one, other) in paths[0].iter().zip(&paths[1]) {
                assert!(
                    (one - other).abs() < 1e-6,
                    "{optimizer:?}: {one} and {other}"
                );
            }
        }
    }

    /// What NVIDIA devices compute is what the CPU does.
    #[test]
    fn expressions_say_the_same() {
        let [x, y, z] = [[1.5f32, -2.0, 0.25], [0.5, 3.0, -1.0], [0.01, 4.0, 0.0]];
        let on_cpu = |values: &[f32]| Tensor::new(values, &Device::Cpu).unwrap();
        let read = |tensor: &Tensor| tensor.to_vec1::<f32>().unwrap();
        let near = |found: Option<Vec<f32>>, expected: Vec<f32>| {
            for (found, expected) in found.into_iter().flatten().zip(expected) {
                assert!(
                    (found - expected).abs() <= 1e-6 * expected.abs(),
                    "{found}, not {expected}"
                );
            }
        };
        for square in [false, true] {
            let mix = Mix {
                keep: 0.9,
                take: -0.3,
                square,
            };
            let own = Var::from_tensor(&on_cpu(&x)).unwrap();
            own.inplace_op2(&on_cpu(&y), &mix).unwrap();
            near(rehearse(mix.expression(), [&x, &y, &y]), read(&own));
        }
        let step = AdamStep {
            keep: 0.99,
            scale: 0.01,
            correction: 0.03,
        };
        let own = Var::from_tensor(&on_cpu(&x)).unwrap();
        own.inplace_op3(&on_cpu(&y), &on_cpu(&z), &step).unwrap();
        near(rehearse(step.expression(), [&x, &y, &z]), read(&own));
    }
}
