//! What the device computes beside what the CPU does.

use std::path::Path;

use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor};
use speechlens_attribution::{Method, methods};
use speechlens_lrp::Composite;
use speechlens_nn::optim::Optimizer;
use speechlens_nn::schedule::Schedule;
use speechlens_nn::train::Config;
use speechlens_nn::{Trainer, allow_tf32};
use speechlens_report::progress;
use speechlens_report::results::{Cell, Experiment, Row};

use super::subject::Subject;
use super::{Arguments, Found};

/// How far apart the two may be in single precision, relative to the largest value.
const TOLERANCE: f64 = 1e-4;
/// How many times as far as the CPU's own f32 is from its f64, if rounding is all there is to it.
const ROUNDING: f64 = 5.0;
/// Steps of training that are compared.
const STEPS: u64 = 2;

/// Every rule, in a composite of its own.
const RULES: [(&str, &str); 9] = [
    ("lrp-0", "[[rule]]\nrule = \"lrp-0\"\n"),
    ("epsilon", "[[rule]]\nrule = \"epsilon\"\nepsilon = 0.25\n"),
    (
        "gamma",
        "[[rule]]\nfirst = true\nrule = \"z-plus\"\n[[rule]]\nkind = \"conv\"\nrule = \"gamma\"\ngamma = 0.25\n\
         [[rule]]\nrule = \"epsilon\"\nepsilon = 0.25\n",
    ),
    (
        "gamma-generalized",
        "[[rule]]\nrule = \"gamma-generalized\"\ngamma = 0.25\n",
    ),
    (
        "alpha-beta",
        "[[rule]]\nkind = \"conv\"\nrule = \"alpha-beta\"\nalpha = 2.0\nbeta = 1.0\n\
         [[rule]]\nrule = \"epsilon\"\nepsilon = 0.25\n",
    ),
    (
        "z-plus",
        "[[rule]]\nkind = \"conv\"\nrule = \"z-plus\"\n[[rule]]\nrule = \"epsilon\"\nepsilon = 0.25\n",
    ),
    (
        "z-box",
        "[[rule]]\nfirst = true\nrule = \"z-box\"\n[[rule]]\nrule = \"epsilon\"\nepsilon = 0.25\n",
    ),
    (
        "w-square",
        "[[rule]]\nfirst = true\nrule = \"w-square\"\n[[rule]]\nrule = \"epsilon\"\nepsilon = 0.25\n",
    ),
    (
        "flat",
        "[[rule]]\nfirst = true\nrule = \"flat\"\n[[rule]]\nrule = \"epsilon\"\nepsilon = 0.25\n",
    ),
];

/// What both sides compute.
enum Item {
    Logits,
    Explanation(String, Box<dyn Method>),
    Training,
}

impl Item {
    fn all(subject: &Subject) -> Result<Vec<Item>> {
        let mut items = vec![
            Item::Logits,
            Item::Explanation("gradient".into(), Box::new(methods::Gradient)),
            Item::Training,
        ];
        for (rule, text) in RULES {
            let composite = Composite::parse(text, Path::new(rule))?.with_bounds(subject.bounds);
            let name = format!("LRP, {rule}");
            items.push(Item::Explanation(name, Box::new(methods::Lrp(composite))));
        }
        for preset in &subject.presets {
            let composite = Composite::preset(preset)?;
            let name = format!("LRP, {preset}");
            items.push(Item::Explanation(name, Box::new(methods::Lrp(composite))));
        }
        Ok(items)
    }

    fn name(&self) -> String {
        match self {
            Item::Logits => "logits".into(),
            Item::Explanation(name, _) => name.clone(),
            Item::Training => format!("{STEPS} steps of training, change of parameters"),
        }
    }

