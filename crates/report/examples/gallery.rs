//! Draws one of everything from made-up arrays: `cargo run -p speechlens-report --example gallery -- FOLDER`.

use ndarray::{Array1, Array2};
use speechlens_report::{
    Axes, Axis, Block, Cell, Chart, Page, Panel, Row, Section, Series, Table, Thesis, Trace, grid,
    limit, stack,
};
use std::path::PathBuf;

const BINS: usize = 227;
const TOP_HZ: f64 = 4000.0;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("usage: gallery FOLDER")?);
    let (low, high) = (voice(120.0), voice(210.0));
    let (against, forward) = (relevance(&low, 0.3), relevance(&high, 1.1));

    let axes = || Axes::spectrogram(1.0, TOP_HZ);
    let overlay = |level: &Array2<f32>, r: &Array2<f32>| {
        Panel::overlay(axes(), level.view(), r.view(), limit(r.view()))
    };
    let female = overlay(&high, &forward)?.titled("female");
    let male = overlay(&low, &against)?.titled("male");
    let both = grid(&[female.clone(), male.clone()], 2)?;
    both.write_png(&folder.join("overlay.png"))?;

    let plain = Panel::spectrogram(axes(), high.view(), "level (dB)")?.titled("spectrogram");
    let alone =
        Panel::relevance(axes(), forward.view(), limit(forward.view()))?.titled("relevance");
    let marked = Panel::marked(
        axes(),
        high.view(),
        "level (dB)",
        top(&forward, 0.01).view(),
    )?
    .titled("most relevant first");
    let removed = Panel::removed(
        axes(),
        high.view(),
        "level (dB)",
        top(&forward, 0.95).view(),
    )?
    .titled("what is left");
    grid(
        &[
            plain.clone(),
            alone.clone(),
            marked.clone(),
            removed.clone(),
        ],
        2,
    )?
    .write_png(&folder.join("panels.png"))?;

    let mel = Array2::from_shape_fn((64, 200), |(f, t)| ((f * 3 + t) % 40) as f32 * 0.3 - 6.0);
    let hertz = |mel: f64| 700.0 * ((mel / 1127.0).exp() - 1.0);
    let centres: Vec<f64> = (1..=64)
        .map(|band| hertz(32.0 + 43.2 * band as f64))
        .collect();
    let axes = Axes::filterbank(0.0, 2.0, &centres);
    let filterbank = Panel::spectrogram(axes, mel.view(), "log energy")?;
    filterbank
        .titled("filterbank")
        .picture()?
        .write_png(&folder.join("filterbank.png"))?;

    let waveform = Array1::from_shape_fn(8000, |n| {
        let t = n as f32 / 8000.0;
        (1.0 - 2.0 * (t - 0.5).abs()).powi(2) * (700.0 * t).sin() * (4000.0 * t).cos()
    });
    let spoken = waveform.mapv(|s| 0.01 * s * s.abs());
    let trace = Trace::new(
        1.0,
        "amplitude",
        waveform.view(),
        spoken.view(),
        limit(spoken.view()),
    )?;
    stack(&[trace.titled("waveform")])?.write_png(&folder.join("waveform.png"))?;

    let flipping = flipping();
    flipping
        .picture()?
        .write_png(&folder.join("flipping.png"))?;
    let training = training();
    let table = table();
    print!("{}", table.text());

    let thesis = Thesis::published();
    let page = Page {
        title: "What a network hears in a voice".into(),
        lead: format!("Everything of {}'s thesis, drawn from made-up arrays to look at the drawing.", thesis.author),
        facts: [
            ("seed", "1"), ("profile", "quick"), ("device", "cpu"), ("source", "0123abcd"),
            ("data", "made up <& escaped>"), ("time", "6 min 52 s"),
        ].map(|(name, value)| (name.into(), value.into())).to_vec(),
        sections: vec![
            Section {
                id: "figure-6.1".into(),
                title: "Figure 6.1: heatmaps over the spectrograms of a female and a male speaker".into(),
                blocks: vec![
                    Block::text("Red bins speak for the class the network chose, blue ones against it. The preset is `thesis-gender`."),
                    Block::Figure {
                        pictures: vec![
                            (female.picture()?, "Relevance over the spectrogram of a female voice".into()),
                            (male.picture()?, "Relevance over the spectrogram of a male voice".into()),
                        ],
                        caption: "Relevance over the spectrogram, female and male. Each bar ends at the 99.5 % quantile of |R|.".into(),
                    },
                    Block::Warning("These arrays are made up.".into()),
                ],
            },
            Section {
                id: "panels".into(),
                title: "Every other kind of picture".into(),
                blocks: vec![
                    Block::Figure {
                        pictures: vec![
                            (plain.picture()?, "A spectrogram".into()),
                            (alone.picture()?, "Its relevance".into()),
                            (marked.picture()?, "The most relevant bins in red".into()),
                            (removed.picture()?, "The spectrogram without 95 % of its bins".into()),
                        ],
                        caption: "Level, relevance, the most relevant 1 %, and what is left without the most relevant 95 %.".into(),
                    },
                ],
            },
            Section {
                id: "table-6.1".into(),
                title: "Table 6.1: accuracy in percent as bins are set to 0".into(),
                blocks: vec![
                    Block::Heading("The table".into()),
                    Block::table(table, "Accuracy in percent."),
                    Block::figure(flipping.picture()?, "Accuracy falls at once when the most relevant bins go first", "The same as a figure."),
                    Block::figure(training.picture()?, "Loss falls over 200 steps", "Training."),
                    Block::Note("An explanation speaks against a reference.".into()),
                    Block::Fold {
                        summary: "Wrongly classified recordings (2)".into(),
                        blocks: vec![Block::List(vec!["0_01_3.wav: female, taken for male".into(), "`7_12_1.wav`".into()])],
                    },
                ],
            },
        ],
        ..Page::default()
    };
    page.write(&folder.join("index.html"))?;
    Ok(())
}

