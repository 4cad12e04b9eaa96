//! Networks by lot of all ops that relevance goes through: chains of blocks of a few ops each, with branches beside and values from
//! before, attention, gates, states, constants and computed shapes.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use speechlens_nn::ops::*;
use speechlens_nn::{Architecture, Graph, NodeId, Op};

/// What a network reads, the batch left out.
pub const SHAPE: [usize; 2] = [4, 5];
pub const CLASSES: usize = 3;

/// No axis of what a block gives is longer.
const LONGEST: usize = 7;

/// A value `[N, a, b]` of the network, and its last two axes.
#[derive(Clone, Copy)]
struct Value {
    id: NodeId,
    dims: [usize; 2],
}

struct Net {
    nodes: Architecture,
    constants: BTreeMap<String, Tensor>,
    rng: ChaCha8Rng,
    names: usize,
    /// What blocks gave so far.
    values: Vec<Value>,
}

/// A network of one to nine blocks and a dense layer, in f64.
pub fn by_lot(seed: u64) -> Graph {
    let mut net = Net {
        nodes: Architecture::new(SHAPE),
        constants: BTreeMap::new(),
        rng: ChaCha8Rng::seed_from_u64(seed),
        names: 0,
        values: Vec::new(),
    };
    let mut x = Value {
        id: net.nodes.input(),
        dims: SHAPE,
    };
    for _ in 0..net.rng.random_range(1..10) {
        net.values.push(x);
        x = net.block(x);
        x = net.shortened(x);
    }
    net.head(x)
}

impl Net {
    fn below(&mut self, n: usize) -> usize {
        self.rng.random_range(0..n)
    }

    fn coin(&mut self) -> bool {
        self.rng.random_bool(0.5)
    }

    fn node(&mut self, op: impl Op + 'static, inputs: impl Into<Vec<NodeId>>) -> NodeId {
        self.names += 1;
        let name = format!("{}.{}", op.name(), self.names);
        self.nodes.add(name, op, inputs).unwrap()
    }

    fn constant(&mut self, value: Tensor) -> NodeId {
        let shape = value.dims().to_vec();
        let id = self.node(Constant { shape }, []);
        let name = &self.nodes.nodes()[id.index()].name;
        self.constants.insert(format!("{name}.value"), value);
        id
    }

    fn whole(&mut self, values: &[i64]) -> NodeId {
        self.constant(Tensor::new(values, &Device::Cpu).unwrap())
    }

    fn one_whole(&mut self, value: i64) -> NodeId {
        self.constant(Tensor::new(value, &Device::Cpu).unwrap())
    }

    fn reals(&mut self, shape: &[usize]) -> NodeId {
        let values = numbers(shape, -1.0..1.0, &mut self.rng);
        self.constant(values)
    }

    fn head(mut self, x: Value) -> Graph {
        let inputs = x.dims[0] * x.dims[1];
        let flat = match self.below(3) {
            0 => self.node(Flatten, [x.id]),
            1 => self.node(FlattenAt { axis: 1 }, [x.id]),
            _ => self.reshaped(x.id, &[0, -1]),
        };
        self.node(Linear::new(inputs, CLASSES), [flat]);
        let graph = self.nodes.random(1, &Device::Cpu).unwrap();
        let (constants, mut rng) = (self.constants, self.rng);
        let weights = graph.map_weights(|name, tensor| {
            Ok(match constants.get(name) {
                Some(value) => value.clone(),
                None if name.ends_with("running_var") => numbers(tensor.dims(), 0.5..2.0, &mut rng),
                None => numbers(tensor.dims(), -1.0..1.0, &mut rng),
            })
        });
        weights.unwrap()
    }

    /// Another value that goes with `x` place by place.
    fn beside(&mut self, x: Value) -> NodeId {
        let same: Vec<Value> = self.values.clone();
        let same: Vec<Value> = same.into_iter().filter(|v| v.dims == x.dims).collect();
        match self.below(6) {
            0 | 1 if !same.is_empty() => same[self.below(same.len())].id,
            2 => {
                let shape = [x.dims[0], x.dims[1]];
                let first = self.below(2);
                self.reals(&shape[first..])
            }
            3 => {
                let y = self.dense(x, x.dims[1]);
                self.drawn(y, true)
            }
            4 => {
                let shape = self.node(
                    ShapeOf {
                        start: 0,
                        end: None,
                    },
                    [x.id],
                );
                let value = self.rng.random_range(-1.0..1.0);
                let whole = false;
                self.node(Filled { value, whole }, [shape])
            }
            5 => self.function(x),
            _ => {
                let y = self.dense(x, x.dims[1]);
                self.function(y)
            }
        }
    }

