//! What the products of layers have done to them before they are written.

use candle_core::WithDType;

use super::relu;

/// What is done to an output before it is written.
pub(super) struct Epilogue<'a, T> {
    /// One value a channel, or none at all.
    pub bias: &'a [T],
    /// Whether negative values become 0.
    pub relu: bool,
}

impl<T: WithDType> Epilogue<'_, T> {
    /// To the channels of a pixel, or the outputs for an input.
    #[inline(always)]
    pub fn apply(&self, pixel: &mut [T]) {
        pixel
            .iter_mut()
            .zip(self.bias)
            .for_each(|(value, bias)| *value += *bias);
        if self.relu {
            pixel.iter_mut().for_each(|value| *value = relu::of(*value));
        }
    }
}
