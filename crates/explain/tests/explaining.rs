//! Windows, contrasts and sounds against what they must be.

use candle_core::{DType, Device};
use ndarray::{Array2, Array3, ArrayD, Axis};
use serde_json::json;
use speechlens_attribution::methods::METHODS;
use speechlens_audio::Audio;
use speechlens_explain::{
    Details, Explainer, Heard, Input, Plane, Question, Reader, Reading, Settings, Sounds,
};
use speechlens_models::{Model, Network, alexnet, audionet, resnet34};

const CPU: (&Device, DType) = (&Device::Cpu, DType::F32);

fn model(network: &Network) -> Model {
    let graph = network.architecture(3).expect("a network");
    let graph = graph.random(5, &Device::Cpu).expect("weights");
    let classes = ["anna", "ben", "carl"].map(str::to_owned).to_vec();
    Model::of(network, graph, classes).expect("a model")
}

/// A tone that is loud for 0.6 s and silent for 0.4 s of every second.
fn tone(seconds: f64, rate: u32) -> Audio {
    let sample = |n: usize| {
        let t = n as f64 / f64::from(rate);
        let loud = if t.fract() < 0.6 { 0.4 } else { 0.0 };
        (loud * ((900.0 * t).sin() + (3100.0 * t).sin())) as f32
    };
    Audio {
        samples: (0..(seconds * f64::from(rate)) as usize)
            .map(sample)
            .collect(),
        rate,
    }
}

fn read(model: &Model, reading: Reading, audio: Audio) -> Input {
    let reader = Reader::new(model, reading);
    reader.audio("tone", audio).expect("an input")
}

/// Relevance for a question by a method.
fn relevance(model: &Model, input: &Input, name: &str, question: Question) -> ArrayD<f32> {
    let options = json!({ "steps": 3, "samples": 2, "patch": [2000] });
    let settings = Settings::new(name, options).expect("a method");
    let explainer = Explainer::new(model, settings, question, Details::default(), CPU);
    let answers = explainer.expect("a method").explain(input, &|_| ());
    answers.expect("explained").relevance
}

fn largest(array: &ArrayD<f32>) -> f32 {
    array.iter().fold(0.0, |most, value| most.max(value.abs()))
}

#[test]
fn a_contrast_is_the_relevance_of_the_difference_of_logits() {
    let model = model(&audionet::NETWORK);
    let input = read(&model, Reading::default(), tone(0.9, 8000));
    // A network whose output for class 0 is the difference of two of ours: its relevance needs no contrast.
    let mut difference = model.clone();
    difference.graph = model
        .graph
        .map_weights(|name, weight| {
            if !name.starts_with("classifier.6") {
                return Ok(weight.clone());
            }
            let rows = (weight.get(1)? - weight.get(2)?)?;
            Ok(candle_core::Tensor::stack(&[&rows, &rows, &rows], 0)?)
        })
        .expect("weights");
    for entry in METHODS {
        let name = entry.name;
        let contrast = relevance(&model, &input, name, Question::Contrast(1, 2));
        let expected = relevance(&difference, &input, name, Question::Class(0));
        let one = relevance(&model, &input, name, Question::Class(1));
        let other = relevance(&model, &input, name, Question::Class(2));
        let parts = largest(&(&contrast - &(&one - &other))) / largest(&contrast);
        assert_eq!(parts < 1e-3, entry.is_linear, "{name}: {parts}");
        if name == "random" {
            continue;
        }
        let far = largest(&(&contrast - &expected)) / largest(&expected);
        assert!(far < 1e-3, "{name}: {far}");
        assert!(
            largest(&(&contrast - &one)) > 0.01 * largest(&one),
            "{name}"
        );
    }
}

