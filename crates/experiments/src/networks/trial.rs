//! A question with a known answer, and how much of an explanation lies on it.

use std::cell::Cell;

use anyhow::{Result, bail, ensure};
use candle_core::{DType, Tensor};
use speechlens_audio::View;
use speechlens_nn::Graph;

use super::methods::{Named, Says};

/// The part of relevance that is looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    Positive,
    Negative,
}

impl Sign {
    fn part(self, value: f64) -> f64 {
        match self {
            Sign::Positive => value.max(0.0),
            Sign::Negative => (-value).max(0.0),
        }
    }
}

/// One question.
pub struct Trial {
    /// The network that answers it with a number.
    pub graph: Graph,
    /// Of one input, `[1, …]`.
    pub input: Tensor,
    /// Which of the outputs.
    pub target: u32,
    /// The value of the input that stands for "nothing here".
    pub reference: f64,
    /// By value of the input, or by bin of the view, whether it is what matters.
    pub known: Vec<bool>,
    /// Likewise, what one could say without a network.
    pub without: Vec<f64>,
}

/// Questions of one kind to one network.
pub struct Test {
    pub name: &'static str,
    /// What is asked, and where the truth lies.
    pub asks: &'static str,
    /// What relevance is compared with that needs no network.
    pub without: &'static str,
    pub sign: Sign,
    /// What relevance of samples is seen in.
    pub view: Option<View>,
    /// Sides of the patches that occlusion covers, along the last axes of the input.
    pub patch: Vec<usize>,
    pub trials: Vec<Trial>,
}

/// So many trials of those that are made by number, without those that do not bear out what the test takes for granted.
pub fn borne_out(
    count: usize,
    mut make: impl FnMut(usize) -> Result<Option<Trial>>,
) -> Result<Vec<Trial>> {
    let mut trials = Vec::with_capacity(count);
    for number in 0..TRIED * count {
        trials.extend(make(number)?);
        if trials.len() == count {
            return Ok(trials);
        }
    }
    bail!(
        "of {} trials {} bear out what the test takes for granted, and not {count}",
        TRIED * count,
        trials.len()
    )
}

/// How many trials may be made for each that is wanted.
const TRIED: usize = 5;

impl Trial {
    /// Itself, if the network answers with more than this.
    pub fn above(self, least: f64) -> Result<Option<Self>> {
        Ok((self.answer()? > least).then_some(self))
    }

    /// What the network answers.
    fn answer(&self) -> Result<f64> {
        let all = values(&self.graph.forward(&self.input)?)?;
        Ok(all[self.target as usize])
    }
}

/// What was measured of a method.
pub struct Measured {
    /// By trial, the share of the relevance that lies where it should.
    pub shares: Vec<f64>,
    /// Passes through the network for one explanation.
    pub passes: f64,
}

/// Mean and standard deviation.
pub fn spread(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
    (mean, (squares / count).sqrt())
}

/// The share of a sign's relevance that lies on what is known; none where there is no relevance of that sign.
fn share(relevance: &[f64], known: &[bool], sign: Sign) -> f64 {
    let parts = relevance.iter().map(|value| sign.part(*value));
    let (mut all, mut on) = (0.0, 0.0);
    for (part, known) in parts.zip(known) {
        all += part;
        on += if *known { part } else { 0.0 };
    }
    if all > 0.0 { on / all } else { 0.0 }
}

impl Test {
    /// The share of the places that is known to matter, by trial.
    pub fn chances(&self) -> Vec<f64> {
        let chance = |trial: &Trial| {
            let known = trial.known.iter().filter(|known| **known).count();
            known as f64 / trial.known.len() as f64
        };
        self.trials.iter().map(chance).collect()
    }

    /// What lies there of what one could say without a network, by trial.
    pub fn trivial(&self) -> Vec<f64> {
        let share = |trial: &Trial| share(&trial.without, &trial.known, Sign::Positive);
        self.trials.iter().map(share).collect()
    }

    /// Whether a method can be used on the test's networks.
    pub fn fits(&self, method: &Named) -> Result<()> {
        for trial in &self.trials {
            method.of(trial.reference, &self.patch)?.of(&trial.graph)?;
        }
        Ok(())
    }

    /// Explains every trial. `step` hears of each.
    pub fn measure(&self, method: &Named, step: &dyn Fn()) -> Result<Measured> {
        let mut measured = Measured {
            shares: Vec::new(),
            passes: f64::NAN,
        };
        if self.view.is_some() && method.says == Says::Other {
            self.trials.iter().for_each(|_| step());
            return Ok(measured);
        }
        for trial in &self.trials {
            let attribute = method.of(trial.reference, &self.patch)?.of(&trial.graph)?;
            // Of inputs of any length a method says no sure number before.
            let passes = Cell::new(0);
            let found =
                attribute.attribute(&trial.input, &[trial.target], &|done| passes.set(done))?;
            measured.passes = passes.get().max(attribute.passes().total()) as f64;
            let [relevance, input] = [&found.relevance, &trial.input].map(values);
            let (mut relevance, input) = (relevance?, input?);
            ensure!(
                relevance.iter().all(|value| value.is_finite()),
                "its relevance is not finite"
            );
            let seen = match &self.view {
                None => relevance,
                Some(view) => {
                    if method.says == Says::Slope {
                        let pairs = relevance.iter_mut().zip(&input);
                        pairs.for_each(|(slope, x)| *slope *= x - trial.reference);
                    }
                    let seen = view.of(&input, &relevance);
                    seen.relevance.into_iter().collect()
                }
            };
            measured.shares.push(share(&seen, &trial.known, self.sign));
            step();
        }
        Ok(measured)
    }
}

/// The values of a tensor, one after the other.
pub fn values(tensor: &Tensor) -> Result<Vec<f64>> {
    Ok(tensor.flatten_all()?.to_dtype(DType::F64)?.to_vec1()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_those_of_a_sign() {
        let relevance = [3.0, -1.0, 1.0, -3.0];
        let known = [true, true, false, false];
        assert_eq!(share(&relevance, &known, Sign::Positive), 0.75);
        assert_eq!(share(&relevance, &known, Sign::Negative), 0.25);
        assert_eq!(share(&[-1.0, 0.0], &[true, true], Sign::Positive), 0.0);
        assert_eq!(spread(&[1.0, 3.0]), (2.0, 1.0));
    }
}
