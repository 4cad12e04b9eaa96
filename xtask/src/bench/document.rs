//! The table, and BENCHMARKS.md around it.

use super::peak::Peak;
use super::rows::{MEMORY, Row, Work};
use super::statistics::{Spread, median, ratio};

/// What was measured of a row.
pub struct Outcome {
    pub row: Row,
    /// Recordings a second, by round.
    pub ours: Vec<f64>,
    /// Likewise, of our forward passes over the same, where a row counts how many of these it costs.
    pub forward: Vec<f64>,
    /// Likewise; empty without a peer.
    pub peer: Vec<f64>,
    /// Nominal floating-point operations of one recording, where they are counted.
    pub operations: Option<f64>,
}

/// The most that each side held in memory in a process of its own, in bytes, where it is known.
pub struct Memory {
    pub ours: Option<u64>,
    /// Of `speechlens predict` with one recording, and of that the weights.
    pub predicting: (Option<u64>, u64),
    pub peer: Option<PeerMemory>,
}

/// The peer's side of it.
pub struct PeerMemory {
    pub peak: Option<u64>,
    /// Of that, what Python and its packages took before there was a network.
    pub packages: Option<u64>,
}

/// Everything that a run measured.
pub struct Findings {
    pub outcomes: Vec<Outcome>,
    /// Where [`MEMORY`] is among the rows.
    pub memory: Option<Memory>,
    pub peak: Peak,
    /// By name; empty without peers.
    pub versions: Vec<(String, String)>,
    /// What made this.
    pub command: String,
    pub commit: String,
    pub processor: String,
    pub cores: usize,
    pub threads: usize,
    pub rounds: usize,
    pub seconds: f64,
}

const HEAD: [&str; 9] = [
    "",
    "ours, 1/s",
    "peer, 1/s",
    "ratio (range)",
    "goal",
    "met",
    "passes",
    "GFLOP/s",
    "of peak",
];
/// Where there is nothing to say.
const NONE: &str = "–";

impl Findings {
    /// The table: readable as it is, and Markdown.
    pub fn table(&self) -> String {
        let mut grid = vec![HEAD.map(str::to_owned).to_vec()];
        grid.extend(self.outcomes.iter().map(|outcome| self.line(outcome)));
        align(&grid)
    }

    fn line(&self, outcome: &Outcome) -> Vec<String> {
        let or_none = |text: Option<String>| text.unwrap_or_else(|| NONE.to_owned());
        let ours = median(outcome.ours.clone());
        let ratio = ratio(&outcome.ours, &outcome.peer);
        let met = |goal: f64| ratio.map(|ratio| if ratio.median >= goal { "yes" } else { "no" });
        let flops = outcome.operations.map(|operations| operations * ours);
        let passes = outcome
            .row
            .passes()
            .zip(self::ratio(&outcome.forward, &outcome.ours));
        let passes = passes.map(|(most, passes)| format!("{:.2} (≤ {most})", passes.median));
        vec![
            outcome.row.title(),
            rate(ours),
            or_none(ratio.map(|_| rate(median(outcome.peer.clone())))),
            or_none(ratio.map(range)),
            or_none(outcome.row.goal.map(|goal| goal.to_string())),
            or_none(outcome.row.goal.and_then(met).map(str::to_owned)),
            or_none(passes),
            or_none(flops.map(|flops| format!("{:.0}", flops / 1e9))),
            or_none(flops.map(|flops| format!("{:.0} %", 100.0 * flops / self.peak.flops))),
        ]
    }

    /// The document.
    pub fn markdown(&self) -> String {
        let paragraphs = [
            "# Benchmarks".to_owned(),
            self.machine(),
            self.table(),
            self.obstacles(),
            self.reading(),
            self.share(),
            self.peers(),
            self.peak_memory(),
        ];
        let told = paragraphs.iter().filter(|text| !text.is_empty());
        let told: Vec<_> = told.map(|text| text.trim_end()).collect();
        told.join("\n\n") + "\n"
    }

    fn machine(&self) -> String {
        format!(
            "Made by `{}` from source {}, on {}: {} {} ({} used), {}-bit vectors. Run it to have the table for your machine; \
             do nothing else on it meanwhile.",
            self.command,
            self.commit,
            self.processor,
            self.cores,
            if self.cores == 1 { "core" } else { "cores" },
            self.threads,
            self.peak.vector_bits,
        )
    }

