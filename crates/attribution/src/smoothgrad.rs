use candle_core::Tensor;
use rand::RngExt;
use rand_distr::StandardNormal;
use speechlens_nn::Graph;

use crate::gradient::{check, of_target};
use crate::random::{generator, rows};
use crate::{Attribute, Attribution, Passes, Result};

/// The gradient's mean over copies of the input with normal noise on them.
pub(crate) struct SmoothGrad {
    pub graph: Graph,
    pub samples: usize,
    /// The noise's standard deviation as a share of each input's range.
    pub noise: f64,
    pub seed: u64,
}

impl Attribute for SmoothGrad {
    fn attribute(
        &self,
        input: &Tensor,
        targets: &[u32],
        progress: &dyn Fn(usize),
    ) -> Result<Attribution> {
        check(input, targets)?;
        let rows = rows(input)?;
        let mut lots: Vec<_> = rows.iter().map(|row| generator(self.seed, row)).collect();
        let deviation = |row: &Vec<f32>| {
            let ends = row
                .iter()
                .fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), x| {
                    (l.min(*x), h.max(*x))
                });
            self.noise as f32 * (ends.1 - ends.0)
        };
        let mut mean = input.zeros_like()?;
        for sample in 1..=self.samples {
            let noise = rows.iter().zip(&mut lots).flat_map(|(row, lot)| {
                let deviation = deviation(row);
                row.iter()
                    .map(move |_| deviation * lot.sample::<f32, _>(StandardNormal))
            });
            let noise = Tensor::from_vec(noise.collect(), input.shape(), input.device())?;
            let noisy = (input + noise.to_dtype(input.dtype())?)?;
            let (_, gradient) = of_target(&self.graph, &noisy, targets)?;
            mean = (mean + gradient.affine(1.0 / self.samples as f64, 0.0)?)?;
            progress(2 * sample * targets.len());
        }
        Ok(Attribution::of(mean))
    }

    fn passes(&self) -> Passes {
        Passes {
            forward: self.samples,
            backward: self.samples,
        }
    }
}
