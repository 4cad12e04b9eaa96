//! What a network says of each frame.

use candle_core::{DType, Device, Tensor};
use speechlens_audio::Audio;
use speechlens_explain::{Asked, Frames, Reader, Reading, span};
use speechlens_models::{Model, Probability, Task, audionet};
use speechlens_nn::{Architecture, Params, ops};

#[test]
fn frames_stand_where_they_are() {
    // Of ten frames of 800 samples, whether the first sample is above 0: logits a hundred times it.
    let graph = Architecture::new([1, 8000])
        .random(1, &Device::Cpu)
        .expect("a graph");
    let cut = ops::Frames {
        length: 800,
        hop: 800,
    };
    let graph = graph
        .followed_by("frames", cut, Params::new())
        .expect("a node");
    let flat = ops::Squeeze { axes: vec![1] };
    let graph = graph
        .followed_by("flat", flat, Params::new())
        .expect("a node");
    let weight = Tensor::zeros((1, 800), DType::F32, &Device::Cpu).expect("zeros");
    let first = Tensor::new(&[[100f32]], &Device::Cpu).expect("a weight");
    let weight = weight
        .slice_assign(&[0..1, 0..1], &first)
        .expect("a weight");
    let weights = [("weight".to_owned(), weight)].into();
    let head = ops::Linear::new(800, 1).without_bias();
    let graph = graph.followed_by("head", head, weights).expect("a node");
    let model = Model::of(&audionet::NETWORK, graph, vec!["speech".into()]);
    let mut model = model.expect("a model");
    model.task = Task::Frames {
        probability: Probability::Sigmoid,
        classes: vec!["speech".into()],
    };
    let samples = (0..8000).map(|n| if (n / 800) % 2 == 0 { 0.5 } else { -0.5 });
    let audio = Audio {
        samples: samples.collect(),
        rate: 8000,
    };
    let input = Reader::new(&model, Reading::default()).audio("tone", audio);
    let input = input.expect("an input");
    let asked = Asked {
        frames: Some(2..40),
        ..Asked::default()
    };
    let frames = Frames::of(&model, &asked, &input, &Device::Cpu).expect("answers");
    let frames = frames.expect("frames");
    assert_eq!((frames.step, frames.asked), (0.1, [2, 10]));
    let says: Vec<f32> = frames.probabilities.iter().map(|p| p.round()).collect();
    assert_eq!(says, [1.0, 0.0].repeat(5));
}

#[test]
fn frames_are_said_from_the_first_to_the_one_behind_the_last() {
    assert_eq!(span("2..10"), Ok(2..10));
    for text in ["", "2", "2..", "..10", "10..10", "10..2", "a..b"] {
        assert!(span(text).is_err(), "{text}");
    }
}
