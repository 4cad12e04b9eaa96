//! The methods that are compared, as each network's input asks for them.

use std::path::Path;

use anyhow::Result;
use speechlens_attribution::Method;
use speechlens_attribution::methods::{
    GradientTimesInput, IntegratedGradients, Lrp, Occlusion, Random, Score, SmoothGrad,
};
use speechlens_lrp::Composite;

use crate::shared::{Arguments, Profile};

/// SmoothGrad's noise, as a share of the input's range.
const NOISE: f64 = 0.1;

/// Rules that are compared beside presets: γ on convolutions, the first layer under ε; and z⁺ on convolutions, all of a product to the
/// value and none to its gate or to attention.
const RULES: [(&str, &str); 2] = [
    (
        "γ = 0.25",
        "[[rule]]\nfirst = true\nrule = \"epsilon\"\nepsilon = 1e-6\n\
         [[rule]]\nkind = \"conv\"\nrule = \"gamma-generalized\"\ngamma = 0.25\n\
         [[rule]]\nrule = \"epsilon\"\nepsilon = 1e-6\n",
    ),
    (
        "z⁺, gates held",
        "[[rule]]\nkind = \"product\"\nrule = \"signal\"\nepsilon = 1e-6\n\
         [[rule]]\nkind = \"softmax\"\nrule = \"detach\"\n\
         [[rule]]\nkind = \"conv\"\nrule = \"z-plus\"\n\
         [[rule]]\nrule = \"epsilon\"\nepsilon = 1e-6\n",
    ),
];

/// Makes a method for inputs in which this value is nothing, and which occlusion covers by patches of these sides.
type Make = dyn Fn(f64, &[usize]) -> Result<Box<dyn Method>>;

/// What a method says of an input value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// A part of the answer that is a multiple of the value.
    Share,
    /// What the answer changes by with the value.
    Slope,
    /// Neither.
    Other,
}

/// A method as tables call it.
pub struct Named {
    pub name: String,
    pub says: Says,
    make: Box<Make>,
}

impl Named {
    fn new<M: Method + 'static>(
        name: &str,
        says: Says,
        make: impl Fn(f64, &[usize]) -> Result<M> + 'static,
    ) -> Self {
        Named {
            name: name.to_owned(),
            says,
            make: Box::new(move |reference, patch| Ok(Box::new(make(reference, patch)?))),
        }
    }

    /// The method for inputs in which this value is nothing, and which occlusion covers by patches of these sides.
    pub fn of(&self, reference: f64, patch: &[usize]) -> Result<Box<dyn Method>> {
        (self.make)(reference, patch)
    }
}

/// Layer-wise relevance propagation by rules, against what is nothing in the input.
fn rules(name: &str, composite: Composite) -> Named {
    Named::new(name, Says::Share, move |reference, _| {
        Ok(Lrp(composite.clone().with_reference(reference)))
    })
}

/// All of them, and rules that are given besides.
pub fn named(arguments: &Arguments) -> Result<Vec<Named>> {
    let passes = match arguments.profile {
        Profile::Smoke => 2,
        Profile::Quick => 8,
        Profile::Full => 32,
    };
    let seed = arguments.seed;
    let mut all = vec![
        Named::new("by lot", Says::Share, move |_, _| Ok(Random { seed })),
        Named::new("gradient × input", Says::Share, |reference, _| {
            Ok(GradientTimesInput {
                reference: reference.into(),
            })
        }),
        Named::new("integrated gradients", Says::Share, move |reference, _| {
            Ok(IntegratedGradients {
                steps: passes,
                reference: reference.into(),
            })
        }),
        Named::new("SmoothGrad", Says::Slope, move |_, _| {
            Ok(SmoothGrad {
                samples: passes,
                noise: NOISE,
                seed,
            })
        }),
        Named::new("occlusion", Says::Other, |reference, patch| {
            Ok(Occlusion {
                patch: patch.to_vec(),
                stride: patch.to_vec(),
                reference: reference.into(),
                score: Score::Logit,
            })
        }),
    ];
    for (name, text) in RULES {
        let composite = Composite::parse(text, Path::new(name))?;
        all.push(rules(&format!("LRP {name}"), composite));
    }
    for preset in ["lrp-0", "epsilon-plus", "any-network"] {
        all.push(rules(&format!("LRP {preset}"), Composite::preset(preset)?));
    }
    for file in &arguments.rules {
        let stem = Path::new(file).file_stem().unwrap_or_default();
        let name = format!("LRP {}", stem.to_string_lossy());
        all.push(rules(&name, Composite::load(file)?));
    }
    Ok(all)
}
