//! What a network says of each frame.

use std::ops::Range;

use candle_core::{DType, Device};
use ndarray::{Array2, Array3, Axis};
use speechlens_models::{Model, Task};
use speechlens_report::Strip;

use crate::explainer::outputs;
use crate::{Asked, Explanation, Input, Result};

/// Classes that a picture has room for.
const ROWS: usize = 4;

/// What a network that tells classes of each frame says of every one, beside what was asked about some.
#[derive(Clone, Debug, PartialEq)]
pub struct Frames {
    /// Probabilities, [window, frame, class].
    pub probabilities: Array3<f32>,
    /// From one frame to the next, in seconds.
    pub step: f64,
    /// Which were asked about: from the first to the one behind the last.
    pub asked: [usize; 2],
}

/// Frames as they are said: `A..B`, from the first to the one behind the last.
///
/// # Errors
/// What to say instead.
pub fn span(text: &str) -> Result<Range<usize>, String> {
    let ends = text.split_once("..");
    let range = ends.and_then(|(start, end)| Some(start.parse().ok()?..end.parse().ok()?));
    range
        .filter(|range: &Range<usize>| range.start < range.end)
        .ok_or_else(|| "say the first frame and the one behind the last, as 10..20".into())
}

impl Frames {
    /// What a network says of an input's frames; none if its task is another.
    ///
    /// # Errors
    /// If the features do not suit the network.
    pub fn of(
        model: &Model,
        asked: &Asked,
        input: &Input,
        device: &Device,
    ) -> Result<Option<Frames>> {
        if !matches!(model.task, Task::Frames { .. }) {
            return Ok(None);
        }
        let all = outputs(model, input, &[], device)?;
        let Some((_, values)) = all.first() else {
            return Ok(None);
        };
        let windows = values.to_dtype(DType::F32)?.to_vec3::<f32>()?;
        let count = windows.first().map_or(0, Vec::len);
        let classes = model.classes().len();
        let probabilities = Array3::from_shape_fn((windows.len(), count, classes), |(n, t, c)| {
            model.probability(&windows[n][t], c)
        });
        // Where frames are cut in the graph it says how; else they share the window.
        let nodes = model.graph.architecture().nodes();
        let cut = nodes.iter().find(|node| node.op.name() == "frames");
        let hop = cut.and_then(|node| node.op.attributes().get("hop")?.as_f64());
        let (start, end) = input.span(0);
        let even = (end - start) / count.max(1) as f64;
        let end = |range: &Range<usize>| [range.start.min(count), range.end.min(count)];
        Ok(Some(Frames {
            probabilities,
            step: hop.map_or(even, |samples| samples * input.axes.step),
            asked: asked.frames.as_ref().map_or([0, count], end),
        }))
    }
}

impl Explanation<'_> {
    /// What the network says of the frames of these windows.
    pub(crate) fn strip(&self, input: &Input, windows: Range<usize>) -> Option<Strip> {
        let frames = self.answers.frames.as_ref()?;
        let (_, count, classes) = frames.probabilities.dim();
        let mut likely: Vec<(usize, f32)> = (0..classes)
            .map(|class| (class, frames.probabilities.index_axis(Axis(2), class).sum()))
            .collect();
        likely.sort_by(|a, b| b.1.total_cmp(&a.1));
        likely.truncate(ROWS);
        let names = self.explainer.model().classes();
        let place = |n: usize| (windows.start + n / count, n % count);
        let all = windows.len() * count;
        Some(Strip {
            classes: likely
                .iter()
                .map(|(class, _)| names[*class].clone())
                .collect(),
            starts: (0..all)
                .map(|n| {
                    let (window, frame) = place(n);
                    input.span(window).0 + frame as f64 * frames.step
                })
                .collect(),
            step: frames.step,
            frames: count,
            asked: frames.asked,
            values: Array2::from_shape_fn((likely.len(), all), |(row, n)| {
                let (window, frame) = place(n);
                frames.probabilities[[window, frame, likely[row].0]]
            }),
        })
    }
}
