/// What rows, columns and values of features are.
#[derive(Clone, Debug, PartialEq)]
pub struct Axes {
    /// Samples a second of the sound beneath, in Hz.
    pub rate: u32,
    /// The time on which the first frame is centred, in seconds after the beginning of what it was made of; of samples 0.
    pub first: f64,
    /// From one frame, or sample, to the next, in seconds.
    pub step: f64,
    /// How many frames, or samples, one input of the network has, if that is fixed.
    pub frames: Option<usize>,
    /// The frequency of each row, in Hz, rising; none where there are samples.
    pub frequencies: Vec<f64>,
    /// What a value is, with its unit: `amplitude`, `level (dB)`, ….
    pub value: String,
    /// Whether values are complex.
    pub is_complex: bool,
}

impl Axes {
    /// Of samples.
    pub(crate) fn samples(rate: u32, frames: Option<usize>) -> Self {
        Axes {
            rate,
            first: 0.0,
            step: 1.0 / f64::from(rate),
            frames,
            frequencies: Vec::new(),
            value: "amplitude".into(),
            is_complex: false,
        }
    }

    /// Whether these are of samples in time.
    pub fn are_samples(&self) -> bool {
        self.frequencies.is_empty()
    }

    /// Whether frequencies are equally far apart, from 0 Hz on: those of a spectrum.
    pub fn are_linear(&self) -> bool {
        let Some([zero, step]) = self.frequencies.first_chunk() else {
            return false;
        };
        let mut all = self.frequencies.iter().enumerate();
        *zero == 0.0 && all.all(|(row, hertz)| (hertz - row as f64 * step).abs() < 1e-6 * step)
    }

    /// The time of a frame, in seconds.
    pub fn time(&self, frame: usize) -> f64 {
        self.first + self.step * frame as f64
    }
}
