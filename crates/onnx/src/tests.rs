//! Files that cannot be read, each told in a line that names the file, the node and what to do.

use std::path::Path;

use prost::Message;

use crate::proto::{
    Attribute, Axis, Entry, Function, Graph, Kind, Model, Node, Opset, Shape, Tensor, TensorKind,
    Value,
};
use crate::{Error, Onnx};

fn value(name: &str, shape: &[i64]) -> Value {
    let axis = |length: &i64| Axis {
        length: *length,
        name: String::new(),
    };
    let tensor = TensorKind {
        data_type: 1,
        shape: Some(Shape {
            axes: shape.iter().map(axis).collect(),
        }),
    };
    Value {
        name: name.into(),
        kind: Some(Kind {
            tensor: Some(tensor),
        }),
    }
}

fn node(op: &str, inputs: &[&str], output: &str) -> Node {
    Node {
        inputs: inputs.iter().map(|name| (*name).to_owned()).collect(),
        outputs: vec![output.into()],
        name: format!("{output}-node"),
        op: op.into(),
        ..Node::default()
    }
}

/// Nodes between `x`, `[N, 3]`, and `y`.
fn model(nodes: Vec<Node>) -> Model {
    Model {
        ir_version: 8,
        graph: Some(Graph {
            nodes,
            inputs: vec![value("x", &[0, 3])],
            outputs: vec![value("y", &[0, 3])],
            ..Graph::default()
        }),
        opsets: vec![Opset {
            domain: String::new(),
            version: 17,
        }],
        ..Model::default()
    }
}

fn opened(model: &Model, path: &Path) -> Result<speechlens_nn::Graph, Error> {
    Onnx::parse(model.encode_to_vec(), path)?.graph()
}

/// What is said of a file.
fn told(model: &Model) -> String {
    let error = opened(model, Path::new("net.onnx"))
        .map(|_| ())
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("net.onnx: ") && !text.contains('\n'),
        "{text}"
    );
    text
}

fn says(model: &Model, words: &[&str]) {
    let text = told(model);
    for word in words {
        assert!(text.contains(word), "`{text}` does not say `{word}`");
    }
}

#[test]
fn what_is_no_network_is_told() {
    let parse = |bytes: Vec<u8>| match Onnx::parse(bytes, Path::new("net.onnx")) {
        Ok(network) => network.graph().map(|_| ()).unwrap_err().to_string(),
        Err(error) => error.to_string(),
    };
    assert!(parse(b"a text".to_vec()).contains("is no whole ONNX file"));
    assert!(parse(Vec::new()).contains("holds no network"));
    let whole = model(vec![node("Relu", &["x"], "y")]).encode_to_vec();
    for cut in 1..whole.len() {
        let text = parse(whole[..cut].to_vec());
        assert!(text.starts_with("net.onnx: "), "{text}");
    }
    assert!(
        opened(
            &model(vec![node("Relu", &["x"], "y")]),
            Path::new("net.onnx")
        )
        .is_ok()
    );
    let missing = Onnx::open(Path::new("no/such.onnx"))
        .map(|_| ())
        .unwrap_err();
    assert!(missing.to_string().starts_with("no/such.onnx: "));
}

#[test]
fn versions_domains_and_functions_are_told() {
    for (version, words) in [(5, "version 5"), (99, "version 99")] {
        let mut model = model(vec![node("Relu", &["x"], "y")]);
        model.opsets[0].version = version;
        says(&model, &[words, "9 to 23", "opset_version=17"]);
    }
    let mut no_version = model(vec![node("Relu", &["x"], "y")]);
    no_version.opsets.clear();
    says(&no_version, &["says no version"]);
    let mut custom = model(vec![node("Relu", &["x"], "y")]);
    custom.graph.as_mut().unwrap().nodes[0].domain = "com.example".into();
    says(&custom, &["node `y-node` (Relu)", "com.example"]);
    let mut functions = model(vec![node("Relu", &["x"], "y")]);
    functions.functions.push(Function {
        name: "Mine".into(),
        domain: "local".into(),
    });
    says(&functions, &["`Mine`", "inline_local_functions"]);
}

