//! Recurrent layers over `[T, N, inputs]`, one direction each: LSTM, GRU, and plain ones.
//!
//! Every one of them keeps a value `v` (an LSTM's cell, else what it gives) and writes a candidate into it, each by a gate:
//! `v_t = keep · v_{t−1} + write · n_t`, `n_t = φ(z_t)`, and `z_t` is linear in what is read and in what was given before. To
//! relevance the gates are held, and the signal takes all (Arras et al. 2017, "Explaining Recurrent Neural Network Predictions in
//! Sentiment Analysis", section 3.2): of a sum each term in proportion, `z_t` by a rule (theirs is ε), a gate none.

use std::ops::RangeInclusive;

use candle_core::{D, DType, Shape, Tensor, Var};
use serde::{Deserialize, Serialize};

use super::linear::yes;
use super::places::problem;
use crate::kernels::pointwise::quotient;
use crate::kernels::{linear, lstm};
use crate::{
    Backward, Branch, Gradients, Init, Inside, Kind, LinearOp, Map, Mode, Op, OwnWay, ParamSpec,
    Params, Passed, Passing, Result,
};

/// A recurrent layer in one direction. Parameters are `weight_ih` `[gates · hidden, inputs]`, `weight_hh` `[gates · hidden, hidden]`
/// and, with a bias, `bias_ih` and `bias_hh`, with PyTorch's order of gates. It reads `[T, N, inputs]` and, if they are given, the state
/// before: what was given, `[N, hidden]`, and of an LSTM the cell, `[N, hidden]`; else 0. It gives `[T, N, hidden]`, and of an
/// LSTM `[T, N, 2 hidden]`: what it gives, and the cells behind.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recurrent {
    /// What happens at a step.
    pub cell: Cell,
    /// Values read at a step.
    pub inputs: usize,
    /// Values given at a step.
    pub hidden: usize,
    /// Whether it goes from the last step to the first.
    #[serde(default)]
    pub reverse: bool,
    /// Whether there is a bias.
    #[serde(default = "yes")]
    pub bias: bool,
}

/// What happens at a step of a recurrent layer, with σ(x) = 1/(1 + e⁻ˣ).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cell {
    /// `c = σ(f) c + σ(i) tanh(g)`, `h = σ(o) tanh(c)`; gates i, f, g, o (Hochreiter & Schmidhuber 1997).
    Lstm,
    /// `h = σ(z) h + (1 − σ(z)) tanh(n + σ(r) n_h)` with `n_h` of the state, its bias in it; gates r, z, n (Cho et al. 2014, as cuDNN has it).
    Gru,
    /// The same with `n_h` of `σ(r) h`.
    GruResetBefore,
    /// `h = tanh(n)`.
    Tanh,
    /// `h = max(n, 0)`.
    Relu,
}

/// What a step computed.
struct Step {
    /// What is given.
    h: Tensor,
    /// What is kept: an LSTM's cell, else what is given.
    v: Tensor,
    /// What of the value before is kept, and what of the candidate is written.
    gates: Option<[Tensor; 2]>,
    /// The candidate, and what it is a function of.
    n: Tensor,
    z: Tensor,
    /// What the state before is multiplied by before its weights, or what comes of it behind them.
    reset: Option<Tensor>,
}

/// σ. Below this e⁻ˣ is still a number in f32: were it infinite, the gradient would be 0 · ∞.
fn sigmoid(x: &Tensor) -> Result<Tensor> {
    const LEAST: f64 = -80.0;
    Ok((x.maximum(LEAST)?.neg()?.exp()? + 1.0)?.recip()?)
}

impl Cell {
    fn gates(self) -> usize {
        match self {
            Cell::Lstm => 4,
            Cell::Gru | Cell::GruResetBefore => 3,
            Cell::Tanh | Cell::Relu => 1,
        }
    }

    /// Which gate is the candidate.
    fn candidate(self) -> usize {
        match self {
            Cell::Lstm | Cell::Gru | Cell::GruResetBefore => 2,
            Cell::Tanh | Cell::Relu => 0,
        }
    }