    /// Each of the tensors that is to agree, on the CPU in f64: a recording's, or the changes of all parameters.
    fn compute(&self, subject: &Subject, device: &Device, dtype: DType) -> Result<Vec<Tensor>> {
        let graph = subject.graph(device, dtype)?;
        let (input, labels) = subject.batch(device, dtype)?;
        let here = |tensor: Tensor| -> Result<Tensor> {
            Ok(tensor.to_device(&Device::Cpu)?.to_dtype(DType::F64)?)
        };
        let by_recording = |tensor: Tensor| -> Result<Vec<Tensor>> {
            let tensor = here(tensor)?;
            let recordings = 0..labels.len();
            Ok(recordings
                .map(|place| tensor.get(place))
                .collect::<Result<_, _>>()?)
        };
        match self {
            Item::Logits => by_recording(graph.forward(&input)?),
            Item::Explanation(_, method) => {
                let explained = method.of(&graph)?.attribute(&input, &labels, &|_| ())?;
                by_recording(explained.relevance)
            }
            Item::Training => {
                let config = Config {
                    epochs: 1,
                    batch: labels.len(),
                    optimizer: Optimizer::Sgd {
                        lr: 1e-3,
                        momentum: 0.9,
                    },
                    schedule: Schedule::Constant,
                    seed: 1,
                    loss: subject.loss,
                };
                let mut trainer = Trainer::new(&graph, config)?;
                for _ in 0..STEPS {
                    trainer.step(&input, &labels)?;
                }
                let before = graph.weights();
                let after = trainer.graph().weights();
                let change = |(name, after): (String, Tensor)| {
                    here((after - &before[&name])?.flatten_all()?)
                };
                let changes = after.into_iter().map(change).collect::<Result<Vec<_>>>()?;
                Ok(vec![Tensor::cat(&changes, 0)?])
            }
        }
    }
}

/// The largest difference of any value, relative to the largest value of its tensor.
fn apart(found: &[Tensor], expected: &[Tensor]) -> Result<f64> {
    let largest = |tensor: &Tensor| -> Result<f64> {
        Ok(tensor.abs()?.flatten_all()?.max(0)?.to_scalar::<f64>()?)
    };
    let mut most = 0.0f64;
    for (found, expected) in found.iter().zip(expected) {
        let (apart, size) = (largest(&(found - expected)?)?, largest(expected)?);
        // Not `max`: what is not a number must be seen.
        let ratio = if apart == 0.0 { 0.0 } else { apart / size };
        if ratio.is_nan() || ratio > most {
            most = ratio;
        }
        if most.is_nan() {
            break;
        }
    }
    Ok(most)
}

/// Computes everything on both.
pub fn check(arguments: &Arguments, device: &Device) -> Result<Found> {
    let subjects = Subject::both(arguments)?;
    let items = subjects
        .iter()
        .map(|subject| {
            Ok(Item::all(subject)?
                .into_iter()
                .map(move |item| (subject, item)))
        })
        .collect::<Result<Vec<_>>>()?;
    let items: Vec<_> = items.into_iter().flatten().collect();
    let bar = progress::bar("agreement", items.len(), arguments.quiet);
    let mut rows = Vec::new();
    for (subject, item) in &items {
        let title = format!("{}, {}", subject.network.title, item.name());
        bar.set_message(title.clone());
        let compute = |device: &Device, dtype| {
            let computed = item.compute(subject, device, dtype);
            computed.with_context(|| format!("{title}, in {dtype:?} on {:?}", device.location()))
        };
        let [own, own_f64] = [DType::F32, DType::F64].map(|dtype| compute(&Device::Cpu, dtype));
        let [theirs, theirs_f64] = [DType::F32, DType::F64].map(|dtype| compute(device, dtype));
        let (own, own_f64) = (own?, own_f64?);
        let single = apart(&theirs?, &own)?;
        let tf32: Cell = match device.is_cpu() {
            true => Cell::Missing,
            false => {
                allow_tf32(true);
                let rounded = compute(device, DType::F32);
                allow_tf32(false);
                shown(apart(&rounded?, &own)?)
            }
        };
        let (double, of_single) = (apart(&theirs_f64?, &own_f64)?, apart(&own, &own_f64)?);
        let cells = [
            shown(single),
            shown(of_single),
            shown(double),
            verdict(single, double, of_single).into(),
            tf32,
        ];
        rows.push(Row::measured(title, cells));
        bar.inc(1);
    }
    bar.finish_and_clear();
    let columns = [
        "f32",
        "the CPU's f32 beside its f64",
        "f64",
        "agree",
        "TF32",
    ];
    let recordings: Vec<_> = subjects.iter().map(|one| one.samples.len()).collect();
    Ok(Found {
        experiment: Experiment {
            id: "gpu-agreement".into(),
            title: "The device beside the CPU: largest difference, relative to the largest value"
                .into(),
            columns: columns.map(str::to_owned).to_vec(),
            rows,
            files: Vec::new(),
        },
        how: format!(
            "Networks with random weights, the same on both, and {} spectrograms and {} segments of filterbanks. Of each \
             recording the largest difference of any value over the largest value; the largest of these. They agree if that \
             is at most 1e-4 in single precision. The second column is what single precision costs the CPU itself: where two \
             values of a pooled window are nearly equal, or a rule divides by nearly 0, rounding decides, and relevance moves to \
             the neighbour. If double precision agrees, and single precision differs by no more than a few times that, it is \
             rounding. The last column is the device with TF32 beside the CPU without.",
            recordings[0], recordings[1]
        ),
    })
}