    fn dense(&mut self, x: Value, outputs: usize) -> Value {
        let op = Linear::new(x.dims[1], outputs).on_any_axes();
        let id = match self.coin() {
            true => self.node(op, [x.id]),
            false => self.node(op.without_bias(), [x.id]),
        };
        Value {
            id,
            dims: [x.dims[0], outputs],
        }
    }

    fn turned(&mut self, x: NodeId, axes: &[usize]) -> NodeId {
        let axes = Some(axes.to_vec());
        self.node(Transpose { axes }, [x])
    }

    fn reshaped(&mut self, x: NodeId, shape: &[i64]) -> NodeId {
        let allow_zero = false;
        match self.coin() {
            true => {
                let shape = Some(shape.to_vec());
                self.node(Reshape { shape, allow_zero }, [x])
            }
            false => {
                let shape = self.whole(shape);
                let op = Reshape {
                    shape: None,
                    allow_zero,
                };
                self.node(op, [x, shape])
            }
        }
    }

    /// A part of no more than [`LONGEST`] values along each axis.
    fn shortened(&mut self, x: Value) -> Value {
        if x.dims.iter().all(|n| *n <= LONGEST) {
            return x;
        }
        let [a, b] = x.dims.map(|n| n.min(LONGEST));
        let id = match self.coin() {
            true => {
                let cut = |axis, end: usize| Cut {
                    axis,
                    start: 0,
                    end: Some(end as i64),
                    step: 1,
                };
                let cuts = Some(vec![cut(1, a), cut(-1, b)]);
                self.node(Slice { cuts }, [x.id])
            }
            false => {
                let numbers = [[0, 0], [a as i64, b as i64], [1, 2], [1, 1]];
                let parts = numbers.map(|numbers| self.whole(&numbers));
                let inputs = [vec![x.id], parts.to_vec()].concat();
                self.node(Slice { cuts: None }, inputs)
            }
        };
        Value { id, dims: [a, b] }
    }

    fn block(&mut self, x: Value) -> Value {
        match self.below(18) {
            0 | 1 => {
                let id = self.function(x);
                Value { id, ..x }
            }
            2 => {
                let outputs = 2 + self.below(5);
                self.dense(x, outputs)
            }
            3 | 4 => self.pair(x),
            5 => self.attention(x),
            6 => self.norm(x),
            7 => self.softmax(x),
            8 => self.recurrent(x),
            9 => self.moved(x),
            10 => self.picked(x),
            11 => self.padded(x),
            12 => self.over_time(x),
            13 => self.image(x),
            14 => {
                let y = self.drawn(x, false);
                let id = self.node(Add, [x.id, y]);
                Value { id, ..x }
            }
            15 => self.spectrum(x),
            16 => {
                let op = CumSum {
                    axis: 1 + self.below(2) as i64,
                    exclusive: self.coin(),
                    reverse: self.coin(),
                };
                let id = self.node(op, [x.id]);
                Value { id, ..x }
            }
            _ => self.quantized(x),
        }
    }

    /// `x² + 1/2`: above 0.
    fn positive(&mut self, x: NodeId) -> NodeId {
        let square = self.node(Elementwise(Power { exponent: 2.0 }), [x]);
        let half = self.constant(Tensor::new(0.5, &Device::Cpu).unwrap());
        self.node(Add, [square, half])
    }

