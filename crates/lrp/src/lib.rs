//! Layer-wise relevance propagation (Bach et al. 2015): rules as data, composites, one sweep over any graph.
//!
//! A [`Composite`] picks a [`Rule`] for every layer; [`Lrp`] runs them from the target's logit back to the input. Neither
//! knows a model: a graph's nodes say themselves whether they are linear, route their inputs, or pass them through.
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
//! # Adding a layer kind
//!
//! A layer is a file that implements [`Op`](speechlens_nn::Op); its structure tells the sweep all it needs. Here one that is
//! linear in its input, the difference of neighbouring values; every rule then works on it:
//!
//! ```
//! use candle_core::{D, Device, Shape, Tensor};
//! use speechlens_lrp::{Composite, Lrp};
//! use speechlens_nn::{Architecture, Kind, LinearOp, Mode, Op, Params, Result, Structure, ops::Linear};
//!
//! /// `[N, T]` to `[N, T − 1]`: `w (x_{t+1} − x_t)`, with the weight 1.
//! #[derive(Debug, serde::Serialize)]
//! struct Difference;
//!
//! impl Op for Difference {
//!     fn name(&self) -> &str {
//!         "difference"
//!     }
//!
//!     fn kind(&self) -> Kind {
//!         Kind::Conv
//!     }
//!
//!     fn forward(&self, params: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
//!         let (weight, _) = self.weights(params, inputs[0])?;
//!         self.apply(inputs[0], &weight)
//!     }
//!
//!     fn structure(&self) -> Structure<'_> {
//!         Structure::Linear(self)
//!     }
//! }
//!
//! impl LinearOp for Difference {
//!     /// What multiplies x_t and x_{t+1}.
//!     fn weights(&self, _: &Params, input: &Tensor) -> Result<(Tensor, Option<Tensor>)> {
//!         let weight = Tensor::new(&[-1f32, 1.0], input.device())?;
//!         Ok((weight.to_dtype(input.dtype())?, None))
//!     }
//!
//!     fn apply(&self, input: &Tensor, weight: &Tensor) -> Result<Tensor> {
//!         let steps = input.dim(1)? - 1;
//!         let of = |place| input.narrow(1, place, steps)?.broadcast_mul(&weight.narrow(0, place, 1)?);
//!         Ok((of(0)? + of(1)?)?)
//!     }
//!
//!     fn transpose(&self, output: &Tensor, weight: &Tensor, _: &Shape) -> Result<Tensor> {
//!         let of = |place| output.broadcast_mul(&weight.narrow(0, place, 1)?);
//!         Ok((of(0)?.pad_with_zeros(D::Minus1, 0, 1)? + of(1)?.pad_with_zeros(D::Minus1, 1, 0)?)?)
//!     }
//! }
//!
//! # fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
//! let mut net = Architecture::new([5]);
//! let x = net.add("difference", Difference, [net.input()])?;
//! net.add("head", Linear::new(4, 2), [x])?;
//! let graph = net.random(1, &Device::Cpu)?;
//! let input = Tensor::new(&[[1f32, -2.0, 4.0, 0.5, 3.0]], &Device::Cpu)?;
//! let explanation = Lrp::new(&graph, &Composite::preset("epsilon-plus")?)?.explain(&input, &[1])?;
//! assert_eq!(explanation.relevance.dims(), [1, 5]);
//! # Ok(())
//! # }
//! ```

mod composite;
mod conservation;
mod error;
mod layer;
mod plan;
mod rule;
mod rules;
mod sweep;

pub use composite::{BatchNormalization, Bias, Composite, Options, PRESETS, Row, Start};
pub use conservation::Balance;
pub use error::{Error, Result};
pub use rule::{InputMap, Rule, STABILIZER, Share, Sign, Term, WeightMap};
pub use sweep::{Assignment, Detail, Explanation, Forward, Lrp};
