//! What a few flipped bins say of an explanation.

use anyhow::Result;
use speechlens_eval::flip::Order;

use super::flipping::{Flips, few};

/// What came out of setting a few bins to a value.
pub struct Outcome {
    pub most: f64,
    pub lot: f64,
    pub least: f64,
}

impl Outcome {
    pub fn of(flips: &Flips, reference: f32, value: f32) -> Result<Self> {
        let at = |order| flips.accuracy(reference, order, value, few());
        Ok(Outcome {
            most: at(Order::MostRelevant)?,
            lot: at(Order::Random)?,
            least: at(Order::LeastRelevant)?,
        })
    }

    pub fn numbers(&self) -> String {
        format!("{:.1} / {:.1} / {:.1} %", self.most, self.lot, self.least)
    }

    /// What it says of the explanation.
    pub fn verdict(&self) -> &'static str {
        if self.most < self.lot && self.lot < self.least {
            "what a true explanation should give"
        } else if self.most > self.lot && self.lot > self.least {
            "the opposite of what a true explanation should give"
        } else {
            "neither for nor against the explanation"
        }
    }
}
