//! How often an explanation, with its files and its page, runs the network: as often as its method needs, and no more.

use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{DType, Device, Tensor};
use serde_json::json;
use speechlens_attribution::methods::METHODS;
use speechlens_audio::Audio;
use speechlens_explain::{
    Details, Explainer, Explanation, Question, Reader, Reading, Settings, TOP, files,
};
use speechlens_models::{Model, audionet};
use speechlens_nn::ops::{Flatten, Linear};
use speechlens_nn::{
    Architecture, Attributes, Branch, Described, InOrder, Kind, Map, Mode, Op, Params,
};

/// Inputs that went through [`Counter`].
static SEEN: AtomicUsize = AtomicUsize::new(0);

/// Gives what it reads.
#[derive(Debug)]
struct Counter;

impl Described for Counter {
    fn attributes(&self) -> Attributes {
        Attributes::new()
    }
}

impl Op for Counter {
    fn name(&self) -> &str {
        "counter"
    }

    fn kind(&self) -> Kind {
        Kind::Activation
    }

    fn forward(
        &self,
        _: &Params,
        inputs: &[&Tensor],
        _: &mut Mode,
    ) -> speechlens_nn::Result<Tensor> {
        SEEN.fetch_add(inputs[0].dim(0)?, Ordering::Relaxed);
        Ok(inputs[0].clone())
    }

    fn branches(&self, _: usize) -> Vec<Branch<'_>> {
        Branch::only(Map::Moved(&InOrder))
    }
}

/// A waveform network that counts.
fn model() -> Model {
    let mut net = Architecture::new([1, 8000]);
    let x = net.add("flatten", Flatten, [net.input()]).expect("a node");
    let x = net
        .add("hidden", Linear::new(8000, 4), [x])
        .expect("a node");
    let x = net.add("counter", Counter, [x]).expect("a node");
    net.add("head", Linear::new(4, 2), [x]).expect("a node");
    let graph = net.random(3, &Device::Cpu).expect("weights");
    let classes = ["anna", "ben"].map(str::to_owned).to_vec();
    Model::of(&audionet::NETWORK, graph, classes).expect("a model")
}

#[test]
fn an_explanation_runs_the_network_as_often_as_its_method_needs() {
    let model = model();
    let samples = (0..4000).map(|n| (0.3 * f64::from(n)).sin() as f32);
    let audio = Audio {
        samples: samples.collect(),
        rate: 8000,
    };
    let reader = Reader::new(&model, Reading::default());
    let input = reader.audio("tone", audio).expect("an input");
    for entry in METHODS {
        for question in [Question::Predicted, Question::Contrast(0, 1)] {
            let options = json!({ "steps": 3, "samples": 2, "patch": [2000] });
            let settings = Settings::new(entry.name, options).expect("a method");
            let place = (&Device::Cpu, DType::F32);
            let explainer = Explainer::new(&model, settings, question, Details::default(), place)
                .expect("a method");
            let before = SEEN.load(Ordering::Relaxed);
            let answers = explainer.explain(&input, &|_| ()).expect("explained");
            let explanation = Explanation::new(&explainer, &answers, TOP);
            let folder = tempfile::tempdir().expect("a folder");
            files::write(folder.path(), "model", &input, &explanation).expect("files");
            files::write_page(folder.path(), "model", &input, &[explanation]).expect("a page");
            let ran = SEEN.load(Ordering::Relaxed) - before;
            // By name and question, what the method needs: the logits come with it, and the page needs no more.
            let expected = match (entry.name, question) {
                ("lrp" | "random", _)
                | ("gradient" | "sensitivity" | "gradient-times-input", Question::Predicted) => 1,
                ("smoothgrad", Question::Predicted) => 1 + 2,
                ("integrated-gradients", Question::Predicted) => 3 + 2,
                ("gradient" | "sensitivity" | "gradient-times-input", _) => 2,
                ("smoothgrad", _) => 2 * (1 + 2),
                ("integrated-gradients", _) => 2 * (3 + 2),
                // Seven patches of 2000 samples a thousand apart, and the recording as it is.
                ("occlusion", Question::Predicted) => 1 + 7,
                ("occlusion", _) => 2 * (1 + 7),
                (other, _) => panic!("how often does {other} run the network?"),
            };
            assert_eq!(ran, expected, "{}, {question:?}", entry.name);
            // The test of it: six steps of five orders, since of 50 segments 1 % is none, and all gone.
            let before = SEEN.load(Ordering::Relaxed);
            explainer.deletion(&input, &answers).expect("tested");
            assert_eq!(SEEN.load(Ordering::Relaxed) - before, 6 * 5 + 1);
        }
    }
}
