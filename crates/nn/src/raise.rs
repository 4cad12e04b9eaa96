//! Layers that exporters took apart into sums, products and functions, put together again: to relevance they are one layer each, with a
//! rule that fits, where their parts would get a rule apiece.

use std::sync::Arc;

use candle_core::DType;
use serde_json::{Value, json};

use crate::graph::{Architecture, Graph, Node, NodeId};
use crate::ops::{Add, Elementwise, FakeQuantize, Gelu, Linear, Mul, Normalize, Standardize};
use crate::{Op, Params};

/// What a node computes of another one.
struct Raised {
    of: NodeId,
    op: Arc<dyn Op>,
    params: Params,
    /// What it is scaled by and what is added to that.
    affine: Option<(NodeId, NodeId)>,
}

impl Raised {
    fn new(of: NodeId, op: impl Op + 'static) -> Self {
        Raised {
            of,
            op: Arc::new(op),
            params: Params::new(),
            affine: None,
        }
    }
}

/// A graph as it is looked through for layers.
struct Parts<'a>(&'a Graph);

/// So many products of products are seen as one.
const DEPTH: usize = 4;

/// How far a number may be from what it stands for.
const ROUNDED: f64 = 1e-4;

fn is_about(number: f64, what: f64) -> bool {
    (number - what).abs() <= ROUNDED * what.abs()
}

