//! ResNet34 (He et al. 2016) for mel filterbanks, with statistics pooling over time, as speaker recognition has it.

use speechlens_nn::ops::{
    Add, BatchNorm, Concat, Conv2d, Flatten, Linear, Relu, TimeDeviation, TimeMean,
};
use speechlens_nn::{Architecture, NodeId, Result};

use crate::{Network, Probability, Recipe};

/// Mel bands of the input, unless it is of another size.
pub const BANDS: usize = 64;
/// Frames of the input, unless it is of another size: two seconds.
pub const FRAMES: usize = 200;
/// Blocks of the four layers, and their channels.
const LAYERS: [(usize, usize); 4] = [(3, 32), (4, 64), (6, 128), (3, 256)];
const EMBEDDING: usize = 256;

/// As the command line has it.
pub const NETWORK: Network = Network {
    name: "resnet34",
    title: "ResNet34",
    front_end: "thesis-fbank",
    probability: Probability::Softmax,
    two_classes: None,
    recipe: Recipe {
        batch: 32,
        lr: 2e-3,
        one_cycle: true,
    },
    build: |classes, input| match input {
        [Some(bands), frames] => of_size(classes, [*bands, frames.unwrap_or(FRAMES)]),
        _ => architecture(classes),
    },
};

/// `[N, 1, 64, 200]` (log mel filterbank, mean 0 in each band) to logits `[N, speakers]`.
pub fn architecture(speakers: usize) -> Result<Architecture> {
    of_size(speakers, [BANDS, FRAMES])
}

/// The same for inputs of another size, `[N, 1, bands, frames]`.
pub fn of_size(speakers: usize, [bands, frames]: [usize; 2]) -> Result<Architecture> {
    let mut net = Architecture::new([1, bands, frames]);
    let input = net.input();
    let mut x = convolution(&mut net, ["conv1", "bn1"], input, (1, LAYERS[0].1), (3, 1))?;
    x = net.add("relu", Relu, [x])?;
    let mut width = LAYERS[0].1;
    for (layer, (blocks, channels)) in (1..).zip(LAYERS) {
        for block in 0..blocks {
            let stride = if layer > 1 && block == 0 { 2 } else { 1 };
            x = basic_block(
                &mut net,
                &format!("layer{layer}.{block}"),
                x,
                (width, channels),
                stride,
            )?;
            width = channels;
        }
    }
    let mean = net.add("pool.mean", TimeMean, [x])?;
    let mean = net.add("pool.mean.flatten", Flatten, [mean])?;
    let deviation = net.add("pool.std", TimeDeviation, [x])?;
    let deviation = net.add("pool.std.flatten", Flatten, [deviation])?;
    let pooled = net.add("pool", Concat::default(), [mean, deviation])?;
    let x = net.add(
        "embedding",
        Linear::new(2 * width * bands.div_ceil(8), EMBEDDING),
        [pooled],
    )?;
    let x = net.add("embedding_bn", BatchNorm::new_1d(EMBEDDING), [x])?;
    net.add("classifier", Linear::new(EMBEDDING, speakers), [x])?;
    Ok(net)
}

/// A convolution that keeps the size but for its stride, and its normalization.
fn convolution(
    net: &mut Architecture,
    [conv, norm]: [&str; 2],
    x: NodeId,
    (inputs, outputs): (usize, usize),
    (kernel, stride): (usize, usize),
) -> Result<NodeId> {
    let op = Conv2d::new(inputs, outputs, kernel)
        .stride(stride)
        .padding(kernel / 2)
        .without_bias();
    let x = net.add(conv, op, [x])?;
    net.add(norm, BatchNorm::new_2d(outputs), [x])
}

fn basic_block(
    net: &mut Architecture,
    name: &str,
    x: NodeId,
    (inputs, outputs): (usize, usize),
    stride: usize,
) -> Result<NodeId> {
    let of = |part: &str| format!("{name}.{part}");
    let y = convolution(
        net,
        [&of("conv1"), &of("bn1")],
        x,
        (inputs, outputs),
        (3, stride),
    )?;
    let y = net.add(of("relu1"), Relu, [y])?;
    let y = convolution(
        net,
        [&of("conv2"), &of("bn2")],
        y,
        (outputs, outputs),
        (3, 1),
    )?;
    let shortcut = match stride != 1 || inputs != outputs {
        true => convolution(
            net,
            [&of("shortcut.0"), &of("shortcut.1")],
            x,
            (inputs, outputs),
            (1, stride),
        )?,
        false => x,
    };
    let sum = net.add(of("sum"), Add, [y, shortcut])?;
    net.add(of("relu2"), Relu, [sum])
}
