//! A spectrogram that stands in the graph: its axes are found, and its relevance is that of a closed form.

use candle_core::{DType, Device};
use serde_json::json;
use speechlens_audio::Audio;
use speechlens_explain::{At, Details, Explainer, Input, Question, Reader, Reading, Settings};
use speechlens_models::{Model, audionet};
use speechlens_nn::Architecture;
use speechlens_nn::ops::{
    Along, Clip, Dft, Elementwise, Flatten, Frames, Linear, Log, Power, ReduceSum, Squeeze,
    Transpose, Unsqueeze,
};

const LENGTH: usize = 256;
const HOP: usize = 100;
const BINS: usize = LENGTH / 2 + 1;
const FRAMES: usize = (8000 - LENGTH) / HOP + 1;
const FLOOR: f64 = 1e-6;

/// Log power of a second at 8 kHz, `[N, frames, bins]` or the other way round, and two scores that add it up by weights.
fn model(bins_first: bool) -> Model {
    let mut net = Architecture::new([1, 8000]);
    let mut last = net.input();
    macro_rules! node {
        ($name:literal, $op:expr) => {
            last = net.add($name, $op, [last]).expect("a node")
        };
    }
    node!(
        "frames",
        Frames {
            length: LENGTH,
            hop: HOP
        }
    );
    node!("one", Squeeze { axes: vec![1] });
    node!("real", Unsqueeze { axes: vec![-1] });
    node!(
        "dft",
        Dft {
            axis: 2,
            inverse: false,
            onesided: true,
            length: None
        }
    );
    node!("squares", Elementwise(Power { exponent: 2.0 }));
    node!(
        "power",
        ReduceSum(Along {
            axes: vec![-1],
            ..Along::default()
        })
    );
    node!(
        "clip",
        Elementwise(Clip {
            low: Some(FLOOR),
            high: None
        })
    );
    node!("log", Elementwise(Log));
    if bins_first {
        node!(
            "turned",
            Transpose {
                axes: Some(vec![0, 2, 1])
            }
        );
    }
    node!("flatten", Flatten);
    net.add("head", Linear::new(FRAMES * BINS, 2), [last])
        .expect("a node");
    let graph = net.random(5, &Device::Cpu).expect("weights");
    let classes = ["low", "high"].map(str::to_owned).to_vec();
    Model::of(&audionet::NETWORK, graph, classes).expect("a model")
}

fn input(model: &Model) -> Input {
    let samples = (0..8000).map(|n| 0.3 * (0.2 * f64::from(n)).sin() as f32);
    let audio = Audio {
        samples: samples.collect(),
        rate: 8000,
    };
    let input = Reader::new(model, Reading::default()).audio("tone", audio);
    input.expect("an input")
}

#[test]
fn a_spectrogram_inside_has_its_axes_and_its_relevance() {
    for (node, bins_first) in [("log", false), ("turned", true)] {
        let model = model(bins_first);
        let input = input(&model);
        let at = At::measured(&model, node, &input, &Device::Cpu).expect("axes");
        let (inside, given) = at.of(&model, &input, &Device::Cpu).expect("behind");
        let axes = &given.axes;
        assert_eq!(axes.frames, Some(FRAMES));
        assert!(
            (axes.step - HOP as f64 / 8000.0).abs() < 1e-9,
            "{}",
            axes.step
        );
        // Within half a hop of the middle of the first frame.
        let middle = LENGTH as f64 / 2.0 / 8000.0;
        assert!(
            (axes.first - middle).abs() < axes.step / 2.0,
            "{}",
            axes.first
        );
        for (bin, hertz) in axes.frequencies.iter().enumerate() {
            assert!((hertz - 31.25 * bin as f64).abs() < 1e-6, "{bin}: {hertz}");
        }
        let silence = inside.front_end.silence().expect("a floor");
        assert!((silence - FLOOR.ln()).abs() < 1e-4);

        let settings = Settings::new("gradient-times-input", json!({})).expect("a method");
        let place = (&Device::Cpu, DType::F32);
        let explainer = Explainer::new(
            &inside,
            settings,
            Question::Class(1),
            Details::default(),
            place,
        );
        let answers = explainer
            .expect("a method")
            .explain(&given, &|_| ())
            .expect("explained");
        let (seen, answers) = at.seen(given.clone(), vec![answers]).expect("seen");
        let answers = &answers[0];
        let shape = match bins_first {
            true => [1, BINS, FRAMES],
            false => [1, FRAMES, BINS],
        };
        let own = answers.explained.as_ref().expect("that of the node");
        assert_eq!(
            (own.shape(), answers.relevance.shape()),
            (&shape[..], &[1, BINS, FRAMES][..])
        );
        assert_eq!(seen.features.shape(), [1, BINS, FRAMES]);
        let weights = model.graph.weights();
        let weights = weights["head.weight"].to_vec2::<f32>().expect("weights");
        for frame in 0..FRAMES {
            for bin in 0..BINS {
                let place = match bins_first {
                    true => [0, bin, frame],
                    false => [0, frame, bin],
                };
                let level = given.features[place];
                let weight = weights[1][place[1] * shape[2] + place[2]];
                let expected = (level - silence as f32) * weight;
                let found = answers.relevance[[0, bin, frame]];
                assert!((found - expected).abs() < 1e-4, "{found} {expected}");
                assert_eq!((own[place], seen.features[[0, bin, frame]]), (found, level));
            }
        }
    }
}

#[test]
fn a_node_without_axes_is_told_with_those_that_have_some() {
    let model = model(false);
    let input = input(&model);
    for node in ["flatten", "nowhere"] {
        let error = At::measured(&model, node, &input, &Device::Cpu)
            .err()
            .expect("no axes");
        let error = error.to_string();
        assert!(
            error.contains(&format!("--at {node}: ")) && error.contains("log"),
            "{error}"
        );
    }
}
