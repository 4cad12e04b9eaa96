//! What the ops compute with, where candle has no backward pass or a slow one. On the CPU these are our own; every other
//! device runs candle's tensor operations.

pub mod batch_norm;
pub mod conv2d;
pub(crate) mod cpu;
pub(crate) mod elementwise;
mod layout;
pub mod linear;
pub mod max_pool2d;
mod pair;
mod panel;
pub mod pointwise;
mod product;
pub(crate) mod relu;
pub(crate) mod sums;
#[cfg(test)]
pub(crate) mod testing;

pub use pair::Pair;