    fn function(&mut self, x: Value) -> NodeId {
        let (alpha, gamma) = (self.rng.random_range(0.5..2.0), 1.1);
        let (x, rows) = (x.id, x.dims[0]);
        match self.below(32) {
            0 => self.node(Elementwise(Abs), [x]),
            1 => self.node(Elementwise(Ceil), [x]),
            2 => self.node(Elementwise(Celu { alpha }), [x]),
            3 => {
                let (low, high) = (Some(-0.3), Some(alpha));
                self.node(Elementwise(Clip { low, high }), [x])
            }
            4 => self.node(Elementwise(Cos), [x]),
            5 => self.node(Elementwise(Elu { alpha }), [x]),
            6 => self.node(Elementwise(Erf), [x]),
            7 => {
                let x = self.node(Tanh, [x]);
                self.node(Elementwise(Exp), [x])
            }
            8 => self.node(Elementwise(Floor), [x]),
            9 => {
                let tanh = self.coin();
                self.node(Elementwise(Gelu::new(tanh)), [x])
            }
            10 => {
                let (alpha, beta) = (0.2, 0.5);
                self.node(Elementwise(HardSigmoid { alpha, beta }), [x])
            }
            11 => self.node(Elementwise(HardSwish), [x]),
            12 => self.node(LeakyRelu { slope: 0.1 }, [x]),
            13 => {
                let x = self.positive(x);
                self.node(Elementwise(Log), [x])
            }
            14 => self.node(Elementwise(Mish), [x]),
            15 => self.node(Elementwise(Neg), [x]),
            16 => {
                let x = self.positive(x);
                self.node(Elementwise(Power { exponent: alpha }), [x])
            }
            17 => {
                let parameters = if self.coin() { 1 } else { rows };
                self.node(PRelu { parameters }, [x])
            }
            18 => {
                let x = self.positive(x);
                self.node(Elementwise(Reciprocal), [x])
            }
            19 => self.node(Elementwise(Round), [x]),
            20 => self.node(Elementwise(Selu { alpha, gamma }), [x]),
            21 => self.node(Elementwise(Sign), [x]),
            22 => self.node(Elementwise(Sin), [x]),
            23 => self.node(Elementwise(Softplus), [x]),
            24 => self.node(Elementwise(Softsign), [x]),
            25 => {
                let x = self.positive(x);
                self.node(Elementwise(Sqrt), [x])
            }
            26 => self.node(Cast { to: Number::Real }, [x]),
            27 => self.node(Dropout { p: 0.5 }, [x]),
            28 => self.node(Tanh, [x]),
            29 => self.node(Sigmoid, [x]),
            _ => self.node(Relu, [x]),
        }
    }

    fn pair(&mut self, x: Value) -> Value {
        let y = self.beside(x);
        let id = match self.below(9) {
            0 => self.node(Add, [x.id, y]),
            1 => {
                let z = self.beside(x);
                self.node(Add, [x.id, y, z])
            }
            2 => self.node(Sub, [x.id, y]),
            3 => self.node(Sub, [y, x.id]),
            4 => self.node(Mul, [x.id, y]),
            // A gate.
            5 => {
                let gate = self.node(Sigmoid, [y]);
                self.node(Mul, [gate, x.id])
            }
            6 => self.node(Max, [y, x.id]),
            7 => {
                let z = self.beside(x);
                self.node(Min, [x.id, y, z])
            }
            _ => {
                let all = [
                    Relation::Greater,
                    Relation::LessOrEqual,
                    Relation::And,
                    Relation::Xor,
                ];
                let what = all[self.below(4)];
                let condition = self.node(Holds { what }, [x.id, y]);
                self.node(Where, [condition, y, x.id])
            }
        };
        Value { id, ..x }
    }

    fn attention(&mut self, x: Value) -> Value {
        let inner = 2 + self.below(3);
        let [query, key, value] = [inner, inner, x.dims[1]].map(|n| self.dense(x, n).id);
        let axes = |axes: [&str; 3]| format!("{},{}->{}", axes[0], axes[1], axes[2]);
        let with_letters = self.coin();
        let scores = match with_letters {
            true => {
                let op = Einsum::parse(&axes(["bid", "bjd", "bij"])).unwrap();
                self.node(op, [query, key])
            }
            false => {
                let key = self.turned(key, &[0, 2, 1]);
                self.node(MatMul, [query, key])
            }
        };
        let mut scores = match self.coin() {
            true => {
                let scale = self.constant(Tensor::new(0.5, &Device::Cpu).unwrap());
                self.node(Mul, [scores, scale])
            }
            false => scores,
        };
        if self.coin() {
            let n = x.dims[0];
            let hidden = |place: usize| place % n > place / n;
            let mask = (0..n * n).map(|place| match hidden(place) {
                true => f64::NEG_INFINITY,
                false => 0.0,
            });
            let mask = Tensor::from_vec(mask.collect::<Vec<_>>(), (n, n), &Device::Cpu);
            let mask = self.constant(mask.unwrap());
            scores = self.node(Add, [scores, mask]);
        }
        let op = Softmax {
            axis: -1,
            flat: false,
            log: false,
        };
        let attention = self.node(op, [scores]);
        let mixed = match with_letters {
            true => {
                let op = Einsum::parse(&axes(["bij", "bjd", "bid"])).unwrap();
                self.node(op, [attention, value])
            }
            false => self.node(MatMul, [attention, value]),
        };
        let id = match self.coin() {
            true => self.node(Add, [x.id, mixed]),
            false => mixed,
        };
        Value { id, ..x }
    }

