//! Where a thread keeps what it works on: made once, and used again by every layer and call.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use super::transform::{PLACES, SIDE};
use super::{Sizes, step};
use crate::kernels::panel::PANEL;

/// Channels are padded with zeros to a multiple of this, the widest vector.
pub(super) const LANES: usize = 16;

/// What a core's own cache holds, in values.
const CACHE: usize = 1 << 18;

/// Rows of tiles of a batch, counted through its images.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    pub first: usize,
    pub past: usize,
}

impl Rows {
    /// All of a batch.
    pub fn all(sizes: &Sizes) -> Self {
        Rows {
            first: 0,
            past: sizes.batch * Rows::of_image(sizes),
        }
    }

    /// How many an image has.
    pub fn of_image(sizes: &Sizes) -> usize {
        sizes.out_height.div_ceil(step(sizes))
    }

    /// Tiles in a row.
    pub fn tiles(sizes: &Sizes) -> usize {
        sizes.out_width.div_ceil(step(sizes))
    }

    /// How many make a block: as many as have their transforms in the cache, but enough for the products' rows.
    pub fn of_block(sizes: &Sizes) -> usize {
        let tiles = CACHE / (PLACES * (sizes.inputs + PANEL));
        (tiles.clamp(48, 192) / Rows::tiles(sizes)).max(1)
    }

    /// The image and the row in it.
    pub fn each(self, sizes: &Sizes) -> impl Iterator<Item = (usize, usize)> {
        let of_image = Rows::of_image(sizes);
        (self.first..self.past).map(move |row| (row / of_image, row % of_image))
    }

    /// Blocks of so many.
    pub fn split(self, rows: usize) -> impl Iterator<Item = Rows> {
        (self.first..self.past)
            .step_by(rows)
            .map(move |first| Rows {
                first,
                past: self.past.min(first + rows),
            })
    }

    pub fn count(self) -> usize {
        self.past - self.first
    }
}

/// Values that begin at a cache line, so that no vector lies across two. They have no meaning before they are written.
#[derive(Default)]
struct Lines {
    values: Vec<f32>,
    start: usize,
}

impl Lines {
    fn resize(&mut self, length: usize) {
        if self.values.len() < length + LANES {
            self.values.resize(length + LANES, 0.0);
            self.start = self
                .values
                .as_ptr()
                .align_offset(size_of::<f32>() * LANES)
                .min(LANES);
        }
    }
}

impl Deref for Lines {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values[self.start..]
    }
}

impl DerefMut for Lines {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values[self.start..]
    }
}

/// Rows of an image with zeros around, its channels padded to a multiple of [`LANES`]: `[row, column, depth]`.
#[derive(Default)]
pub(super) struct Strip {
    rows: usize,
    pub width: usize,
    pub depth: usize,
    values: Lines,
}

impl Strip {
    fn reset(&mut self, rows: usize, width: usize, channels: usize) {
        (self.rows, self.width, self.depth) = (rows, width, channels.next_multiple_of(LANES));
        self.values.resize(rows * width * self.depth);
    }

    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Copies the rows of an image from `first − padding` on, of its channels as many as fit.
    pub fn fill(&mut self, image: Image, first: usize, padding: usize) {
        let (depth, row) = (self.depth, image.width * image.channels);
        let (count, channels) = (
            image.width.min(self.width - padding),
            image.past - image.first,
        );
        let rows = self.values.chunks_exact_mut(self.width * depth);
        for (y, to) in rows.take(self.rows).enumerate() {
            let from = (first + y)
                .checked_sub(padding)
                .and_then(|y| image.values.get(y * row..(y + 1) * row));
            let Some(from) = from else {
                to.fill(0.0);
                continue;
            };
            let (left, to) = to.split_at_mut(padding * depth);
            let (inner, right) = to.split_at_mut(count * depth);
            left.fill(0.0);
            right.fill(0.0);
            if depth == image.channels {
                inner.copy_from_slice(&from[..count * depth]);
                continue;
            }
            for (to, from) in inner
                .chunks_exact_mut(depth)
                .zip(from.chunks_exact(image.channels))
            {
                to[..channels].copy_from_slice(&from[image.first..image.past]);
                to[channels..].fill(0.0);
            }
        }
    }
}

/// Some channels of an image `[H, W, C]`.
#[derive(Clone, Copy)]
pub(super) struct Image<'a> {
    pub values: &'a [f32],
    pub width: usize,
    pub channels: usize,
    /// The channels that are meant.
    pub first: usize,
    pub past: usize,
}

/// Transforms of a block's tiles, `[place, tile, depth]`.
#[derive(Default)]
pub(super) struct Tiles {
    pub depth: usize,
    /// Values from one place to the next.
    pub stride: usize,
    values: Lines,
}

impl Tiles {
    fn reset(&mut self, tiles: usize, channels: usize) {
        self.depth = channels.next_multiple_of(LANES);
        // A vector more than needed, so that places do not meet in the same sets of the cache.
        self.stride = tiles * self.depth + LANES;
        self.values.resize(PLACES * self.stride);
    }

    pub fn values(&self) -> &[f32] {
        &self.values
    }

    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    pub fn place(&self, place: usize) -> &[f32] {
        &self.values[place * self.stride..(place + 1) * self.stride]
    }

    pub fn place_mut(&mut self, place: usize) -> &mut [f32] {
        &mut self.values[place * self.stride..(place + 1) * self.stride]
    }
}

/// What one thread works on.
#[derive(Default)]
pub(super) struct Scratch {
    pub strip: Strip,
    pub tiles: Tiles,
    /// The same of the output, or of its gradient, a panel of channels at a time.
    pub out_strip: Strip,
    pub out_tiles: Tiles,
    /// Sums over a part of the batch.
    pub sums: Vec<f32>,
    /// The transformed kernels of a panel.
    pub filters: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Scratch {
    /// Gives `work` this thread's, with room for blocks of so many rows of tiles.
    pub fn with<T>(sizes: &Sizes, rows: usize, work: impl FnOnce(&mut Scratch) -> T) -> T {
        let (across, step) = (Rows::tiles(sizes), step(sizes));
        SCRATCH.with_borrow_mut(|scratch| {
            scratch
                .strip
                .reset(SIDE, (across - 1) * step + SIDE, sizes.inputs);
            scratch.tiles.reset(rows * across, sizes.inputs);
            scratch.out_strip.reset(step, across * step, PANEL);
            scratch.out_tiles.reset(rows * across, PANEL);
            work(scratch)
        })
    }
}
