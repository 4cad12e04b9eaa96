//! What is measured: the rows of the table.

use speechlens_models::{Network, alexnet, resnet34};

use super::onnx::{self, Onnx};

/// A row of the table.
#[derive(Clone, Copy, PartialEq)]
pub struct Row {
    /// What is done over and over.
    pub work: Work,
    /// How many times as fast as the peer it is meant to be.
    pub goal: Option<f64>,
    /// What a profile says stands between it and the goal.
    pub obstacle: Option<&'static str>,
}

/// What is done over and over.
#[derive(Clone, Copy, PartialEq)]
pub enum Work {
    /// A pass of a network over a batch.
    Network(Pass),
    /// The forward pass of a network that came as ONNX, over so many inputs.
    Onnx(&'static Onnx, usize),
    /// The decibel spectrogram of one recording, on one core.
    Spectrogram,
    /// The mel filterbank of one recording, on one core.
    Filterbank,
}

/// A pass of a network over a batch.
#[derive(Clone, Copy, PartialEq)]
pub struct Pass {
    /// Which pass.
    pub what: What,
    /// The network.
    pub network: &'static Network,
    /// Recordings in a batch.
    pub batch: usize,
}

/// Which pass.
#[derive(Clone, Copy, PartialEq)]
pub enum What {
    Forward,
    Train,
    Lrp(Rules),
}

/// The rules of layer-wise relevance propagation.
#[derive(Clone, Copy, PartialEq)]
pub enum Rules {
    /// ε = 1e-6 on every layer.
    Epsilon,
    /// Generalized γ = 0.25 on convolutions and dense layers, ε = 1e-6 elsewhere; batch normalization merged.
    Gamma,
}

impl Rules {
    /// As the peer is told.
    pub fn name(self) -> &'static str {
        match self {
            Rules::Epsilon => "epsilon",
            Rules::Gamma => "gamma",
        }
    }

    /// As a composite file.
    pub fn composite(self) -> &'static str {
        match self {
            Rules::Epsilon => {
                "[[rule]]\nrule = \"epsilon\"\nepsilon = 1e-6\n[options]\nbatchnorm = \"ratio\"\n"
            }
            Rules::Gamma => {
                "[[rule]]\nkind = \"conv\"\nrule = \"gamma-generalized\"\ngamma = 0.25\n\
                 [[rule]]\nkind = \"linear\"\nrule = \"gamma-generalized\"\ngamma = 0.25\n\
                 [[rule]]\nrule = \"epsilon\"\nepsilon = 1e-6\n"
            }
        }
    }
}

impl What {
    /// As `speechlens bench` calls it.
    pub fn name(self) -> &'static str {
        match self {
            What::Forward => "forward",
            What::Train => "train",
            What::Lrp(_) => "lrp",
        }
    }

    /// The rules, of layer-wise relevance propagation.
    pub fn rules(self) -> Option<Rules> {
        match self {
            What::Lrp(rules) => Some(rules),
            What::Forward | What::Train => None,
        }
    }

    /// How many forward passes it is meant to cost at most.
    fn passes(self) -> Option<f64> {
        match self {
            What::Lrp(Rules::Epsilon) => Some(2.3),
            What::Lrp(Rules::Gamma) => Some(3.5),
            What::Forward | What::Train => None,
        }
    }

    /// How many forward passes it nominally costs: the gradients of the input and of the weights one each, the backward pass
    /// of LRP one, and each part of a rule that is no map of the layer's own output another two.
    pub fn cost(self) -> f64 {
        match self {
            What::Forward => 1.0,
            What::Train => 3.0,
            What::Lrp(Rules::Epsilon) => 2.0,
            What::Lrp(Rules::Gamma) => 3.0,
        }
    }
}

