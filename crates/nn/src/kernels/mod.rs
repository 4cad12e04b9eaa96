//! What the ops compute with, where candle has no backward pass or a slow one: on the CPU, and on NVIDIA devices.
//!
//! Each is a candle custom op with a gradient. They keep the channels of a pixel together in memory (`layout.rs`); by its shape a
//! tensor stays `[N, C, H, W]`. Convolutions of 3×3 and 5×5 windows with stride and dilation 1 in f32 are Winograd's
//! (`conv2d/winograd/`; equal windows are given equal values, so that rounding chooses no winner of a max pool), others in f32 products of
//! windows with panels of weights (`conv2d/direct.rs`, `panel.rs`), the rest products over windows (`conv2d/columns.rs`); channels by
//! themselves have a way of their own (`conv2d/depthwise.rs`), and other groups follow each other. Those over time are images of height 1;
//! dense layers read their weights as they lie (`linear/dense.rs`). Vectors are `pulp`'s, which picks the widest that the processor has.
//!
//! On NVIDIA devices a kernel is CUDA C (`cuda/kernels.cu`), or one expression for every place (`pointwise.rs`, `optim.rs`), or of
//! every channel (`expressions.cu`), compiled when first asked for; convolutions are candle's matrix products over windows that
//! our kernels lay out (`conv2d/cuda.rs`). The tests compile the same sources by a C++ compiler and run their threads on the CPU
//! (`cuda/rehearsal.rs`). Nothing that computes waits for a device within a sweep or a step.
//!
//! The only `unsafe` of the workspace is in `product.rs` (the call into the `gemm` crate), `cpu.rs` (outputs that are written
//! once), `panel.rs` and `linear/dense.rs` (innermost loops, whose bounds are checked before them), and, with the feature `cuda`, in `cuda/launch.rs` (kernels started) and `device.rs` (one stream, memory kept).

pub mod batch_norm;
pub mod conv2d;
pub(crate) mod cpu;
// A build for the CPU alone has the sources and runs none of them.
#[cfg_attr(not(any(feature = "cuda", test)), allow(dead_code))]
pub(crate) mod cuda;
pub(crate) mod dropout;
pub(crate) mod elementwise;
mod epilogue;
pub(crate) mod functions;
pub(crate) mod layout;
pub mod linear;
pub(crate) mod lstm;
pub(crate) mod matmul;
pub mod max_pool2d;
mod pair;
mod panel;
pub mod pointwise;
mod product;
pub mod ranks;
pub(crate) mod relu;
pub(crate) mod strided;
pub mod sums;
#[cfg(test)]
pub(crate) mod testing;

pub use pair::Pair;
