use std::ops::Range;

use candle_core::{DType, Tensor};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use speechlens_nn::Graph;
use speechlens_nn::loss::Loss;

use super::{Settings, Subject};
use crate::{Attribute, Attribution, Details, Error, Method, Passes, Reference, Result, Target};

pub(super) const NAME: &str = "occlusion";

/// Covered copies of an input that the network sees at a time.
const BATCH: usize = 64;

/// What occlusion watches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Score {
    /// The target's logit.
    #[default]
    Logit,
    /// The target's probability, as a network means it that was trained by this loss.
    Probability(#[serde(skip, default = "Occlusion::any_loss")] Loss),
}

/// What the score loses as patches of the input are covered, one at a time.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Occlusion {
    /// The patch's length along each of the last axes of an input; the axes before it are covered whole. If there is none, a 14th of
    /// each axis but that of channels.
    pub patch: Vec<usize>,
    /// Steps between patches along the same axes; if there is none, half of each length. The last patch along an axis may reach over its
    /// end.
    pub stride: Vec<usize>,
    /// What a patch is covered with.
    pub reference: Reference,
    /// What is watched.
    pub score: Score,
}

impl Occlusion {
    /// Until the subject says which.
    fn any_loss() -> Loss {
        Loss::CrossEntropy
    }
}

/// A 14th of each axis of an input of this shape, but that of channels: what takes AlexNet's 227 bins and frames 27 × 27 patches of 16.
fn sides(shape: &[usize]) -> Vec<usize> {
    let has_channels = shape.len() > 2 || matches!(shape, [1, _]);
    let axes = shape.iter().skip(usize::from(has_channels));
    axes.map(|length| length.div_ceil(15).max(1)).collect()
}

/// Half of each side.
fn steps(patch: &[usize]) -> Vec<usize> {
    patch.iter().map(|side| side.div_ceil(2)).collect()
}

impl Settings for Occlusion {
    fn suited_to(mut self, subject: &Subject) -> Self {
        let shape: Option<Vec<usize>> = subject.shape.iter().copied().collect();
        if let (true, Some(shape)) = (self.patch.is_empty(), shape) {
            self.patch = sides(&shape);
        }
        if self.stride.is_empty() {
            self.stride = steps(&self.patch);
        }
        if let Score::Probability(loss) = &mut self.score {
            *loss = subject.loss;
        }
        self.reference = subject.reference.clone();
        self
    }
}

impl Method for Occlusion {
    fn name(&self) -> &'static str {
        NAME
    }

    fn of(&self, graph: &Graph) -> Result<Box<dyn Attribute>> {
        let shape = graph.architecture().input_shape();
        let fixed: Option<Vec<usize>> = shape.iter().copied().collect();
        // Of any length, an axis is cut into as many patches as one of this length, or nearly.
        let like = shape.iter().map(|length| length.unwrap_or(LIKE));
        let count = match (&fixed, self.patch.is_empty()) {
            (Some(shape), _) => self.patches(shape)?.len(),
            (None, true) => self.patches(&like.collect::<Vec<_>>())?.len(),
            (None, false) => 1,
        };
        Ok(Box::new(Covering {
            graph: graph.clone(),
            settings: self.clone(),
            count,
        }))
    }

    fn reference(&self) -> Option<f64> {
        self.reference.value()
    }

    fn settings(&self) -> Value {
        json!(self)
    }
}

/// The length of an axis for which passes are counted where it is free.
const LIKE: usize = 1000;

impl Occlusion {
    /// The places that each patch covers among the values of an input of this shape.
    fn patches(&self, shape: &[usize]) -> Result<Vec<Vec<usize>>> {
        let or = |own: &[usize], other: Vec<usize>| match own {
            [] => other,
            own => own.to_vec(),
        };
        let patch = or(&self.patch, sides(shape));
        let stride = or(&self.stride, steps(&patch));
        patches(shape, &patch, &stride)
    }
}

struct Covering {
    graph: Graph,
    settings: Occlusion,
    /// How many patches an input has; where its shape is free, about as many.
    count: usize,
}

impl Covering {
    /// The score of each row of logits for a target.
    fn scores(&self, logits: &Tensor, target: u32) -> Result<Vec<f64>> {
        let class = target as usize;
        Ok(match self.settings.score {
            Score::Logit => logits
                .narrow(1, class, 1)?
                .squeeze(1)?
                .to_dtype(DType::F64)?
                .to_vec1()?,
            Score::Probability(loss) => {
                let rows = logits.to_dtype(DType::F32)?.to_vec2::<f32>()?;
                let of = |row: &Vec<f32>| f64::from(loss.probability(row, class));
                rows.iter().map(of).collect()
            }
        })
    }
}

