//! The small network of `goldens/make_networks.py`.

use speechlens_nn::ops::{AdaptiveAvgPool2d, AvgPool2d, Conv2d, Flatten, Linear, MaxPool2d, Relu};
use speechlens_nn::{Architecture, Graph};
use speechlens_tests::Tensors;

/// The network with the weights in `tensors` whose names are `prefix` and a parameter's name.
pub fn net(tensors: &Tensors, prefix: &str) -> Graph {
    let mut net = Architecture::new([1, 19, 23]);
    let mut x = net.input();
    let pool = MaxPool2d {
        kernel: 3,
        stride: 2,
    };
    let average = AvgPool2d {
        kernel: 2,
        stride: 1,
    };
    x = net
        .add("features.0", Conv2d::new(1, 6, 5).stride(2).padding(2), [x])
        .unwrap();
    x = net.add("features.1", Relu, [x]).unwrap();
    x = net.add("features.2", pool, [x]).unwrap();
    x = net
        .add("features.3", Conv2d::new(6, 8, 3).padding(1), [x])
        .unwrap();
    x = net.add("features.4", Relu, [x]).unwrap();
    x = net.add("features.5", average, [x]).unwrap();
    x = net
        .add("avgpool", AdaptiveAvgPool2d { size: (2, 3) }, [x])
        .unwrap();
    x = net.add("flatten", Flatten, [x]).unwrap();
    x = net.add("classifier.0", Linear::new(48, 16), [x]).unwrap();
    x = net.add("classifier.1", Relu, [x]).unwrap();
    net.add("classifier.2", Linear::new(16, 3), [x]).unwrap();
    let weights = tensors.iter().filter_map(|(name, tensor)| {
        let name = name.strip_prefix(prefix)?;
        let of_the_net = name.starts_with("features.") || name.starts_with("classifier.");
        of_the_net.then(|| (name.to_owned(), tensor.clone()))
    });
    net.with_weights(weights.collect()).unwrap()
}
