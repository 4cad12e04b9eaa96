//! The files and the page of two recordings that are explained together.

use std::path::Path;

use candle_core::DType;
use ndarray::{ArrayD, ArrayView2, Axis as Along};
use serde_json::{Value, json};
use speechlens_lrp::Composite;
use speechlens_models::Model;
use speechlens_report::axes::{Axes, Axis};
use speechlens_report::heatmap::{Panel, grid, limit};
use speechlens_report::number::fixed;
use speechlens_report::{Answer, Exhibit, Figure, Link, Picture, atomic, npy};

use crate::show::{called, figure, file_name, panel};
use crate::{Input, Pair, Plane, Result, Side};

/// Two recordings, and what was found of them.
pub struct Linked<'a> {
    /// What the model is called.
    pub model_name: &'a str,
    /// The network.
    pub model: &'a Model,
    /// The rules.
    pub composite: &'a Composite,
    /// What is computed in.
    pub dtype: DType,
    /// The recordings.
    pub inputs: [&'a Input; 2],
    /// What was found.
    pub pair: &'a Pair,
}

impl Linked<'_> {
    /// Writes relevance.npy and other-relevance.npy (of the inputs' shapes), pair.npy (`[moments, moments]`, of the first a row), heatmap.png, pair.png,
    /// summary.json and index.html.
    ///
    /// # Errors
    /// If a file cannot be written, or a value is not finite.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let array = |name: &str, input: &Input, values: &ArrayD<f32>| {
            let path = folder.join(name);
            match input.single {
                true => npy::write(&path, values.index_axis(Along(0), 0)),
                false => npy::write(&path, values.view()),
            }
        };
        let [one, other] = &self.pair.sides;
        array("relevance.npy", self.inputs[0], &one.relevance)?;
        array("other-relevance.npy", self.inputs[1], &other.relevance)?;
        for (name, (_, side)) in ["moments.npy", "other-moments.npy"]
            .iter()
            .zip(self.sides())
        {
            npy::write(&folder.join(name), side.moments.view())?;
        }
        let between = self.pair.between();
        npy::write(&folder.join("pair.npy"), between.view())?;
        self.pictures()?.write_png(&folder.join("heatmap.png"))?;
        self.matrix(between.view())?
            .write_png(&folder.join("pair.png"))?;
        let summary = format!("{:#}\n", self.summary(between.view()));
        atomic::write(&folder.join("summary.json"), summary.as_bytes())?;
        self.exhibit(between.view())?
            .write(&folder.join("index.html"))?;
        Ok(())
    }

    /// Each with its side.
    fn sides(&self) -> impl Iterator<Item = (&Input, &Side)> {
        self.inputs.into_iter().zip(&self.pair.sides)
    }

    fn pictures(&self) -> Result<Picture> {
        let panels = self.sides().map(|(input, side)| {
            let plane = plane(input, side)?;
            let (levels, relevance) = (plane.levels.into_dyn(), plane.relevance.into_dyn());
            let start = input.axes.time(0);
            let panel = panel(input, start, levels.view(), relevance.view())?;
            Ok(panel.titled(file_name(&input.name)))
        });
        Ok(grid(&panels.collect::<Result<Vec<_>>>()?, 2)?)
    }

    /// Which moment answers to which, the first recording's across.
    fn matrix(&self, between: ArrayView2<f32>) -> Result<Picture> {
        let axis = |place: usize| {
            let (input, side) = (self.inputs[place], &self.pair.sides[place]);
            let [first, step] = moments(input, side);
            let name = file_name(&input.name);
            let end = first + step * (side.moments.ncols() as f64 - 0.5);
            Axis::linear(format!("{name} (s)"), first - step / 2.0, end)
        };
        let axes = Axes {
            x: axis(0),
            y: axis(1),
        };
        let panel = Panel::relevance(axes, between.t(), limit(between))?;
        let title = format!("similarity {:.3}, by moments", self.pair.similarity);
        Ok(panel.titled(title).picture()?)
    }

    fn summary(&self, between: ArrayView2<f32>) -> Value {
        let sides = self.sides().map(|(input, side)| {
            let [first, step] = moments(input, side);
            json!({
                "input": input.name, "shape": side.relevance.shape()[usize::from(input.single)..],
                "relevance_sum": sum(side.relevance.iter()),
                "moments": { "count": side.moments.ncols(), "first": first, "step": step },
            })
        });
        json!({
            "model": self.model_name, "method": "bilrp", "rules": self.composite.name(),
            "dtype": match self.dtype { DType::F64 => "f64", _ => "f32" },
            "sides": sides.collect::<Vec<_>>(),
            "similarity": self.pair.similarity, "relevance_sum": sum(between.iter()),
            "sweeps": self.pair.sweeps,
        })
    }

    fn exhibit(&self, between: ArrayView2<f32>) -> Result<Exhibit> {
        let [one, other] = self.inputs.map(|input| input.name.as_str());
        let figures = self.sides().map(|(input, side)| -> Result<Figure> {
            let plane = plane(input, side)?;
            let name = file_name(&input.name);
            Ok(figure(
                format!("{name}: relevance for the similarity"),
                input,
                &plane,
            ))
        });
        let similarity = fixed(self.pair.similarity, 3);
        let accounted = fixed(sum(between.iter()), 3);
        Ok(Exhibit {
            title: format!("similarity {similarity}"),
            lead: format!(
                "Which part of one recording answers to which part of the other: point at a moment of either, and the other shows what of it makes \
                 the two alike (red) or unlike (blue) there. Similarity is the cosine of the embeddings, from −1 to 1; all pairs of moments \
                 together account for {accounted} of it."
            ),
            facts: vec![
                ("input".into(), one.into()),
                ("other".into(), other.into()),
                ("model".into(), called(self.model_name, self.model)),
                (
                    "explained by".into(),
                    format!(
                        "BiLRP {}, {} sweeps",
                        self.composite.name(),
                        self.pair.sweeps
                    ),
                ),
            ],
            answers: vec![Answer {
                name: "similarity (cosine)".into(),
                says: similarity,
                share: None,
                cosine: Some(self.pair.similarity as f32),
            }],
            figures: figures.collect::<Result<_>>()?,
            link: Some(Link::new(
                [0, 1].map(|side| moments(self.inputs[side], &self.pair.sides[side])),
                between,
            )),
            warnings: Vec::new(),
        })
    }
}

/// The time of the first moment's middle and the distance of two, in seconds.
fn moments(input: &Input, side: &Side) -> [f64; 2] {
    let step = input.axes.step * side.frames as f64;
    [input.axes.time(0) + (step - input.axes.step) / 2.0, step]
}

/// A recording with its side, or an array's first window.
fn plane(input: &Input, side: &Side) -> Result<Plane> {
    match Plane::joined(input, side.relevance.view())? {
        Some(plane) => Ok(plane),
        None => Plane::of_window(input, side.relevance.view(), 0),
    }
}

fn sum<'a>(values: impl Iterator<Item = &'a f32>) -> f64 {
    values.map(|value| f64::from(*value)).sum()
}