    fn norm(&mut self, x: Value) -> Value {
        let [a, b] = x.dims;
        let normed = match self.below(6) {
            0 | 1 => {
                let (axes, first) =
                    [(vec![-1], 0), (vec![], 1), (vec![1], 0)][self.below(3)].clone();
                let epsilon = 1e-5;
                let op = Standardize {
                    axes,
                    first,
                    epsilon,
                };
                self.node(op, [x.id])
            }
            2 | 3 => {
                let root_mean_square = self.coin();
                let op = Normalize {
                    axes: vec![if self.coin() { 1 } else { -1 }],
                    epsilon: 1e-6,
                    root_mean_square,
                };
                self.node(op, [x.id])
            }
            _ => self.node(BatchNorm::new_1d(a), [x.id]),
        };
        let (scale, shift) = (self.reals(&[b]), self.reals(&[b]));
        let scaled = self.node(Mul, [normed, scale]);
        let id = self.node(Add, [scaled, shift]);
        Value { id, ..x }
    }

    fn softmax(&mut self, x: Value) -> Value {
        let op = match self.below(3) {
            0 => Softmax {
                axis: 1,
                flat: true,
                log: false,
            },
            1 => Softmax {
                axis: 1,
                flat: false,
                log: false,
            },
            _ => Softmax {
                axis: -1,
                flat: false,
                log: true,
            },
        };
        let id = self.node(op, [x.id]);
        Value { id, ..x }
    }

    fn recurrent(&mut self, x: Value) -> Value {
        let cells = [
            Cell::Lstm,
            Cell::Gru,
            Cell::GruResetBefore,
            Cell::Tanh,
            Cell::Relu,
        ];
        let [steps, inputs] = x.dims;
        let (cell, hidden) = (cells[self.below(5)], 2 + self.below(3));
        let states = match cell {
            Cell::Lstm => 2,
            _ => 1,
        };
        let op = Recurrent {
            cell,
            inputs,
            hidden,
            reverse: self.coin(),
            bias: self.coin(),
        };
        let mut read = vec![self.turned(x.id, &[1, 0, 2])];
        match self.below(3) {
            // States from outside.
            0 => {
                for _ in 0..states {
                    let state = Input {
                        shape: vec![Some(1), Some(hidden)],
                        state: true,
                    };
                    let state = self.node(state, []);
                    let shift = self.reals(&[1, hidden]);
                    read.push(self.node(Add, [state, shift]));
                }
            }
            // States that the network computed.
            1 => {
                for _ in 0..states {
                    let state = self.dense(x, hidden);
                    let along = Along {
                        axes: vec![1],
                        ..Along::default()
                    };
                    read.push(self.node(ReduceMean(along), [state.id]));
                }
                // The steps may be none of the input's.
                if self.below(3) == 0 {
                    let shape = self.node(
                        ShapeOf {
                            start: 0,
                            end: None,
                        },
                        [read[0]],
                    );
                    let (value, whole) = (0.5, false);
                    read[0] = self.node(Filled { value, whole }, [shape]);
                }
            }
            _ => {}
        }
        let given = self.node(op, read);
        let id = self.turned(given, &[1, 0, 2]);
        let width = if cell == Cell::Lstm {
            2 * hidden
        } else {
            hidden
        };
        Value {
            id,
            dims: [steps, width],
        }
    }

