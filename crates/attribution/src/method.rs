use std::fmt::{self, Display};
use std::num::NonZeroUsize;

use gauss_quad::GaussLegendre;
use speechlens_lrp::{Composite, Lrp};
use speechlens_nn::Graph;
use speechlens_nn::loss::Loss;

use crate::gradient::{Form, Gradient};
use crate::integrated_gradients::IntegratedGradients;
use crate::occlusion::Occlusion;
use crate::random::Random;
use crate::smoothgrad::SmoothGrad;
use crate::{Attribute, Error, Reference, Result};

/// What occlusion watches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Score {
    /// The target's logit.
    Logit,
    /// The target's probability, as a network means it that was trained by this loss.
    Probability(Loss),
}

/// A method of explanation and its settings. The crate's front page has the formulas.
#[derive(Clone, Debug)]
pub enum Method {
    /// Layer-wise relevance propagation by these rules.
    Lrp(Composite),
    /// The gradient of the target's logit.
    Gradient,
    /// The gradient's absolute value.
    Sensitivity,
    /// The gradient times the input's distance from the reference.
    GradientTimesInput {
        /// Where the input counts as nothing.
        reference: Reference,
    },
    /// The gradient's mean over noisy copies of the input.
    SmoothGrad {
        /// How many copies.
        samples: usize,
        /// The standard deviation of the normal noise, as a share of each input's range.
        noise: f64,
        /// Draws the noise, together with the input's values.
        seed: u64,
    },
    /// The gradient's integral from the reference to the input.
    IntegratedGradients {
        /// Nodes of the Gauss–Legendre quadrature.
        steps: usize,
        /// Where the path starts.
        reference: Reference,
    },
    /// What the score loses as patches are covered.
    Occlusion {
        /// The patch's length along each of the last axes of an input; the axes before it are covered whole.
        patch: Vec<usize>,
        /// Steps between patches along the same axes. The last patch along an axis may reach over its end.
        stride: Vec<usize>,
        /// What a patch is covered with.
        reference: Reference,
        /// What is watched.
        score: Score,
    },
    /// Relevance by lot.
    Random {
        /// Draws it, together with the input's values.
        seed: u64,
    },
}

impl Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Method::Lrp(_) => "lrp",
            Method::Gradient => "gradient",
            Method::Sensitivity => "sensitivity",
            Method::GradientTimesInput { .. } => "gradient-times-input",
            Method::SmoothGrad { .. } => "smoothgrad",
            Method::IntegratedGradients { .. } => "integrated-gradients",
            Method::Occlusion { .. } => "occlusion",
            Method::Random { .. } => "random",
        })
    }
}

impl Method {
    /// The value that relevance is measured against, if there is one: what a test should set bins to.
    pub fn reference(&self) -> Option<f64> {
        match self {
            Method::Lrp(composite) => Some(composite.options().reference),
            Method::GradientTimesInput { reference }
            | Method::IntegratedGradients { reference, .. }
            | Method::Occlusion { reference, .. } => match reference {
                Reference::Value(value) => Some(*value),
                Reference::Input(_) => None,
            },
            Method::Gradient
            | Method::Sensitivity
            | Method::SmoothGrad { .. }
            | Method::Random { .. } => None,
        }
    }

    /// The method on a network. Parameters are shared, not copied.
    ///
    /// # Errors
    /// If the rules of layer-wise relevance propagation do not fit the network, or a setting makes no sense: no steps, no
    /// samples, a patch larger than the input.
    pub fn of(&self, graph: &Graph) -> Result<Box<dyn Attribute>> {
        let graph = graph.clone();
        let simple = |form| Gradient {
            graph: graph.clone(),
            form,
        };
        Ok(match self {
            Method::Lrp(composite) => Box::new(Lrp::new(&graph, composite)?),
            Method::Gradient => Box::new(simple(Form::Signed)),
            Method::Sensitivity => Box::new(simple(Form::Absolute)),
            Method::GradientTimesInput { reference } => {
                Box::new(simple(Form::TimesInput(reference.clone())))
            }
            Method::SmoothGrad {
                samples,
                noise,
                seed,
            } => {
                if *samples == 0 || !noise.is_finite() || *noise < 0.0 {
                    let problem =
                        "SmoothGrad needs at least one sample, and noise that is not negative";
                    return Err(Error::Setting(problem.into()));
                }
                Box::new(SmoothGrad {
                    graph,
                    samples: *samples,
                    noise: *noise,
                    seed: *seed,
                })
            }
            Method::IntegratedGradients { steps, reference } => {
                let steps = NonZeroUsize::new(*steps).ok_or_else(|| {
                    Error::Setting("integrated gradients need at least one step".into())
                })?;
                Box::new(IntegratedGradients {
                    graph,
                    reference: reference.clone(),
                    quadrature: GaussLegendre::new(steps),
                })
            }
            Method::Occlusion {
                patch,
                stride,
                reference,
                score,
            } => Box::new(Occlusion::new(
                graph,
                patch,
                stride,
                reference.clone(),
                *score,
            )?),
            Method::Random { seed } => Box::new(Random { seed: *seed }),
        })
    }
}
