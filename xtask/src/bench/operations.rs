//! How much a network computes.

use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use speechlens_models::Network;
use speechlens_nn::Kind;

/// Any number: the last layer's part is small.
pub const CLASSES: usize = 10;

/// The nominal floating-point operations of one recording's forward pass: two for each multiply-add of the convolutions and
/// dense layers, from the shapes of their weights and outputs.
pub fn forward(network: &Network) -> Result<f64> {
    let graph = network.architecture(CLASSES)?.random(1, &Device::Cpu)?;
    let shape = [&[1], graph.architecture().fixed_input_shape()?.as_slice()].concat();
    let trace = graph.trace(&Tensor::zeros(shape, DType::F32, &Device::Cpu)?)?;
    let mut multiply_adds = 0;
    for (id, node) in graph.nodes() {
        let weight = graph.params(id).get("weight");
        if let (Kind::Conv | Kind::Linear, Some(weight)) = (node.op.kind(), weight) {
            // Of `[outputs, …]`: every output value takes one multiply-add with each weight of its channel.
            multiply_adds += trace.shape(id).elem_count() * weight.elem_count() / weight.dim(0)?;
        }
    }
    Ok(2.0 * multiply_adds as f64)
}

#[cfg(test)]
mod tests {
    use speechlens_models::{alexnet, resnet34};

    use super::*;

    #[test]
    fn of_both_networks() {
        for (network, expected) in [(alexnet::NETWORK, "1.33"), (resnet34::NETWORK, "7.24")] {
            let operations = forward(&network).expect("counted");
            assert_eq!(format!("{:.2}", operations / 1e9), expected, "{network}");
        }
    }
}
