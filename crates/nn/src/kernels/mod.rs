//! What the ops compute with, where candle has no backward pass or a slow one: on the CPU, and on NVIDIA devices.

pub mod batch_norm;
pub mod conv2d;
pub(crate) mod cpu;
// A build for the CPU alone has the sources and runs none of them.
#[cfg_attr(not(any(feature = "cuda", test)), allow(dead_code))]
pub(crate) mod cuda;
pub(crate) mod dropout;
pub(crate) mod elementwise;
mod layout;
pub mod linear;
pub mod max_pool2d;
mod pair;
mod panel;
pub mod pointwise;
mod product;
pub mod ranks;
pub(crate) mod relu;
pub(crate) mod sums;
#[cfg(test)]
pub(crate) mod testing;

pub use pair::Pair;
