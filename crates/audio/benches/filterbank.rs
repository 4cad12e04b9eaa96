//! Filterbanks of ten seconds of sound on one core; the throughput is in samples.
//!
//! `cargo bench -p speechlens-audio --bench filterbank`

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use speechlens_audio::{Audio, Filterbank};

fn filterbank(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("filterbank");
    for rate in [16_000, 48_000] {
        let mut noise = ChaCha8Rng::seed_from_u64(1);
        let samples = (0..10 * rate).map(|_| noise.random_range(-0.5..0.5));
        let audio = Audio {
            samples: samples.collect(),
            rate,
        };
        let filterbank = Filterbank::new();
        group.throughput(Throughput::Elements(audio.samples.len() as u64));
        group.bench_function(BenchmarkId::new("ten seconds", rate), |b| {
            b.iter(|| filterbank.compute(black_box(&audio)))
        });
    }
}

criterion_group!(benches, filterbank);
criterion_main!(benches);
