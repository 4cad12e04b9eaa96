//! Fourier transforms of any length, at about the same speed for all of them.
//!
//! The plan of an FFT takes longer than the FFT, many times so if the length has large prime factors, and hardly two
//! recordings have one length. Lengths with small factors are planned, once. All others go over a grid of such a length
//! that is at least half as long again: the wanted values lie between the grid's, and are interpolated by a Gaussian, whose
//! own transform is divided out before (Greengard and Lee 2004, "Accelerating the nonuniform fast Fourier transform").

use std::collections::HashMap;
use std::f64::consts::PI;
use std::sync::{Arc, Mutex, PoisonError};

use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

/// Grid points on either side of a value that its interpolation sees. The error is 1e-11 of the largest value.
const REACH: usize = 16;

/// The squared width of the Gaussian at which what the grid aliases and what its cut tails lack are equally small:
/// reach / 2π(1 − 1/2r), r = 3/2 the least length of the grid over the signal's.
const WIDTH: f64 = REACH as f64 / (PI * 4.0 / 3.0);

/// Transforms of real signals. Makes plans once, and serves any number of threads.
#[derive(Default)]
pub(crate) struct Fourier {
    plans: Mutex<Plans>,
}

#[derive(Default)]
struct Plans {
    planner: RealFftPlanner<f64>,
    /// By the length of the grid, see [`taper`].
    tapers: HashMap<usize, Arc<[f64]>>,
}

/// Buffers of a [`Fourier`] for one thread.
#[derive(Default)]
pub(crate) struct Workspace {
    time: Vec<f64>,
    spectrum: Vec<Complex<f64>>,
    scratch: Vec<Complex<f64>>,
    re: Vec<f64>,
    im: Vec<f64>,
}

impl Fourier {
    /// The lowest `bins` values of a signal's transform, Σ signal[n] e^{−2πi nk/N}, into `spectrum`. The signal is lost.
    pub fn forward(
        &self,
        signal: &mut [f64],
        bins: usize,
        spectrum: &mut Vec<Complex<f64>>,
        w: &mut Workspace,
    ) {
        let length = signal.len();
        if is_planned(length) {
            run_forward(
                &*self.plan_forward(length),
                signal,
                spectrum,
                &mut w.scratch,
            );
            spectrum.truncate(bins);
            return;
        }
        let grid = grid_for(length);
        let taper = self.taper(grid);
        // Centred on sample 0, where the taper's inverse is least.
        let centre = length / 2;
        w.time.clear();
        w.time.resize(grid, 0.0);
        let (before, after) = signal.split_at(centre);
        for ((to, from), t) in w.time.iter_mut().zip(after).zip(&*taper) {
            *to = from * t;
        }
        for ((to, from), t) in w
            .time
            .iter_mut()
            .rev()
            .zip(before.iter().rev())
            .zip(&taper[1..])
        {
            *to = from * t;
        }
        run_forward(
            &*self.plan_forward(grid),
            &mut w.time,
            &mut w.spectrum,
            &mut w.scratch,
        );

        // Real signals have conjugate values at the other side of 0 and of the last bin.
        let last = w.spectrum.len() - 1;
        let end = (bins - 1) * grid / length + 1 + REACH;
        let at = |j: usize| match j.checked_sub(REACH) {
            None => w.spectrum[REACH - j].conj(),
            Some(j) if j > last => w.spectrum[grid - j].conj(),
            Some(j) => w.spectrum[j],
        };
        w.re.clear();
        w.im.clear();
        w.re.extend((0..=end + REACH).map(|j| at(j).re));
        w.im.extend((0..=end + REACH).map(|j| at(j).im));
        // What the centre's shift turns from one bin to the next.
        let step = Complex::cis(-2.0 * PI * centre as f64 / length as f64);
        let mut turn = Complex::new(1.0, 0.0);
        spectrum.clear();
        interpolate([&w.re, &w.im], grid, length, bins, |[re, im]| {
            spectrum.push(Complex::new(re, im) * turn);
            turn *= step;
        });
    }

