use std::ops::Range;

use candle_core::{DType, Tensor};
use speechlens_nn::Graph;

use crate::gradient::check;
use crate::{Attribute, Attribution, Error, Passes, Reference, Result, Score};

/// Covered copies of an input that the network sees at a time.
const BATCH: usize = 64;

/// What the score loses as patches of the input are covered, one at a time.
pub(crate) struct Occlusion {
    graph: Graph,
    reference: Reference,
    score: Score,
    /// The places that each patch covers, among the values of one input.
    patches: Vec<Vec<usize>>,
}

impl Occlusion {
    pub fn new(
        graph: Graph,
        patch: &[usize],
        stride: &[usize],
        reference: Reference,
        score: Score,
    ) -> Result<Self> {
        let shape = graph.architecture().input_shape();
        let patches = patches(shape, patch, stride)?;
        Ok(Occlusion {
            patches,
            graph,
            reference,
            score,
        })
    }

    /// The score of each input of a batch for its target.
    fn scores(&self, input: &Tensor, target: u32) -> Result<Vec<f64>> {
        let logits = self.graph.forward(input)?;
        let class = target as usize;
        if class >= logits.dim(1)? {
            let classes = logits.dim(1)?;
            return Err(Error::Setting(format!(
                "there is no class {target} among {classes}"
            )));
        }
        Ok(match self.score {
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

impl Attribute for Occlusion {
    fn attribute(
        &self,
        input: &Tensor,
        targets: &[u32],
        progress: &dyn Fn(usize),
    ) -> Result<Attribution> {
        check(input, targets)?;
        let flat = |tensor: &Tensor| -> Result<Vec<Vec<f64>>> {
            Ok(tensor.flatten_from(1)?.to_dtype(DType::F64)?.to_vec2()?)
        };
        let (rows, covers) = (flat(input)?, flat(&self.reference.like(input)?)?);
        let mut shape = input.dims().to_vec();
        let mut done = 0;
        let mut relevance = Vec::with_capacity(input.elem_count());
        for (place, ((row, cover), target)) in rows.iter().zip(&covers).zip(targets).enumerate() {
            let untouched = self.scores(&input.narrow(0, place, 1)?, *target)?[0];
            done += 1;
            let mut lost = vec![0f64; row.len()];
            let mut covered_by = vec![0f64; row.len()];
            for patches in self.patches.chunks(BATCH) {
                let mut copies = Vec::with_capacity(patches.len() * row.len());
                for patch in patches {
                    let start = copies.len();
                    copies.extend_from_slice(row);
                    patch.iter().for_each(|at| copies[start + at] = cover[*at]);
                }
                shape[0] = patches.len();
                let copies = Tensor::from_vec(copies, shape.as_slice(), input.device())?;
                let scores = self.scores(&copies.to_dtype(input.dtype())?, *target)?;
                for (patch, score) in patches.iter().zip(scores) {
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
        Ok(Attribution::of(relevance.to_dtype(input.dtype())?))
    }

    fn passes(&self) -> Passes {
        Passes {
            forward: 1 + self.patches.len(),
            backward: 0,
        }
    }
}