/// All nodes that are not supported are told, and what reads them is not told again.
#[test]
fn ops_and_attributes_are_told_with_their_nodes() {
    let mut pooled = node("MaxPool", &["b"], "y");
    let list = |name: &str, ints: &[i64]| Attribute {
        name: name.into(),
        ints: ints.to_vec(),
        kind: 7,
        ..Attribute::default()
    };
    pooled.attributes = vec![list("kernel_shape", &[2])];
    let model = model(vec![
        node("Det", &["x"], "a"),
        node("Relu", &["a"], "b"),
        pooled,
        node("NonZero", &["x"], "c"),
    ]);
    says(
        &model,
        &[
            "node `a-node` (Det)",
            "node `c-node` (NonZero)",
            "speechlens inspect",
        ],
    );
    assert!(!told(&model).contains("b-node"));
    let mut relu = node("Relu", &["x"], "y");
    relu.attributes = vec![list("slopes", &[1])];
    says(&self::model(vec![relu]), &["y-node", "attribute `slopes`"]);
}

/// A node reads what stands before it: what goes round in a circle has no such order.
#[test]
fn cycles_and_what_is_not_there_are_told() {
    says(
        &model(vec![
            node("Add", &["x", "b"], "a"),
            node("Relu", &["a"], "b"),
        ]),
        &["a-node", "`b`", "no node before it"],
    );
    says(&model(vec![node("Relu", &["x"], "z")]), &["output `y`"]);
    says(
        &model(vec![node("Relu", &[], "y")]),
        &["y-node", "input 1 is missing"],
    );
}

#[test]
fn constants_in_other_files_stay_beside_the_network() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.onnx");
    let constant = |location: &str, dims: &[i64]| Tensor {
        dims: dims.to_vec(),
        data_type: 1,
        name: "w".into(),
        location: 1,
        external: vec![Entry {
            key: "location".into(),
            value: location.into(),
        }],
        ..Tensor::default()
    };
    let of = |tensor: Tensor| {
        let mut model = model(vec![node("Add", &["x", "w"], "y")]);
        model.graph.as_mut().unwrap().initializers = vec![tensor];
        opened(&model, &path)
            .map(|_| ())
            .map_err(|error| error.to_string())
    };
    let missing = of(constant("weights.bin", &[3])).unwrap_err();
    assert!(
        missing.contains("weights.bin") && missing.contains("put that file beside"),
        "{missing}"
    );
    std::fs::write(folder.path().join("weights.bin"), [0; 12]).unwrap();
    assert_eq!(of(constant("weights.bin", &[3])), Ok(()));
    assert!(
        of(constant("weights.bin", &[4]))
            .unwrap_err()
            .contains("weights.bin")
    );
    for outside in ["../weights.bin", "/etc/passwd", "a/../../b", ""] {
        assert!(
            of(constant(outside, &[3]))
                .unwrap_err()
                .contains("not beside the network")
        );
    }
}

/// A few bytes that ask for any memory, or for any depth.
#[test]
fn hostile_sizes_and_depths_are_refused() {
    let constant = |dims: &[i64]| Tensor {
        dims: dims.to_vec(),
        data_type: 1,
        name: "w".into(),
        ..Tensor::default()
    };
    for dims in [
        &[1 << 40][..],
        &[1 << 20, 1 << 20, 1 << 20, 1 << 20],
        &[0, 1 << 40, 1 << 40],
        &[-1],
        &[7],
    ] {
        let mut model = model(vec![node("Add", &["x", "w"], "y")]);
        model.graph.as_mut().unwrap().initializers = vec![constant(dims)];
        says(&model, &["`w`"]);
    }
    let mut inner = Graph::default();
    for _ in 0..200 {
        let mut node = node("If", &["x"], "y");
        node.attributes = vec![Attribute {
            name: "then_branch".into(),
            graph: Some(inner),
            ..Attribute::default()
        }];
        inner = Graph {
            nodes: vec![node],
            ..Graph::default()
        };
    }
    let mut deep = model(Vec::new());
    deep.graph.as_mut().unwrap().nodes = inner.nodes;
    assert!(told(&deep).contains("recursion limit"));
}

/// What of an LSTM nobody wants has no name, and is not what a later node leaves out.
#[test]
fn what_has_no_name_is_not_there() {
    let weight = |name: &str, dims: &[i64]| Tensor {
        dims: dims.to_vec(),
        data_type: 1,
        name: name.into(),
        floats: vec![0.5; dims.iter().product::<i64>() as usize],
        ..Tensor::default()
    };
    let mut lstm = node("LSTM", &["steps", "w", "r"], "");
    lstm.outputs = vec![String::new(), "h".into()];
    let mut apart = node("Unsqueeze", &["x", "axes"], "steps");
    apart.inputs.truncate(2);
    let mut model = model(vec![apart, lstm, node("Clip", &["h", "", "most"], "y")]);
    let graph = model.graph.as_mut().unwrap();
    let mut axes = weight("axes", &[1]);
    (axes.data_type, axes.floats, axes.longs) = (7, Vec::new(), vec![0]);
    graph.initializers = vec![
        axes,
        weight("w", &[1, 8, 3]),
        weight("r", &[1, 8, 2]),
        weight("most", &[]),
    ];
    assert!(opened(&model, Path::new("net.onnx")).is_ok());
}

