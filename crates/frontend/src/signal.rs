use ndarray::{Array2, ArrayD, Axis};
use speechlens_audio::Complex;

/// What goes from stage to stage.
#[derive(Clone, Debug)]
pub enum Signal {
    /// Samples in time.
    Samples(Vec<f32>),
    /// A complex spectrum, [frequency, frame].
    Spectrum(Array2<Complex<f64>>),
    /// Anything real over rows and frames.
    Plane(Array2<f32>),
}

impl Signal {
    /// How many samples or frames there are.
    pub fn frames(&self) -> usize {
        match self {
            Signal::Samples(samples) => samples.len(),
            Signal::Spectrum(spectrum) => spectrum.ncols(),
            Signal::Plane(plane) => plane.ncols(),
        }
    }

    /// Some of its samples or frames.
    pub(crate) fn cut(&self, frames: std::ops::Range<usize>) -> Signal {
        let columns = ndarray::Slice::from(frames.clone());
        match self {
            Signal::Samples(samples) => Signal::Samples(samples[frames].to_vec()),
            Signal::Spectrum(all) => Signal::Spectrum(all.slice_axis(Axis(1), columns).to_owned()),
            Signal::Plane(all) => Signal::Plane(all.slice_axis(Axis(1), columns).to_owned()),
        }
    }

    /// As an array in standard layout: [samples], or [rows, frames]; of a spectrum its magnitudes.
    pub(crate) fn into_array(self) -> ArrayD<f32> {
        match self {
            Signal::Samples(samples) => ndarray::Array1::from(samples).into_dyn(),
            Signal::Spectrum(spectrum) => spectrum.map(|z| z.norm() as f32).into_dyn(),
            Signal::Plane(plane) => plane.as_standard_layout().into_owned().into_dyn(),
        }
    }
}
