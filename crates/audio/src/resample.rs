//! Resampling by the Fourier method.

use realfft::RealFftPlanner;

/// Resamples by cutting or extending the spectrum, with `ceil(len · to / from)` samples out.
///
/// This is `librosa.resample(res_type="scipy")`, that is `scipy.signal.resample`: the signal counts as periodic, and where
/// the shorter of the two lengths is even, its Nyquist bin is doubled on the way down and halved on the way up. Computed
/// in double precision.
///
/// # Panics
/// If a rate is 0.
pub fn resample(samples: &[f32], from: u32, to: u32) -> Vec<f32> {
    assert!(from > 0 && to > 0, "sampling rates must be positive");
    if from == to || samples.is_empty() {
        return samples.to_vec();
    }
    let length = samples.len();
    let resampled = (length as u64 * u64::from(to)).div_ceil(u64::from(from)) as usize;
    let mut planner = RealFftPlanner::<f64>::new();
    let forward = planner.plan_fft_forward(length);
    let inverse = planner.plan_fft_inverse(resampled);

    let mut time: Vec<f64> = samples.iter().map(|&s| f64::from(s)).collect();
    let mut spectrum = forward.make_output_vec();
    forward
        .process(&mut time, &mut spectrum)
        .expect("buffers come from the plan");

    let shorter = length.min(resampled);
    let nyquist = shorter / 2;
    let mut cut = inverse.make_input_vec();
    cut[..=nyquist].copy_from_slice(&spectrum[..=nyquist]);
    if shorter.is_multiple_of(2) && length != resampled {
        cut[nyquist] *= if resampled < length { 2.0 } else { 0.5 };
    }
    // The spectrum of a real signal is real at both ends; scipy ignores what is left there, the plan refuses it.
    cut[0].im = 0.0;
    if resampled.is_multiple_of(2) {
        cut[resampled / 2].im = 0.0;
    }
    let mut time = inverse.make_output_vec();
    inverse
        .process(&mut cut, &mut time)
        .expect("buffers come from the plan");
    time.iter().map(|s| (s / length as f64) as f32).collect()
}