/// Harmonics of `f0` with a slow glide, in dB, and silence at the end.
fn voice(f0: f64) -> Array2<f32> {
    Array2::from_shape_fn((BINS, BINS), |(row, column)| {
        let hz = row as f64 / BINS as f64 * TOP_HZ;
        let t = column as f64 / BINS as f64;
        if t > 0.75 {
            return -80.0;
        }
        let pitch = f0 * (1.0 + 0.1 * (6.0 * t).sin());
        let ripple = (std::f64::consts::PI * hz / pitch).cos().powi(2);
        let formant = |centre: f64| (-((hz - centre) / 250.0).powi(2)).exp();
        let envelope = formant(600.0) + 0.7 * formant(1400.0 + 400.0 * t) + 0.4 * formant(2700.0);
        let attack = (t * 12.0).min(1.0);
        (20.0 * (attack * envelope * ripple).max(1e-4).log10()).clamp(-80.0, 0.0) as f32
    })
}

/// Something that is positive where the voice is loud and low, negative above.
fn relevance(level: &Array2<f32>, phase: f64) -> Array2<f32> {
    let mut out = level.clone();
    for ((row, column), value) in out.indexed_iter_mut() {
        let sign = (phase + row as f64 / 19.0).cos() * (column as f64 / 13.0).sin();
        *value = (1e-4 * (*value as f64 + 80.0) * sign * (-(row as f64) / 60.0).exp()) as f32;
    }
    out
}

fn top(relevance: &Array2<f32>, share: f64) -> Array2<bool> {
    let mut sorted: Vec<f32> = relevance.iter().copied().collect();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let threshold = sorted[((sorted.len() - 1) as f64 * share) as usize];
    relevance.mapv(|r| r > threshold)
}

fn flipping() -> Chart {
    let counts = [
        0.0, 1.0, 5.0, 26.0, 129.0, 258.0, 515.0, 2576.0, 5153.0, 25764.0, 51529.0,
    ];
    let curve = |rate: f64| {
        counts
            .map(|n| (n, 50.0 + 47.0 * (-n / rate).exp()))
            .to_vec()
    };
    let band = counts.map(|n| {
        let y = 50.0 + 47.0 * (-n / 9000.0).exp();
        (n, y - 4.0, (y + 4.0).min(100.0))
    });
    Chart {
        title: "Accuracy as bins are set to 0 dB".into(),
        axes: Axes {
            x: Axis::log_with_zero("bins flipped", 1.0, 51529.0),
            y: Axis::linear("accuracy (%)", 0.0, 100.0),
        },
        series: vec![
            Series::new("most relevant first", curve(200.0)),
            Series::new("random", curve(9000.0)).with_band(band.to_vec()),
            Series::new("least relevant first", curve(60000.0)),
            Series::new("loudest first", curve(2000.0)),
            Series::published("thesis", vec![(258.0, 10.8)]),
        ],
    }
}

fn training() -> Chart {
    let wave = |scale: f64| {
        (0..200)
            .map(|i| {
                (
                    i as f64,
                    scale * (-(i as f64) / 60.0).exp() + 0.02 * (i as f64 * 0.7).sin().abs(),
                )
            })
            .collect()
    };
    Chart {
        title: "Loss".into(),
        axes: Axes {
            x: Axis::linear("step", 0.0, 200.0),
            y: Axis::linear("binary cross entropy", 0.0, 0.0),
        },
        series: vec![
            Series::new("training", wave(0.7)),
            Series::new("validation", wave(0.8)),
        ],
    }
}

fn table() -> Table {
    let columns: Vec<String> = [
        "0 %", "0.5 %", "1 %", "2 %", "5 %", "10 %", "20 %", "50 %", "80 %", "95 %",
    ]
    .map(String::from)
    .to_vec();
    let printed = Thesis::published()
        .entry("table-6.1")
        .ok()
        .and_then(|e| e.row("lrp", &columns));
    let cells = |from: f64| {
        (0..columns.len())
            .map(|i| from / (1.0 + i as f64 * 0.37))
            .collect::<Vec<_>>()
    };
    let rows = vec![
        Row::measured("lrp", cells(97.5)).with_thesis(printed),
        Row::measured("random", cells(98.0)).with_thesis(Some(vec![Cell::Missing; columns.len()])),
        Row::measured("lrp_rev", cells(99.0)),
        Row::not_measured("loudest", "left out in this profile"),
    ];
    Table {
        corner: "order".into(),
        columns,
        rows,
    }
}
