//! Equal windows give equal values.
//!
//! Where a window lies in its tile decides in which order its sums are taken, and so how they are rounded. Over silence windows are
//! equal, and rounding would choose which of them wins a max pool: here each gives what the first of them gave, as the sums of
//! any convolution by its definition do.

use rayon::prelude::*;

use super::Sizes;

/// Gives the pixels of the output whose windows are equal, from neighbour to neighbour to the left and above, what the first of
/// them has. `[N, H, W, inputs]` and `[N, H', W', outputs]`.
pub(super) fn level(input: &[f32], output: &mut [f32], sizes: &Sizes) {
    let (width, channels) = (sizes.out_width, sizes.outputs);
    let images = output.par_chunks_exact_mut(sizes.out_image());
    let images = images.zip(input.par_chunks_exact(sizes.image()));
    images.for_each(|(output, input)| {
        let [from_left, from_above] = [(0, 1), (1, 0)].map(|step| Repeats::new(input, sizes, step));
        // Of each pixel, itself or an earlier one whose window is equal.
        let mut equal: Vec<usize> = (0..sizes.out_height * width).collect();
        for at in 0..equal.len() {
            let (y, x) = (at / width, at % width);
            if x > 0 && from_left.is_window(y, x) {
                join(&mut equal, at - 1, at);
            }
            if y > 0 && from_above.is_window(y, x) {
                join(&mut equal, at - width, at);
            }
        }
        for at in 0..equal.len() {
            let first = first(&mut equal, at);
            if first < at {
                output.copy_within(first * channels..(first + 1) * channels, at * channels);
            }
        }
    });
}

/// The first of those that a pixel is joined with.
fn first(equal: &mut [usize], mut at: usize) -> usize {
    while equal[at] != at {
        // The way is halved for those who come later.
        equal[at] = equal[equal[at]];
        at = equal[at];
    }
    at
}

fn join(equal: &mut [usize], one: usize, other: usize) {
    let (one, other) = (first(equal, one), first(equal, other));
    equal[one.max(other)] = one.min(other);
}

/// Where an image with its padding repeats what lies one step before.
struct Repeats {
    /// How many pixels above and to the left of each do not, `[height + 1, width + 1]`.
    changes: Vec<u32>,
    width: usize,
    kernel: usize,
}

impl Repeats {
    /// Of an image `[H, W, C]`, by a step down or to the right.
    fn new(image: &[f32], sizes: &Sizes, (down, right): (usize, usize)) -> Self {
        let padding = sizes.geometry.padding;
        let height = sizes.height + 2 * padding.height;
        let width = sizes.width + 2 * padding.width;
        // Outside of the image there are zeros.
        let pixel = |y: usize, x: usize| {
            let y = y
                .checked_sub(padding.height)
                .filter(|y| *y < sizes.height)?;
            let x = x.checked_sub(padding.width).filter(|x| *x < sizes.width)?;
            let at = (y * sizes.width + x) * sizes.inputs;
            Some(&image[at..at + sizes.inputs])
        };
        let mut changes = vec![0; (height + 1) * (width + 1)];
        for y in 0..height {
            let mut in_row = 0;
            for x in 0..width {
                let is_repeated = y >= down
                    && x >= right
                    && match (pixel(y, x), pixel(y - down, x - right)) {
                        (Some(one), Some(other)) => one == other,
                        (Some(one), None) | (None, Some(one)) => {
                            one.iter().all(|value| *value == 0.0)
                        }
                        (None, None) => true,
                    };
                in_row += u32::from(!is_repeated);
                let at = (y + 1) * (width + 1) + x + 1;
                changes[at] = changes[at - width - 1] + in_row;
            }
        }
        Repeats {
            changes,
            width: width + 1,
            kernel: sizes.kernel.height,
        }
    }

    /// Whether the window of an output is that of the output one step before.
    fn is_window(&self, y: usize, x: usize) -> bool {
        let at = |y: usize, x: usize| self.changes[y * self.width + x];
        let (bottom, right) = (y + self.kernel, x + self.kernel);
        at(bottom, right) + at(y, x) == at(y, right) + at(bottom, x)
    }
}