impl Parts<'_> {
    /// What a node reads that is of this op.
    fn read_by(&self, id: NodeId, op: &str) -> Option<&[NodeId]> {
        let node = &self.0.architecture().nodes()[id.index()];
        (node.op.name() == op).then_some(node.inputs.as_slice())
    }

    /// The only node that one of this op reads.
    fn below(&self, id: NodeId, op: &str) -> Option<NodeId> {
        match self.read_by(id, op)? {
            [only] => Some(*only),
            _ => None,
        }
    }

    fn pair(&self, id: NodeId, op: &str) -> Option<[NodeId; 2]> {
        self.read_by(id, op)?.try_into().ok()
    }

    fn attribute(&self, id: NodeId, name: &str) -> Option<Value> {
        let node = &self.0.architecture().nodes()[id.index()];
        node.op.attributes().remove(name)
    }

    /// The value of a constant that is one number.
    fn single(&self, id: NodeId) -> Option<f64> {
        let value = self.0.constant(id)?;
        let number = || {
            value
                .flatten_all()?
                .to_dtype(DType::F64)?
                .get(0)?
                .to_scalar()
        };
        (value.rank() < 2 && value.elem_count() == 1)
            .then(number)?
            .ok()
    }

    /// A real constant that is one number, or one over it.
    fn number(&self, id: NodeId) -> Option<f64> {
        let below = self.below(id, "reciprocal");
        let place = below.unwrap_or(id);
        self.0
            .constant(place)
            .filter(|value| value.dtype().is_float())?;
        let number = self.single(place)?;
        Some(if below.is_some() {
            1.0 / number
        } else {
            number
        })
    }

    /// A product of products as a number and all else that is multiplied.
    fn factors(&self, id: NodeId) -> (f64, Vec<NodeId>) {
        self.factors_to(id, DEPTH)
    }

    fn factors_to(&self, id: NodeId, depth: usize) -> (f64, Vec<NodeId>) {
        if let Some(number) = self.number(id) {
            return (number, Vec::new());
        }
        match self.pair(id, "mul") {
            Some(pair) if depth > 0 => {
                let [(a, mut factors), (b, rest)] = pair.map(|id| self.factors_to(id, depth - 1));
                factors.extend(rest);
                (a * b, factors)
            }
            _ => (1.0, vec![id]),
        }
    }

    /// One that is multiplied by a number.
    fn scaled(&self, id: NodeId) -> Option<(f64, NodeId)> {
        match self.factors(id) {
            (number, factors) if factors.len() == 1 => Some((number, factors[0])),
            _ => None,
        }
    }

    /// One of two, by what is said of it, and what is said; and the other.
    fn either<T>(
        &self,
        pair: [NodeId; 2],
        says: impl Fn(NodeId) -> Option<T>,
    ) -> Option<(T, NodeId)> {
        let [a, b] = pair;
        let one = says(a).map(|said| (said, b));
        one.or_else(|| says(b).map(|said| (said, a)))
    }

    /// A value and the number that is added to it.
    fn plus_number(&self, id: NodeId) -> Option<(f64, NodeId)> {
        self.either(self.pair(id, "add")?, |id| self.number(id))
    }

    fn power(&self, id: NodeId, exponent: f64) -> Option<NodeId> {
        let below = self.below(id, "power")?;
        (self.attribute(id, "exponent")?.as_f64()? == exponent).then_some(below)
    }

    fn squared(&self, id: NodeId) -> Option<NodeId> {
        let twice = || match self.pair(id, "mul")? {
            [a, b] if a == b => Some(a),
            _ => None,
        };
        self.power(id, 2.0).or_else(twice)
    }

    fn root(&self, id: NodeId) -> Option<NodeId> {
        self.below(id, "sqrt").or_else(|| self.power(id, 0.5))
    }

    /// What is under the root that a factor is one over.
    fn inverse_root(&self, id: NodeId) -> Option<NodeId> {
        let inverse = |id| {
            self.below(id, "reciprocal")
                .or_else(|| self.power(id, -1.0))
        };
        let direct = self.power(id, -0.5);
        let outside = || self.root(inverse(id)?);
        direct.or_else(outside).or_else(|| inverse(self.root(id)?))
    }

    /// What is drawn together along axes that stay, and the axes: those named, or so many first ones are left out.
    fn along(&self, id: NodeId, op: &str) -> Option<(NodeId, Vec<i64>, usize)> {
        let below = self.below(id, op)?;
        let attribute = |name| self.attribute(id, name);
        if attribute("keep") != Some(json!(true)) {
            return None;
        }
        let axes: Vec<i64> = serde_json::from_value(attribute("axes")?).ok()?;
        let first = attribute("first").and_then(|first| first.as_u64());
        Some((below, axes, first.unwrap_or(0) as usize))
    }

    /// `x/2 (1 + erf(x/√2))`, or by tanh.
    fn gelu(&self, id: NodeId) -> Option<Raised> {
        let (half, factors) = self.factors(id);
        let (gate, x) = self.either(factors.try_into().ok()?, |id| {
            self.plus_number(id).filter(|(one, _)| *one == 1.0)
        })?;
        if !is_about(half, 0.5) {
            return None;
        }
        if let Some(inner) = self.below(gate.1, "erf") {
            let (scale, of) = self.scaled(inner)?;
            let is_gelu = is_about(scale, std::f64::consts::FRAC_1_SQRT_2) && of == x;
            let gelu = Gelu {
                tanh: false,
                root: scale,
            };
            return is_gelu.then(|| Raised::new(x, Elementwise(gelu)));
        }
        let is_gelu = self.is_cubic(self.below(gate.1, "tanh")?, x)?;
        is_gelu.then(|| Raised::new(x, Elementwise(Gelu::new(true))))
    }

    /// Whether it is `√(2/π) (x + 0.044715 x³)`.
    fn is_cubic(&self, id: NodeId, x: NodeId) -> Option<bool> {
        let times = |id, count: usize| {
            let (number, factors) = self.factors(id);
            let powers = factors.iter().map(|factor| match *factor == x {
                true => Some(1),
                false if self.power(*factor, 3.0) == Some(x) => Some(3),
                false if self.power(*factor, 2.0) == Some(x) => Some(2),
                false => None,
            });
            let power: Option<usize> = powers.sum();
            (power == Some(count)).then_some(number)
        };
        let (scale, factors) = self.factors(id);
        let cubic = match factors.as_slice() {
            [sum] => self.either(self.pair(*sum, "add")?, |id| times(id, 3))?,
            // x is taken out.
            [a, b] => {
                let ((), sum) = self.either([*a, *b], |id| (id == x).then_some(()))?;
                let (one, square) = self.plus_number(sum)?;
                (times(square, 2).filter(|_| one == 1.0)?, x)
            }
            _ => return None,
        };
        let scale_is = std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2;
        Some(is_about(scale, scale_is) && is_about(cubic.0, 0.044715) && cubic.1 == x)
    }

    /// A value less its mean, along the axes; and the mean.
    fn variance(&self, id: NodeId) -> Option<(NodeId, NodeId, Standardize)> {
        let (epsilon, variance) = self.plus_number(id)?;
        let (squares, axes, first) = self.along(variance, "reduce-mean")?;
        let centred = self.squared(squares)?;
        let [x, mean] = self.pair(centred, "sub")?;
        let is_mean = self.along(mean, "reduce-mean")? == (x, axes.clone(), first);
        let op = Standardize {
            axes,
            first,
            epsilon,
        };
        is_mean.then_some((x, mean, op))
    }

    /// `(x − μ) / √(σ² + ε)`.
    fn standardized(&self, id: NodeId) -> Option<Raised> {
        let (one, factors) = self.factors(id);
        let pair = factors.try_into().ok().filter(|_| one == 1.0)?;
        let (radicand, centred) = self.either(pair, |id| self.inverse_root(id))?;
        let (x, mean, op) = self.variance(radicand)?;
        let is_centred = self.pair(centred, "sub")? == [x, mean];
        is_centred.then(|| Raised::new(x, op))
    }

    /// `x γ / √(σ² + ε) + (β − μ γ / √(σ² + ε))`, as Keras has it.
    fn standardized_by_terms(&self, id: NodeId) -> Option<Raised> {
        let terms = self.pair(id, "add")?;
        let (((mean, factor), shift), scaled) = self.either(terms, |id| {
            let less = |[shift, product]: [NodeId; 2]| Some((self.pair(product, "mul")?, shift));
            let negative = |id| {
                let negative = |id| self.below(id, "neg");
                self.either(self.pair(id, "mul")?, negative)
            };
            let ([a, b], shift) = match self.pair(id, "sub") {
                Some(pair) => less(pair)?,
                None => {
                    let ((mean, factor), shift) = self.either(self.pair(id, "add")?, negative)?;
                    ([mean, factor], shift)
                }
            };
            let is_mean = |id| self.along(id, "reduce-mean").map(|_| id);
            Some((self.either([a, b], is_mean)?, shift))
        })?;
        let (radicand, scale) =
            self.either(self.pair(factor, "mul")?, |id| self.inverse_root(id))?;
        let (x, its_mean, op) = self.variance(radicand)?;
        let mut factors = self.pair(scaled, "mul")?;
        factors.sort_unstable();
        let mut expected = [x, factor];
        expected.sort_unstable();
        (its_mean == mean && factors == expected).then(|| Raised {
            affine: Some((scale, shift)),
            ..Raised::new(x, op)
        })
    }

    /// `x / max(‖x‖, ε)`, or by the root of the mean square.
    fn normalized(&self, id: NodeId) -> Option<Raised> {
        let (one, factors) = self.factors(id);
        let pair = factors.try_into().ok().filter(|_| one == 1.0)?;
        let by_root = |id| {
            let radicand = self.inverse_root(id)?;
            let mean = || {
                let (epsilon, mean) = self.plus_number(radicand)?;
                let (squares, axes, _) = self.along(mean, "reduce-mean")?;
                Some((self.squared(squares)?, axes, epsilon, true))
            };
            let sum = || {
                let (least, sum) = self.at_least(radicand);
                let (squares, axes, _) = self.along(sum, "reduce-sum")?;
                Some((self.squared(squares)?, axes, least.sqrt(), false))
            };
            mean().or_else(sum)
        };
        let by_norm = |id| {
            let mut norm = self.below(id, "reciprocal")?;
            if let Some([small, _]) = self.pair(norm, "expand") {
                norm = small;
            }
            let (least, norm) = self.at_least(norm);
            let (squares, axes, _) = self.along(self.root(norm)?, "reduce-sum")?;
            Some((self.squared(squares)?, axes, least, false))
        };
        let ((of, axes, epsilon, root_mean_square), x) =
            self.either(pair, |id| by_norm(id).or_else(|| by_root(id)))?;
        let op = Normalize {
            axes,
            epsilon,
            root_mean_square,
        };
        (of == x && !op.axes.is_empty()).then(|| Raised::new(x, op))
    }

    /// A value and the least that it may be; 0 if none is said.
    fn at_least(&self, id: NodeId) -> (f64, NodeId) {
        let clipped = || {
            let high = self.attribute(id, "high").unwrap_or_default();
            let low = self
                .attribute(id, "low")?
                .as_f64()
                .filter(|_| high.is_null())?;
            Some((low, self.below(id, "clip")?))
        };
        let largest = || self.either(self.pair(id, "max")?, |id| self.number(id));
        clipped().or_else(largest).unwrap_or((0.0, id))
    }

    /// A number of one scale that is rounded to few steps.
    fn rounded(&self, id: NodeId) -> Option<Raised> {
        let (steps, parts) = self.read_by(id, "dequantize")?.split_first()?;
        let (x, its_parts) = self.read_by(*steps, "quantize")?.split_first()?;
        let numbers = |parts: &[NodeId]| -> Option<(f64, f64)> {
            let zero = parts.get(1).map_or(Some(0.0), |zero| self.single(*zero));
            Some((self.single(*parts.first()?)?, zero?))
        };
        let (scale, zero) = numbers(parts)?;
        let bound = |name| self.attribute(*steps, name)?.as_f64();
        let op = FakeQuantize {
            scale,
            zero,
            low: bound("low")?,
            high: bound("high")?,
        };
        (numbers(its_parts)? == (scale, zero)).then(|| Raised::new(*x, Elementwise(op)))
    }

    /// A convolution over one place, which its input was given an axis for: `[N, C]` in, `[N, outputs]` out.
    fn dense(&self, id: NodeId) -> Option<Raised> {
        let is_last = |id: NodeId| {
            let axes = self.attribute(id, "axes")?;
            (axes == json!([2]) || axes == json!([-1])).then_some(())
        };
        let conv = self.below(id, "squeeze")?;
        let axis = self.below(conv, "conv1d")?;
        let of = self.below(axis, "unsqueeze")?;
        is_last(id).and(is_last(axis))?;
        let number = |name| self.attribute(conv, name)?.as_u64();
        let over_one = (number("kernel")?, number("padding")?, number("groups")?) == (1, 0, 1);
        let mut params = self.0.params(conv).clone();
        let weight = params.get("weight").filter(|_| over_one)?.squeeze(2).ok()?;
        let (outputs, inputs) = weight.dims2().ok()?;
        params.insert("weight".to_owned(), weight);
        let linear = Linear::new(inputs, outputs);
        let linear = match params.contains_key("bias") {
            true => linear,
            false => linear.without_bias(),
        };
        Some(Raised {
            params,
            ..Raised::new(of, linear)
        })
    }

    fn raised(&self, id: NodeId) -> Option<Raised> {
        self.gelu(id)
            .or_else(|| self.dense(id))
            .or_else(|| self.rounded(id))
            .or_else(|| self.standardized(id))
            .or_else(|| self.standardized_by_terms(id))
            .or_else(|| self.normalized(id))
    }
}

