//! Layer-wise relevance propagation (Bach et al. 2015): rules as data, composites, one sweep over any graph.
//!
//! A [`Composite`] picks a [`Rule`] for every layer; [`Lrp`] runs them from the target's logit back to the input. Neither
//! knows a model: a graph's nodes say themselves by which branches relevance goes to what they read.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use speechlens_lrp::{Composite, Lrp};
//! use speechlens_nn::{Architecture, ops::{Flatten, Linear, Relu}};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut net = Architecture::new([1, 4, 4]);
//! let x = net.add("flatten", Flatten, [net.input()])?;
//! let x = net.add("hidden", Linear::new(16, 8), [x])?;
//! let x = net.add("relu", Relu, [x])?;
//! net.add("head", Linear::new(8, 2), [x])?;
//! let graph = net.random(1, &Device::Cpu)?;
//!
//! let lrp = Lrp::new(&graph, &Composite::preset("lrp-0")?)?;
//! let input = Tensor::ones((3, 1, 4, 4), DType::F32, &Device::Cpu)?;
//! let explanation = lrp.explain(&input, &[0, 1, 1])?;
//! assert_eq!(explanation.relevance.dims(), [3, 1, 4, 4]);
//! # Ok(())
//! # }
//! ```
//!
//! [`Lrp::assignments`] says which rule each layer got, and [`Lrp::explain_in_detail`] what became of relevance on the way:
//! its values at any layer, and how much each passed on, gave to its bias, or lost to ε.
//!
//! # Adding a rule
//!
//! A rule is data: shares of the relevance, each shared out by a short list of terms, a map of the input times a map of the
//! weights. One function of the sweep runs them all. So a rule of your own is a value, and a [`Row`] gives it to layers:
//!
//! ```
//! # use candle_core::{DType, Device, Tensor};
//! # use speechlens_nn::{Architecture, Kind, ops::Linear};
//! use speechlens_lrp::{Composite, InputMap, Lrp, Options, Row, Rule, Share, Term, WeightMap};
//!
//! /// `|a_j w_jk| / Σ_j |a_j w_jk| · R_k`: by the size of what an input gives, whatever its sign.
//! fn absolute() -> Rule {
//!     use {InputMap as Input, WeightMap as Weight};
//!     let terms = [
//!         Term::new(Input::Positive, Weight::Positive),
//!         Term::new(Input::Negative, Weight::Negative),
//!         Term::minus(Input::Positive, Weight::Negative),
//!         Term::minus(Input::Negative, Weight::Positive),
//!     ];
//!     Rule::new("absolute", [Share::new(terms)])
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let mut net = Architecture::new([3]);
//! # net.add("dense", Linear::new(3, 1), [net.input()])?;
//! # let weights = [("dense.weight", vec![1.0, -2.0, 4.0]), ("dense.bias", vec![3.0])];
//! # let weights = weights.map(|(name, values)| Ok((name.to_owned(), match name {
//! #     "dense.weight" => Tensor::from_vec(values, (1, 3), &Device::Cpu)?,
//! #     _ => Tensor::from_vec(values, 1, &Device::Cpu)?,
//! # }))).into_iter().collect::<candle_core::Result<_>>()?;
//! # let graph = net.with_weights(weights)?;
//! let rows = [Row::new(absolute()).of_kind(Kind::Linear), Row::new(Rule::zero())];
//! let composite = Composite::new("mine", rows, Options::default());
//!
//! // z = 1 · 1 + 1 · (−2) − 1 · 4 + 3 = −2, shared out 1 : 2 : 4.
//! let input = Tensor::new(&[[1.0, 1.0, -1.0]], &Device::Cpu)?;
//! let relevance = Lrp::new(&graph, &composite)?.explain(&input, &[0])?.relevance.to_vec2::<f64>()?;
//! for (relevance, expected) in relevance[0].iter().zip([-2.0 / 7.0, -4.0 / 7.0, -8.0 / 7.0]) {
//!     assert!((relevance - expected).abs() < 1e-6);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! For composite files to know it, put the function and its name into a file of `src/rules/`, such as `flat.rs`, and the file
//! into the list of `src/rules/mod.rs`.
//!
//! # Adding a layer
//!
//! A layer is a file that implements [`Op`](speechlens_nn::Op); its branches tell the sweep all it needs: to which input relevance
//! goes, and by what map. Here layer normalization, of a rule of its own. With the deviation held as it was, it is linear:
//!
//! ```
//! use candle_core::{D, Device, Shape, Tensor};
//! use speechlens_lrp::{Composite, Lrp, Options, Row, Rule};
//! use speechlens_nn::{
//!     Architecture, Branch, Kind, LinearOp, Map, Mode, Op, Params, Result, ops::{Linear, Registry},
//! };
//!
//! /// `(x − μ) / √(σ² + 1e-5)` of each row of `[N, C]` (Ba et al. 2016, Eq. 4).
//! #[derive(Debug, serde::Serialize, serde::Deserialize)]
//! struct LayerNorm;
//!
//! impl Op for LayerNorm {
//!     fn name(&self) -> &str {
//!         "layer-norm"
//!     }
//!
//!     fn kind(&self) -> Kind {
//!         Kind::Norm
//!     }
//!
//!     fn forward(&self, params: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
//!         let (weight, _) = self.weights(params, inputs)?;
//!         self.apply(inputs[0], &weight)
//!     }
//!
//!     fn branches(&self, _: usize) -> Vec<Branch<'_>> {
//!         Branch::only(Map::Layer(self))
//!     }
//! }
//!
//! fn centred(x: &Tensor) -> Result<Tensor> {
//!     Ok(x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?)
//! }
//!
//! impl LinearOp for LayerNorm {
//!     /// What the deviation divides by.
//!     fn weights(&self, _: &Params, inputs: &[&Tensor]) -> Result<(Tensor, Option<Tensor>)> {
//!         let variance = centred(inputs[0])?.sqr()?.mean_keepdim(D::Minus1)?;
//!         Ok(((variance + 1e-5)?.sqrt()?.recip()?, None))
//!     }
//!
//!     fn has_fixed_weights(&self) -> bool {
//!         false
//!     }
//!
//!     /// That values are centred is in no weight: rules that map weights pass over it.
//!     fn has_mappable_weights(&self) -> bool {
//!         false
//!     }
//!
//!     fn apply(&self, input: &Tensor, weight: &Tensor) -> Result<Tensor> {
//!         Ok(centred(input)?.broadcast_mul(weight)?)
//!     }
//!
//!     fn transpose(&self, output: &Tensor, weight: &Tensor, _: &Shape) -> Result<Tensor> {
//!         centred(&output.broadcast_mul(weight)?)
//!     }
//! }
//!
//! # fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
//! let mut net = Architecture::new([5]);
//! let x = net.add("norm", LayerNorm, [net.input()])?;
//! net.add("head", Linear::new(5, 2).without_bias(), [x])?;
//! // It stands in files as the others do, and is read by who has it in the registry.
//! let registry = Registry::default().with::<LayerNorm>("layer-norm");
//! let graph = Architecture::parse(&net.to_json(), &registry)?.random(1, &Device::Cpu)?;
//!
//! let rows = [Row::new(Rule::epsilon(1e-9)).of_kind(Kind::Norm), Row::new(Rule::zero())];
//! let input = Tensor::new(&[[1f32, -2.0, 4.0, 0.5, 3.0]], &Device::Cpu)?;
//! let explanation = Lrp::new(&graph, &Composite::new("mine", rows, Options::default()))?.explain(&input, &[1])?;
//! // All of the logit, and what every value has in common does not count.
//! let [logit, total] = [explanation.logits.get(0)?.get(1)?, explanation.relevance.sum_all()?];
//! assert!((logit.to_scalar::<f32>()? - total.to_scalar::<f32>()?).abs() < 1e-4);
//! # Ok(())
//! # }
//! ```
//!
//! Its gradient, which follows the deviation too, is one method more (`Op::backward`); the rules need none.

mod composite;
mod conservation;
mod error;
mod layer;
mod plan;
mod rule;
mod rules;
mod sweep;

pub use composite::{BatchNormalization, Bias, Composite, Options, PRESETS, Row, Start};
pub use conservation::Conservation;
pub use error::{Error, Result};
pub use rule::{InputMap, Rule, STABILIZER, Share, Sign, Term, WeightMap};
pub use sweep::{Assignment, Detail, Explanation, Forward, Lrp};
