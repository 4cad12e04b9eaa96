//! Recordings a second on the device, ours and the peers'.

use std::path::Path;

use anyhow::Result;
use candle_core::Device;
use speechlens_attribution::{Method, methods};
use speechlens_eval::flip::relevance_by;
use speechlens_eval::throughput::Load;
use speechlens_lrp::Composite;
use speechlens_models::alexnet;
use speechlens_nn::loss::Loss;
use speechlens_nn::optim::Optimizer;
use speechlens_nn::schedule::Schedule;
use speechlens_nn::train::Config;
use speechlens_report::progress;
use speechlens_report::results::{Cell, Experiment, Row};

use super::{Arguments, Found};
use crate::bench::{self, CLASSES, Pass, Peer, What, Work, median, ratio};

/// How many times as fast as the peer a pass is meant to be.
fn goal(pass: Pass) -> Option<f64> {
    match pass.what {
        What::Forward => Some(0.8),
        What::Train => (pass.network == &alexnet::NETWORK).then_some(0.8),
        What::Lrp(_) => Some(2.0),
    }
}

/// Measures ours, and the peers if there is a Python for them.
pub fn check(arguments: &Arguments, device: &Device) -> Result<Found> {
    let place = speechlens_nn::device_name(device);
    let peer = arguments.peers.as_deref();
    let mut peer = peer.map(|python| Peer::start(python, &place)).transpose()?;
    let versions = peer
        .as_mut()
        .map(|peer| peer.versions(&["torch", "zennit"]));
    let versions = versions.transpose()?.unwrap_or_default();
    let passes: Vec<Pass> = bench::passes().collect();
    let rounds = usize::from(arguments.rounds);
    let bar = progress::bar("speed", passes.len() * rounds, arguments.quiet);
    let mut rows = Vec::new();
    for pass in passes {
        bar.set_message(pass.title());
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            ours.push(measure(arguments, pass, device)?);
            if let Some(peer) = &mut peer {
                theirs.push(peer.measure(Work::Network(pass), arguments.seconds)?);
            }
            bar.inc(1);
        }
        let (ratio, goal) = (ratio(&ours, &theirs), goal(pass));
        let met = ratio.zip(goal);
        let met = met.map(|(ratio, goal)| if ratio.median >= goal { "yes" } else { "no" });
        let cells: [Cell; 7] = [
            median(ours).into(),
            ratio.map(|_| median(theirs)).into(),
            ratio.map(|ratio| ratio.median).into(),
            ratio.map(|ratio| ratio.smallest).into(),
            ratio.map(|ratio| ratio.largest).into(),
            goal.into(),
            met.into(),
        ];
        rows.push(Row::measured(pass.title(), cells));
    }
    bar.finish_and_clear();
    let columns = ["ours", "peer", "ratio", "least", "most", "goal", "met"];
    let versions = versions
        .iter()
        .map(|(name, version)| format!("{name} {version}"));
    let peers = match &peer {
        None => "The peers were not measured: --peers PYTHON does that.".to_owned(),
        Some(_) => format!(
            "The peers are PyTorch, and zennit on PyTorch for LRP ({}), without TF32 either, cuDNN choosing its algorithms by trial.",
            versions.collect::<Vec<_>>().join(", ")
        ),
    };
    Ok(Found {
        experiment: Experiment {
            id: "gpu-speed".into(),
            title: "Recordings a second".into(),
            columns: columns.map(str::to_owned).to_vec(),
            rows,
            files: Vec::new(),
        },
        how: format!(
            "The median of {rounds} rounds; in a round ours and the peer run one after the other, each for {} s after a pass that warms it \
             up, the device waited for after each pass. The ratio is taken within each round. {peers}",
            arguments.seconds
        ),
    })
}

fn measure(arguments: &Arguments, pass: Pass, device: &Device) -> Result<f64> {
    let graph = pass
        .network
        .architecture(CLASSES)?
        .random(arguments.seed, device)?;
    let shape = graph.architecture().fixed_input_shape()?;
    let limit = arguments.limit()?;
    let load = Load::new(&graph, &shape, CLASSES, pass.batch, device, limit)?;
    Ok(match pass.what {
        What::Forward => load.forward()?,
        What::Train => load.training(Config {
            epochs: 1,
            batch: pass.batch,
            optimizer: Optimizer::Sgd {
                lr: 1e-4,
                momentum: 0.9,
            },
            schedule: Schedule::Constant,
            seed: arguments.seed,
            loss: Loss::CrossEntropy,
        })?,
        What::Lrp(rules) => {
            let composite = Composite::parse(rules.composite(), Path::new(rules.name()))?;
            let lrp = methods::Lrp(composite).of(&graph)?;
            load.explanation(relevance_by(lrp.as_ref()))?
        }
    })
}
