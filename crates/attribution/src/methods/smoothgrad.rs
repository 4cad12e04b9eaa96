use candle_core::Tensor;
use rand::RngExt;
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use speechlens_nn::Graph;

use super::Settings;
use super::gradient::of_target;
use super::random::{generator, rows};
use crate::{Attribute, Attribution, Details, Error, Method, Passes, Result, Target};

pub(super) const NAME: &str = "smoothgrad";

/// The gradient's mean over noisy copies of the input.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SmoothGrad {
    /// How many copies.
    pub samples: usize,
    /// The standard deviation of the normal noise, as a share of each input's range.
    pub noise: f64,
    /// Draws the noise, together with the input's values.
    pub seed: u64,
}

impl Default for SmoothGrad {
    fn default() -> Self {
        SmoothGrad {
            samples: 25,
            noise: 0.1,
            seed: 1,
        }
    }
}

impl Settings for SmoothGrad {}

impl Method for SmoothGrad {
    fn name(&self) -> &'static str {
        NAME
    }

    fn of(&self, graph: &Graph) -> Result<Box<dyn Attribute>> {
        if self.samples == 0 || !self.noise.is_finite() || self.noise < 0.0 {
            let problem = "SmoothGrad needs at least one sample, and noise that is not negative";
            return Err(Error::Setting(problem.into()));
        }
        Ok(Box::new(Smoothing {
            graph: graph.clone(),
            settings: self.clone(),
        }))
    }

    fn settings(&self) -> Value {
        json!(self)
    }
}

struct Smoothing {
    graph: Graph,
    settings: SmoothGrad,
}

impl Attribute for Smoothing {
    fn explain(
        &self,
        input: &Tensor,
        target: Target,
        _: &Details,
        progress: &dyn Fn(usize),
    ) -> Result<Attribution> {
        let SmoothGrad {
            samples,
            noise,
            seed,
        } = self.settings;
        let (logits, targets) = target.answered(&self.graph, input)?;
        let rows = rows(input)?;
        let mut lots: Vec<_> = rows.iter().map(|row| generator(seed, row)).collect();
        let deviation = |row: &Vec<f32>| {
            let ends = row
                .iter()
                .fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), x| {
                    (l.min(*x), h.max(*x))
                });
            noise as f32 * (ends.1 - ends.0)
        };
        let mut mean = input.zeros_like()?;
        for sample in 1..=samples {
            let noise = rows.iter().zip(&mut lots).flat_map(|(row, lot)| {
                let deviation = deviation(row);
                row.iter()
                    .map(move |_| deviation * lot.sample::<f32, _>(StandardNormal))
            });
            let noise = Tensor::from_vec(noise.collect(), input.shape(), input.device())?;
            let noisy = (input + noise.to_dtype(input.dtype())?)?;
            let (.., gradient) = of_target(&self.graph, &noisy, Target::Of(&targets))?;
            mean = (mean + gradient.affine(1.0 / samples as f64, 0.0)?)?;
            progress((1 + 2 * sample) * targets.len());
        }
        Ok(Attribution::new(mean, logits, targets))
    }

    fn passes(&self) -> Passes {
        Passes {
            forward: 1 + self.settings.samples,
            backward: self.settings.samples,
        }
    }
}