#[test]
fn the_other_question_is_that_of_the_same_rules_from_the_other_reference() {
    let model = model(&alexnet::NETWORK);
    let input = read(&model, Reading::default(), tone(0.9, 8000));
    let explainer = |name, rules: &str| {
        let settings = Settings::new(name, json!({ "rules": rules, "steps": 2 }));
        let settings = settings.expect("a method");
        Explainer::new(
            &model,
            settings,
            Question::Class(1),
            Details::default(),
            CPU,
        )
        .expect("a method")
    };
    let found = |explainer: &Explainer| explainer.explain(&input, &|_| ()).expect("explained");
    let there = explainer("lrp", "epsilon-plus-silence");
    let missing = there.other_question().expect("rules").expect("a question");
    let expected = found(&explainer("lrp", "epsilon-plus")).relevance;
    let answers = found(&missing);
    assert_eq!(answers.relevance, expected);
    assert!(largest(&(&found(&there).relevance - &expected)) > 0.1 * largest(&expected));
    let back = missing
        .other_question()
        .expect("rules")
        .expect("a question");
    assert_eq!(found(&back).relevance, found(&there).relevance);

    let logit = f64::from(answers.logits[0][1]);
    assert_eq!(missing.score(&answers, 0), Some(logit));
    let gradient = explainer("gradient", "lrp-0");
    assert!(gradient.other_question().expect("none").is_none());
    assert_eq!(gradient.score(&answers, 0), None);
}

#[test]
fn a_contrast_is_conserved_as_a_class_is() {
    let model = model(&audionet::NETWORK);
    let input = read(&model, Reading::default(), tone(0.9, 8000));
    let explainer = Explainer::new(
        &model,
        Settings::default(),
        Question::Contrast(1, 2),
        Details::default(),
        (&Device::Cpu, DType::F64),
    )
    .expect("a method");
    let answers = explainer.explain(&input, &|_| ()).expect("explained");
    let conservation = &answers.conservation;
    let logits = &answers.logits[0];
    let arrived = conservation[0].arrived[0];
    assert!((arrived - f64::from(logits[1] - logits[2])).abs() < 1e-5 * arrived.abs().max(1.0));
    let sum: f64 = answers.relevance.iter().map(|r| f64::from(*r)).sum();
    let last = conservation.last().expect("a layer").passed[0];
    assert!(
        (sum - last).abs() < 1e-4 * last.abs().max(1e-3),
        "{sum}, {last}"
    );
}

#[test]
fn windows_slide_and_join() {
    let model = model(&resnet34::NETWORK);
    let reading = Reading {
        hop: Some(50),
        ..Reading::default()
    };
    let input = read(&model, reading, tone(3.1, 16000));
    // 308 frames: windows from 0, 50, 100, and the last one, which ends with the recording.
    let heard = input.heard.as_ref().expect("a recording");
    let starts: Vec<usize> = heard.places.iter().map(|place| place.start).collect();
    assert_eq!(starts, [0, 50, 100, 108]);
    assert_eq!(input.features.shape(), [4, 64, 200]);
    let (start, end) = input.span(1);
    assert!((start - 0.5).abs() < 1e-9 && (end - 2.5).abs() < 1e-9);

    // A window's number as its relevance: the mean over those that hold a frame.
    let relevance = Array3::from_shape_fn((4, 64, 200), |(window, _, _)| window as f32);
    let plane = Plane::joined(&input, relevance.view().into_dyn()).expect("joined");
    let plane = plane.expect("a recording");
    assert_eq!(plane.relevance.dim(), (64, 308));
    for (frame, expected) in [
        (0, 0.0),
        (49, 0.0),
        (50, 0.5),
        (100, 1.0),
        (108, 1.5),
        (199, 1.5),
        (200, 2.0),
        (249, 2.0),
        (250, 2.5),
        (299, 2.5),
        (300, 3.0),
        (307, 3.0),
    ] {
        assert_eq!(plane.relevance[[7, frame]], expected, "frame {frame}");
    }
    assert!((plane.times[0] - 0.0125).abs() < 1e-9 && (plane.times[1] - 0.0225).abs() < 1e-9);
}

#[test]
fn pieces_lie_where_they_were_cut() {
    let model = model(&alexnet::NETWORK);
    let reading = Reading {
        pieces: true,
        ..Reading::default()
    };
    let input = read(&model, reading, tone(2.6, 16000));
    assert_eq!(input.len(), 3);
    for window in 0..3 {
        let (start, end) = input.span(window);
        let expected = window as f64;
        assert!((start - expected).abs() < 0.06, "{start}");
        assert!((end - expected - 0.6).abs() < 0.06, "{end}");
    }
    let ones = ArrayD::from_elem(input.features.raw_dim(), 1.0);
    let plane = Plane::joined(&input, ones.view())
        .expect("joined")
        .expect("a recording");
    let at = |seconds: f64| (seconds / input.axes.step) as usize;
    // Between pieces there is nothing.
    assert_eq!(plane.relevance[[10, at(0.3)]], 1.0);
    assert_eq!(plane.relevance[[10, at(0.8)]], 0.0);
    assert_eq!(plane.levels[[10, at(0.8)]], -80.0);
    assert_eq!(plane.relevance[[10, at(1.3)]], 1.0);
}