    /// A value drawn together along an axis, which has length 1 then.
    fn drawn(&mut self, x: Value, plain: bool) -> NodeId {
        let axis = 1 + self.below(2);
        let keep = self.coin();
        let along = Along {
            axes: vec![axis as i64],
            first: 0,
            keep,
        };
        let y = match self.below(if plain { 4 } else { 7 }) {
            0 => self.node(ReduceSum(along), [x.id]),
            1 => self.node(ReduceMean(along), [x.id]),
            2 => self.node(ReduceMax(along), [x.id]),
            3 => self.node(ReduceMin(along), [x.id]),
            place => {
                let y = match place {
                    4 => self.node(TimeMean, [x.id]),
                    5 => self.node(TimeDeviation, [x.id]),
                    _ => {
                        let along = Along {
                            axes: vec![],
                            first: 2,
                            keep: false,
                        };
                        self.node(ReduceSum(along), [x.id])
                    }
                };
                return self.node(Unsqueeze { axes: vec![-1] }, [y]);
            }
        };
        match keep {
            true => y,
            false => self.node(
                Unsqueeze {
                    axes: vec![axis as i64],
                },
                [y],
            ),
        }
    }

    /// The same values in another order or shape, or several times.
    fn moved(&mut self, x: Value) -> Value {
        let [a, b] = x.dims;
        match self.below(8) {
            0 => {
                let id = self.turned(x.id, &[0, 2, 1]);
                Value { id, dims: [b, a] }
            }
            // Round by another order.
            1 => {
                let id = self.node(Transpose { axes: None }, [x.id]);
                let y = Value { id, dims: [a, b] };
                let id = self.turned(y.id, &[2, 0, 1]);
                Value { id, dims: [b, a] }
            }
            2 => {
                let id = self.reshaped(x.id, &[0, b as i64, -1]);
                Value { id, dims: [b, a] }
            }
            3 => {
                let flat = self.node(FlattenAt { axis: 2 }, [x.id]);
                let id = self.reshaped(flat, &[-1, a as i64, b as i64]);
                Value { id, ..x }
            }
            4 => {
                let times = [1, 1 + self.below(2) as i64, 2];
                let by = self.whole(&times);
                let id = self.node(Tile, [x.id, by]);
                let dims = [a * times[1] as usize, b * 2];
                Value { id, dims }
            }
            6 => {
                let op = Triangle {
                    upper: self.coin(),
                    diagonal: self.below(3) as i64 - 1,
                };
                let id = self.node(op, [x.id]);
                Value { id, ..x }
            }
            5 => {
                let y = self.drawn(x, true);
                let id = match self.coin() {
                    true => {
                        let shape = self.node(
                            ShapeOf {
                                start: 0,
                                end: None,
                            },
                            [x.id],
                        );
                        self.node(Expand, [y, shape])
                    }
                    false => {
                        let shape = self.whole(&[a as i64, b as i64]);
                        self.node(Expand, [y, shape])
                    }
                };
                Value { id, ..x }
            }
            _ => {
                let wide = self.node(Unsqueeze { axes: vec![1, -1] }, [x.id]);
                let id = self.node(Squeeze { axes: vec![-1, 1] }, [wide]);
                Value { id, ..x }
            }
        }
    }

