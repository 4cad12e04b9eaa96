use ndarray::s;
use serde::Deserialize;

use super::{Planned, Stage};
use crate::{Axes, Error, Signal};

/// Some rows and frames: from the first number up to the second, which counts from the end if it is negative.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crop {
    rows: Option<[isize; 2]>,
    frames: Option<[isize; 2]>,
}

/// The range of so many; none if it is not within them.
fn range(of: Option<[isize; 2]>, length: usize) -> Option<std::ops::Range<usize>> {
    let Some([start, end]) = of else {
        return Some(0..length);
    };
    let start = usize::try_from(start).ok()?;
    let end = match end {
        end if end < 0 => length.checked_sub(end.unsigned_abs())?,
        end => end.unsigned_abs(),
    };
    (start < end && end <= length).then_some(start..end)
}

impl Stage for Crop {
    fn plan(&self, axes: &Axes) -> Result<Planned, String> {
        super::wants_plane(axes).or_else(|problem| match axes.is_complex {
            true => Ok(()),
            false => Err(problem),
        })?;
        let Crop { rows, frames } = *self;
        let all = axes.frequencies.len();
        let rows = range(rows, all).ok_or_else(|| format!("`rows` are not within {all}"))?;
        let first = frames.map_or(0, |[start, _]| start.unsigned_abs());
        let kept = axes
            .frames
            .map(|all| {
                let kept = range(frames, all).map(|kept| kept.len());
                kept.ok_or_else(|| format!("`frames` are not within {all}"))
            })
            .transpose()?;
        let axes = Axes {
            frequencies: axes.frequencies[rows.clone()].to_vec(),
            first: axes.time(first),
            frames: kept,
            ..axes.clone()
        };
        let run = move |signal: Signal| {
            let count = signal.frames();
            let columns = range(frames, count).ok_or_else(|| {
                Error::Recording(format!(
                    "has {count} frames, and `crop` wants more: give a longer one"
                ))
            })?;
            Ok(match signal {
                Signal::Spectrum(all) => {
                    Signal::Spectrum(all.slice_move(s![rows.clone(), columns]))
                }
                Signal::Plane(all) => Signal::Plane(all.slice_move(s![rows.clone(), columns])),
                samples @ Signal::Samples(_) => samples,
            })
        };
        Ok(Planned {
            axes,
            run: Box::new(run),
            of_window: false,
        })
    }
}
