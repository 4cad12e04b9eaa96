//! The methods that are compared, with the settings of this runner.

use anyhow::Result;
use candle_core::{Device, Tensor};
use speechlens_attribution::methods::{self, Score};
use speechlens_attribution::{Method, Reference};
use speechlens_frontend::thesis::FLOOR_DB;
use speechlens_lrp::Composite;
use speechlens_nn::loss::Loss;
use speechlens_nn::train::Samples;

use crate::shared::{Arguments, Profile};

/// Steps of integrated gradients, and noisy copies of SmoothGrad.
fn passes(profile: Profile) -> usize {
    match profile {
        Profile::Smoke => 2,
        Profile::Quick => 16,
        Profile::Full => 50,
    }
}

/// SmoothGrad's noise, as a share of the input's range.
const NOISE: f64 = 0.1;

/// A method as tables call it.
pub struct Named {
    pub name: &'static str,
    pub method: Box<dyn Method>,
}

fn rules(name: &'static str, preset: &str, bounds: Option<[f64; 2]>) -> Result<Named> {
    let composite = Composite::preset(preset)?;
    let composite = match bounds {
        Some(bounds) => composite.with_bounds(bounds),
        None => composite,
    };
    Ok(Named {
        name,
        method: Box::new(methods::Lrp(composite)),
    })
}

fn integrated(name: &'static str, steps: usize, reference: impl Into<Reference>) -> Named {
    let reference = reference.into();
    Named {
        name,
        method: Box::new(methods::IntegratedGradients { steps, reference }),
    }
}

/// Rules of layer-wise relevance propagation for networks that read decibel spectrograms.
pub fn rules_of_spectrograms() -> Result<Vec<Named>> {
    let bounds = Some([f64::from(FLOOR_DB), 0.0]);
    [
        ("LRP thesis, from 0 dB", "thesis-gender", None),
        ("LRP thesis, from silence", "gender-silence", None),
        ("LRP-0", "lrp-0", None),
        ("LRP ε, z⁺, from 0 dB", "epsilon-plus", None),
        ("LRP ε, z⁺, from silence", "epsilon-plus-silence", None),
        (
            "LRP ε, γ = 0.25, from silence",
            "epsilon-gamma-silence",
            None,
        ),
        ("LRP ε, γ = 1, from silence", "epsilon-gamma1-silence", None),
        ("LRP ε, z⁺, flat", "epsilon-plus-flat", None),
        ("LRP ε, γ, box", "epsilon-gamma-box", bounds),
    ]
    .into_iter()
    .map(|(name, preset, bounds)| rules(name, preset, bounds))
    .collect()
}

/// Those that differ by nothing between networks.
fn common(samples: usize, seed: u64) -> [Named; 3] {
    [
        Named {
            name: "sensitivity",
            method: Box::new(methods::Sensitivity),
        },
        Named {
            name: "SmoothGrad",
            method: Box::new(methods::SmoothGrad {
                samples,
                noise: NOISE,
                seed,
            }),
        },
        Named {
            name: "random",
            method: Box::new(methods::Random { seed }),
        },
    ]
}

/// For networks that read decibel spectrograms. `mean` is the data's.
pub fn of_spectrograms(mean: &Tensor, arguments: &Arguments) -> Result<Vec<Named>> {
    let passes = passes(arguments.profile);
    let silence = f64::from(FLOOR_DB);
    let occlusion = |name, reference: f64, score| Named {
        name,
        method: Box::new(methods::Occlusion {
            patch: vec![32, 32],
            stride: vec![16, 16],
            reference: reference.into(),
            score,
        }),
    };
    let mut all = rules_of_spectrograms()?;
    all.extend([
        Named {
            name: "gradient × input",
            method: Box::new(methods::GradientTimesInput {
                reference: 0.0.into(),
            }),
        },
        integrated("IG from 0 dB", passes, 0.0),
        integrated("IG from silence", passes, silence),
        integrated("IG from the mean", passes, Reference::Input(mean.clone())),
        occlusion("occlusion by silence", silence, Score::Logit),
        occlusion(
            "occlusion, probability",
            silence,
            Score::Probability(Loss::BinaryCrossEntropy),
        ),
    ]);
    all.extend(common(passes, arguments.seed));
    Ok(all)
}

/// For networks that read filterbanks whose bands have the mean 0.
pub fn of_filterbanks(arguments: &Arguments) -> Result<Vec<Named>> {
    let passes = passes(arguments.profile);
    let mut all = vec![
        rules("LRP-0", "thesis-speaker-zero", None)?,
        rules("LRP ε", "thesis-speaker-epsilon", None)?,
        rules("LRP ε and γ", "thesis-speaker-epsilon-gamma", None)?,
        rules("LRP ε, z⁺, flat", "epsilon-plus-flat", None)?,
        Named {
            name: "gradient × input",
            method: Box::new(methods::GradientTimesInput {
                reference: 0.0.into(),
            }),
        },
        integrated("IG", passes, 0.0),
        Named {
            name: "occlusion",
            method: Box::new(methods::Occlusion {
                patch: vec![16, 20],
                stride: vec![8, 20],
                reference: 0.0.into(),
                score: Score::Logit,
            }),
        },
    ];
    all.extend(common(passes, arguments.seed));
    Ok(all)
}

/// The mean of all inputs, of one input's shape.
pub fn mean(samples: &dyn Samples, batch: usize, device: &Device) -> Result<Tensor> {
    let places: Vec<usize> = (0..samples.len()).collect();
    let mut sum: Option<Tensor> = None;
    for places in places.chunks(batch) {
        let of_batch = samples.batch(places, device)?.0.sum(0)?;
        sum = Some(match sum {
            Some(sum) => (sum + of_batch)?,
            None => of_batch,
        });
    }
    let sum = sum.ok_or_else(|| anyhow::anyhow!("there are no samples to average"))?;
    Ok((sum / samples.len() as f64)?)
}
