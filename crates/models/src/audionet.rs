//! AudioNet, the network for raw waveforms of Becker et al. (2018), "Interpreting and Explaining Deep Neural Networks for
//! Classification of Audio Signals", printed again as "AudioMNIST" (2024).

use speechlens_nn::ops::{Conv1d, Dropout, Flatten, Linear, MaxPool1d, Relu};
use speechlens_nn::{Architecture, Result};

use crate::{Network, Probability, Recipe};

/// Samples of the input: a second at 8 kHz.
pub const SAMPLES: usize = 8000;
/// Channels of the convolutions.
const CHANNELS: [usize; 6] = [100, 64, 128, 128, 128, 128];
/// Outputs of the dense layers before the classes.
const DENSE: [usize; 2] = [1024, 512];

/// As the command line has it.
pub const NETWORK: Network = Network {
    name: "audionet",
    title: "AudioNet",
    front_end: "thesis-waveform",
    probability: Probability::Softmax,
    two_classes: Some(["male", "female"]),
    recipe: Recipe {
        batch: 50,
        lr: 1e-4,
        one_cycle: false,
    },
    build: |classes, _| architecture(classes),
};

/// `[N, 1, 8000]` (samples at 8 kHz over their 95th percentile) to logits `[N, classes]`: six convolutions of three samples, each
/// with ReLU and max pooling by two, and three dense layers. The names are those of such a network in PyTorch, as of
/// [`alexnet`](crate::alexnet).
///
/// The sizes are the paper's. The Caffe files that its authors publish differ in that their first pooling has windows of three
/// samples, and in that nothing but dropout stands between the dense layers, which has ReLU here.
pub fn architecture(classes: usize) -> Result<Architecture> {
    let mut net = Architecture::new([1, SAMPLES]);
    let pool = || MaxPool1d::new(2, 2);
    let mut x = net.input();
    let (mut width, mut length) = (1, SAMPLES);
    for (block, channels) in CHANNELS.into_iter().enumerate() {
        let name = |part: usize| format!("features.{}", 3 * block + part);
        let convolution = Conv1d::new(width, channels, 3).padding(1);
        x = net.add(name(0), convolution, [x])?;
        x = net.add(name(1), Relu, [x])?;
        x = net.add(name(2), pool(), [x])?;
        (width, length) = (channels, length / 2);
    }
    x = net.add("flatten", Flatten, [x])?;
    let mut inputs = width * length;
    for (block, outputs) in DENSE.into_iter().enumerate() {
        let name = |part: usize| format!("classifier.{}", 3 * block + part);
        x = net.add(name(0), Linear::new(inputs, outputs), [x])?;
        x = net.add(name(1), Relu, [x])?;
        x = net.add(name(2), Dropout { p: 0.5 }, [x])?;
        inputs = outputs;
    }
    net.add("classifier.6", Linear::new(inputs, classes), [x])?;
    Ok(net)
}