/// Where patches start and end along an axis.
fn spans(length: usize, patch: usize, stride: usize) -> Vec<Range<usize>> {
    let count = (length - patch).div_ceil(stride) + 1;
    let span = |n: usize| n * stride..(n * stride + patch).min(length);
    (0..count).map(span).collect()
}

/// The places that each patch covers among the values of an input of this shape.
fn patches(shape: &[usize], patch: &[usize], stride: &[usize]) -> Result<Vec<Vec<usize>>> {
    let (axes, rank) = (patch.len(), shape.len());
    let fits = axes == stride.len()
        && (1..=rank).contains(&axes)
        && stride.iter().all(|step| *step > 0)
        && patch
            .iter()
            .zip(&shape[rank - axes..])
            .all(|(side, length)| (1..=*length).contains(side));
    if !fits {
        return Err(Error::Setting(format!(
            "patches of {patch:?} with stride {stride:?} do not fit an input of {shape:?}: give a side and a stride of at \
             least 1 for each of its last axes"
        )));
    }
    let mut patches = vec![vec![0]];
    for (axis, length) in shape.iter().enumerate() {
        let spans = match axis.checked_sub(rank - axes) {
            None => spans(*length, *length, 1),
            Some(axis) => spans(*length, patch[axis], stride[axis]),
        };
        let longer = |places: &Vec<usize>, span: &Range<usize>| -> Vec<usize> {
            let along = |place: &usize| {
                let start = place * length;
                span.clone().map(move |x| start + x)
            };
            places.iter().flat_map(along).collect()
        };
        patches = patches
            .iter()
            .flat_map(|places| spans.iter().map(|span| longer(places, span)))
            .collect();
    }
    Ok(patches)
}

impl Attribute for Covering {
    fn explain(
        &self,
        input: &Tensor,
        target: Target,
        _: &Details,
        progress: &dyn Fn(usize),
    ) -> Result<Attribution> {
        let (logits, targets) = target.answered(&self.graph, input)?;
        let flat = |tensor: &Tensor| -> Result<Vec<Vec<f64>>> {
            Ok(tensor.flatten_from(1)?.to_dtype(DType::F64)?.to_vec2()?)
        };
        let (rows, covers) = (flat(input)?, flat(&self.settings.reference.like(input)?)?);
        let mut shape = input.dims().to_vec();
        let all = self.settings.patches(&shape[1..])?;
        let mut done = targets.len();
        let mut relevance = Vec::with_capacity(input.elem_count());
        for (place, ((row, cover), target)) in rows.iter().zip(&covers).zip(&targets).enumerate() {
            let untouched = self.scores(&logits.narrow(0, place, 1)?, *target)?[0];
            let mut lost = vec![0f64; row.len()];
            let mut covered_by = vec![0f64; row.len()];
            for patches in all.chunks(BATCH) {
                let mut copies = Vec::with_capacity(patches.len() * row.len());
                for patch in patches {
                    let start = copies.len();
                    copies.extend_from_slice(row);
                    patch.iter().for_each(|at| copies[start + at] = cover[*at]);
                }
                shape[0] = patches.len();
                let copies = Tensor::from_vec(copies, shape.as_slice(), input.device())?;
                let logits = self.graph.forward(&copies.to_dtype(input.dtype())?)?;
                for (patch, score) in patches.iter().zip(self.scores(&logits, *target)?) {
                    for at in patch {
                        lost[*at] += untouched - score;
                        covered_by[*at] += 1.0;
                    }
                }
                done += patches.len();
                progress(done);
            }
            // Where strides are larger than patches, some values are never covered: nothing is known of them.
            let mean = |(lost, count): (f64, f64)| if count > 0.0 { lost / count } else { 0.0 };
            relevance.extend(lost.into_iter().zip(covered_by).map(mean));
        }
        let relevance = Tensor::from_vec(relevance, input.shape(), input.device())?;
        Ok(Attribution::new(
            relevance.to_dtype(input.dtype())?,
            logits,
            targets,
        ))
    }

    fn passes(&self) -> Passes {
        Passes {
            forward: 1 + self.count,
            backward: 0,
        }
    }
}