    /// The signal of `length` samples of a spectrum of length / 2 + 1 values, not scaled: the inverse of
    /// [`forward`](Self::forward) gives `length` times the signal. The spectrum is lost.
    pub fn inverse(
        &self,
        spectrum: &mut Vec<Complex<f64>>,
        length: usize,
        signal: &mut Vec<f64>,
        w: &mut Workspace,
    ) {
        // The spectrum of a real signal is real at both ends; scipy ignores what is left there, a plan refuses it.
        spectrum[0].im = 0.0;
        if length.is_multiple_of(2) {
            spectrum[length / 2].im = 0.0;
        }
        if is_planned(length) {
            run_inverse(
                &*self.plan_inverse(length),
                spectrum,
                signal,
                &mut w.scratch,
            );
            return;
        }
        let grid = grid_for(length);
        let taper = self.taper(grid);
        if length.is_multiple_of(2) {
            // On the longer grid it is no more the last value, which stands for itself alone.
            spectrum[length / 2] *= 0.5;
        }
        for (value, t) in spectrum.iter_mut().zip(&*taper) {
            *value *= t;
        }
        spectrum.resize(grid / 2 + 1, Complex::default());
        run_inverse(
            &*self.plan_inverse(grid),
            spectrum,
            &mut w.time,
            &mut w.scratch,
        );
        let around = w.time[grid - REACH..]
            .iter()
            .chain(&w.time)
            .chain(&w.time[..=REACH]);
        w.re.clear();
        w.re.extend(around);
        signal.clear();
        interpolate([&w.re], grid, length, length, |[value]| signal.push(value));
    }

    fn plan_forward(&self, length: usize) -> Arc<dyn RealToComplex<f64>> {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        plans.planner.plan_fft_forward(length)
    }

    fn plan_inverse(&self, length: usize) -> Arc<dyn ComplexToReal<f64>> {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        plans.planner.plan_fft_inverse(length)
    }

    fn taper(&self, grid: usize) -> Arc<[f64]> {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        plans
            .tapers
            .entry(grid)
            .or_insert_with(|| taper(grid))
            .clone()
    }
}

/// Whether an FFT of this length is worth a plan of its own.
fn is_planned(mut length: usize) -> bool {
    let short = length < 256;
    for factor in [2, 3, 5, 7] {
        while length.is_multiple_of(factor) {
            length /= factor;
        }
    }
    short || length == 1
}

/// The length of the grid: two to an octave, so that there are few.
fn grid_for(length: usize) -> usize {
    let power = (length * 3).div_ceil(2).next_power_of_two();
    if power / 4 * 3 >= (length * 3).div_ceil(2) {
        power / 4 * 3
    } else {
        power
    }
}

/// One over the transform of the Gaussian of [`WIDTH`], at 0, 1, … to a third of the grid.
fn taper(grid: usize) -> Arc<[f64]> {
    let at = |n: usize| {
        let frequency = n as f64 / grid as f64;
        (2.0 * PI * PI * WIDTH * frequency * frequency).exp() / (2.0 * PI * WIDTH).sqrt()
    };
    (0..=grid / 3 + 1).map(at).collect()
}

fn run_forward(
    plan: &dyn RealToComplex<f64>,
    time: &mut [f64],
    spectrum: &mut Vec<Complex<f64>>,
    scratch: &mut Vec<Complex<f64>>,
) {
    spectrum.resize(time.len() / 2 + 1, Complex::default());
    scratch.resize(plan.get_scratch_len(), Complex::default());
    plan.process_with_scratch(time, spectrum, scratch)
        .expect("buffers fit the plan");
}

fn run_inverse(
    plan: &dyn ComplexToReal<f64>,
    spectrum: &mut [Complex<f64>],
    time: &mut Vec<f64>,
    scratch: &mut Vec<Complex<f64>>,
) {
    time.resize(plan.len(), 0.0);
    scratch.resize(plan.get_scratch_len(), Complex::default());
    plan.process_with_scratch(spectrum, time, scratch)
        .expect("buffers fit the plan");
}