    /// A step from what comes of the input, `[N, gates · hidden]`, and the state before.
    fn step(self, of_input: &Tensor, layer: &Weights, h: &Tensor, v: &Tensor) -> Result<Step> {
        let gate = |all: &Tensor, place: usize| -> Result<Tensor> {
            Ok(all.narrow(1, place * layer.hidden, layer.hidden)?)
        };
        let plain = |z: Tensor, n: Tensor| Step {
            h: n.clone(),
            v: n.clone(),
            gates: None,
            n,
            z,
            reset: None,
        };
        match self {
            Cell::Lstm => {
                let all = (of_input + layer.of_state(h)?)?;
                let z = gate(&all, 2)?;
                let n = z.tanh()?;
                let [write, keep] = [sigmoid(&gate(&all, 0)?)?, sigmoid(&gate(&all, 1)?)?];
                let v = ((&keep * v)? + (&write * &n)?)?;
                Ok(Step {
                    h: (sigmoid(&gate(&all, 3)?)? * v.tanh()?)?,
                    v,
                    gates: Some([keep, write]),
                    n,
                    z,
                    reset: None,
                })
            }
            Cell::Gru | Cell::GruResetBefore => {
                let of_state = layer.of_state(h)?;
                let both = |place| -> Result<Tensor> {
                    sigmoid(&(gate(of_input, place)? + gate(&of_state, place)?)?)
                };
                let (reset, keep) = (both(0)?, both(1)?);
                let of_state = match self {
                    Cell::Gru => (&reset * gate(&of_state, 2)?)?,
                    _ => gate(&layer.of_state(&(&reset * h)?)?, 2)?,
                };
                let z = (gate(of_input, 2)? + of_state)?;
                let n = z.tanh()?;
                let write = (1.0 - &keep)?;
                let h = ((&keep * h)? + (&write * &n)?)?;
                Ok(Step {
                    h: h.clone(),
                    v: h,
                    gates: Some([keep, write]),
                    n,
                    z,
                    reset: Some(reset),
                })
            }
            Cell::Tanh => {
                let z = (of_input + layer.of_state(h)?)?;
                let n = z.tanh()?;
                Ok(plain(z, n))
            }
            Cell::Relu => {
                let z = (of_input + layer.of_state(h)?)?;
                let n = z.relu()?;
                Ok(plain(z, n))
            }
        }
    }
}

/// The parameters as steps read them.
struct Weights {
    hidden: usize,
    /// `[inputs, gates · hidden]`.
    of_input: Tensor,
    /// `[hidden, gates · hidden]`.
    of_state: Tensor,
    bias: Option<[Tensor; 2]>,
}

impl Weights {
    fn of_state(&self, h: &Tensor) -> Result<Tensor> {
        let product = h.matmul(&self.of_state)?;
        Ok(match &self.bias {
            Some([_, bias]) => product.broadcast_add(bias)?,
            None => product,
        })
    }
}

/// All steps, the first in time first, with the state before the first that was computed.
struct Run {
    steps: Vec<Step>,
    before: [Tensor; 2],
}

impl Recurrent {
    fn weights(&self, params: &Params) -> Result<Weights> {
        let turned = |name: &str| -> Result<Tensor> { Ok(params[name].t()?.contiguous()?) };
        let bias = match self.bias {
            true => Some([params["bias_ih"].clone(), params["bias_hh"].clone()]),
            false => None,
        };
        Ok(Weights {
            hidden: self.hidden,
            of_input: turned("weight_ih")?,
            of_state: turned("weight_hh")?,
            bias,
        })
    }

    /// The steps in the order in which they are computed.
    fn order(&self, steps: usize) -> Vec<usize> {
        match self.reverse {
            true => (0..steps).rev().collect(),
            false => (0..steps).collect(),
        }
    }

