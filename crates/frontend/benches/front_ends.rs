//! Spectrograms of 0.6 s of sound and filterbanks of ten seconds, on one core.
//!
//! `cargo bench -p speechlens-frontend`

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use speechlens_audio::Audio;
use speechlens_frontend::{FrontEnd, Reading};

/// A tone in noise: no bin is at the floor but in the padding.
fn recording(rate: u32, samples: usize) -> Audio {
    let mut noise = ChaCha8Rng::seed_from_u64(1);
    let step = 300.0 * std::f32::consts::TAU / rate as f32;
    let sample = |i| 0.5 * (i as f32 * step).sin() + 0.01 * noise.random_range(-1.0..1.0);
    Audio {
        samples: (0..samples).map(sample).collect(),
        rate,
    }
}

fn spectrogram(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("spectrogram");
    group.throughput(Throughput::Elements(1));
    let reading = Reading::default();
    for rate in [8000, 16000, 44100, 48000] {
        let length = rate as usize * 6 / 10;
        let front_end = FrontEnd::load("thesis-spectrogram").expect("a named one");
        let audio = recording(rate, length);
        group.bench_function(BenchmarkId::new("same length", rate), |b| {
            b.iter(|| front_end.compute(black_box(&audio), &reading))
        });
        // As in a corpus, where hardly two recordings are equally long.
        let audios: Vec<Audio> = (0..300).map(|i| recording(rate, length + i)).collect();
        let mut next = audios.iter().cycle();
        group.bench_function(BenchmarkId::new("other lengths", rate), |b| {
            b.iter(|| front_end.compute(black_box(next.next().expect("endless")), &reading))
        });
    }
}

fn filterbank(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("filterbank");
    for rate in [16_000, 48_000] {
        let audio = recording(rate, 10 * rate as usize);
        let front_end = FrontEnd::load("fbank").expect("a named one");
        group.throughput(Throughput::Elements(audio.samples.len() as u64));
        group.bench_function(BenchmarkId::new("ten seconds", rate), |b| {
            b.iter(|| front_end.compute(black_box(&audio), &Reading::default()))
        });
    }
}

criterion_group!(benches, spectrogram, filterbank);
criterion_main!(benches);
