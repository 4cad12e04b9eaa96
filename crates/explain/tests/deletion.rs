//! What is left of an answer, against closed forms: of a network that is linear in its input, what goes takes its relevance with it.

use candle_core::{DType, Device};
use ndarray::ArrayD;
use serde_json::json;
use speechlens_explain::{
    Answers, Deletion, Details, Explainer, Explanation, Input, Question, Reader, Reading, Settings,
    TOP, files, show,
};
use speechlens_models::{Model, Network, alexnet, audionet};
use speechlens_nn::Architecture;
use speechlens_nn::kernels::ranks::{falling, lots, rising};
use speechlens_nn::ops::{Flatten, Linear};

const CPU: (&Device, DType) = (&Device::Cpu, DType::F64);
const SEED: u64 = 7;

/// A network that adds up its input by weights, twice, on a network's front end.
fn linear(network: &Network, shape: &[usize]) -> Model {
    let mut net = Architecture::new(shape);
    let values = shape.iter().product();
    let x = net.add("flatten", Flatten, [net.input()]).expect("a node");
    net.add("head", Linear::new(values, 2), [x])
        .expect("a node");
    let graph = net.random(3, &Device::Cpu).expect("weights");
    let classes = ["anna", "ben"].map(str::to_owned).to_vec();
    Model::of(network, graph, classes).expect("a model")
}

fn explained(
    model: &Model,
    input: &Input,
    method: &str,
    question: Question,
) -> (Explainer, Answers) {
    let settings = Settings::new(method, json!({ "seed": SEED })).expect("a method");
    let explainer = Explainer::new(model, settings, question, Details::default(), CPU);
    let explainer = explainer.expect("a method");
    let mut answers = explainer.explain(input, &|_| ()).expect("explained");
    answers.deletion = Some(explainer.deletion(input, &answers).expect("tested"));
    (explainer, answers)
}

/// So many samples of a tone at 8 kHz, and silence behind.
fn tone(model: &Model, count: u32) -> Input {
    let samples = (0..count).map(|n| (0.3 * f64::from(n)).sin() as f32);
    let audio = speechlens_audio::Audio {
        samples: samples.collect(),
        rate: 8000,
    };
    let input = Reader::new(model, Reading::default()).audio("tone", audio);
    input.expect("an input")
}

/// What is left of a score without so many units, in an order.
fn left(score: f64, sums: &[f32], order: &[u32], gone: &[usize]) -> Vec<f64> {
    let of = |count: &usize| {
        let lost: f64 = order[..*count]
            .iter()
            .map(|at| f64::from(sums[*at as usize]))
            .sum();
        score - lost
    };
    gone.iter().map(of).collect()
}

fn check(deletion: &Deletion, score: f64, sums: &[f32]) {
    let far = |found: &[f64], order: &[u32]| {
        let expected = left(score, sums, order, &deletion.gone);
        let size = expected.iter().fold(1e-3f64, |most, x| most.max(x.abs()));
        let pairs = found.iter().zip(&expected);
        assert_eq!(found.len(), expected.len());
        pairs.fold(0f64, |far, (a, b)| far.max((a - b).abs() / size))
    };
    assert!(far(&deletion.most, &falling(sums)) < 1e-4);
    assert!(far(&deletion.least, &rising(sums)) < 1e-4);
    assert_eq!(deletion.lots.len(), 3);
    for (number, found) in deletion.lots.iter().enumerate() {
        assert!(far(found, &lots(sums.len(), SEED, number as u64)) < 1e-4);
    }
    // The orders are different ones.
    let middle = deletion.gone.len() / 2;
    let [low, _, high] = deletion.by_lot(middle);
    assert!(deletion.most[middle] < low && high < deletion.least[middle]);
}