    fn run(&self, weights: &Weights, inputs: &[&Tensor]) -> Result<Run> {
        let (flat, steps, batch) = self.flat(inputs)?;
        let mut of_input = flat.matmul(&weights.of_input)?;
        if let Some([bias, _]) = &weights.bias {
            of_input = of_input.broadcast_add(bias)?;
        }
        let of_input = of_input.reshape((steps, batch, ()))?;
        let h = self.state(inputs, 1)?;
        let v = match self.cell {
            Cell::Lstm => self.state(inputs, 2)?,
            _ => h.clone(),
        };
        let before = [h.clone(), v.clone()];
        let (mut h, mut v) = (h, v);
        let mut all: Vec<Option<Step>> = (0..steps).map(|_| None).collect();
        for time in self.order(steps) {
            let step = self.cell.step(&of_input.get(time)?, weights, &h, &v)?;
            (h, v) = (step.h.clone(), step.v.clone());
            all[time] = Some(step);
        }
        Ok(Run {
            steps: all.into_iter().flatten().collect(),
            before,
        })
    }

    /// What an LSTM gives, of which nothing else is kept.
    fn lstm(&self, params: &Params, inputs: &[&Tensor]) -> Result<Tensor> {
        let (flat, steps, batch) = self.flat(inputs)?;
        let (to_input, to_state) = (params.get("bias_ih"), params.get("bias_hh"));
        let of_input = linear::forward(&flat, &params["weight_ih"], to_input, false)?;
        let of_input = of_input.reshape((steps, batch, ()))?;
        let mut state = Tensor::cat(&[self.state(inputs, 1)?, self.state(inputs, 2)?], 1)?;
        let mut all: Vec<Option<Tensor>> = vec![None; steps];
        for time in self.order(steps) {
            let h = state.narrow(1, 0, self.hidden)?;
            let of_state = linear::forward(&h, &params["weight_hh"], to_state, false)?;
            state = lstm::step(&of_input.get(time)?, &of_state, &state)?;
            all[time] = Some(state.clone());
        }
        let all: Vec<Tensor> = all.into_iter().flatten().collect();
        Ok(Tensor::stack(&all, 0)?)
    }

    /// What is read, a row for each step of each input of the batch, and how many steps and inputs there are.
    fn flat(&self, inputs: &[&Tensor]) -> Result<(Tensor, usize, usize)> {
        let (steps, batch, width) = inputs[0].dims3()?;
        if steps == 0 || width != self.inputs {
            return problem(format!(
                "a recurrent layer of {} values reads no {:?}",
                self.inputs,
                inputs[0].dims()
            ));
        }
        let flat = inputs[0].contiguous()?.reshape((steps * batch, width))?;
        Ok((flat, steps, batch))
    }

    /// The state before the first step that is the input at this place, if it is given.
    fn state(&self, inputs: &[&Tensor], place: usize) -> Result<Tensor> {
        let like = inputs[0];
        let shape = (like.dim(1)?, self.hidden);
        Ok(match inputs.get(place) {
            Some(given) => given.broadcast_as(shape)?.contiguous()?,
            None => Tensor::zeros(shape, like.dtype(), like.device())?,
        })
    }

    fn given(&self, run: &Run) -> Result<Tensor> {
        let each = run.steps.iter().map(|step| match self.cell {
            Cell::Lstm => Ok(Tensor::cat(&[&step.h, &step.v], D::Minus1)?),
            _ => Ok(step.h.clone()),
        });
        Ok(Tensor::stack(&each.collect::<Result<Vec<_>>>()?, 0)?)
    }
}

impl Op for Recurrent {
    fn name(&self) -> &str {
        "recurrent"
    }

    fn kind(&self) -> Kind {
        Kind::Recurrent
    }

    fn keeps_batch(&self) -> bool {
        false
    }

    fn arity(&self) -> RangeInclusive<usize> {
        match self.cell {
            Cell::Lstm => 1..=3,
            _ => 1..=2,
        }
    }

    fn params(&self) -> Vec<ParamSpec> {
        let rows = self.cell.gates().saturating_mul(self.hidden);
        let spec = |name, shape: Shape| ParamSpec {
            name,
            shape,
            init: Init::FanIn(self.hidden),
            trained: true,
        };
        let mut all = vec![
            spec("weight_ih", (rows, self.inputs).into()),
            spec("weight_hh", (rows, self.hidden).into()),
            spec("bias_ih", rows.into()),
            spec("bias_hh", rows.into()),
        ];
        all.truncate(if self.bias { 4 } else { 2 });
        all
    }

