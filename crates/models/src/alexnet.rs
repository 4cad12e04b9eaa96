//! AlexNet (Krizhevsky et al. 2012, in torchvision's sizes) for decibel spectrograms.

use speechlens_nn::ops::{AdaptiveAvgPool2d, Conv2d, Dropout, Flatten, Linear, MaxPool2d, Relu};
use speechlens_nn::{Architecture, Result};

use crate::{Network, Probability, Recipe};

/// As the command line has it.
pub const NETWORK: Network = Network {
    name: "alexnet",
    title: "AlexNet",
    front_end: "thesis-spectrogram",
    probability: Probability::Sigmoid,
    two_classes: Some(["male", "female"]),
    recipe: Recipe {
        batch: 50,
        lr: 1e-4,
        one_cycle: false,
    },
    build: |classes, _| architecture(classes),
};

/// `[N, 1, 227, 227]` (decibels; frequency × time) to logits `[N, classes]`. The names are those of torchvision's
/// `AlexNet`; its first layer has one input channel here.
pub fn architecture(classes: usize) -> Result<Architecture> {
    let mut net = Architecture::new([1, 227, 227]);
    let pool = || MaxPool2d::new(3, 2);
    let mut x = net.input();
    x = net.add(
        "features.0",
        Conv2d::new(1, 64, 11).stride(4).padding(2),
        [x],
    )?;
    x = net.add("features.1", Relu, [x])?;
    x = net.add("features.2", pool(), [x])?;
    x = net.add("features.3", Conv2d::new(64, 192, 5).padding(2), [x])?;
    x = net.add("features.4", Relu, [x])?;
    x = net.add("features.5", pool(), [x])?;
    x = net.add("features.6", Conv2d::new(192, 384, 3).padding(1), [x])?;
    x = net.add("features.7", Relu, [x])?;
    x = net.add("features.8", Conv2d::new(384, 256, 3).padding(1), [x])?;
    x = net.add("features.9", Relu, [x])?;
    x = net.add("features.10", Conv2d::new(256, 256, 3).padding(1), [x])?;
    x = net.add("features.11", Relu, [x])?;
    x = net.add("features.12", pool(), [x])?;
    x = net.add("avgpool", AdaptiveAvgPool2d { size: (6, 6) }, [x])?;
    x = net.add("flatten", Flatten, [x])?;
    x = net.add("classifier.0", Dropout { p: 0.5 }, [x])?;
    x = net.add("classifier.1", Linear::new(256 * 6 * 6, 4096), [x])?;
    x = net.add("classifier.2", Relu, [x])?;
    x = net.add("classifier.3", Dropout { p: 0.5 }, [x])?;
    x = net.add("classifier.4", Linear::new(4096, 4096), [x])?;
    x = net.add("classifier.5", Relu, [x])?;
    net.add("classifier.6", Linear::new(4096, classes), [x])?;
    Ok(net)
}