impl Graph {
    /// The same function, where GELU, layer, instance and group normalization, division by a norm, rounding to few steps, and dense layers that
    /// stand there as sums, products, functions, and convolutions of one place are the ops that they are. Such a node has the name of the last one of its parts; parts that nothing else reads
    /// are gone.
    pub fn with_layers_raised(&self) -> Graph {
        let parts = Parts(self);
        let found: Vec<_> = self.nodes().map(|(id, _)| parts.raised(id)).collect();
        if found.iter().all(Option::is_none) {
            return self.clone();
        }
        let mut nodes: Vec<(Node, Params)> = Vec::new();
        let mut places: Vec<NodeId> = Vec::new();
        for ((id, node), raised) in self.nodes().zip(found) {
            let mut add = |name: String, op: Arc<dyn Op>, inputs: Vec<NodeId>, params: Params| {
                nodes.push((Node { name, op, inputs }, params));
                NodeId::new(nodes.len() - 1)
            };
            let place = |read: NodeId| places[read.index()];
            let name = node.name.clone();
            let added = match raised {
                None => {
                    let inputs = node.inputs.iter().map(|read| place(*read)).collect();
                    add(name, node.op.clone(), inputs, self.params(id).clone())
                }
                Some(raised) => {
                    let of = vec![place(raised.of)];
                    match raised.affine {
                        None => add(name, raised.op, of, raised.params),
                        Some((scale, shift)) => {
                            let part = |part: &str| format!("{name}.{part}");
                            let of = add(part("standardized"), raised.op, of, raised.params);
                            let inputs = vec![of, place(scale)];
                            let of = add(part("scaled"), Arc::new(Mul), inputs, Params::new());
                            add(name, Arc::new(Add), vec![of, place(shift)], Params::new())
                        }
                    }
                }
            };
            places.push(added);
        }
        let outputs = self.architecture().outputs().into_iter();
        let outputs = outputs.map(|output| places[output.index()]).collect();
        let (nodes, params) = nodes.into_iter().unzip();
        let graph = self.with_nodes(Architecture::from_parts(nodes, outputs), params);
        graph.without_unread()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::{Device, Tensor};

    use crate::ops::{Conv1d, Squeeze, Unsqueeze};
    use crate::{Architecture, Kind};

    /// A convolution of one place is a dense layer; one of more places is none.
    #[test]
    fn convolutions_of_one_place_are_dense_layers() {
        for (kernel, kind) in [(1, Kind::Linear), (3, Kind::Reshape)] {
            let mut net = Architecture::new([4]);
            let x = net
                .add("one", Unsqueeze { axes: vec![-1] }, [net.input()])
                .unwrap();
            let conv = Conv1d::new(4, 3, kernel).padding(kernel / 2);
            let x = net.add("conv", conv, [x]).unwrap();
            net.add("dense", Squeeze { axes: vec![2] }, [x]).unwrap();
            let graph = net.random(5, &Device::Cpu).unwrap();
            let raised = graph.with_layers_raised();
            let nodes = raised.architecture().nodes();
            let last = nodes.last().unwrap();
            assert_eq!((last.name.as_str(), last.op.kind()), ("dense", kind));
            let input = Tensor::rand(-1f32, 1.0, (2, 4), &Device::Cpu).unwrap();
            let [before, after] = [&graph, &raised].map(|graph| {
                let output = graph.forward(&input).unwrap();
                output.to_vec2::<f32>().unwrap()
            });
            for (a, b) in before.iter().flatten().zip(after.iter().flatten()) {
                assert!((a - b).abs() < 1e-6, "{before:?} {after:?}");
            }
        }
    }
}
