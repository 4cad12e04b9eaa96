//! Graphs of several inputs and outputs, of states, of constants, and of axes that may have any length.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use speechlens_nn::ops::{
    Add, Constant, Conv1d, Flatten, Input, Linear, Mul, Registry, Relu, TimeMean,
};
use speechlens_nn::{Architecture, Graph};

fn values(shape: impl Into<candle_core::Shape>) -> Tensor {
    let shape = shape.into();
    let all = Tensor::arange(0f32, shape.elem_count() as f32, &Device::Cpu).unwrap();
    all.sin().unwrap().reshape(shape).unwrap()
}

fn free(shape: &[Option<usize>], state: bool) -> Input {
    Input {
        shape: shape.to_vec(),
        state,
    }
}

fn same(one: &Tensor, other: &Tensor) {
    assert_eq!(one.dims(), other.dims());
    let apart = (one - other).unwrap().abs().unwrap();
    let apart = apart.flatten_all().unwrap().max(0).unwrap();
    assert!(apart.to_scalar::<f32>().unwrap() < 1e-6);
}

/// `relu(x) m` and, from it and a state, the next state: two inputs, a constant, two outputs, one of which the other reads.
fn two_of_each() -> Graph {
    let mut net = Architecture::new([4]);
    let state = net
        .add("state", free(&[Some(2), Some(4)], true), [])
        .unwrap();
    let mask = net.add("mask", Constant { shape: vec![4] }, []).unwrap();
    let x = net.add("dense", Linear::new(4, 4), [net.input()]).unwrap();
    let x = net.add("relu", Relu, [x]).unwrap();
    let x = net.add("masked", Mul, [x, mask]).unwrap();
    let next = net.add("next", Add, [x, state]).unwrap();
    let last = net.add("last", Relu, [next]).unwrap();
    let net = net.with_outputs([x, last]).unwrap();
    let again = Architecture::parse(&net.to_json(), &Registry::default()).unwrap();
    assert_eq!(again.to_json(), net.to_json());
    again
        .random(3, &Device::Cpu)
        .unwrap()
        .map_weights(|name, tensor| match name {
            "mask.value" => Ok(Tensor::new(
                &[[1f32, 0.0, 2.0, 1.0], [0.0, 1.0, 1.0, 3.0]],
                &Device::Cpu,
            )?),
            _ => Ok(tensor.clone()),
        })
        .unwrap()
}

#[test]
fn what_is_given_and_what_is_not() {
    let (graph, x) = (two_of_each(), values((2, 4)));
    let weights: BTreeMap<String, Tensor> = graph.weights();
    let dense = x.matmul(&weights["dense.weight"].t().unwrap()).unwrap();
    let dense = dense.broadcast_add(&weights["dense.bias"]).unwrap();
    let masked = dense
        .relu()
        .unwrap()
        .broadcast_mul(&weights["mask.value"])
        .unwrap();
    // The first output is what a network answers.
    same(&graph.forward(&x).unwrap(), &masked);
    // A state that is not given is zeros; `next` is read by `last` alone, and ReLU is not joined to what others ask for.
    let given = graph.outputs_of(&[("input", &x)], &[]).unwrap();
    assert_eq!(
        given
            .iter()
            .map(|(name, _)| name.as_str())
            .collect::<Vec<_>>(),
        ["masked", "last"]
    );
    same(&given[1].1, &masked);
    let state = (values((2, 4)) * -1.0).unwrap();
    let given = graph
        .outputs_of(
            &[("state", &state), ("input", &x)],
            &["last", "next", "relu"],
        )
        .unwrap();
    let next = (&masked + &state).unwrap();
    same(&given[0].1, &next.relu().unwrap());
    same(&given[1].1, &next);
    same(&given[2].1, &dense.relu().unwrap());

    let refused = |given: &[(&str, &Tensor)], names: &[&str]| {
        graph.outputs_of(given, names).unwrap_err().to_string()
    };
    assert!(refused(&[("state", &state)], &[]).contains("`input`: is an input"));
    assert!(refused(&[("input", &x), ("other", &x)], &[]).contains("`other`"));
    assert!(refused(&[("input", &x), ("relu", &x)], &[]).contains("`relu`: is no input"));
    assert!(refused(&[("input", &x)], &["logits"]).contains("`logits`"));
    let error = refused(&[("input", &x), ("state", &values((1, 4)))], &[]);
    assert!(
        error.contains("`state` of shape [2, 4], not [1, 4]"),
        "{error}"
    );
}

/// Of ten frames and of thirty: the same weights, and no shape in the graph.
#[test]
fn an_axis_may_be_of_any_length() {
    let text = r#"{"nodes":[
{"name":"sound","op":"input","attributes":{"shape":[null,2,null],"state":false}},
{"name":"conv","op":"conv1d","attributes":{"inputs":2,"outputs":5,"kernel":3},"inputs":["sound"]},
{"name":"relu","op":"relu","inputs":["conv"]},
{"name":"mean","op":"time-mean","inputs":["relu"]},
{"name":"head","op":"linear","attributes":{"inputs":5,"outputs":3},"inputs":["mean"]}
],"outputs":["head"]}"#;
    let net = Architecture::parse(text, &Registry::default()).unwrap();
    assert_eq!(net.input_shape(), [Some(2), None]);
    assert!(net.fixed_input_shape().is_err());
    let graph = net.random(4, &Device::Cpu).unwrap();
    for frames in [10, 30] {
        let x = values((4, 2, frames));
        let mut net = Architecture::new([2, frames]);
        let y = net
            .add("conv", Conv1d::new(2, 5, 3), [net.input()])
            .unwrap();
        let y = net.add("relu", Relu, [y]).unwrap();
        let y = net.add("mean", TimeMean, [y]).unwrap();
        net.add("head", Linear::new(5, 3), [y]).unwrap();
        let fixed = net.with_weights(graph.weights()).unwrap();
        same(&graph.forward(&x).unwrap(), &fixed.forward(&x).unwrap());
        let ones = |logits: &Tensor| Ok(logits.ones_like()?);
        let (_, gradient) = graph.input_gradient(&x, ones).unwrap();
        same(&gradient, &fixed.input_gradient(&x, ones).unwrap().1);
    }
    let error = graph.forward(&values((4, 3, 10))).unwrap_err().to_string();
    assert!(
        error.contains("`sound` of shape [N, 2, any], not [4, 3, 10]"),
        "{error}"
    );
}

/// What nobody trains is in the weights' file, and is no parameter to training.
#[test]
fn constants_are_weights_that_are_not_trained() {
    let mut net = Architecture::new([2, 2]);
    let mask = net
        .add(
            "mask",
            Constant {
                shape: vec![1, 2, 2],
            },
            [],
        )
        .unwrap();
    let x = net.add("masked", Mul, [net.input(), mask]).unwrap();
    let x = net.add("flatten", Flatten, [x]).unwrap();
    net.add("head", Linear::new(4, 2), [x]).unwrap();
    let graph = net.random(1, &Device::Cpu).unwrap();
    assert_eq!(graph.weights()["mask.value"].dims(), [1, 2, 2]);
    let x = Tensor::ones((1, 2, 2), DType::F32, &Device::Cpu).unwrap();
    // They are zeros until somebody sets them.
    same(
        &graph.forward(&x).unwrap(),
        &graph.weights()["head.bias"].unsqueeze(0).unwrap(),
    );
}
