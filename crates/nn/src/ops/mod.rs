//! The ops: one file a layer.

mod avg_pool2d;
mod conv2d;
mod dropout;
mod flatten;
mod linear;
mod max_pool2d;
mod relu;

pub use avg_pool2d::{AdaptiveAvgPool2d, AvgPool2d};
pub use conv2d::Conv2d;
pub use dropout::Dropout;
pub use flatten::Flatten;
pub use linear::Linear;
pub use max_pool2d::MaxPool2d;
pub use relu::Relu;