/// Whether the device computes what the CPU does, by the differences in f32 and f64, and that of the CPU's own f32 from its f64.
fn verdict(single: f64, double: f64, of_single: f64) -> &'static str {
    if single <= TOLERANCE && double <= TOLERANCE {
        "yes"
    } else if double <= TOLERANCE && single <= ROUNDING * of_single {
        "but for rounding"
    } else {
        "no"
    }
}

/// With two digits: a table shows two decimals.
fn shown(apart: f64) -> Cell {
    match apart.is_nan() {
        true => "not a number".into(),
        false => format!("{apart:.1e}").into(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_a_row() {
        let unknown = Composite::parse("[[rule]]\nrule = \"none\"\n", Path::new("a test"));
        let error = unknown.unwrap_err().to_string();
        let (_, names) = error.split_once("there are ").unwrap();
        // Products and softmaxes, which the networks of the check have not, have rules of their own.
        let is_run = |name: &&str| !["detach", "signal"].contains(name);
        let mut names: Vec<&str> = names.trim().split(", ").filter(is_run).collect();
        let mut own = RULES.map(|(name, _)| name);
        names.sort_unstable();
        own.sort_unstable();
        assert_eq!(own.to_vec(), names);
    }

    #[test]
    fn rounding_excuses_single_precision_alone() {
        assert_eq!(verdict(9e-5, 1e-12, 1e-6), "yes");
        assert_eq!(verdict(4e-2, 1e-12, 3e-2), "but for rounding");
        assert_eq!(verdict(4e-2, 1e-12, 1e-5), "no");
        assert_eq!(verdict(4e-2, 4e-2, 3e-2), "no");
        assert_eq!(verdict(f64::NAN, 0.0, f64::NAN), "no");
    }

    #[test]
    fn differences_are_relative_to_each_tensor() {
        let tensor = |values: [f64; 2]| Tensor::new(&values, &Device::Cpu).unwrap();
        let expected = [tensor([100.0, -200.0]), tensor([0.0, 0.5])];
        let found = [tensor([100.0, -202.0]), tensor([0.01, 0.5])];
        assert!((apart(&found, &expected).unwrap() - 0.02).abs() < 1e-12);
        assert_eq!(apart(&expected, &expected).unwrap(), 0.0);
        let broken = [tensor([f64::NAN, -200.0]), tensor([0.0, 0.5])];
        assert!(apart(&broken, &expected).unwrap().is_nan());
    }
}
