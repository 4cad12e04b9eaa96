//! An input and its relevance on one plane of frequency and time, the windows of a recording joined.

use ndarray::{Array2, ArrayView, ArrayView2, ArrayViewD, Axis, Dimension, s};

use crate::{Input, Result};

/// What a picture shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Plane {
    /// The time of each column, in seconds.
    pub times: Vec<f64>,
    /// The frequency of each row, in Hz, rising; none for a waveform, which is one row of samples.
    pub frequencies: Vec<f64>,
    /// The input, [frequency, time]. Where a recording has frames that no window holds, its lowest value, or 0 in a waveform.
    pub levels: Array2<f32>,
    /// Its relevance, [frequency, time]; 0 where no window is, and the mean where windows overlap.
    pub relevance: Array2<f32>,
}

impl Plane {
    /// A recording's windows, joined.
    ///
    /// `relevance` has the shape of the input's features, `[N, …]`. `None` if the input is no recording: the windows of an array
    /// have no place.
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn joined(input: &Input, relevance: ArrayViewD<f32>) -> Result<Option<Plane>> {
        let Some(heard) = &input.heard else {
            return Ok(None);
        };
        let end = |place: &speechlens_frontend::Place| place.start + place.frames.len();
        let frames = heard.places.iter().map(end).max().unwrap_or(0);
        let rows = input.axes.frequencies.len().max(1);
        let mut plane = Plane {
            times: (0..frames).map(|frame| input.axes.time(frame)).collect(),
            frequencies: input.axes.frequencies.clone(),
            levels: Array2::zeros((rows, frames)),
            relevance: Array2::zeros((rows, frames)),
        };
        let mut windows = vec![0f32; frames];
        for (window, place) in heard.places.iter().enumerate() {
            let there = s![.., place.start..end(place)];
            let here = s![.., place.frames.clone()];
            let levels = rows_of(input, input.features.index_axis(Axis(0), window))?;
            let found = rows_of(input, relevance.index_axis(Axis(0), window))?;
            let mut into = plane.levels.slice_mut(there);
            into += &levels.slice(here);
            let mut into = plane.relevance.slice_mut(there);
            into += &found.slice(here);
            windows[place.start..end(place)]
                .iter_mut()
                .for_each(|count| *count += 1.0);
        }
        let lowest = match plane.frequencies.is_empty() {
            true => 0.0,
            false => input.features.iter().copied().fold(f32::INFINITY, f32::min),
        };
        for (frame, count) in windows.into_iter().enumerate() {
            match count > 0.0 {
                true => {
                    let mut levels = plane.levels.column_mut(frame);
                    levels /= count;
                    let mut relevance = plane.relevance.column_mut(frame);
                    relevance /= count;
                }
                false => plane.levels.column_mut(frame).fill(lowest),
            }
        }
        Ok(Some(plane))
    }

    /// One window of an input.
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn of_window(input: &Input, relevance: ArrayViewD<f32>, window: usize) -> Result<Plane> {
        let levels = rows_of(input, input.features.index_axis(Axis(0), window))?;
        let found = rows_of(input, relevance.index_axis(Axis(0), window))?;
        Ok(Plane {
            times: (0..levels.ncols())
                .map(|frame| input.axes.time(frame))
                .collect(),
            frequencies: input.axes.frequencies.clone(),
            levels: levels.to_owned(),
            relevance: found.to_owned(),
        })
    }

    /// Which bins are the most relevant `percent` of all; of bins alike in relevance those with the lowest frequency, then
    /// the earliest. Bins of no or negative relevance are never among them.
    pub fn top(&self, percent: f64) -> Array2<bool> {
        let wanted = (self.relevance.len() as f64 * percent / 100.0).round() as usize;
        let mut places: Vec<usize> = (0..self.relevance.len()).collect();
        let values: Vec<f32> = self.relevance.iter().copied().collect();
        places.retain(|place| values[*place] > 0.0);
        places.sort_by(|a, b| values[*b].total_cmp(&values[*a]));
        places.truncate(wanted);
        let mut top = Array2::from_elem(self.relevance.raw_dim(), false);
        let columns = self.relevance.ncols();
        for place in places {
            top[[place / columns, place % columns]] = true;
        }
        top
    }
}

/// A window as rows.
fn rows_of<'a, D: Dimension>(
    input: &Input,
    window: ArrayView<'a, f32, D>,
) -> Result<ArrayView2<'a, f32>> {
    let columns = window.shape().last().copied().unwrap_or(0);
    let rows = window.len() / columns.max(1);
    window
        .into_shape_with_order((rows, columns))
        .map_err(|error| crate::Error::input(&input.name, error))
}