/// A second of two tones, and a plane whose relevance is that of the upper one, less that of the lower.
fn two_tones() -> (Heard, Plane) {
    let model = model(&alexnet::NETWORK);
    let tones = |n: usize| {
        let t = n as f64 / 8000.0;
        (0.3 * (std::f64::consts::TAU * 500.0 * t).sin()
            + 0.3 * (std::f64::consts::TAU * 2500.0 * t).sin()) as f32
    };
    let audio = Audio {
        samples: (0..8000).map(tones).collect(),
        rate: 8000,
    };
    let input = read(&model, Reading::default(), audio);
    let relevance = Array2::from_shape_fn((227, 227), |(row, _)| if row > 80 { 1.0 } else { -1.0 });
    let relevance = relevance.insert_axis(Axis(0)).into_dyn();
    let plane = Plane::joined(&input, relevance.view()).expect("joined");
    (
        input.heard.expect("a recording"),
        plane.expect("a recording"),
    )
}

/// The amplitude of a frequency in the middle of a second.
fn amplitude(audio: &Audio, hertz: f64) -> f64 {
    let (mut re, mut im) = (0.0, 0.0);
    for n in 2000..6000 {
        let phase = std::f64::consts::TAU * hertz * f64::from(n) / 8000.0;
        re += f64::from(audio.samples[n as usize]) * phase.cos();
        im += f64::from(audio.samples[n as usize]) * phase.sin();
    }
    (re * re + im * im).sqrt() / 2000.0
}

#[test]
fn what_speaks_for_is_heard_and_what_speaks_against_is_not() {
    let (heard, plane) = two_tones();
    let sounds = Sounds::new(&heard, &plane, 5.0).expect("sounds");
    for (audio, low, high) in [
        (&sounds.heard, 0.3, 0.3),
        (&sounds.supporting, 0.0, 0.3),
        (&sounds.opposing, 0.3, 0.0),
        (&sounds.rest, 0.3, 0.0),
    ] {
        assert!((amplitude(audio, 500.0) - low).abs() < 1e-3);
        assert!((amplitude(audio, 2500.0) - high).abs() < 1e-3);
    }
    // For and rest add up to the whole.
    for (n, sample) in heard.audio.samples.iter().enumerate() {
        let sum = sounds.supporting.samples[n] + sounds.rest.samples[n];
        assert!((sum - sample).abs() < 1e-4, "{n}");
    }
}

#[test]
fn the_power_kept_is_in_proportion_to_relevance() {
    let (heard, mut plane) = two_tones();
    // A quarter of the limit, which one row is at.
    plane.relevance.fill(0.25);
    plane.relevance.row_mut(226).fill(1.0);
    plane.relevance.row_mut(225).fill(1.0);
    let sounds = Sounds::new(&heard, &plane, 5.0).expect("sounds");
    assert!((amplitude(&sounds.supporting, 500.0) - 0.15).abs() < 1e-3);
}

#[test]
fn the_top_bins_are_the_most_relevant_ones() {
    let plane = Plane {
        times: vec![0.0, 1.0],
        frequencies: vec![1.0, 2.0],
        levels: Array2::zeros((2, 2)),
        relevance: ndarray::array![[0.5, -3.0], [2.0, 0.5]],
    };
    assert_eq!(
        plane.top(25.0),
        ndarray::array![[false, false], [true, false]]
    );
    assert_eq!(
        plane.top(50.0),
        ndarray::array![[true, false], [true, false]]
    );
    assert_eq!(
        plane.top(100.0),
        ndarray::array![[true, false], [true, true]]
    );
    assert!(!plane.top(0.0).iter().any(|top| *top));
}

