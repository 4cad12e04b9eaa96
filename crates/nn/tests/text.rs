//! Architectures as text: what is written comes back, and what is wrong with a text names the node.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};
use speechlens_nn::ops::{
    AdaptiveAvgPool1d, AdaptiveAvgPool2d, Add, AvgPool1d, AvgPool2d, BatchNorm, Concat, Constant,
    Conv1d, Conv2d, Dropout, Flatten, LeakyRelu, Linear, MaxPool1d, MaxPool2d, Mul, PRelu,
    Registry, Relu, Sigmoid, Tanh, TimeDeviation, TimeMean,
};
use speechlens_nn::{Architecture, Branch, Kind, Map, Mode, NodeId, Op, Params, Result};

/// One of every op, with attributes that are not those of the start.
fn every_op() -> Architecture {
    let mut net = Architecture::new([2, 12, 11]);
    let mut number = 0;
    let mut add = |op: &dyn Fn(&mut Architecture, String) -> Result<NodeId>| {
        number += 1;
        op(&mut net, format!("node.{number}")).unwrap()
    };
    macro_rules! node {
        ($op:expr $(, $read:expr)*) => {
            add(&|net, name| net.add(name, $op, vec![$($read),*]))
        };
    }
    let input = add(&|net, _| Ok(net.input()));
    // Of nothing but its own, added to what was given.
    let held = node!(Constant {
        shape: vec![2, 2, 12, 11]
    });
    let input = node!(Add, input, held);
    let conv = Conv2d::new(2, 8, (5, 3)).padding((2, 1)).stride((1, 2));
    let x = node!(conv.clone().dilation(1).groups(2).without_bias(), input);
    let x = node!(BatchNorm::new_2d(8).epsilon(0.1 + 0.2), x);
    let x = node!(PRelu { parameters: 8 }, x);
    let y = node!(LeakyRelu { slope: 1.0 / 3.0 }, x);
    let x = node!(Add, x, y, x);
    let x = node!(Mul, x, y);
    let x = node!(MaxPool2d::new(3, 2).padding((1, 0)), x);
    let x = node!(AvgPool2d::new((2, 1), 1), x);
    let x = node!(AdaptiveAvgPool2d { size: (3, 12) }, x);
    let mean = node!(TimeMean, x);
    let x = node!(TimeDeviation, x);
    let x = node!(Concat::default(), mean, x);
    let x = node!(Conv1d::new(16, 4, 3).padding(2).groups(4), x);
    let x = node!(MaxPool1d::new(2, 1), x);
    let x = node!(AvgPool1d::new(2, 1).padding(1), x);
    let x = node!(AdaptiveAvgPool1d { size: 2 }, x);
    let x = node!(Sigmoid, x);
    let x = node!(Tanh, x);
    let x = node!(Relu, x);
    let x = node!(Dropout { p: 0.3 }, x);
    let x = node!(Flatten, x);
    node!(Linear::new(8, 3).without_bias(), x);
    net
}

/// The same text, and the same network to the last bit.
#[test]
fn every_op_comes_back() {
    let net = every_op();
    let output = net.output();
    let net = net.with_outputs([output]).unwrap();
    let text = net.to_json();
    let ops = Registry::default();
    let back = Architecture::parse(&text, &ops).unwrap();
    assert_eq!(back.to_json(), text);
    assert_eq!(format!("{back:?}"), format!("{net:?}"));
    let used: BTreeSet<&str> = net.nodes().iter().map(|n| n.op.name()).collect();
    // Those of other networks come back in the tests of `onnx`.
    assert!(used.is_subset(&ops.names().collect()));

    let logits = |net: Architecture| {
        let graph = net.random(3, &Device::Cpu).unwrap();
        let input = Tensor::arange(0f32, 528.0, &Device::Cpu).unwrap();
        let input = input.sin().unwrap().reshape((2, 2, 12, 11)).unwrap();
        graph.forward(&input).unwrap().to_vec2::<f32>().unwrap()
    };
    assert_eq!(logits(net), logits(back));
}

/// A text of these nodes behind an input.
fn graph(nodes: &str, output: &str) -> String {
    let input = r#"{"name":"input","op":"input","attributes":{"shape":[null,3],"state":false}}"#;
    format!("{{\"nodes\":[{input},{nodes}],\"outputs\":[\"{output}\"]}}")
}

#[test]
fn what_is_wrong_names_the_node() {
    let refused = |text: &str, says: &str| {
        let error = Architecture::parse(text, &Registry::default()).unwrap_err();
        assert!(error.to_string().contains(says), "{text}\n{error}");
    };
    let node = |node: &str, says: &str| {
        let text = graph(&format!("{{\"name\":\"a.b\",{node}}}"), "a.b");
        refused(&text, "node `a.b`: ");
        refused(&text, says);
    };
    let read = "\"inputs\":[\"input\"]";
    node(
        &format!("\"op\":\"swish\",{read}"),
        "no op `swish`; there are abs, adaptive-",
    );
    node(
        &format!("\"op\":\"linear\",{read}"),
        "missing field `inputs`",
    );
    let surplus = "\"attributes\":{\"inputs\":3,\"outputs\":2,\"colour\":1}";
    node(
        &format!("\"op\":\"linear\",{read},{surplus}"),
        "unknown attribute `colour`; there are bias, inputs, outputs",
    );
    let surplus = "\"attributes\":{\"slope\":1}";
    node(
        &format!("\"op\":\"relu\",{read},{surplus}"),
        "unknown attribute `slope`",
    );
    node(
        "\"op\":\"relu\",\"inputs\":[\"a.b\"]",
        "reads `a.b`, which is not there",
    );
    node(
        "\"op\":\"relu\",\"inputs\":[\"input\",\"input\"]",
        "reads 1 nodes, not 2",
    );
    node(
        "\"op\":\"add\",\"inputs\":[]",
        "reads 1 nodes or more, not 0",
    );
    let conv = "\"attributes\":{\"inputs\":1,\"outputs\":1,\"kernel\":[3,3,3]}";
    node(&format!("\"op\":\"conv2d\",{read},{conv}"), "conv2d: ");
    refused("{\"outputs\":[]}", "missing field `nodes`");
    refused(
        "{\"nodes\":[],\"outputs\":[]}",
        "the first node is no `input`",
    );
    refused("arch", "is no JSON");
    let twice = "{\"name\":\"a\",\"op\":\"relu\",\"inputs\":[\"input\"]}";
    let both = format!("{twice},{twice}");
    refused(&graph(&both, "a"), "node `a`: the name is taken");
    refused(&graph(twice, "b"), "no node `b` to be an output");
}

/// An op of somebody else's: in a file once it is in the registry.
#[test]
fn ops_are_added_from_outside() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Scale {
        by: f64,
    }
    impl Op for Scale {
        fn name(&self) -> &str {
            "scale"
        }
        fn kind(&self) -> Kind {
            Kind::Activation
        }
        fn forward(&self, _: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
            Ok((inputs[0] * self.by)?)
        }
        fn branches(&self, _: usize) -> Vec<Branch<'_>> {
            Branch::only(Map::Each)
        }
    }
    let mut net = Architecture::new([2]);
    net.add("scale", Scale { by: 0.1 }, [net.input()]).unwrap();
    let text = net.to_json();
    assert!(Architecture::parse(&text, &Registry::default()).is_err());
    let back = Architecture::parse(&text, &Registry::default().with::<Scale>("scale")).unwrap();
    assert_eq!(back.to_json(), text);
}
