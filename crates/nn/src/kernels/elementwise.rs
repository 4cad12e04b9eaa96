//! Elementwise functions by candle's own operations, with the values left in the order in which they lie in memory.

use candle_core::Tensor;

use super::layout::Aligned;
use crate::Result;

/// A function of every value; differentiable if `f` is.
///
/// # Errors
/// Those of `f`, and if the values are whole numbers: of these candle has no functions.
pub(crate) fn map(input: &Tensor, f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    if !input.dtype().is_float() {
        let problem = "it is given whole numbers, and takes real ones";
        return Err(candle_core::Error::Msg(problem.into()).into());
    }
    let aligned = Aligned::new([input])?;
    Ok(aligned.restore(&f(&aligned.tensors[0])?)?)
}

/// A function of every pair of values of two tensors of one shape; differentiable if `f` is.
pub(crate) fn map_pairs(
    a: &Tensor,
    b: &Tensor,
    f: impl Fn(&Tensor, &Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    let aligned = Aligned::new([a, b])?;
    let [a, b] = &aligned.tensors;
    Ok(aligned.restore(&f(a, b)?)?)
}

/// `above` where `x` is above 0, and `below` elsewhere.
pub(crate) fn by_sign(x: &Tensor, above: &Tensor, below: &Tensor) -> Result<Tensor> {
    Ok(x.gt(0.0)?.where_cond(above, below)?)
}