/// Values at the grid's points 0, grid/length, 2·grid/length, …, `count` of them, from `N` rows of values on the grid,
/// which begin with those at −[`REACH`].
fn interpolate<const N: usize>(
    rows: [&[f64]; N],
    grid: usize,
    length: usize,
    count: usize,
    mut each: impl FnMut([f64; N]),
) {
    const LANES: usize = 4;
    const TAPS: usize = 2 * REACH;
    // A tap at i from the grid point below, with the value at u past it, has the weight
    // e^{−(u−i)²/2s²} = e^{−u²/2s²} · (e^{u/s²})^i · e^{−i²/2s²}: the last from a table, the powers by products.
    let first = 1.0 - REACH as f64;
    let table: [f64; TAPS] = std::array::from_fn(|tap| {
        let i = first + tap as f64;
        (-i * i / (2.0 * WIDTH)).exp()
    });
    for k in 0..count {
        let (below, rest) = (k * grid / length, k * grid % length);
        let u = rest as f64 / length as f64;
        let ratio = (u / WIDTH).exp();
        let start = ((first - 0.5 * u) * u / WIDTH).exp();
        let mut powers = [
            start,
            start * ratio,
            start * ratio * ratio,
            start * ratio * ratio * ratio,
        ];
        let jump = (ratio * ratio) * (ratio * ratio);
        let mut weights = [0.0; TAPS];
        for (weights, table) in weights
            .chunks_exact_mut(LANES)
            .zip(table.chunks_exact(LANES))
        {
            for lane in 0..LANES {
                weights[lane] = powers[lane] * table[lane];
                powers[lane] *= jump;
            }
        }
        let mut values = [0.0; N];
        for (value, row) in values.iter_mut().zip(rows) {
            *value = dot::<TAPS>(&weights, &row[below + 1..]);
        }
        each(values);
    }
}

/// The product of two vectors, of whose second there may be more. In lanes, since a sum's order is the compiler's to keep.
#[inline(always)]
fn dot<const N: usize>(a: &[f64; N], b: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    for (a, b) in a.chunks_exact(8).zip(b[..N].chunks_exact(8)) {
        for lane in 0..8 {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + b) + (c + d)) + ((e + f) + (g + h))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(length: usize) -> Vec<f64> {
        (0..length)
            .map(|i| ((i * i % 1009) as f64 / 1009.0) - 0.5)
            .collect()
    }

    #[test]
    fn any_length_is_transformed_as_by_its_own_plan() {
        let (fourier, mut w) = (Fourier::default(), Workspace::default());
        let mut planner = RealFftPlanner::new();
        for length in [257, 1003, 1018, 9973, 28802, 31001] {
            assert!(!is_planned(length));
            let signal = noise(length);
            let (mut expected, mut scratch) = (Vec::new(), Vec::new());
            run_forward(
                &*planner.plan_fft_forward(length),
                &mut signal.clone(),
                &mut expected,
                &mut scratch,
            );
            let largest = expected.iter().map(|z| z.norm()).fold(0.0, f64::max);
            for bins in [1, length / 7, length / 2 + 1] {
                let mut spectrum = Vec::new();
                fourier.forward(&mut signal.clone(), bins, &mut spectrum, &mut w);
                assert_eq!(spectrum.len(), bins);
                for (k, (a, b)) in spectrum.iter().zip(&expected).enumerate() {
                    assert!(
                        (a - b).norm() < 1e-10 * largest,
                        "{length}, bin {k}: {a}, {b}"
                    );
                }
            }
            let mut back = Vec::new();
            fourier.inverse(&mut expected, length, &mut back, &mut w);
            assert_eq!(back.len(), length);
            for (i, (a, b)) in back.iter().zip(&signal).enumerate() {
                assert!(
                    (a / length as f64 - b).abs() < 1e-10,
                    "{length}, sample {i}: {a}, {b}"
                );
            }
        }
    }
}
