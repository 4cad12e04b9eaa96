//! Throughput: how many recordings a second a network answers, learns from, or is explained.

use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use speechlens_nn::train::Config;
use speechlens_nn::{Graph, Trainer};

use crate::Result;

/// A network and a batch of noise, with the classes in turn for labels.
pub struct Load<'a> {
    graph: &'a Graph,
    input: Tensor,
    labels: Vec<u32>,
    limit: Duration,
}

impl<'a> Load<'a> {
    /// So many inputs of a shape for a network on this device. Each of the measurements lasts until the limit.
    pub fn new(
        graph: &'a Graph,
        shape: &[usize],
        classes: usize,
        batch: usize,
        device: &Device,
        limit: Duration,
    ) -> Result<Self> {
        let shape = [&[batch], shape].concat();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let noise: Vec<f32> = (0..shape.iter().product())
            .map(|_| rng.random_range(-1.0..1.0))
            .collect();
        let labels = (0..batch).map(|place| (place % classes) as u32);
        Ok(Load {
            graph,
            input: Tensor::from_vec(noise, shape, device)?,
            labels: labels.collect(),
            limit,
        })
    }

    /// Of forward passes, recordings a second.
    pub fn forward(&self) -> Result<f64> {
        self.measure(|input, _| Ok(self.graph.forward(input)?))
    }

    /// Of steps of training.
    pub fn training(&self, config: Config) -> Result<f64> {
        let mut trainer = Trainer::new(self.graph, config)?;
        self.measure(|input, labels| Ok(trainer.step(input, labels)?))
    }

    /// Of explanations of the labels.
    pub fn explanation(&self, explain: impl Fn(&Tensor, &[u32]) -> Result<Tensor>) -> Result<f64> {
        self.measure(explain)
    }

    /// One pass warms up; then the median rate of the passes that fit in the time, at least one. A pass is done when the device
    /// is done with it.
    fn measure<T>(&self, mut pass: impl FnMut(&Tensor, &[u32]) -> Result<T>) -> Result<f64> {
        let device = self.input.device();
        let mut timed = || -> Result<f64> {
            let before = Instant::now();
            pass(&self.input, &self.labels)?;
            device.synchronize()?;
            Ok(before.elapsed().as_secs_f64())
        };
        timed()?;
        let (start, mut times) = (Instant::now(), Vec::new());
        while times.is_empty() || start.elapsed() < self.limit {
            times.push(timed()?);
        }
        times.sort_by(f64::total_cmp);
        Ok(self.labels.len() as f64 / times[times.len() / 2])
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::thread::sleep;

    use speechlens_nn::Architecture;
    use speechlens_nn::ops::Linear;

    use super::*;

    #[test]
    fn is_the_batch_over_the_median_time_of_its_passes() {
        let mut net = Architecture::new([3]);
        net.add("dense", Linear::new(3, 2), [net.input()])
            .expect("fits");
        let graph = net.random(1, &Device::Cpu).expect("drawn");
        let limit = Duration::from_millis(120);
        let load = Load::new(&graph, &[3], 2, 5, &Device::Cpu, limit).expect("noise");
        let passes = Cell::new(0);
        let per_second = load.explanation(|input, labels| {
            passes.set(passes.get() + 1);
            assert_eq!((input.dims(), labels), (&[5, 3][..], &[0, 1, 0, 1, 0][..]));
            // The first pass does not count, nor does one that is slow by chance.
            sleep(Duration::from_millis(if passes.get() < 3 {
                40
            } else {
                10
            }));
            Ok(input.clone())
        });
        let per_second = per_second.expect("measured");
        assert!((50.0..=500.0).contains(&per_second), "{per_second}");
        assert!(passes.get() > 3);
        assert!(load.forward().expect("measured") > 0.0);
    }
}
