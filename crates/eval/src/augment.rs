//! Relevance-guided augmentation (thesis, 6.2): data without the bins that a network leans on, to train it on what is left.

use std::fmt::{self, Display};
use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device};
use ndarray::{Array3, ArrayD, ArrayView2, ArrayViewMut2};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use speechlens_attribution::{Attribute, Method};
use speechlens_nn::Graph;

use crate::flip::{counts, falling};
use crate::{Error, Result, Windows, to_tensor};

/// What stands in a bin's place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Replacement {
    /// This value: of a decibel spectrogram, 0 is full level and −80 silence.
    Value(f32),
    /// The mean of the bins around it, up to so many away along each axis (its Moore neighbourhood), as they were before any
    /// bin was replaced. At an edge, of those there are.
    NeighbourMean {
        /// 1 takes the eight next to it.
        radius: usize,
    },
}

impl Display for Replacement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Replacement::Value(value) => write!(f, "{value}"),
            Replacement::NeighbourMean { radius } => {
                write!(f, "the mean of the bins up to {radius} away")
            }
        }
    }
}

/// Which bins are replaced, and by what.
///
/// Where a class's most relevant bins lie is not the same for every class. So replacing them leaves marks, which a network can
/// learn to read in place of the voice, the more easily the more they stand out: a value does, a mean of neighbours hardly. Marks
/// tell nothing where the class that is explained is drawn by lot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Augmentation {
    /// The share of the bins, in percent: the most relevant.
    pub percent: f64,
    /// What stands in their place.
    pub replacement: Replacement,
}

impl Display for Augmentation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} % of the bins set to {}",
            self.percent, self.replacement
        )
    }
}

impl Augmentation {
    /// Replaces the most relevant bins of one input; of bins that are equally relevant, the first.
    ///
    /// # Panics
    /// If the relevance has another shape.
    pub fn apply(&self, mut input: ArrayViewMut2<f32>, relevance: ArrayView2<f32>) {
        assert_eq!(input.dim(), relevance.dim(), "a relevance for every bin");
        let flat: Vec<f32> = relevance.iter().copied().collect();
        let count = counts(&[self.percent], flat.len())[0].min(flat.len());
        let before = input.to_owned();
        let columns = input.ncols();
        for place in &falling(&flat)[..count] {
            let (row, column) = (*place as usize / columns, *place as usize % columns);
            input[(row, column)] = match self.replacement {
                Replacement::Value(value) => value,
                Replacement::NeighbourMean { radius } => {
                    neighbour_mean(before.view(), row, column, radius)
                }
            };
        }
    }

    /// The windows at these places, `[N, …]`, without the bins that are most relevant for their targets.
    ///
    /// # Errors
    /// If there is not one target a place.
    pub fn of_places(
        &self,
        windows: &Windows,
        places: &[usize],
        targets: &[u32],
        method: &dyn Attribute,
        device: &Device,
    ) -> Result<ArrayD<f32>> {
        self.changed(windows.read(places)?, targets, method, device)
    }

    /// Inputs `[N, …]` without the bins that are most relevant for their targets; samples are one row.
    fn changed(
        &self,
        mut values: ArrayD<f32>,
        targets: &[u32],
        method: &dyn Attribute,
        device: &Device,
    ) -> Result<ArrayD<f32>> {
        let shape = |error: ndarray::ShapeError| Error::Explanation(error.to_string());
        let input = to_tensor(values.clone(), device)?;
        let relevance = method.attribute(&input, targets, &|_| ())?.relevance;
        let relevance: Vec<f32> = relevance.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
        if relevance.iter().any(|r| !r.is_finite()) {
            return Err(Error::Explanation("some relevance is not finite".into()));
        }
        let rows = match values.shape() {
            [inputs, samples] => (*inputs, 1, *samples),
            [inputs, rows, frames] => (*inputs, *rows, *frames),
            other => return Err(Error::Plan(format!("inputs of {other:?} have no rows"))),
        };
        let relevance = Array3::from_shape_vec(rows, relevance).map_err(shape)?;
        let mut planes = values
            .view_mut()
            .into_shape_with_order(rows)
            .map_err(shape)?;
        let pairs: Vec<_> = planes
            .outer_iter_mut()
            .zip(relevance.outer_iter())
            .collect();
        pairs
            .into_par_iter()
            .for_each(|(input, relevance)| self.apply(input, relevance));
        Ok(values)
    }

    /// What a store that is made so depends on, beside the store that it is made of.
    fn how(&self, targets: &[u32], graph: &Graph, method: &dyn Method) -> Result<String> {
        let bytes: Vec<u8> = targets
            .iter()
            .flat_map(|target| target.to_le_bytes())
            .collect();
        Ok(format!(
            "{self}, by the network {}, {} and the targets {}",
            fingerprint(graph)?,
            described(method),
            blake3::hash(&bytes).to_hex()
        ))
    }

