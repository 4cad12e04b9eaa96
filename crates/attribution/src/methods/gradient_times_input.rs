use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use speechlens_nn::Graph;

use super::gradient::OneGradient;
use super::{Settings, Subject};
use crate::{Attribute, Method, Reference, Result};

pub(super) const NAME: &str = "gradient-times-input";

/// The gradient times the input's distance from the reference.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GradientTimesInput {
    /// Where the input counts as nothing.
    pub reference: Reference,
}

impl Settings for GradientTimesInput {
    fn suited_to(self, subject: &Subject) -> Self {
        let reference = subject.reference.clone();
        GradientTimesInput { reference }
    }
}

impl Method for GradientTimesInput {
    fn name(&self) -> &'static str {
        NAME
    }

    fn of(&self, graph: &Graph) -> Result<Box<dyn Attribute>> {
        let reference = self.reference.clone();
        Ok(Box::new(OneGradient::new(graph, move |input, gradient| {
            Ok(((input - reference.like(input)?)? * gradient)?)
        })))
    }

    fn reference(&self) -> Option<f64> {
        self.reference.value()
    }

    fn shares_score(&self) -> bool {
        true
    }

    fn settings(&self) -> Value {
        json!(self)
    }
}