    /// Values picked from places.
    fn picked(&mut self, x: Value) -> Value {
        let [a, b] = x.dims;
        match self.below(8) {
            0 => {
                let cut = Cut {
                    axis: 1,
                    start: -1,
                    end: None,
                    step: -1,
                };
                let cuts = Some(vec![cut]);
                let id = self.node(Slice { cuts }, [x.id]);
                if b < 2 {
                    return Value { id, ..x };
                }
                // Two frames, which share all but their ends, and their sum.
                let length = b - 1;
                let frames = self.node(Frames { length, hop: 1 }, [id]);
                let along = Along {
                    axes: vec![2],
                    ..Along::default()
                };
                Value {
                    id: self.node(ReduceSum(along), [frames]),
                    dims: [a, length],
                }
            }
            // Halves, each on a way of its own, and together again.
            1 if b >= 2 => {
                let mut parts = Vec::new();
                for part in 0..2 {
                    let axis = -1;
                    let id = self.node(
                        Chunk {
                            axis,
                            part,
                            parts: 2,
                        },
                        [x.id],
                    );
                    let size = b.div_ceil(2);
                    let dims = [a, if part == 0 { size } else { b - size }];
                    parts.push(self.function(Value { id, dims }));
                }
                let id = self.node(Concat { axis: 2 }, parts);
                Value { id, ..x }
            }
            2 => {
                let count = 1 + self.below(4);
                let places: Vec<i64> = (0..count).map(|_| self.below(a) as i64 - 1).collect();
                let places = self.whole(&places);
                let id = self.node(Gather { axis: 1 }, [x.id, places]);
                Value {
                    id,
                    dims: [count, b],
                }
            }
            3 => {
                let [start, end, step] = [0, b as i64, 2].map(|n| self.one_whole(n));
                let places = self.node(Range, [start, end, step]);
                let id = self.node(Gather { axis: 2 }, [x.id, places]);
                let dims = [a, b.div_ceil(2)];
                Value { id, dims }
            }
            // By rows of a table, of axes that come before the batch's.
            4 => {
                let places = Tensor::new(&[[0i64], [a as i64 - 1], [0]], &Device::Cpu);
                let places = self.constant(places.unwrap());
                let turned = self.turned(x.id, &[1, 2, 0]);
                let taken = self.node(GatherNd { batch: 0 }, [turned, places]);
                let id = self.turned(taken, &[2, 0, 1]);
                Value { id, dims: [3, b] }
            }
            5 => {
                let y = self.dense(x, b);
                let [x, y] = [x.id, y.id].map(|id| self.turned(id, &[1, 2, 0]));
                let cut = Cut {
                    axis: 0,
                    start: 0,
                    end: Some(1),
                    step: 1,
                };
                let cuts = Some(vec![cut]);
                let values = self.node(Slice { cuts }, [y]);
                let place = Tensor::new(&[[a as i64 - 1]], &Device::Cpu).unwrap();
                let place = self.constant(place);
                let put = self.node(Scatter { axis: None }, [x, place, values]);
                let id = self.turned(put, &[2, 0, 1]);
                Value { id, dims: [a, b] }
            }
            6 => {
                let y = self.dense(x, b);
                let places = match self.coin() {
                    true => self.node(
                        ArgMax {
                            axis: 1,
                            keep: true,
                        },
                        [y.id],
                    ),
                    false => {
                        let (axis, count, smallest) = (1, 1, self.coin());
                        let top = TopPlaces {
                            axis,
                            count,
                            smallest,
                        };
                        self.node(top, [y.id])
                    }
                };
                let id = self.node(GatherElements { axis: 1 }, [x.id, places]);
                Value { id, dims: [1, b] }
            }
            _ => {
                let y = self.beside_whole(x);
                let id = self.node(Concat { axis: 1 }, [x.id, y]);
                Value {
                    id,
                    dims: [2 * a, b],
                }
            }
        }
    }

    /// Another value of the same shape.
    fn beside_whole(&mut self, x: Value) -> NodeId {
        let y = self.beside(x);
        let shape = self.node(
            ShapeOf {
                start: 0,
                end: None,
            },
            [x.id],
        );
        self.node(Expand, [y, shape])
    }

    fn padded(&mut self, x: Value) -> Value {
        let [a, b] = x.dims;
        let all = [
            Padding::Value(0.0),
            Padding::Value(0.7),
            Padding::Reflect,
            Padding::Edge,
        ];
        let with = all[self.below(4)];
        match self.below(3) {
            0 => {
                let (before, after) = (vec![0, 1, 0], vec![0, -1, 1]);
                let reaches = b > 1 && a > 1;
                let with = if reaches { with } else { Padding::Edge };
                let id = self.node(
                    Pad {
                        before,
                        after,
                        with,
                        axes: Vec::new(),
                    },
                    [x.id],
                );
                Value {
                    id,
                    dims: [a, b + 1],
                }
            }
            1 => {
                let with = if b > 2 { with } else { Padding::Edge };
                let op = WindowPad {
                    kernel: vec![3],
                    stride: vec![1],
                    dilation: vec![1],
                    before: vec![0],
                    after: vec![0],
                    fit: Some(Fit::Same { upper: true }),
                    with,
                };
                let id = self.node(op, [x.id]);
                Value {
                    id,
                    dims: [a, b + 2],
                }
            }
            _ => {
                let (before, after) = (vec![0, 0, 1], vec![0, 0, 1]);
                let with = Padding::Lowest;
                let id = self.node(
                    Pad {
                        before,
                        after,
                        with,
                        axes: Vec::new(),
                    },
                    [x.id],
                );
                let id = self.node(MaxPool1d::new(3, 1), [id]);
                Value { id, ..x }
            }
        }
    }

