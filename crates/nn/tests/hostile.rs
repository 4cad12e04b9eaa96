//! Whatever attributes a text gives an op: it is refused, or it runs, or it says what does not fit. Nothing panics, and nothing asks
//! for more memory than the input and the weights explain.

#![allow(clippy::unwrap_used)]

use candle_core::{Device, Tensor};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use speechlens_nn::Architecture;
use speechlens_nn::ops::Registry;

/// The ops with some attributes that they have.
const OPS: [(&str, &str); 14] = [
    ("adaptive-avg-pool1d", r#"{"size":2}"#),
    ("adaptive-avg-pool2d", r#"{"size":[2,2]}"#),
    ("avg-pool1d", r#"{"kernel":2,"stride":1,"padding":0}"#),
    (
        "avg-pool2d",
        r#"{"kernel":[2,2],"stride":[1,1],"padding":[0,0]}"#,
    ),
    (
        "batch-norm",
        r#"{"channels":4,"epsilon":1e-5,"images":true}"#,
    ),
    ("constant", r#"{"shape":[2,3]}"#),
    (
        "conv1d",
        r#"{"inputs":4,"outputs":6,"kernel":3,"stride":1,"padding":0,"dilation":1,"groups":1,"bias":true}"#,
    ),
    (
        "conv2d",
        r#"{"inputs":4,"outputs":6,"kernel":[3,3],"stride":[1,1],"padding":[0,0],"dilation":[1,1],"groups":1,"bias":true}"#,
    ),
    ("dropout", r#"{"p":0.5}"#),
    ("leaky-relu", r#"{"slope":0.1}"#),
    ("linear", r#"{"inputs":4,"outputs":3,"bias":true}"#),
    ("max-pool1d", r#"{"kernel":2,"stride":1,"padding":0}"#),
    (
        "max-pool2d",
        r#"{"kernel":[2,2],"stride":[1,1],"padding":[0,0]}"#,
    ),
    ("prelu", r#"{"parameters":4}"#),
];

/// Numbers that somebody may write, and that break things.
fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => (0u64..6).prop_map(Value::from),
        1 => prop_oneof![Just(Value::from(1000)), Just(Value::from(1 << 20))],
        1 => Just(Value::from(u64::MAX)),
        1 => Just(Value::from(1u64 << 62)),
        1 => Just(Value::from(1u64 << 31)),
        1 => Just(json!(-1)),
        1 => Just(json!(1.5)),
        1 => Just(json!(1e300)),
        1 => Just(Value::Null),
        1 => Just(json!("2")),
    ]
}

fn attributes() -> impl Strategy<Value = (usize, Vec<(usize, Value, Value)>)> {
    let change = (0usize..8, number(), number());
    (0..OPS.len(), prop::collection::vec(change, 0..4))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nothing_panics((op, changes) in attributes(), rank in 1usize..5) {
        let (name, attributes) = OPS[op];
        let mut attributes: Map<String, Value> = serde_json::from_str(attributes).unwrap();
        for (place, one, other) in changes {
            let place = place % attributes.len();
            let value = attributes.values_mut().nth(place).unwrap();
            *value = match value {
                Value::Array(_) => json!([one, other]),
                _ => one,
            };
        }
        let shape = [3, 4, 7, 5];
        let shape = &shape[..rank];
        let mut free = vec![Value::Null];
        free.extend(shape[1..].iter().map(|length| json!(length)));
        let reads = if name == "constant" { json!([]) } else { json!(["input"]) };
        let text = json!({
            "nodes": [
                {"name": "input", "op": "input", "attributes": {"shape": free, "state": false}},
                {"name": "x", "op": name, "attributes": attributes, "inputs": reads},
            ],
            "outputs": ["x"],
        });
        let Ok(net) = Architecture::parse(&text.to_string(), &Registry::default()) else {
            return Ok(());
        };
        // Weights that a file would have to hold; no file holds a billion.
        let weights: Option<usize> = net.nodes()[1].op.params().iter().try_fold(0usize, |sum, spec| {
            let count = spec.shape.dims().iter().try_fold(1usize, |all, n| all.checked_mul(*n))?;
            sum.checked_add(count)
        });
        if weights.is_none_or(|weights| weights > 1 << 16) {
            return Ok(());
        }
        let Ok(graph) = net.random(1, &Device::Cpu) else {
            return Ok(());
        };
        let input = Tensor::ones(shape, candle_core::DType::F32, &Device::Cpu).unwrap();
        if let Ok(output) = graph.forward(&input) {
            prop_assert!(output.elem_count() < 1 << 16, "{} values from {}", output.elem_count(), text);
            let _ = graph.input_gradient(&input, |logits| Ok(logits.ones_like()?));
        }
    }
}

#[test]
fn a_state_of_any_size_is_refused_and_not_made() {
    for shape in [
        json!([1 << 20, 1 << 20]),
        json!([1u64 << 30, 1u64 << 30, 1u64 << 30]),
    ] {
        let text = json!({
            "nodes": [
                {"name": "input", "op": "input", "attributes": {"shape": [null, 2]}},
                {"name": "state", "op": "input", "attributes": {"shape": shape, "state": true}},
            ],
            "outputs": ["input", "state"],
        });
        let Ok(net) = Architecture::parse(&text.to_string(), &Registry::default()) else {
            continue;
        };
        let graph = net.random(1, &Device::Cpu).unwrap();
        let input = Tensor::ones((1, 2), candle_core::DType::F32, &Device::Cpu).unwrap();
        let error = graph
            .outputs_of(&[("input", &input)], &["state"])
            .unwrap_err();
        assert!(error.to_string().contains("more than"), "{error}");
    }
}