/// Two branches may call different constants alike.
#[test]
fn names_of_a_branch_are_its_own() {
    let constant = |name: &str, data_type: i32, value: f32| Tensor {
        data_type,
        name: name.into(),
        floats: if data_type == 1 {
            vec![value]
        } else {
            Vec::new()
        },
        ints: if data_type == 9 { vec![1] } else { Vec::new() },
        ..Tensor::default()
    };
    let branch = |value: f32, read: &str, given: &str| {
        let graph = Graph {
            nodes: vec![node("Mul", &[read, "c"], "inner")],
            initializers: vec![constant("c", 1, value)],
            outputs: vec![self::value("inner", &[0, 3])],
            ..Graph::default()
        };
        let mut node = node("If", &["yes"], given);
        node.attributes = ["then_branch", "else_branch"]
            .map(|name| Attribute {
                name: name.into(),
                graph: Some(graph.clone()),
                ..Attribute::default()
            })
            .into();
        node
    };
    let mut model = model(vec![branch(2.0, "x", "first"), branch(3.0, "first", "y")]);
    model.graph.as_mut().unwrap().initializers = vec![constant("yes", 9, 1.0)];
    let graph = opened(&model, Path::new("net.onnx")).unwrap();
    let ones =
        candle_core::Tensor::ones((1, 3), candle_core::DType::F32, &candle_core::Device::Cpu);
    let given = graph.forward(&ones.unwrap()).unwrap();
    assert_eq!(given.to_vec2::<f32>().unwrap(), [[6.0; 3]]);
}

/// Nodes keep their names, and the output has that of the file; escapes in names are no escapes in messages.
#[test]
fn outputs_are_called_as_in_the_file() {
    let graph = opened(
        &model(vec![node("Relu", &["x"], "a"), node("Neg", &["a"], "y")]),
        Path::new("net.onnx"),
    );
    let graph = graph.unwrap();
    let names: Vec<&str> = graph.nodes().map(|(_, node)| node.name.as_str()).collect();
    assert_eq!(names, ["x", "a-node", "y"]);
    let mut hostile = node("Det", &["x"], "y");
    hostile.name = "\x1b[31mred\n".into();
    says(&model(vec![hostile]), &["node `\\u{1b}[31mred\\n`"]);
}

/// Functions of real numbers take no whole ones, and constants that a few numbers ask for are not made.
#[test]
fn constants_that_cannot_be_computed_are_told() {
    let whole = |name: &str, values: &[i64]| Tensor {
        dims: vec![values.len() as i64],
        data_type: 7,
        name: name.into(),
        longs: values.to_vec(),
        ..Tensor::default()
    };
    for op in ["Sigmoid", "Tanh", "Softmax", "LpNormalization", "LeakyRelu"] {
        let mut model = model(vec![node(op, &["w"], "a"), node("Add", &["x", "a"], "y")]);
        let graph = model.graph.as_mut().unwrap();
        graph.initializers.push(whole("w", &[1, 2, 3]));
        says(&model, &["node `a-node`", "whole numbers"]);
    }
    let large = [1 << 13, 1 << 13];
    for (op, inputs) in [
        ("ConstantOfShape", &["w"][..]),
        ("Expand", &["one", "w"]),
        ("Tile", &["square", "w"]),
    ] {
        let mut model = model(vec![node(op, inputs, "a"), node("Add", &["x", "a"], "y")]);
        let graph = model.graph.as_mut().unwrap();
        graph.initializers.push(whole("w", &large));
        graph.initializers.push(whole("one", &[1]));
        let mut square = whole("square", &[1]);
        square.dims = vec![1, 1];
        graph.initializers.push(square);
        says(&model, &["node `a-node`", "too large"]);
    }
    let window = [whole("step", &[3]), whole("length", &[1 << 50])];
    let mut model = model(vec![node("STFT", &["x", "step", "", "length"], "y")]);
    model.graph.as_mut().unwrap().initializers.extend(window);
    says(&model, &["node `y-node`", "frames of 1125899906842624"]);
}
