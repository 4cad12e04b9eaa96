//! Batches of samples that are read while others are computed with.

use std::ops::ControlFlow;
use std::sync::mpsc::sync_channel;
use std::thread;

use candle_core::{Device, Tensor};

use crate::Error;
use crate::train::Samples;

/// Gives `f` one batch of samples after another, each with its places. The next one is read, and brought to the device, while
/// `f` is at work. `f` may end it early, by a break or an error.
pub fn each_batch<'a, E: From<Error>>(
    samples: &dyn Samples,
    batches: impl Iterator<Item = &'a [usize]> + Send,
    device: &Device,
    mut f: impl FnMut(&[usize], Tensor, Vec<u32>) -> Result<ControlFlow<()>, E>,
) -> Result<(), E> {
    thread::scope(|scope| {
        // Without room between the two, the reader is one batch ahead and no more.
        let (ahead, read) = sync_channel(0);
        scope.spawn(move || {
            for places in batches {
                if ahead.send((places, samples.batch(places, device))).is_err() {
                    return;
                }
            }
        });
        for (places, batch) in read {
            let (input, labels) = batch?;
            if f(places, input, labels)?.is_break() {
                break;
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::Result;

    /// Each sample is its place; the last one cannot be read.
    struct Places {
        count: usize,
        batches_read: AtomicUsize,
    }

    impl Samples for Places {
        fn len(&self) -> usize {
            self.count
        }

        fn key(&self) -> String {
            String::new()
        }

        fn batch(&self, places: &[usize], device: &Device) -> Result<(Tensor, Vec<u32>)> {
            self.batches_read.fetch_add(1, Ordering::Relaxed);
            if places.contains(&(self.count - 1)) {
                return Err(Error::Samples("unreadable".into()));
            }
            let labels: Vec<u32> = places.iter().map(|place| *place as u32).collect();
            Ok((Tensor::new(labels.as_slice(), device)?, labels))
        }
    }

    /// What comes until `stop` batches came, how it ends, and how many batches were read.
    fn read(stop: usize) -> (Vec<u32>, Result<()>, usize) {
        let (samples, mut seen) = (
            Places {
                count: 12,
                batches_read: AtomicUsize::new(0),
            },
            Vec::new(),
        );
        let places: Vec<usize> = (0..12).collect();
        let mut batches = 0;
        let ended = each_batch(&samples, places.chunks(3), &Device::Cpu, |_, _, labels| {
            seen.extend(labels);
            batches += 1;
            Ok(match batches == stop {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            })
        });
        (seen, ended, samples.batches_read.into_inner())
    }

    #[test]
    fn in_order_until_one_cannot_be_read() {
        let (seen, ended, _) = read(usize::MAX);
        assert_eq!(seen, (0..9).collect::<Vec<_>>());
        assert!(ended.is_err_and(|error| error.to_string().contains("unreadable")));
    }

    #[test]
    fn a_break_ends_it_one_batch_ahead_at_most() {
        let (seen, ended, batches_read) = read(1);
        assert_eq!(seen, [0, 1, 2]);
        assert!(ended.is_ok());
        assert!(batches_read <= 2, "{batches_read}");
    }
}
