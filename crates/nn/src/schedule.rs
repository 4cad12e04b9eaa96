//! How the learning rate changes in the course of training.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// How the learning rate changes in the course of training, as a factor on the optimizer's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "schedule", rename_all = "kebab-case")]
pub enum Schedule {
    /// It does not.
    #[default]
    Constant,
    /// One cycle (Smith and Topin 2019), as PyTorch's `OneCycleLR` has it by default, which leaves momentum alone with
    /// `cycle_momentum=False`: along a half wave of the cosine from 1/25 to 1 in the first 30 % of the steps, along another
    /// to 4e-6 in the rest.
    OneCycle {
        /// Steps of the whole training; any beyond it stay at the end's learning rate.
        steps: u64,
    },
}

const RISE: f64 = 0.3;
const START: f64 = 1.0 / 25.0;
const END: f64 = START / 1e4;

impl Schedule {
    /// Whether the learning rate stays as it is.
    pub fn is_constant(&self) -> bool {
        *self == Schedule::Constant
    }

    /// The factor at a step, counted from 0.
    pub fn factor(self, step: u64) -> f64 {
        let Schedule::OneCycle { steps } = self else {
            return 1.0;
        };
        let (peak, last) = (RISE * steps as f64 - 1.0, steps as f64 - 1.0);
        let step = (step as f64).min(last);
        let wave =
            |from: f64, to: f64, part: f64| to + (from - to) / 2.0 * (1.0 + (PI * part).cos());
        if step <= peak {
            wave(START, 1.0, step / peak)
        } else {
            wave(1.0, END, (step - peak) / (last - peak))
        }
    }
}