    /// All windows so, with a target for each, in a feature store at `path`: it is opened if it is there and was made of the same data by
    /// the same network, method, targets and augmentation. `progress` is told how many are done.
    ///
    /// The true classes as targets leave marks that tell the class: see [`Augmentation`].
    ///
    /// # Errors
    /// If they are not of one feature store.
    #[expect(clippy::too_many_arguments, reason = "all of it decides the result")]
    pub fn store(
        &self,
        windows: &Windows,
        targets: &[u32],
        graph: &Graph,
        method: &dyn Method,
        path: &Path,
        batch: usize,
        device: &Device,
        progress: &dyn Fn(usize),
    ) -> Result<Windows> {
        let Some((store, own)) = windows.store() else {
            let problem = "only recordings of one feature store can be augmented into another";
            return Err(Error::Plan(problem.into()));
        };
        let how = self.how(targets, graph, method)?;
        let explainer = method.of(graph)?;
        let derived = store.derive(path, &own, &how, |range| {
            let mut all = Vec::with_capacity(range.len());
            for start in range.clone().step_by(batch.max(1)) {
                let places: Vec<usize> = (start..(start + batch.max(1)).min(range.end)).collect();
                let targets = &targets[start..start + places.len()];
                let values = self
                    .of_places(windows, &places, targets, explainer.as_ref(), device)
                    .map_err(|error| speechlens_data::Error::Derived(Box::new(error)))?;
                all.extend(values.outer_iter().map(|window| window.to_owned()));
                progress(start + places.len());
            }
            Ok(all)
        })?;
        Ok(windows.derived(&own, &Arc::new(derived)))
    }
}

/// A class by lot for each of so many recordings.
pub fn by_lot(recordings: usize, classes: usize, seed: u64) -> Vec<u32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let classes = classes.max(1) as u32;
    (0..recordings)
        .map(|_| rng.random_range(0..classes))
        .collect()
}

/// The mean of the bins up to `radius` away along each axis, the bin itself left out.
fn neighbour_mean(input: ArrayView2<f32>, row: usize, column: usize, radius: usize) -> f32 {
    let span = |at: usize, length: usize| at.saturating_sub(radius)..(at + radius + 1).min(length);
    let (mut sum, mut count) = (0.0, 0.0);
    for r in span(row, input.nrows()) {
        for c in span(column, input.ncols()) {
            if (r, c) != (row, column) {
                sum += f64::from(input[(r, c)]);
                count += 1.0;
            }
        }
    }
    // A bin that has no neighbours stays.
    if count == 0.0 {
        input[(row, column)]
    } else {
        (sum / count) as f32
    }
}

/// What tells a network's weights from others.
fn fingerprint(graph: &Graph) -> Result<String> {
    let mut hash = blake3::Hasher::new();
    for (name, weight) in graph.weights() {
        hash.update(name.as_bytes());
        let values = weight
            .to_dtype(DType::F32)?
            .flatten_all()?
            .to_vec1::<f32>()?;
        for values in values.chunks(4096) {
            let bytes: Vec<u8> = values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            hash.update(&bytes);
        }
    }
    Ok(hash.finalize().to_hex().to_string())
}

/// What tells a method and its settings from others.
fn described(method: &dyn Method) -> String {
    let settings = blake3::hash(format!("{method:?}").as_bytes()).to_hex();
    format!("{method} ({settings})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, arr2};
    use proptest::prelude::*;

    fn augmented(
        input: &Array2<f32>,
        relevance: &Array2<f32>,
        percent: f64,
        replacement: Replacement,
    ) -> Array2<f32> {
        let mut found = input.clone();
        Augmentation {
            percent,
            replacement,
        }
        .apply(found.view_mut(), relevance.view());
        found
    }

    #[test]
    fn the_most_relevant_bins_are_replaced() {
        let input = arr2(&[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]);
        let relevance = arr2(&[[0.9, 0.8, -1.0], [0.0, 0.7, -0.2], [0.1, 0.2, -3.0]]);
        let of = |percent, replacement| augmented(&input, &relevance, percent, replacement);
        let zero = Replacement::Value(0.0);
        assert_eq!(of(0.0, zero), input);
        assert_eq!(
            of(33.4, zero),
            arr2(&[[0.0, 0.0, 3.0], [4.0, 0.0, 6.0], [7.0, 8.0, 9.0]])
        );
        assert!(
            of(100.0, Replacement::Value(-80.0))
                .iter()
                .all(|level| *level == -80.0)
        );
        // Neighbours count as they were: 2, 4, 5 at the corner; 1, 3, 4, 5, 6 at the edge; the eight around the middle.
        let mean = of(33.4, Replacement::NeighbourMean { radius: 1 });
        assert_eq!(
            mean,
            arr2(&[
                [11.0 / 3.0, 19.0 / 5.0, 3.0],
                [4.0, 5.0, 6.0],
                [7.0, 8.0, 9.0]
            ])
        );
        let all = of(11.2, Replacement::NeighbourMean { radius: 5 });
        assert_eq!(all[(0, 0)], 44.0 / 8.0);
        let single = augmented(
            &arr2(&[[3.0]]),
            &arr2(&[[1.0]]),
            100.0,
            Replacement::NeighbourMean { radius: 1 },
        );
        assert_eq!(single, arr2(&[[3.0]]));
    }

    proptest! {
        /// A mean of neighbours lies between them; all bins but the counted ones stay as they were.
        #[test]
        fn means_lie_between(values in prop::collection::vec(-80f32..0.0, 42), relevance in prop::collection::vec(-1f32..1.0, 42), percent in 0.0..100.0, radius in 1usize..4) {
            let input = Array2::from_shape_vec((6, 7), values).unwrap();
            let relevance = Array2::from_shape_vec((6, 7), relevance).unwrap();
            let found = augmented(&input, &relevance, percent, Replacement::NeighbourMean { radius });
            let count = counts(&[percent], 42)[0];
            let changed = found.iter().zip(&input).filter(|(a, b)| a != b).count();
            prop_assert!(changed <= count);
            let (low, high) = input.iter().fold((0f32, -80f32), |(l, h), x| (l.min(*x), h.max(*x)));
            prop_assert!(found.iter().all(|x| (low..=high).contains(x)));
        }
    }
}
