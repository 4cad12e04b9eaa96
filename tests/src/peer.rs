//! The small networks of `goldens/make_networks.py`.

use candle_core::{Device, Tensor};

use crate::Tensors;
use speechlens_nn::ops::{
    AdaptiveAvgPool2d, Add, AvgPool2d, BatchNorm, Concat, Conv2d, Flatten, Linear, MaxPool2d, Relu,
    TimeDeviation, TimeMean,
};
use speechlens_nn::{Architecture, Graph, NodeId, Result};

/// The weights among a golden's tensors: those of a layer's names.
pub fn of_graph(tensors: &Tensors) -> Tensors {
    let is_weight = |name: &str| name.contains('.') && !name.contains('/');
    let weights = tensors.iter().filter(|(name, _)| is_weight(name));
    weights
        .map(|(name, tensor)| (name.clone(), tensor.clone()))
        .collect()
}

/// `Net`, with the weights in `tensors` whose names are `prefix` and a parameter's name.
pub fn net(tensors: &Tensors, prefix: &str) -> Result<Graph> {
    let mut net = Architecture::new([1, 19, 23]);
    let mut x = net.input();
    let pool = MaxPool2d::new(3, 2);
    let average = AvgPool2d::new(2, 1);
    x = net.add("features.0", Conv2d::new(1, 6, 5).stride(2).padding(2), [x])?;
    x = net.add("features.1", Relu, [x])?;
    x = net.add("features.2", pool, [x])?;
    x = net.add("features.3", Conv2d::new(6, 8, 3).padding(1), [x])?;
    x = net.add("features.4", Relu, [x])?;
    x = net.add("features.5", average, [x])?;
    x = net.add("avgpool", AdaptiveAvgPool2d { size: (2, 3) }, [x])?;
    x = net.add("flatten", Flatten, [x])?;
    x = net.add("classifier.0", Linear::new(48, 16), [x])?;
    x = net.add("classifier.1", Relu, [x])?;
    net.add("classifier.2", Linear::new(16, 3), [x])?;
    let weights = tensors.iter().filter_map(|(name, tensor)| {
        let name = name.strip_prefix(prefix)?;
        let of_the_net = name.starts_with("features.") || name.starts_with("classifier.");
        of_the_net.then(|| (name.to_owned(), tensor.clone()))
    });
    net.with_weights(weights.collect())
}

/// `Residual`: `[N, 1, 16, 12]` to logits `[N, 3]`.
pub fn residual() -> Result<Architecture> {
    let mut net = Architecture::new([1, 16, 12]);
    let conv = |net: &mut Architecture,
                names: [&str; 2],
                x: NodeId,
                sizes: (usize, usize),
                kernel,
                stride| {
        let op = Conv2d::new(sizes.0, sizes.1, kernel)
            .stride(stride)
            .padding(kernel / 2)
            .without_bias();
        let x = net.add(names[0], op, [x])?;
        net.add(names[1], BatchNorm::new_2d(sizes.1), [x])
    };
    let x = net.input();
    let x = conv(&mut net, ["conv1", "bn1"], x, (1, 4), 3, 1)?;
    let x = net.add("relu1", Relu, [x])?;
    let y = conv(&mut net, ["conv2", "bn2"], x, (4, 4), 3, 1)?;
    let x = net.add("sum1", Add, [y, x])?;
    let x = net.add("relu2", Relu, [x])?;
    let y = conv(&mut net, ["conv3", "bn3"], x, (4, 6), 3, 2)?;
    let z = conv(&mut net, ["shortcut.0", "shortcut.1"], x, (4, 6), 1, 2)?;
    let x = net.add("sum2", Add, [y, z])?;
    let x = net.add("relu3", Relu, [x])?;
    let mean = net.add("mean", TimeMean, [x])?;
    let mean = net.add("mean.flatten", Flatten, [mean])?;
    let deviation = net.add("std", TimeDeviation, [x])?;
    let deviation = net.add("std.flatten", Flatten, [deviation])?;
    let x = net.add("pool", Concat::default(), [mean, deviation])?;
    let x = net.add("embedding", Linear::new(96, 5), [x])?;
    let x = net.add("embedding_bn", BatchNorm::new_1d(5), [x])?;
    net.add("classifier", Linear::new(5, 3), [x])?;
    Ok(net)
}

/// The weights of `AudioNet` whose shapes a golden holds, by `by_formula`.
pub fn audionet_weights(golden: &Tensors) -> Result<Tensors> {
    let shapes = golden.iter().filter_map(|(name, shape)| {
        let name = name.strip_prefix("shape/")?;
        Some((name, shape))
    });
    let weight = |(seed, (name, shape)): (usize, (&str, &Tensor))| {
        let shape = shape.to_vec1::<i64>()?;
        let shape: Vec<usize> = shape.into_iter().map(|size| size as usize).collect();
        Ok((name.to_owned(), by_formula(&shape, seed)?))
    };
    shapes.enumerate().map(weight).collect()
}

/// The input of `AudioNet`, `[1, 1, 8000]`.
pub fn audionet_input() -> Result<Tensor> {
    Ok((by_formula(&[1, 8000], 99)?.unsqueeze(0)? * 40.0)?)
}

/// `by_formula` of the script.
fn by_formula(shape: &[usize], seed: usize) -> Result<Tensor> {
    let bound = match shape {
        [_, inputs @ ..] if !inputs.is_empty() => {
            (6.0 / inputs.iter().product::<usize>() as f64).sqrt()
        }
        _ => 0.1,
    };
    let number = |n: usize| ((n * 7919 + seed * 104_729) % 20_011) as f64;
    let numbers =
        (0..shape.iter().product()).map(|n| ((number(n) / 10_005.0 - 1.0) * bound) as f32);
    Ok(Tensor::from_vec(numbers.collect(), shape, &Device::Cpu)?)
}
