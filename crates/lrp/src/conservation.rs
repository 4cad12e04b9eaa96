//! Where relevance went: what each layer passed on, and what it kept.

use candle_core::Tensor;
use speechlens_nn::Kind;
use speechlens_nn::kernels::sums::{sum_by_input, sum_of_products, sum_stabilized};

use crate::Result;

/// What became of the relevance that arrived at a node, for each input of the batch. All that arrived is passed on, kept by
/// the bias, lost to ε or on a softmax, or in the remainder.
#[derive(Clone, Debug)]
pub struct Conservation {
    /// The node.
    pub node: String,
    /// What a composite calls it.
    pub kind: Kind,
    /// Its rule, if it needs one.
    pub rule: Option<String>,
    /// The relevance of its output.
    pub arrived: Vec<f64>,
    /// The relevance of what it reads.
    pub passed: Vec<f64>,
    /// What the bias took, and what stands for one: constants and states, and values that padding added.
    pub bias: Vec<f64>,
    /// What ε took.
    pub epsilon: Vec<f64>,
    /// What a softmax inside the network took.
    pub softmax: Vec<f64>,
}

impl Conservation {
    /// What arrived, what was passed on, and what was taken, by what.
    pub fn parts(&mut self) -> [&mut Vec<f64>; 5] {
        [
            &mut self.arrived,
            &mut self.passed,
            &mut self.bias,
            &mut self.epsilon,
            &mut self.softmax,
        ]
    }

    /// What is left: rounding; and where a rule shares out only the relevance of some outputs, that of all others.
    pub fn remainder(&self) -> Vec<f64> {
        let taken = |i: usize| self.bias[i] + self.epsilon[i] + self.softmax[i];
        let left = |i: usize| self.arrived[i] - self.passed[i] - taken(i);
        (0..self.arrived.len()).map(left).collect()
    }
}

/// What a layer's shares did not pass on, of the first inputs.
pub(crate) struct Kept {
    inputs: usize,
    /// Whether there is one input, wherever the batch's axis is.
    is_single: bool,
    bias: Option<Vec<f64>>,
    epsilon: Option<Vec<f64>>,
}

impl Kept {
    /// An empty one for so many inputs, the first.
    pub fn new(inputs: usize, is_single: bool) -> Self {
        Kept {
            inputs,
            is_single,
            bias: None,
            epsilon: None,
        }
    }

    /// The part of a tensor that is added up.
    fn part(&self, tensor: &Tensor) -> Result<Tensor> {
        if self.is_single {
            return Ok(tensor.flatten_all()?.unsqueeze(0)?);
        }
        let count = self.inputs.min(tensor.dim(0)?);
        Ok(tensor.narrow(0, 0, count)?)
    }

    /// The sum over each input's values.
    pub fn totals(&self, relevance: &Tensor) -> Result<Vec<f64>> {
        Ok(sum_by_input(&self.part(relevance)?)?)
    }

    /// Adds a share: `R_k / (z_k + ε s(z_k))` times the bias, and times `ε s(z_k)`.
    pub fn share(
        &mut self,
        quotient: &Tensor,
        z: &Tensor,
        bias: Option<&Tensor>,
        epsilon: f64,
    ) -> Result<()> {
        if let Some(bias) = bias {
            self.taken(quotient, bias)?;
        }
        let quotient = self.part(quotient)?;
        let taken = sum_stabilized(&quotient, &self.part(z)?, epsilon)?;
        add(&mut self.epsilon, taken);
        Ok(())
    }

    /// Adds what a bias took: `R_k / z_k` times it.
    pub fn taken(&mut self, quotient: &Tensor, bias: &Tensor) -> Result<()> {
        let bias = bias.broadcast_as(quotient.shape())?;
        let taken = sum_of_products(&self.part(quotient)?, &self.part(&bias)?)?;
        add(&mut self.bias, taken);
        Ok(())
    }

    /// Adds what a bias took, or what stands for one.
    pub fn bias(&mut self, taken: &Tensor) -> Result<()> {
        let taken = sum_by_input(&self.part(taken)?)?;
        add(&mut self.bias, taken);
        Ok(())
    }

    /// Adds what ε took on an op's own way.
    pub fn epsilon(&mut self, taken: &Tensor) -> Result<()> {
        let taken = sum_by_input(&self.part(taken)?)?;
        add(&mut self.epsilon, taken);
        Ok(())
    }

    /// What the bias and ε took of each input.
    pub fn close(self) -> [Vec<f64>; 2] {
        [self.bias, self.epsilon].map(|taken| taken.unwrap_or(vec![0.0; self.inputs]))
    }
}

fn add(total: &mut Option<Vec<f64>>, values: Vec<f64>) {
    match total {
        Some(total) => total
            .iter_mut()
            .zip(values)
            .for_each(|(total, value)| *total += value),
        None => *total = Some(values),
    }
}