    /// Windows over the last axis.
    fn over_time(&mut self, x: Value) -> Value {
        let [a, b] = x.dims;
        let outputs = 2 + self.below(4);
        match self.below(8) {
            0 => {
                let id = self.node(MaxPool1d::new(2, 1).padding(1), [x.id]);
                Value {
                    id,
                    dims: [a, b + 1],
                }
            }
            1 => {
                let id = self.node(AvgPool1d::new(2, 1).padding(1), [x.id]);
                Value {
                    id,
                    dims: [a, b + 1],
                }
            }
            2 => {
                let size = 1 + self.below(b);
                let id = self.node(AdaptiveAvgPool1d { size }, [x.id]);
                Value {
                    id,
                    dims: [a, size],
                }
            }
            3 => {
                let windows = WindowPad {
                    kernel: vec![3],
                    stride: vec![2],
                    dilation: vec![1],
                    before: vec![1],
                    after: vec![1],
                    fit: None,
                    with: Padding::Value(0.0),
                };
                let counts_padding = self.coin();
                let op = AvgWindows {
                    windows,
                    counts_padding,
                };
                let id = self.node(op, [x.id]);
                let dims = [a, (b - 1) / 2 + 1];
                Value { id, dims }
            }
            4 | 5 => {
                let id = self.node(Conv1d::new(a, outputs, 3).padding(1), [x.id]);
                let id = match self.coin() {
                    true => self.node(BatchNorm::new_1d(outputs), [id]),
                    false => id,
                };
                Value {
                    id,
                    dims: [outputs, b],
                }
            }
            6 => {
                let op = ConvTranspose {
                    inputs: a,
                    outputs,
                    kernel: (1, 2).into(),
                    stride: (1, 2).into(),
                    padding: (0, 0).into(),
                    output_padding: (0, 0).into(),
                    dilation: 1.into(),
                    groups: 1,
                    bias: self.coin(),
                    over_time: true,
                };
                let id = self.node(op, [x.id]);
                let dims = [outputs, 2 * b];
                Value { id, dims }
            }
            _ => self.resized(x),
        }
    }

    fn resized(&mut self, x: Value) -> Value {
        let [a, b] = x.dims;
        let coordinates = [
            Coordinates::HalfPixel,
            Coordinates::PytorchHalfPixel,
            Coordinates::Asymmetric,
            Coordinates::AlignCorners,
        ][self.below(4)];
        let nearest = [None, Some(Nearest::Floor), Some(Nearest::RoundPreferFloor)][self.below(3)];
        let to = 2 + self.below(5);
        let op = |scales, sizes| Resize {
            scales,
            sizes,
            coordinates,
            nearest,
        };
        match self.coin() {
            true => {
                let scales = Some(vec![1.0, 1.0, 1.5]);
                let id = self.node(op(scales, None), [x.id]);
                let dims = [a, (b as f32 * 1.5) as usize];
                Value { id, dims }
            }
            false => {
                let batch = self.node(
                    ShapeOf {
                        start: 0,
                        end: Some(1),
                    },
                    [x.id],
                );
                let rest = self.whole(&[a as i64, to as i64]);
                let sizes = self.node(Concat { axis: 0 }, [batch, rest]);
                let id = self.node(op(None, None), [x.id, sizes]);
                Value { id, dims: [a, to] }
            }
        }
    }

