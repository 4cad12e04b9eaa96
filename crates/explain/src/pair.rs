//! Two recordings at once: which part of one answers to which part of the other.

use std::cell::Cell;

use candle_core::{DType, Device, Tensor};
use ndarray::{Array1, Array2, ArrayD, Axis, s};
use speechlens_lrp::{Composite, Forward, Lrp};
use speechlens_models::Model;

use crate::explainer::{array, at_a_time, to_tensor};
use crate::{Error, Input, Result, embedding};

/// Moments of a recording at most: a page that shows how each answers to each is no larger than a few recordings.
const MOMENTS: usize = 400;

/// Values of all copies of a window that are swept through at a time: each keeps what every layer gave.
const AT_ONCE: usize = 1 << 16;

/// One of two recordings.
pub struct Side {
    /// Of its features' shape: the relevance for the similarity to the other, whose embedding is held as it is.
    pub relevance: ArrayD<f32>,
    /// By number of the embedding's direction, the relevance of every moment for it: frequencies added up, windows joined, `[D, moments]`.
    pub moments: Array2<f32>,
    /// Frames in a moment.
    pub frames: usize,
}

/// Two recordings explained together (BiLRP: Eberle et al. 2020, "Building and interpreting deep similarity models", Eq. 5): the
/// relevance of a part j of one and a part k of the other for the cosine of their embeddings is `Σ_m R_j[φ_m(x)] R_k[φ_m(x′)]`, with
/// `R[φ_m]` that of a sweep from the m-th number of the embedding's direction φ.
pub struct Pair {
    /// Both.
    pub sides: [Side; 2],
    /// The cosine of their embeddings.
    pub similarity: f64,
    /// How many sweeps through the network it took.
    pub sweeps: usize,
}

impl Pair {
    /// Explains why a network takes two recordings for similar, or not, by these rules. `progress` is told how many sweeps are done, and of how
    /// many.
    ///
    /// # Errors
    /// If the network's task is no embedding, the rules do not suit it, or an embedding has no direction.
    pub fn new(
        model: &Model,
        composite: &Composite,
        inputs: [&Input; 2],
        place: (&Device, DType),
        progress: &dyn Fn(usize, usize),
    ) -> Result<Pair> {
        let [one, other] = inputs.map(|input| Direction::of(model, input, place.0));
        let directions = [one?, other?];
        let [one, other] = &directions;
        let mut asked = model.directions(one.of.len())?;
        asked.graph = asked.graph.to_dtype(place.1)?;
        // Elsewhere one of the factors is 0.
        let numbers = (0..one.of.len()).filter(|n| one.of[*n] * other.of[*n] != 0.0);
        let numbers: Vec<u32> = numbers.map(|number| number as u32).collect();
        let windows: usize = inputs.iter().map(|input| input.sounding().count()).sum();
        let done = Cell::new(0);
        let sweeping = Sweeping {
            lrp: Lrp::new(&asked.graph, composite)?,
            model: &asked,
            numbers: &numbers,
            place,
            swept: &|count| {
                done.set(done.get() + count);
                progress(done.get(), windows * numbers.len());
            },
        };
        let [first, second] = inputs;
        Ok(Pair {
            similarity: one.of.dot(&other.of),
            sides: [
                sweeping.side(first, one, &other.of)?,
                sweeping.side(second, other, &one.of)?,
            ],
            sweeps: done.get(),
        })
    }

    /// The relevance of a moment of one and a moment of the other, `[moments, moments]`.
    pub fn between(&self) -> Array2<f32> {
        let [one, other] = &self.sides;
        one.moments.t().dot(&other.moments)
    }
}

/// The mean direction of an input's windows, of length 1.
struct Direction {
    of: Array1<f64>,
    /// The length of the sum of the windows' directions.
    length: f64,
}

impl Direction {
    fn of(model: &Model, input: &Input, device: &Device) -> Result<Self> {
        let sum = embedding(model, input, device)?.into_iter().map(f64::from);
        let sum: Array1<f64> = sum.collect();
        let length = sum.dot(&sum).sqrt();
        match length.is_finite() && length > 0.0 {
            true => Ok(Direction {
                of: sum / length,
                length,
            }),
            false => Err(Error::input(
                &input.name,
                format!("its embedding has a length of {length}, and no direction"),
            )),
        }
    }
}