    fn forward(&self, params: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        let mut all = inputs.iter().copied().chain(params.values());
        let by_kernel = self.cell == Cell::Lstm
            && inputs[0].device().is_cpu()
            && all.all(|x| x.dtype() == DType::F32 && !x.track_op());
        match by_kernel {
            true => self.lstm(params, inputs),
            false => self.given(&self.run(&self.weights(params)?, inputs)?),
        }
    }

    fn branches(&self, inputs: usize) -> Vec<Branch<'_>> {
        Branch::each(inputs, || Map::Own(self))
    }

    /// By candle, through all steps.
    fn backward(&self, pass: &Backward) -> Result<Gradients> {
        let tracked = |tensor: &Tensor| Var::from_tensor(tensor);
        let inputs: Vec<Var> = pass
            .inputs
            .iter()
            .map(|x| tracked(x))
            .collect::<Result<_, _>>()?;
        let params: Vec<(&'static str, Var)> = self
            .params()
            .into_iter()
            .map(|spec| Ok((spec.name, tracked(&pass.params[spec.name])?)))
            .collect::<Result<_>>()?;
        let all = params
            .iter()
            .map(|(name, var)| ((*name).to_owned(), var.as_tensor().clone()));
        let read: Vec<&Tensor> = inputs.iter().map(Var::as_tensor).collect();
        let given = self.forward(&all.collect(), &read, &mut Mode::Infer)?;
        let found = (given * pass.gradient)?.sum_all()?.backward()?;
        let of = |var: &Var| match found.get(var) {
            Some(gradient) => Ok(gradient.clone()),
            None => Ok(var.zeros_like()?),
        };
        Ok(Gradients {
            inputs: inputs.iter().map(of).collect::<Result<_>>()?,
            params: match pass.wants_params {
                true => {
                    let each = params.iter().map(|(name, var)| Ok((*name, of(var)?)));
                    each.collect::<Result<_>>()?
                }
                false => Vec::new(),
            },
        })
    }
}

/// Where a quotient has no ε of its own (the design's definitions).
const STABILIZER: f64 = 1e-6;

/// What ε takes of a quotient, `[N]`.
fn taken(quotient: &Tensor, z: &Tensor) -> Result<Tensor> {
    let sign = z.ge(0.0)?.to_dtype(z.dtype())?.affine(2.0, -1.0)?;
    Ok((quotient * sign)?.affine(STABILIZER, 0.0)?.sum(1)?)
}

/// What a candidate is a function of, as a layer of what is read beside the state before, `[N, inputs + hidden]`.
struct Candidate {
    inputs: usize,
    /// `[hidden, inputs + hidden]`.
    weight: Tensor,
    /// Of what is read, and of the state.
    biases: Option<[Tensor; 2]>,
    /// What comes of the state, its bias too, is multiplied by this.
    reset: Option<Tensor>,
}

impl Candidate {
    /// Each part of the weights, `[hidden, …]`: that of what is read, and that of the state.
    fn parts(&self, weight: &Tensor) -> Result<[Tensor; 2]> {
        let hidden = weight.dim(0)?;
        Ok([
            weight.narrow(1, 0, self.inputs)?,
            weight.narrow(1, self.inputs, hidden)?,
        ])
    }
}

impl LinearOp for Candidate {
    fn weights(&self, _: &Params, _: &[&Tensor]) -> Result<(Tensor, Option<Tensor>)> {
        let bias = match (&self.biases, &self.reset) {
            (None, _) => None,
            (Some([of_input, of_state]), None) => Some((of_input + of_state)?),
            (Some([of_input, of_state]), Some(reset)) => {
                Some(reset.broadcast_mul(of_state)?.broadcast_add(of_input)?)
            }
        };
        Ok((self.weight.clone(), bias))
    }