    /// What stands between the rows that miss their goal and it.
    fn obstacles(&self) -> String {
        let missed = |outcome: &&Outcome| {
            let ratio = ratio(&outcome.ours, &outcome.peer);
            let missed = |goal: f64| ratio.is_some_and(|ratio| ratio.median < goal);
            outcome.row.goal.is_some_and(missed)
        };
        let obstacle = |outcome: &Outcome| {
            let obstacle = outcome.row.obstacle?;
            let (title, id) = (outcome.row.title(), outcome.row.id());
            Some(format!(
                "Between \"{title}\" and its goal: {obstacle} (`perf record` of `xtask bench --only {id}`)."
            ))
        };
        let obstacles: Vec<_> = self
            .outcomes
            .iter()
            .filter(missed)
            .filter_map(obstacle)
            .collect();
        obstacles.join("\n\n")
    }

    fn reading(&self) -> String {
        format!(
            "A rate is recordings a second: the median of {} round{}. In a round ours and the peer run one after the other, \
             each for {} s after a pass that warms it up, and the median of its passes counts. The ratio is ours over the peer's, taken \
             within each round: the median, and the smallest and the largest. What slows both down changes the rates but \
             hardly the ratio. The goal is met where the median of the ratio reaches it. Networks use all threads; \
             random weights, random inputs, 10 classes. Training is a step of SGD with momentum on cross entropy. LRP ε has the \
             rule ε with 1e-6 on every layer; LRP γ the generalized γ = 0.25 on convolutions and dense layers and that ε elsewhere, \
             batch normalization merged. Passes are how many of our own forward passes over the same, measured beside it in each round, a sweep takes, and how many it should \
             take at most. Networks that came as ONNX stand beside onnxruntime on the same file, on as many threads; AlexNet and ResNet34 \
             are exported from PyTorch for it. The spectrogram is that of 0.6 s at 48 kHz, the filterbank that of 10 s at 16 kHz, from \
             samples in memory, on one thread.",
            self.rounds,
            if self.rounds == 1 { "" } else { "s" },
            self.seconds,
        )
    }

    /// What the share of the peak is.
    fn share(&self) -> String {
        let mut counted: Vec<(&str, f64)> = Vec::new();
        for outcome in &self.outcomes {
            if let (Work::Network(pass), Some(operations)) = (outcome.row.work, outcome.operations)
            {
                let forward = (pass.network.title, operations / pass.what.cost());
                if !counted.iter().any(|(name, _)| *name == forward.0) {
                    counted.push(forward);
                }
            }
        }
        if counted.is_empty() {
            return String::new();
        }
        let counted: Vec<_> = counted
            .iter()
            .map(|(name, operations)| {
                format!("{:.2} GFLOP a recording in {name}", operations / 1e9)
            })
            .collect();
        format!(
            "GFLOP/s is our rate times the nominal work: two operations for each multiply-add of the convolutions and dense \
             layers, counted from their shapes. A forward pass takes {}; training counts three times that, LRP ε twice, LRP γ three times, as after a ReLU. The \
             peak is {:.0} GFLOP/s, measured in the same run: fused multiply-adds that do not wait for each other, on {} \
             threads, in single precision. A Winograd convolution multiplies less than it nominally does, so that a share may pass \
             100 %.",
            counted.join(" and "),
            self.peak.flops / 1e9,
            self.threads,
        )
    }

    fn peers(&self) -> String {
        if self.versions.is_empty() {
            return "The peers were not measured. `cargo xtask bench --peers PYTHON` does that, with a Python that has them: \
                    `PYTHON -m pip install -r tests/goldens/requirements.txt`."
                .into();
        }
        let version = |(name, version): &(String, String)| format!("{name} {version}");
        let versions: Vec<_> = self.versions.iter().map(version).collect();
        format!(
            "The peers: PyTorch for forward passes and training, zennit on PyTorch for LRP, onnxruntime for networks that came as ONNX, scipy and librosa for \
             spectrograms, kaldi-native-fbank for filterbanks ({}). `xtask/src/bench/peers.py` is what they run, on as many threads.",
            versions.join(", ")
        )
    }

