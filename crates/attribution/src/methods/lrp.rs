use candle_core::Tensor;
use serde::Deserialize;
use serde_json::{Value, json};
use speechlens_lrp::{Assignment, Composite, Start};
use speechlens_nn::Graph;

use super::{Options, Subject, read};
use crate::{Attribute, Attribution, Details, Method, Passes, Reference, Result, Target};

pub(super) const NAME: &str = "lrp";

/// Layer-wise relevance propagation by these rules.
#[derive(Clone, Debug)]
pub struct Lrp(pub Composite);

/// What names the rules.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Named {
    /// A preset or a TOML file; else what suits the network, against what stands for nothing there.
    rules: Option<String>,
    /// The lowest and the highest value that the input can have, for the rule z-box; else the network's.
    bounds: Option<[f64; 2]>,
}

pub(super) fn make(options: Options, subject: &Subject) -> Result<Box<dyn Method>> {
    let Named { rules, bounds } = read(options)?;
    let composite = match (rules, &subject.reference) {
        (Some(rules), _) => Composite::load(&rules)?,
        (None, Reference::Value(silence)) => {
            Composite::load(subject.rules)?.with_reference(*silence)
        }
        (None, _) => Composite::load(subject.rules)?,
    };
    Ok(Box::new(Lrp(match bounds.or(subject.bounds) {
        Some(bounds) => composite.with_bounds(bounds),
        None => composite,
    })))
}

impl Method for Lrp {
    fn name(&self) -> &'static str {
        NAME
    }

    fn of(&self, graph: &Graph) -> Result<Box<dyn Attribute>> {
        Ok(Box::new(speechlens_lrp::Lrp::new(graph, &self.0)?))
    }

    fn reference(&self) -> Option<f64> {
        Some(self.0.options().reference)
    }

    fn rules(&self) -> Option<&Composite> {
        Some(&self.0)
    }

    fn shares_score(&self) -> bool {
        self.0.options().start != Start::One
    }

    fn settings(&self) -> Value {
        json!({ "rules": self.0.name(), "reference": self.0.options().reference })
    }
}

/// A sweep back from a forward pass.
fn sweep(
    lrp: &speechlens_lrp::Lrp,
    forward: speechlens_lrp::Forward,
    targets: Vec<u32>,
    details: &Details,
) -> Result<Attribution> {
    let layers: Vec<&str> = details.layers.iter().map(String::as_str).collect();
    let found = lrp.sweep_from(forward, &targets, &layers, details.conserved)?;
    Ok(Attribution {
        layers: found.layers,
        conservation: found.conservation,
        ..Attribution::new(
            found.explanation.relevance,
            found.explanation.logits,
            targets,
        )
    })
}

impl Attribute for speechlens_lrp::Lrp {
    fn explain(
        &self,
        input: &Tensor,
        target: Target,
        details: &Details,
        progress: &dyn Fn(usize),
    ) -> Result<Attribution> {
        let forward = self.forward(input)?;
        let targets = target.classes(forward.logits())?;
        let found = sweep(self, forward, targets, details)?;
        progress(self.passes().total() * found.targets.len());
        Ok(found)
    }

    /// Two sweeps back from one forward pass.
    fn contrast(
        &self,
        input: &Tensor,
        [targets, others]: [&[u32]; 2],
        details: &Details,
        progress: &dyn Fn(usize),
    ) -> Result<Attribution> {
        let forward = self.forward(input)?;
        let found = sweep(self, forward.clone(), targets.to_vec(), details)?;
        progress(self.passes().total() * targets.len());
        let against = sweep(self, forward, others.to_vec(), details)?;
        progress(2 * self.passes().total() * targets.len());
        found.less(against)
    }

    fn passes(&self) -> Passes {
        Passes {
            forward: 1,
            backward: 1,
        }
    }

    fn assignments(&self) -> Option<Vec<Assignment>> {
        Some(speechlens_lrp::Lrp::assignments(self))
    }
}