/// Every row, in the order of the table.
pub const ROWS: [Row; 22] = [
    pass(What::Forward, &alexnet::NETWORK, 50, Some(1.2)),
    pass(What::Train, &alexnet::NETWORK, 50, Some(1.0)),
    pass(What::Lrp(Rules::Epsilon), &alexnet::NETWORK, 50, Some(3.0)),
    pass(What::Lrp(Rules::Gamma), &alexnet::NETWORK, 50, Some(4.0)),
    pass(What::Forward, &resnet34::NETWORK, 32, Some(1.5)),
    pass(What::Train, &resnet34::NETWORK, 32, Some(1.2)),
    pass(What::Lrp(Rules::Epsilon), &resnet34::NETWORK, 32, Some(4.0)),
    pass(What::Lrp(Rules::Gamma), &resnet34::NETWORK, 32, Some(5.0)),
    Row {
        work: Work::Spectrogram,
        goal: Some(5.0),
        obstacle: Some(
            "three fifths of the time are Fourier transforms in double precision, and a third of those is the 13-point step \
             of the 455-point window (455 = 5 · 7 · 13), the only one that rustfft does without vectors. In single precision \
             they would miss librosa's levels near −80 dB",
        ),
    },
    Row {
        work: Work::Filterbank,
        goal: Some(3.0),
        obstacle: None,
    },
    onnx(&onnx::CREPE, 32),
    onnx(&onnx::CREPE, 1),
    onnx(&onnx::CAMPPLUS, 8),
    onnx(&onnx::CAMPPLUS, 1),
    onnx(&onnx::DNSMOS, 4),
    onnx(&onnx::DNSMOS, 1),
    Row {
        obstacle: Some(EIGHT_BITS),
        ..onnx(&onnx::SMART_TURN, 4)
    },
    Row {
        obstacle: Some(EIGHT_BITS),
        ..onnx(&onnx::SMART_TURN, 1)
    },
    onnx(&onnx::ALEXNET, 50),
    onnx(&onnx::ALEXNET, 1),
    onnx(&onnx::RESNET34, 32),
    onnx(&onnx::RESNET34, 1),
];

const EIGHT_BITS: &str = "onnxruntime multiplies whole numbers of 8 bits, four or two of which take the place of one number of 32; ours \
                          rounds as it does and multiplies in single precision, so that relevance, gradients and answers are of one graph";

const fn onnx(network: &'static Onnx, batch: usize) -> Row {
    Row {
        work: Work::Onnx(network, batch),
        goal: Some(1.0),
        obstacle: None,
    }
}

/// The row whose peak memory is measured as well.
pub const MEMORY: Row = ROWS[2];

const fn pass(what: What, network: &'static Network, batch: usize, goal: Option<f64>) -> Row {
    let work = Work::Network(Pass {
        what,
        network,
        batch,
    });
    Row {
        work,
        goal,
        obstacle: None,
    }
}

/// Those of networks.
pub fn passes() -> impl Iterator<Item = Pass> {
    ROWS.into_iter().filter_map(|row| match row.work {
        Work::Network(pass) => Some(pass),
        _ => None,
    })
}

impl Pass {
    /// What a table calls it.
    pub fn title(&self) -> String {
        let what = match self.what {
            What::Forward => "forward",
            What::Train => "training",
            What::Lrp(Rules::Epsilon) => "LRP ε",
            What::Lrp(Rules::Gamma) => "LRP γ",
        };
        format!("{}, {what}, batch {}", self.network.title, self.batch)
    }
}

impl Row {
    /// Whether all is there that it needs.
    pub fn is_here(&self) -> bool {
        match self.work {
            Work::Onnx(network, _) => network.is_here(),
            _ => true,
        }
    }

    /// How many forward passes a sweep of relevance is meant to cost at most.
    pub fn passes(&self) -> Option<f64> {
        match self.work {
            Work::Network(Pass { what, .. }) => what.passes(),
            _ => None,
        }
    }

    /// What `--only` calls it.
    pub fn id(&self) -> String {
        match self.work {
            Work::Network(Pass { what, network, .. }) => match what {
                What::Lrp(Rules::Gamma) => format!("{network}-lrp-gamma"),
                what => format!("{network}-{}", what.name()),
            },
            Work::Onnx(network, 1) => format!("{}-onnx-one", network.name),
            Work::Onnx(network, _) => format!("{}-onnx", network.name),
            Work::Spectrogram => "spectrogram".into(),
            Work::Filterbank => "filterbank".into(),
        }
    }

    /// What the document calls it.
    pub fn title(&self) -> String {
        match self.work {
            Work::Network(pass) => pass.title(),
            Work::Onnx(network, 1) => format!("{}, ONNX, one at a time", network.title),
            Work::Onnx(network, batch) => {
                format!("{}, ONNX, batch {batch}", network.title)
            }
            Work::Spectrogram => "spectrogram, one core".into(),
            Work::Filterbank => "filterbank, one core".into(),
        }
    }
}
