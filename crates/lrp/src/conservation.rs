//! Where relevance went: what each layer passed on, and what it kept.

use candle_core::Tensor;
use speechlens_nn::Kind;
use speechlens_nn::kernels::sums::{sum_by_input, sum_of_products, sum_stabilized};

use crate::Result;

/// What became of the relevance that arrived at a node, for each input of the batch. All that arrived is passed on, kept by
/// the bias, lost to ε, or in the remainder.
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
    /// What the bias took.
    pub bias: Vec<f64>,
    /// What ε took.
    pub epsilon: Vec<f64>,
}

impl Conservation {
    /// What is left: rounding; where a rule shares out only the relevance of some outputs, that of all others; and of an op with
    /// several inputs what it gives to constants and states, which is not passed on.
    pub fn remainder(&self) -> Vec<f64> {
        let left = |i: usize| self.arrived[i] - self.passed[i] - self.bias[i] - self.epsilon[i];
        (0..self.arrived.len()).map(left).collect()
    }
}

/// What a layer's shares did not pass on, of the first inputs.
pub(crate) struct Kept {
    inputs: usize,
    bias: Option<Vec<f64>>,
    epsilon: Option<Vec<f64>>,
}

impl Kept {
    /// An empty one for so many inputs, the first.
    pub fn new(inputs: usize) -> Self {
        Kept {
            inputs,
            bias: None,
            epsilon: None,
        }
    }

    /// The part of a tensor that is added up.
    fn part(&self, tensor: &Tensor) -> Result<Tensor> {
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
        let inputs = quotient.dim(0)?;
        let quotient = self.part(quotient)?;
        if let Some(bias) = bias {
            let bias = match bias.rank() == quotient.rank() && bias.dim(0)? == inputs {
                true => self.part(bias)?,
                false => bias.clone(),
            };
            add(&mut self.bias, sum_of_products(&quotient, &bias)?);
        }
        let taken = sum_stabilized(&quotient, &self.part(z)?, epsilon)?;
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