/// Sweeps from each number of an embedding's direction.
struct Sweeping<'a> {
    lrp: Lrp,
    model: &'a Model,
    numbers: &'a [u32],
    place: (&'a Device, DType),
    /// Told of so many more.
    swept: &'a dyn Fn(usize),
}

impl Sweeping<'_> {
    fn side(&self, input: &Input, own: &Direction, other: &Array1<f64>) -> Result<Side> {
        let mut relevance = ArrayD::<f32>::zeros(input.features.raw_dim());
        let frames = input.features.shape().last().copied().unwrap_or(0);
        let mut by_window = vec![Array2::<f32>::zeros((other.len(), frames)); input.len()];
        for window in input.sounding() {
            let features = input.features.index_axis(Axis(0), window);
            let features = features.insert_axis(Axis(0)).to_owned();
            let one = to_tensor(&self.model.graph, features, self.place.0)?;
            let one = one.to_dtype(self.place.1)?;
            let mut total: Option<Tensor> = None;
            let mut batch: Option<Forward> = None;
            let copies = AT_ONCE / one.elem_count().max(1);
            let copies = copies.clamp(1, at_a_time(&self.model.graph));
            for numbers in self.numbers.chunks(copies) {
                let of_many = batch.take();
                let of_many = of_many.filter(|b| b.logits().dims()[0] == numbers.len());
                let forward = match of_many {
                    Some(forward) => forward,
                    None => {
                        let many = Tensor::cat(&vec![&one; numbers.len()], 0)?;
                        self.lrp.forward(&many)?
                    }
                };
                let found = self.lrp.sweep_from(forward.clone(), numbers, &[], 0)?;
                batch = Some(forward);
                // Of the mean direction, whose length is held.
                let found = (found.explanation.relevance / own.length)?;
                let found = found.reshape((numbers.len(), (), frames))?;
                let moments =
                    Array2::from_shape_vec((numbers.len(), frames), array(&found.sum(1)?)?);
                let moments = moments.map_err(|error| Error::input(&input.name, error))?;
                let factors = numbers.iter().map(|number| other[*number as usize]);
                let factors = Tensor::from_iter(factors, self.place.0)?.to_dtype(self.place.1)?;
                let sum = found.broadcast_mul(&factors.reshape(((), 1, 1))?)?.sum(0)?;
                total = Some(match total {
                    Some(total) => (total + sum)?,
                    None => sum,
                });
                for (number, row) in numbers.iter().zip(moments.outer_iter()) {
                    by_window[window].row_mut(*number as usize).assign(&row);
                }
                (self.swept)(numbers.len());
            }
            if let Some(total) = total {
                let mut into = relevance.index_axis_mut(Axis(0), window);
                let values = ArrayD::from_shape_vec(into.raw_dim(), array(&total)?);
                into.assign(&values.map_err(|error| Error::input(&input.name, error))?);
            }
        }
        let all = joined(input, &by_window);
        let frames = all.ncols().div_ceil(MOMENTS).max(1);
        let moments = all.axis_chunks_iter(Axis(1), frames);
        let moments: Vec<_> = moments.map(|moment| moment.sum_axis(Axis(1))).collect();
        let views: Vec<_> = moments.iter().map(|moment| moment.view()).collect();
        Ok(Side {
            relevance,
            moments: ndarray::stack(Axis(1), &views)
                .map_err(|error| Error::input(&input.name, error))?,
            frames,
        })
    }
}

/// What windows have by frame, on the recording's frames: added up where windows overlap, so that it stays all of it.
fn joined(input: &Input, windows: &[Array2<f32>]) -> Array2<f32> {
    let rows = windows.first().map_or(0, Array2::nrows);
    let Some(heard) = &input.heard else {
        let columns = windows.iter().flat_map(|window| window.columns());
        let mut all = Array2::zeros((rows, windows.iter().map(Array2::ncols).sum()));
        for (mut into, column) in all.columns_mut().into_iter().zip(columns) {
            into.assign(&column);
        }
        return all;
    };
    let end = |place: &speechlens_frontend::Place| place.start + place.frames.len();
    let frames = heard.places.iter().map(end).max().unwrap_or(0);
    let mut all = Array2::zeros((rows, frames));
    for (place, window) in heard.places.iter().zip(windows) {
        let mut into = all.slice_mut(s![.., place.start..end(place)]);
        into += &window.slice(s![.., place.frames.clone()]);
    }
    all
}
