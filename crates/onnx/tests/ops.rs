//! Every op of ONNX as files have it (`tests/goldens/make_onnx.py`): what onnxruntime gives, and PyTorch's gradients in f64.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use speechlens_nn::ops::Registry;
use speechlens_nn::{Architecture, Graph};
use speechlens_onnx::Onnx;

type Tensors = BTreeMap<String, Tensor>;

/// The tensors of every case, by their names there.
fn cases() -> BTreeMap<String, Tensors> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/goldens/onnx/ops.safetensors"
    );
    let mut cases = BTreeMap::<String, Tensors>::new();
    for (name, tensor) in candle_core::safetensors::load(path, &Device::Cpu).unwrap() {
        let (case, name) = name.split_once('/').unwrap();
        cases
            .entry(case.to_owned())
            .or_default()
            .insert(name.to_owned(), tensor);
    }
    cases
}

fn furthest(a: &Tensor, b: &Tensor) -> f64 {
    let wide = |x: &Tensor| x.to_dtype(DType::F64).unwrap().flatten_all().unwrap();
    let (a, b) = (
        wide(a).to_vec1::<f64>().unwrap(),
        wide(b).to_vec1::<f64>().unwrap(),
    );
    let largest = b
        .iter()
        .filter(|x| x.is_finite())
        .fold(1e-6f64, |l, x| l.max(x.abs()));
    let apart = |(a, b): (&f64, &f64)| if a == b { 0.0 } else { (a - b).abs() / largest };
    a.iter().zip(&b).map(apart).fold(
        0.0,
        |l, x| if x.is_nan() { f64::INFINITY } else { l.max(x) },
    )
}

/// The cases of what is not supported, by how they begin.
const REFUSED: &[&str] = &[
    "gemm-bias-column",
    "lp-normalization-p1",
    "lp-pool",
    "matmul-input-vectors",
    "max-pool1d-settings",
    "max-pool2d-dilations",
    "reduce-prod",
    "resize-opset18-axes",
];

/// Ops of no case: those of PyTorch's modules, and of states.
const APART: &[&str] = &[
    "adaptive-avg-pool1d",
    "adaptive-avg-pool2d",
    "flatten",
    "frames",
    "time-deviation",
    "time-mean",
    "whole-product",
];

/// The numbers of onnxruntime are f32.
const TOLERANCE: f64 = 2e-5;
/// Attributes of a file are f32, and PyTorch had them in f64.
const OF_GRADIENTS: f64 = 1e-6;

/// The graph as it is read back from its text, and what its ops are called.
fn as_text(graph: &Graph, used: &mut BTreeSet<String>) -> Result<Graph, String> {
    let architecture = graph.architecture();
    used.extend(
        architecture
            .nodes()
            .iter()
            .map(|node| node.op.name().to_owned()),
    );
    let text = architecture.to_json();
    let back = Architecture::parse(&text, &Registry::default()).map_err(|e| e.to_string())?;
    if back.to_json() != text {
        return Err(format!(
            "comes back as another text:\n{text}\n{}",
            back.to_json()
        ));
    }
    back.with_weights(graph.weights())
        .map_err(|e| e.to_string())
}

/// Whether a case gives what it should, in f32 and f64, and its gradients in f64.
fn check(tensors: &Tensors, used: &mut BTreeSet<String>) -> Result<(), String> {
    let model: Vec<u8> = tensors["model"].to_vec1().unwrap();
    let network = Onnx::parse(model, Path::new("case.onnx")).map_err(|e| e.to_string())?;
    let graph = as_text(&network.graph().map_err(|e| e.to_string())?, used)?;
    for dtype in [DType::F32, DType::F64] {
        let graph = graph.to_dtype(dtype).map_err(|e| e.to_string())?;
        let given = tensors
            .iter()
            .filter_map(|(name, tensor)| Some((name.strip_prefix("input.")?, tensor)));
        let given: Vec<(&str, Tensor)> = given
            .map(|(name, tensor)| match tensor.dtype().is_float() {
                true => (name, tensor.to_dtype(dtype).unwrap()),
                false => (name, tensor.clone()),
            })
            .collect();
        let given: Vec<(&str, &Tensor)> = given.iter().map(|(name, x)| (*name, x)).collect();
        let found = graph.outputs_of(&given, &[]).map_err(|e| e.to_string())?;
        for (output, (_, found)) in network.outputs().iter().zip(&found) {
            let expected = &tensors[&format!("output.{}", output.name)];
            if found.dims() != expected.dims() {
                return Err(format!(
                    "gives {:?}, not {:?}",
                    found.dims(),
                    expected.dims()
                ));
            }
            let apart = furthest(found, expected);
            if apart > TOLERANCE {
                return Err(format!("{} is {apart:.1e} apart ({dtype:?})", output.name));
            }
        }
        let Some(cotangent) = tensors.get("cotangent").filter(|_| dtype == DType::F64) else {
            continue;
        };
        let gradients = graph.input_gradients(&given, |_| Ok(cotangent.clone()));
        for (name, gradient) in gradients.map_err(|e| e.to_string())? {
            let Some(expected) = tensors.get(&format!("gradient.{name}")) else {
                continue;
            };
            let apart = furthest(&gradient, expected);
            if apart > OF_GRADIENTS {
                return Err(format!("the gradient by {name} is {apart:.1e} apart"));
            }
        }
    }
    Ok(())
}

#[test]
fn every_op_gives_what_onnxruntime_gives() {
    let is_refused = |case: &str| REFUSED.iter().any(|start| case.starts_with(start));
    let mut used: BTreeSet<String> = APART.iter().map(|op| (*op).to_owned()).collect();
    let mut problems = Vec::new();
    for (case, tensors) in cases() {
        match (check(&tensors, &mut used), is_refused(&case)) {
            (Err(problem), false) => problems.push(format!("{case}: {problem}")),
            (Ok(()), true) => problems.push(format!("{case} is supported now")),
            (Ok(()), false) | (Err(_), true) => {}
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    let ops = Registry::default();
    let unused: Vec<&str> = ops.names().filter(|op| !used.contains(*op)).collect();
    assert!(unused.is_empty(), "no case has {unused:?}");
}

/// Of the sums, products and functions that exporters make of a layer, the layer is made again, and nothing else is left.
#[test]
fn what_exporters_took_apart_is_one_layer() {
    let layers = [
        ("composite-gelu", "gelu"),
        ("composite-instance-normalization", "standardize"),
        ("composite-l2-normalization", "normalize"),
        ("composite-layer-normalization", "standardize"),
        ("composite-root-mean-square", "normalize"),
        ("quantize-dequantize", "fake-quantize"),
    ];
    for (start, op) in layers {
        let cases = cases().into_iter();
        let cases: Vec<_> = cases.filter(|(case, _)| case.starts_with(start)).collect();
        assert!(!cases.is_empty(), "no case is called {start}");
        for (case, tensors) in cases {
            let model: Vec<u8> = tensors["model"].to_vec1().unwrap();
            let network = Onnx::parse(model, Path::new("case.onnx")).unwrap();
            let graph = network.graph().unwrap();
            let nodes = graph.architecture().nodes().iter();
            let ops: Vec<&str> = nodes.map(|node| node.op.name()).collect();
            let rest = ops
                .iter()
                .filter(|op| !["input", "constant", "add", "mul"].contains(op));
            assert_eq!(rest.collect::<Vec<_>>(), [&op], "{case}");
        }
    }
}