    fn apply(&self, input: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let Some(reset) = &self.reset else {
            return Ok(input.matmul(&weight.t()?)?);
        };
        let [of_input, of_state] = self.parts(weight)?;
        let read = input.narrow(1, 0, self.inputs)?.matmul(&of_input.t()?)?;
        let state = input.narrow(1, self.inputs, weight.dim(0)?)?;
        Ok((read + (reset * state.matmul(&of_state.t()?)?)?)?)
    }

    fn transpose(&self, output: &Tensor, weight: &Tensor, _: &Shape) -> Result<Tensor> {
        let Some(reset) = &self.reset else {
            return Ok(output.matmul(weight)?);
        };
        let [of_input, of_state] = self.parts(weight)?;
        let state = (output * reset)?.matmul(&of_state)?;
        Ok(Tensor::cat(&[output.matmul(&of_input)?, state], 1)?)
    }
}

impl Recurrent {
    /// The candidate's layer, where the state is multiplied by nothing.
    fn candidate(&self, params: &Params) -> Result<Candidate> {
        let (hidden, candidate) = (self.hidden, self.cell.candidate());
        let rows = |name: &str| params[name].narrow(0, candidate * hidden, hidden);
        let biases = match self.bias {
            true => Some([rows("bias_ih")?, rows("bias_hh")?]),
            false => None,
        };
        Ok(Candidate {
            inputs: self.inputs,
            weight: Tensor::cat(&[rows("weight_ih")?, rows("weight_hh")?], 1)?,
            biases,
            reset: None,
        })
    }
}

impl OwnWay for Recurrent {
    fn pass(&self, pass: &Passing, place: usize) -> Result<Passed> {
        let run = self.run(&self.weights(pass.params)?, pass.inputs)?;
        let input = pass.inputs[0];
        let hidden = self.hidden;
        let mut layer = self.candidate(pass.params)?;
        let none = run.before[0].zeros_like()?;
        let (mut of_h, mut of_v) = (none.clone(), none.clone());
        let mut epsilon = none.sum(1)?;
        let order = self.order(run.steps.len());
        let mut by_input = vec![None; order.len()];
        for (place, time) in order.iter().enumerate().rev() {
            let step = &run.steps[*time];
            let (h, v) = match place.checked_sub(1) {
                Some(before) => (&run.steps[order[before]].h, &run.steps[order[before]].v),
                None => (&run.before[0], &run.before[1]),
            };
            let arrived = pass.relevance.get(*time)?;
            let mut here = (&of_h + arrived.narrow(1, 0, hidden)?)?;
            if self.cell == Cell::Lstm {
                here = ((here + arrived.narrow(1, hidden, hidden)?)? + &of_v)?;
            }
            let (old, new) = match &step.gates {
                None => (none.clone(), here),
                Some([keep, write]) => {
                    let q = quotient(&here, &step.v, STABILIZER, 1.0)?;
                    epsilon = (epsilon + taken(&q, &step.v)?)?;
                    (((keep * v)? * &q)?, ((write * &step.n)? * &q)?)
                }
            };
            let mut state = h.clone();
            if let Some(reset) = &step.reset {
                match self.cell {
                    Cell::GruResetBefore => state = (reset * h)?,
                    _ => layer.reset = Some(reset.clone()),
                }
            }
            let both = (pass.by_rule)(Inside {
                layer: &layer,
                input: &Tensor::cat(&[&input.get(*time)?, &state], 1)?,
                output: &step.z,
                relevance: &new.contiguous()?,
            })?;
            by_input[*time] = Some(both.narrow(1, 0, self.inputs)?);
            let back = both.narrow(1, self.inputs, hidden)?;
            (of_h, of_v) = match self.cell {
                Cell::Lstm => (back, old),
                _ => ((back + old)?, none.clone()),
            };
        }
        let by_input: Vec<Tensor> = by_input.into_iter().flatten().collect();
        let relevance = match place {
            0 => Tensor::stack(&by_input, 0)?,
            1 => of_h,
            _ => of_v,
        };
        Ok(Passed {
            relevance,
            epsilon: Some(epsilon),
        })
    }

    fn text(&self) -> &'static str {
        "signal takes all, gates none"
    }

    fn takes_rule(&self) -> bool {
        true
    }
}