    /// As an image of one channel, or two.
    fn image(&mut self, x: Value) -> Value {
        let [a, b] = x.dims;
        let image = self.node(Unsqueeze { axes: vec![1] }, [x.id]);
        let (image, channels) = match self.coin() {
            true => (self.node(Concat::default(), [image, image]), 2),
            false => (image, 1),
        };
        let (image, channels, [a, b]) = match self.below(6) {
            0 => {
                let op = Conv2d::new(channels, 2, 3).padding(1);
                let id = self.node(op, [image]);
                (self.node(BatchNorm::new_2d(2), [id]), 2, [a, b])
            }
            1 => {
                let op = MaxPool2d::new(2, 1).padding(1);
                (self.node(op, [image]), channels, [a + 1, b + 1])
            }
            2 => {
                let op = AvgPool2d::new(2, 1).padding(1);
                (self.node(op, [image]), channels, [a + 1, b + 1])
            }
            3 => {
                let size = (1 + self.below(a), 1 + self.below(b));
                let id = self.node(AdaptiveAvgPool2d { size }, [image]);
                (id, channels, [size.0, size.1])
            }
            4 => {
                let op = ConvTranspose {
                    inputs: channels,
                    outputs: 2,
                    kernel: 2.into(),
                    stride: 1.into(),
                    padding: 0.into(),
                    output_padding: 0.into(),
                    dilation: 1.into(),
                    groups: 1,
                    bias: self.coin(),
                    over_time: false,
                };
                (self.node(op, [image]), 2, [a + 1, b + 1])
            }
            _ => {
                let id = self.node(
                    PRelu {
                        parameters: channels,
                    },
                    [image],
                );
                (id, channels, [a, b])
            }
        };
        let id = self.reshaped(image, &[0, (channels * a) as i64, b as i64]);
        let dims = [channels * a, b];
        Value { id, dims }
    }

    /// A Fourier transform: its parts, its power, or there and back.
    fn spectrum(&mut self, x: Value) -> Value {
        let [a, b] = x.dims;
        let real = self.node(Unsqueeze { axes: vec![-1] }, [x.id]);
        let length = [None, Some(b + 1), Some(b.max(2) - 1)][self.below(3)];
        let whole = length.unwrap_or(b);
        let onesided = self.coin();
        let dft = |inverse, onesided, length| Dft {
            axis: 2,
            inverse,
            onesided,
            length,
        };
        let given = self.node(dft(false, onesided, length), [real]);
        let count = if onesided { whole / 2 + 1 } else { whole };
        match self.below(3) {
            0 => {
                let id = self.reshaped(given, &[0, a as i64, -1]);
                Value {
                    id,
                    dims: [a, 2 * count],
                }
            }
            1 => {
                let power = self.node(Elementwise(Power { exponent: 2.0 }), [given]);
                let along = Along {
                    axes: vec![-1],
                    ..Along::default()
                };
                let id = self.node(ReduceSum(along), [power]);
                Value {
                    id,
                    dims: [a, count],
                }
            }
            _ => {
                let back = self.node(dft(true, false, None), [given]);
                let id = self.reshaped(back, &[0, a as i64, -1]);
                Value {
                    id,
                    dims: [a, 2 * count],
                }
            }
        }
    }

    fn quantized(&mut self, x: Value) -> Value {
        let (axis, low, high) = (1, -128.0, 127.0);
        let mut scale = match self.below(4) {
            3 => {
                let op = FakeQuantize {
                    scale: 0.1,
                    zero: 3.0,
                    low,
                    high,
                };
                let id = self.node(Elementwise(op), [x.id]);
                return Value { id, ..x };
            }
            0 => vec![self.constant(Tensor::new(0.1, &Device::Cpu).unwrap())],
            1 => {
                let scales = numbers(&[x.dims[0]], 0.05..0.2, &mut self.rng);
                vec![self.constant(scales)]
            }
            _ => {
                let scale = self.node(QuantizeScale { zero: false }, [x.id]);
                let zero = self.node(QuantizeScale { zero: true }, [x.id]);
                vec![scale, zero]
            }
        };
        scale.insert(0, x.id);
        let steps = self.node(Quantize { axis, low, high }, scale.clone());
        scale[0] = steps;
        let id = self.node(Dequantize { axis }, scale);
        Value { id, ..x }
    }
}

/// Numbers by lot.
pub fn numbers(shape: &[usize], range: std::ops::Range<f64>, rng: &mut ChaCha8Rng) -> Tensor {
    let count = shape.iter().product();
    let values: Vec<f64> = (0..count)
        .map(|_| rng.random_range(range.clone()))
        .collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}