#[test]
fn bins_take_their_relevance_with_them() {
    let model = linear(&alexnet::NETWORK, &[1, 227, 227]);
    let reader = Reader::new(&model, Reading::default());
    let values =
        |at: ndarray::IxDyn| -(((at[1] * 31 + at[2] * 17 + 5) * (at[0] + 1)) as f32 % 80.0);
    let input = ArrayD::from_shape_fn(vec![3, 227, 227], values);
    let input = reader.array("a.npy", input).expect("an input");
    for question in [Question::Class(1), Question::Contrast(1, 0)] {
        let (explainer, answers) = explained(&model, &input, "gradient-times-input", question);
        let deletion = answers.deletion.as_ref().expect("tested");
        assert_eq!((deletion.reference, deletion.segment), (-80.0, None));
        assert_eq!(deletion.bins, 227 * 227);
        // Large, so that few steps must do.
        assert_eq!(deletion.gone, [0, 5153, 15459, 51529]);
        let scores: Vec<f64> = (0..3)
            .map(|window| explainer.score(&answers, window).expect("a score"))
            .collect();
        let highest = scores.iter().copied().fold(f64::MIN, f64::max);
        assert_eq!(scores[deletion.window], highest);
        let relevance = answers
            .relevance
            .index_axis(ndarray::Axis(0), deletion.window);
        let relevance: Vec<f32> = relevance.iter().copied().collect();
        check(deletion, highest, &relevance);
    }
}

#[test]
fn samples_go_by_segments() {
    let model = linear(&audionet::NETWORK, &[1, 8000]);
    let input = tone(&model, 8000);
    let (explainer, answers) = explained(&model, &input, "lrp", Question::Class(1));
    let deletion = answers.deletion.as_ref().expect("tested");
    assert_eq!((deletion.reference, deletion.segment), (0.0, Some(0.01)));
    assert_eq!(deletion.gone, [0, 1, 2, 5, 10, 20, 40, 70, 100]);
    let relevance: Vec<f32> = answers.relevance.iter().copied().collect();
    let sums: Vec<f32> = relevance.chunks(80).map(|bins| bins.iter().sum()).collect();
    check(
        deletion,
        explainer.score(&answers, 0).expect("a score"),
        &sums,
    );

    // The summary has the numbers, and the page says them.
    let explanation = Explanation::new(&explainer, &answers, TOP);
    let summary = files::summary("model", &input, &explanation);
    let told = &summary["deletion"];
    assert_eq!(told["gone"], json!(deletion.gone));
    assert_eq!(told["most_relevant_first"], json!(deletion.most));
    assert_eq!(told["least_relevant_first"], json!(deletion.least));
    assert_eq!(told["by_lot"], json!(deletion.lots));
    assert_eq!(
        (&told["bins"], &told["segment"]),
        (&json!(100), &json!(0.01))
    );
    let page = show::exhibit("model", &input, &[explanation]).expect("a page");
    let page = page.json().expect("JSON");
    let words = "Without the 10 % of segments of 10 ms that are the most relevant, the logit of ben falls from ";
    assert!(page.contains(words), "{}", &page[..3000]);
    assert!(
        page.contains("by more than lots differ: what the picture shows matters to the network.")
    );
}

#[test]
fn silence_does_not_count() {
    let model = linear(&audionet::NETWORK, &[1, 8000]);
    let input = tone(&model, 4000);
    let (explainer, answers) = explained(&model, &input, "lrp", Question::Class(1));
    let deletion = answers.deletion.as_ref().expect("tested");
    assert_eq!(deletion.gone, [0, 1, 3, 5, 10, 20, 35, 50]);
    // By lot too every segment that goes is one of the tone.
    let relevance: Vec<f32> = answers.relevance.iter().copied().collect();
    let sums: Vec<f32> = relevance.chunks(80).map(|bins| bins.iter().sum()).collect();
    let mut order = lots(100, SEED, 0);
    order.retain(|segment| *segment < 50);
    let score = explainer.score(&answers, 0).expect("a score");
    for (found, expected) in deletion.lots[0]
        .iter()
        .zip(left(score, &sums, &order, &deletion.gone))
    {
        assert!((found - expected).abs() < 1e-4, "{found}, {expected}");
    }
}

#[test]
fn an_explanation_that_is_wrong_is_told_to_be_no_better_than_chance() {
    let model = linear(&audionet::NETWORK, &[1, 8000]);
    let input = tone(&model, 8000);
    let (explainer, mut answers) = explained(&model, &input, "lrp", Question::Class(1));
    // The opposite of what is true.
    answers.relevance.mapv_inplace(|relevance| -relevance);
    answers.deletion = Some(explainer.deletion(&input, &answers).expect("tested"));
    let explanation = Explanation::new(&explainer, &answers, TOP);
    let page = show::exhibit("model", &input, &[explanation]).expect("a page");
    let page = page.json().expect("JSON");
    assert!(page.contains("on this recording the picture is no better than chance."));
    assert!(page.contains("does not fall: it goes from"));
}
