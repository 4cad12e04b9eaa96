//! The ops: one file a layer, or a layer and the same of other axes. As PyTorch calls them:
//!
//! | op | module | reads |
//! | --- | --- | --- |
//! | [`Linear`] | `nn.Linear` | `[N, C]` |
//! | [`Conv2d`], [`Conv1d`] | `nn.Conv2d`, `nn.Conv1d`, with zeros for padding | `[N, C, H, W]`, `[N, C, T]` |
//! | [`BatchNorm`] | `nn.BatchNorm1d`, `nn.BatchNorm2d` | `[N, C]`, `[N, C, …]` |
//! | [`MaxPool2d`], [`MaxPool1d`] | `nn.MaxPool2d`, `nn.MaxPool1d`, without dilation | `[N, C, H, W]`, `[N, C, T]` |
//! | [`AvgPool2d`], [`AvgPool1d`] | `nn.AvgPool2d`, `nn.AvgPool1d`, padding counted | `[N, C, H, W]`, `[N, C, T]` |
//! | [`AdaptiveAvgPool2d`], [`AdaptiveAvgPool1d`] | `nn.AdaptiveAvgPool2d`, `nn.AdaptiveAvgPool1d` | `[N, C, H, W]`, `[N, C, T]` |
//! | [`Relu`], [`LeakyRelu`], [`PRelu`] | `nn.ReLU`, `nn.LeakyReLU`, `nn.PReLU` | any; `PRelu` `[N, C, …]` |
//! | [`Sigmoid`], [`Tanh`] | `nn.Sigmoid`, `nn.Tanh` | any |
//! | [`Dropout`] | `nn.Dropout` | any |
//! | [`Flatten`] | `nn.Flatten` | `[N, …]` |
//! | [`Add`], [`Concat`] | `+`, `torch.cat(…, 1)` | several of one shape; several `[N, C, …]` |
//! | [`TimeMean`], [`TimeDeviation`] | `x.mean(-1)`, the root of `x.var(-1, correction=0) + 1e-10` | `[N, C, H, T]`, `[N, C, T]` |

mod add;
mod avg_pool;
mod batch_norm;
mod concat;
mod conv1d;
mod conv2d;
mod dropout;
mod flatten;
mod leaky_relu;
mod linear;
mod max_pool;
mod prelu;
mod rectified;
mod relu;
mod sigmoid;
mod statistics;
mod tanh;

pub use add::Add;
pub use avg_pool::{AdaptiveAvgPool1d, AdaptiveAvgPool2d, AvgPool1d, AvgPool2d};
pub use batch_norm::BatchNorm;
pub use concat::Concat;
pub use conv1d::Conv1d;
pub use conv2d::Conv2d;
pub use dropout::Dropout;
pub use flatten::Flatten;
pub use leaky_relu::LeakyRelu;
pub use linear::Linear;
pub use max_pool::{MaxPool1d, MaxPool2d};
pub use prelu::PRelu;
pub use relu::Relu;
pub use sigmoid::Sigmoid;
pub use statistics::{TimeDeviation, TimeMean};
pub use tanh::Tanh;
