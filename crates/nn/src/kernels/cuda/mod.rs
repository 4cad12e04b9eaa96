//! Our kernels on NVIDIA devices: CUDA C that is compiled when it is first asked for, beside the CPU's twins. Both run under the
//! same custom ops, on images as `[N, H, W, C]`.

#[cfg(feature = "cuda")]
mod launch;
#[cfg(test)]
mod rehearsal;

#[cfg(feature = "cuda")]
pub(crate) use launch::*;
#[cfg(test)]
pub(crate) use rehearsal::*;

const HEAD: &str = include_str!("head.cu");
const KERNELS: &str = include_str!("kernels.cu");
const EXPRESSIONS: &str = include_str!("expressions.cu");

/// A function of the values of tensors at one place, as CUDA C computes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expression {
    /// In `a`, `b`, `c`, `p`, `q` and `r`, of type `T`.
    pub text: &'static str,
    /// `p`, `q` and `r`.
    pub numbers: [f64; 3],
}

impl Expression {
    /// Without numbers.
    pub const fn of(text: &'static str) -> Self {
        Expression {
            text,
            numbers: [0.0; 3],
        }
    }

    /// Its kernels, below what [`head`] has.
    fn kernels(self) -> String {
        format!("#define EXPRESSION {}\n{EXPRESSIONS}", self.text)
    }
}

/// What stands above kernels for values of this type of C.
fn head(value: &str) -> String {
    format!("typedef {value} T;\n{HEAD}")
}

/// How windows lie on images, as `kernels.cu` has it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Windows {
    pub height: u32,
    pub width: u32,
    pub channels: u32,
    pub kernel: [u32; 2],
    pub stride: [u32; 2],
    pub padding: [u32; 2],
    pub dilation: [u32; 2],
    pub out_height: u32,
    pub out_width: u32,
}

/// A stream of ChaCha8's, as `kernels.cu` has it: eight words of the key, two that number its streams.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream(pub [u32; 10]);

/// A [`Pair`](super::Pair) as the kernels read it.
pub(crate) fn pair(pair: super::Pair) -> [u32; 2] {
    [pair.height as u32, pair.width as u32]
}
