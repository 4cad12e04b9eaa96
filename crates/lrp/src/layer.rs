//! One linear layer in the middle of a sweep: the function that runs every rule.

use std::sync::{Mutex, PoisonError};

use candle_core::Tensor;
use speechlens_nn::kernels::pointwise::{of_sign, product, quotient, sum};
use speechlens_nn::{Inside, LinearOp, NodeId, Params, Trace};

use crate::conservation::Kept;
use crate::plan::Plan;
use crate::rule::stabilizing;
use crate::{InputMap, Result, Rule, Share, Sign, WeightMap};

/// Maps of weights that have been computed, by node and by which of its inputs they are of.
pub(crate) struct WeightMaps(Vec<Mutex<Vec<(usize, WeightMap, Tensor)>>>);

impl WeightMaps {
    pub fn new(nodes: usize) -> Self {
        WeightMaps((0..nodes).map(|_| Mutex::default()).collect())
    }

    fn of(
        &self,
        (node, input): (NodeId, usize),
        map: WeightMap,
        weight: &Tensor,
    ) -> Result<Tensor> {
        if map == WeightMap::Whole {
            return Ok(weight.clone());
        }
        let mut known = self.0[node.index()]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let own = known
            .iter()
            .find(|(of, other, _)| (*of, *other) == (input, map));
        if let Some((.., weight)) = own {
            return Ok(weight.clone());
        }
        let mapped = map.of(weight)?;
        known.push((input, map, mapped.clone()));
        Ok(mapped)
    }
}

/// A linear layer with what it read.
pub(crate) struct Layer<'a> {
    op: &'a dyn LinearOp,
    maps: &'a WeightMaps,
    /// The node, and which of its inputs the layer reads.
    place: (NodeId, usize),
    input: Tensor,
    weight: Tensor,
    bias: Option<Tensor>,
    /// Whether the bias holds a reference's output, so that it differs from place to place.
    of_reference: bool,
    /// What the layer gave; if a rule asks for it.
    output: Option<Tensor>,
}

impl<'a> Layer<'a> {
    pub fn new(
        op: &'a dyn LinearOp,
        maps: &'a WeightMaps,
        plan: &Plan,
        trace: &Trace,
        place: (NodeId, usize),
        rule: &Rule,
    ) -> Result<Self> {
        let (id, which) = place;
        let node = &plan.graph.architecture().nodes()[id.index()];
        let reference = match plan.is_input(node.inputs[which]) {
            true => plan.options.reference,
            false => 0.0,
        };
        let inputs = trace.inputs(node)?;
        let mut input = inputs[which].clone();
        let is_asked = rule.uses_output() && plan.steps[id.index()].is_read;
        let output = match is_asked {
            true => Some(trace.output(id)?.clone()),
            false => None,
        };
        let (weight, mut bias) = op.weights(plan.graph.params(id), &inputs)?;
        if reference != 0.0 {
            // Σ (a − r) w + (b + Σ r w) is the output it was.
            // Of weights that are the same for every input, one stands for all.
            let one = match op.has_fixed_weights() {
                true => input.narrow(0, 0, 1)?,
                false => input.clone(),
            };
            let constant = one.affine(0.0, reference)?;
            bias = Some(match bias {
                Some(bias) => op.affine(&constant, &weight, &bias)?,
                None => op.apply(&constant, &weight)?,
            });
            input = (input - reference)?;
        }
        Ok(Layer {
            op,
            maps,
            place,
            input,
            weight,
            bias,
            of_reference: reference != 0.0,
            output,
        })
    }

    /// A layer inside a node.
    pub fn inside(inside: &Inside<'a>, maps: &'a WeightMaps, node: NodeId) -> Result<Self> {
        let (weight, bias) = inside.layer.weights(&Params::new(), &[])?;
        Ok(Layer {
            op: inside.layer,
            maps,
            place: (node, 0),
            input: inside.input.clone(),
            weight,
            bias,
            of_reference: false,
            output: Some(inside.output.clone()),
        })
    }