#[test]
fn arrays_have_no_sound_and_no_place() {
    let model = model(&alexnet::NETWORK);
    let reader = Reader::new(&model, Reading::default());
    let input = reader
        .array(
            "a.npy",
            ArrayD::from_shape_fn(vec![2, 227, 227], |at| -(at[2] as f32)),
        )
        .expect("an input");
    assert!(input.heard.is_none() && !input.single);
    let zeros = ArrayD::zeros(vec![2, 227, 227]);
    assert!(
        Plane::joined(&input, zeros.view())
            .expect("no error")
            .is_none()
    );
    assert_eq!((input.axes.first, input.axes.step), (0.0, 35.0 / 8000.0));
    let frequencies: Vec<f64> = (0..227)
        .map(|row| f64::from(row) * 8000.0 / 455.0)
        .collect();
    assert_eq!(input.axes.frequencies, frequencies);
    let error = reader
        .array("b.npy", ArrayD::zeros(vec![3, 227]))
        .err()
        .expect("a wrong shape");
    assert!(
        error
            .to_string()
            .starts_with("b.npy: the network reads [227, 227]"),
        "{error}"
    );
}

/// Of a network that is linear up to the direction of its output, the relevance of two moments for the cosine is the product of what they
/// give, over the lengths (Eberle et al. 2020, Eq. 5); and that of a recording is what it has for its similarity to the other.
#[test]
fn moments_of_two_recordings_answer_by_what_they_give() {
    use speechlens_explain::{Asked, Pair, embedding};
    use speechlens_models::{Embedding, Task};
    use speechlens_nn::ops::{Flatten, Linear};

    let (rows, frames, size) = (64, 200, 5);
    let mut model = model(&resnet34::NETWORK);
    let mut net = speechlens_nn::Architecture::new([1, rows, frames]);
    let x = net.add("flat", Flatten, [net.input()]).expect("a node");
    let dense = Linear::new(rows * frames, size).without_bias();
    net.add("dense", dense, [x]).expect("a node");
    model.graph = net.random(3, &Device::Cpu).expect("weights");
    model.task = Task::Embedding;
    let weights = model.graph.weights()["dense.weight"].to_vec2::<f32>();
    let weights = weights.expect("weights");
    let reader = Reader::new(&model, Reading::default());
    let array = |factor: f32| {
        let value = |place: usize| ((place % 97) as f32 * factor).sin();
        let values = Array3::from_shape_fn((1, rows, frames), |(_, row, frame)| {
            value(row * frames + frame)
        });
        reader.array("x.npy", values.into_dyn()).expect("an input")
    };
    let inputs = [array(0.7), array(1.9)];
    let rules = speechlens_lrp::Composite::preset("lrp-0").expect("a preset");
    let pair = Pair::new(&model, &rules, [&inputs[0], &inputs[1]], CPU, &|_, _| ());
    let pair = pair.expect("explained");
    assert_eq!(pair.sweeps, 2 * size);

    // What a frame gives of each number.
    let given = |input: &Input| {
        let features = &input.features;
        Array2::from_shape_fn((size, frames), |(number, frame)| {
            let row =
                |row: usize| weights[number][row * frames + frame] * features[[0, row, frame]];
            (0..rows).map(row).sum::<f32>()
        })
    };
    let [one, other] = [given(&inputs[0]), given(&inputs[1])];
    let length = |given: &Array2<f32>| given.sum_axis(Axis(1)).mapv(|x| x * x).sum().sqrt();
    let expected = one.t().dot(&other) / (length(&one) * length(&other));
    let found = pair.between();
    let apart = (&found - &expected)
        .mapv(f32::abs)
        .fold(0.0f32, |a, b| a.max(*b));
    let most = expected.fold(0.0f32, |a, b| a.max(b.abs()));
    assert!(apart < 1e-4 * most, "{apart} of {most}");
    assert!((f64::from(found.sum()) - pair.similarity).abs() < 1e-4);

    let asked = Asked {
        against: Some(Embedding {
            name: "other".into(),
            embedding: embedding(&model, &inputs[1], &Device::Cpu).expect("an embedding"),
        }),
        ..Asked::default()
    };
    let asking = asked.of(&model, &inputs[0], &Device::Cpu).expect("asked");
    let settings = Settings::new("lrp", json!({ "rules": "lrp-0" })).expect("a method");
    let explainer = Explainer::new(
        &asking,
        settings,
        Question::Class(0),
        Details::default(),
        CPU,
    );
    let answers = explainer.expect("a method").explain(&inputs[0], &|_| ());
    let expected = answers.expect("explained").relevance;
    let apart = largest(&(&pair.sides[0].relevance - &expected));
    assert!(apart < 1e-4 * largest(&expected), "{apart}");
}
