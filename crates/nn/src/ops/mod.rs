//! The ops: one file a layer.

mod add;
mod avg_pool2d;
mod batch_norm;
mod concat;
mod conv2d;
mod dropout;
mod flatten;
mod linear;
mod max_pool2d;
mod rectified;
mod relu;
mod statistics;

pub use add::Add;
pub use avg_pool2d::{AdaptiveAvgPool2d, AvgPool2d};
pub use batch_norm::BatchNorm;
pub use concat::Concat;
pub use conv2d::Conv2d;
pub use dropout::Dropout;
pub use flatten::Flatten;
pub use linear::Linear;
pub use max_pool2d::MaxPool2d;
pub use relu::Relu;
pub use statistics::{TimeDeviation, TimeMean};