    /// The relevance of the layer's input from that of its output.
    pub fn relevance(
        &self,
        rule: &Rule,
        output: &Tensor,
        mut kept: Option<&mut Kept>,
    ) -> Result<Tensor> {
        // Each map of the input is multiplied once by the sum of what its terms spread.
        let mut spreads: Vec<(InputMap, Tensor)> = Vec::new();
        let mut before: Option<(&Share, Tensor)> = None;
        for share in &rule.shares {
            let own = match (share.only, &self.output) {
                (Some(sign), Some(z)) => of_sign(output, z, sign == Sign::Positive)?,
                _ => output.clone(),
            };
            let z = match self.following(share, before.take())? {
                Some(z) => z,
                None => self.denominator(share)?,
            };
            let bias = self.bias_of(share)?;
            let epsilon = stabilizing(share.epsilon);
            let quotient = quotient(&own, &z, epsilon, share.factor)?;
            if let Some(kept) = kept.as_deref_mut() {
                kept.share(&quotient, &z, bias.as_ref(), epsilon)?;
            }
            for term in &share.terms {
                let weight = self.weight(term.weight)?;
                let mut spread = self.op.transpose(&quotient, &weight, self.input.shape())?;
                if term.factor != 1.0 {
                    spread = (spread * term.factor)?;
                }
                match spreads.iter_mut().find(|(map, _)| *map == term.input) {
                    Some((_, total)) => *total = sum(total, &spread)?,
                    None => spreads.push((term.input, spread)),
                }
            }
            before = Some((share, z));
        }
        let mut total: Option<Tensor> = None;
        for (map, spread) in spreads {
            let relevance = match map {
                InputMap::Constant(value) => spread.affine(value, 0.0)?,
                map => product(&map.of(&self.input)?, &spread)?,
            };
            total = Some(match total {
                Some(total) => sum(&total, &relevance)?,
                None => relevance,
            });
        }
        Ok(match total {
            Some(total) => total,
            None => self.input.zeros_like()?,
        })
    }

    /// The modified gradient by the layer's input from that by its output, under ε = 0.
    pub fn modified(&self, output: &Tensor, kept: Option<&mut Kept>) -> Result<Tensor> {
        if let (Some(kept), Some(bias)) = (kept, &self.bias) {
            kept.taken(output, bias)?;
        }
        Ok(self
            .op
            .transpose(output, &self.weight, self.input.shape())?)
    }

    /// What of the bias is in a share's denominator.
    fn bias_of(&self, share: &Share) -> Result<Option<Tensor>> {
        match (&self.bias, share.bias) {
            (Some(bias), Some(map)) => map.of(bias).map(Some),
            _ => Ok(None),
        }
    }

    /// What the layer gave, if a rule asks for it, with the bias that it holds or without.
    fn given(&self, with_bias: bool) -> Result<Option<Tensor>> {
        Ok(match (&self.output, &self.bias, with_bias) {
            (Some(output), Some(bias), false) => Some(output.broadcast_sub(bias)?),
            (output, ..) => output.clone(),
        })
    }

    /// `z_k` of a share from that of the share before, where both together are known.
    fn following(&self, share: &Share, other: Option<(&Share, Tensor)>) -> Result<Option<Tensor>> {
        let Some((other, z)) = other else {
            return Ok(None);
        };
        let Some(times) = share.together_with(other) else {
            return Ok(None);
        };
        let output = self.given(share.bias.is_some())?;
        output
            .map(|output| Ok(((output * times)? - z)?))
            .transpose()
    }

    /// `z_k` of a share, before ε.
    fn denominator(&self, share: &Share) -> Result<Tensor> {
        if share.is_of_output()
            && let Some(output) = self.given(share.bias.is_some())?
        {
            return Ok(output);
        }
        let bias = self.bias_of(share)?;
        let mut z: Option<Tensor> = None;
        for term in &share.terms {
            let (input, weight) = (term.input.of(&self.input)?, self.weight(term.weight)?);
            let times = |tensor: Tensor| match term.factor {
                1.0 => Ok(tensor),
                factor => tensor * factor,
            };
            z = Some(match (z, &bias) {
                (Some(z), _) => sum(&z, &times(self.op.apply(&input, &weight)?)?)?,
                (None, Some(bias)) if !self.of_reference && term.factor == 1.0 => {
                    self.op.affine(&input, &weight, bias)?
                }
                (None, Some(bias)) => {
                    times(self.op.apply(&input, &weight)?)?.broadcast_add(bias)?
                }
                (None, None) => times(self.op.apply(&input, &weight)?)?,
            });
        }
        match z {
            Some(z) => Ok(z),
            None => Ok(self.op.apply(&self.input, &self.weight)?.zeros_like()?),
        }
    }

    /// A map of the weights, computed once where it is the same for every input.
    fn weight(&self, map: WeightMap) -> Result<Tensor> {
        match self.op.has_fixed_weights() {
            true => self.maps.of(self.place, map, &self.weight),
            false => map.of(&self.weight),
        }
    }
}