    fn peak_memory(&self) -> String {
        let Some(memory) = &self.memory else {
            return String::new();
        };
        let mib = |bytes: Option<u64>| match bytes {
            Some(bytes) => format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20)),
            None => "not measured".into(),
        };
        let peer = memory.peer.as_ref().map_or(String::new(), |peer| {
            format!(
                ", the peer {}, of which Python and its packages {} before there is a network",
                mib(peer.peak),
                mib(peer.packages)
            )
        });
        let (most, weights) = memory.predicting;
        let times = most.map_or(String::new(), |most| {
            format!(
                ", {:.2} times the {} of its weights",
                most as f64 / weights as f64,
                mib(Some(weights))
            )
        });
        format!(
            "The most memory of a process that does nothing but the row \"{}\", its program and libraries included: ours \
             {}{peer}. `speechlens predict` of the same network and one recording holds {}{times}.",
            MEMORY.title(),
            mib(memory.ours),
            mib(most),
        )
    }
}

fn rate(per_second: f64) -> String {
    match per_second < 100.0 {
        true => format!("{per_second:.1}"),
        false => format!("{per_second:.0}"),
    }
}

fn range(ratio: Spread) -> String {
    let Spread {
        median,
        smallest,
        largest,
    } = ratio;
    format!("{median:.2} ({smallest:.2}–{largest:.2})")
}

/// A Markdown table whose columns stand below each other: the first at the left, the others at the right.
fn align(grid: &[Vec<String>]) -> String {
    let columns = grid.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            let cells = grid.iter().map(|line| line[column].chars().count());
            cells.max().unwrap_or(0).max(2)
        })
        .collect();
    let mut lines: Vec<String> = grid
        .iter()
        .map(|line| {
            let cells = line.iter().zip(&widths).enumerate();
            let cells = cells.map(|(column, (cell, width))| match column {
                0 => format!(" {cell:<width$} |"),
                _ => format!(" {cell:>width$} |"),
            });
            format!("|{}", cells.collect::<String>())
        })
        .collect();
    let rule = widths
        .iter()
        .enumerate()
        .map(|(column, width)| match column {
            0 => format!(" {} |", "-".repeat(*width)),
            _ => format!(" {}: |", "-".repeat(width - 1)),
        });
    lines.insert(1, format!("|{}", rule.collect::<String>()));
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::super::rows::ROWS;
    use super::*;

    fn findings(peer: &[f64]) -> Findings {
        let outcome = Outcome {
            row: ROWS[0],
            ours: vec![90.0, 130.0, 110.0],
            forward: Vec::new(),
            peer: peer.to_vec(),
            operations: Some(1e9),
        };
        Findings {
            outcomes: vec![outcome],
            memory: None,
            peak: Peak {
                flops: 220e9,
                vector_bits: 256,
            },
            versions: Vec::new(),
            command: "cargo xtask bench".into(),
            commit: "unknown".into(),
            processor: "a processor".into(),
            cores: 2,
            threads: 2,
            rounds: 3,
            seconds: 1.0,
        }
    }

    #[test]
    fn a_line_has_what_was_measured() {
        let with = findings(&[100.0, 100.0, 100.0]);
        let expected = [
            "110",
            "100",
            "1.10 (0.90–1.30)",
            "1.2",
            "no",
            NONE,
            "110",
            "50 %",
        ];
        assert_eq!(with.line(&with.outcomes[0])[1..], expected);
        let without = findings(&[]);
        let expected = ["110", NONE, NONE, "1.2", NONE, NONE, "110", "50 %"];
        assert_eq!(without.line(&without.outcomes[0])[1..], expected);
    }

    #[test]
    fn a_document_without_peers_says_how_to_have_them() {
        let text = findings(&[]).markdown();
        assert!(text.contains("--peers PYTHON"), "{text}");
        assert!(!text.contains("The most memory"), "{text}");
    }

    #[test]
    fn columns_stand_below_each_other() {
        let widths = findings(&[]).table();
        let mut widths = widths.lines().map(|line| line.chars().count());
        let first = widths.next();
        assert!(widths.all(|width| Some(width) == first));
    }
}
