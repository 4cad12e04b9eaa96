//! Along the axes of a tensor: which place is meant, and values taken from places and added back to them.

use candle_core::{DType, Shape, Tensor};

use crate::Result;

/// An error of an op's own.
pub(super) fn problem<T>(text: String) -> Result<T> {
    Err(candle_core::Error::Msg(text).into())
}

/// An axis of a tensor of so many, counted from the end if it is negative.
pub(super) fn axis(axis: i64, rank: usize) -> Result<usize> {
    let from_start = if axis < 0 { axis + rank as i64 } else { axis };
    match usize::try_from(from_start) {
        Ok(axis) if axis < rank => Ok(axis),
        _ => problem(format!("there is no axis {axis} of {rank}")),
    }
}

/// Several axes, as they are named.
pub(super) fn each_axis(given: &[i64], rank: usize) -> Result<Vec<usize>> {
    given.iter().map(|place| axis(*place, rank)).collect()
}

/// Several axes, in rising order.
pub(super) fn axes(given: &[i64], rank: usize) -> Result<Vec<usize>> {
    let mut all = each_axis(given, rank)?;
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

/// The axes that are named, or else all but so many first ones.
pub(super) fn named(given: &[i64], first: usize, rank: usize) -> Result<Vec<usize>> {
    match given.is_empty() {
        true => Ok((first..rank).collect()),
        false => axes(given, rank),
    }
}

/// The whole numbers of a tensor, row by row.
pub(super) fn whole(tensor: &Tensor) -> Result<Vec<i64>> {
    Ok(tensor.flatten_all()?.to_dtype(DType::I64)?.to_vec1()?)
}

/// What stands at these places of an axis.
pub(super) fn taken(x: &Tensor, axis: usize, places: &[u32]) -> Result<Tensor> {
    let places = Tensor::from_slice(places, places.len(), x.device())?;
    Ok(x.contiguous()?.index_select(&places, axis)?)
}

/// The transposed map of [`taken`]: what stands at place k of the axis is added to place `places[k]` of an axis of this length.
pub(super) fn put_back(y: &Tensor, axis: usize, places: &[u32], length: usize) -> Result<Tensor> {
    let mut dims = y.dims().to_vec();
    dims[axis] = length;
    let places = Tensor::from_slice(places, places.len(), y.device())?;
    let zeros = Tensor::zeros(dims, y.dtype(), y.device())?;
    Ok(zeros.index_add(&places, &y.contiguous()?, axis)?)
}

/// The transposed map of repeating values along axes that are 1, or not there: what was repeated is added up.
pub fn gathered(y: &Tensor, shape: &Shape) -> Result<Tensor> {
    let mut y = y.clone();
    while y.rank() > shape.rank() {
        y = y.sum(0)?;
    }
    for (axis, length) in shape.dims().iter().enumerate() {
        if *length == 1 && y.dim(axis)? != 1 {
            y = y.sum_keepdim(axis)?;
        }
    }
    Ok(y)
}

/// So many values are made at most where numbers say how many: a file of a few bytes could else ask for any memory.
const LARGEST: usize = 1 << 28;

/// Fails if a shape has too many values.
pub(super) fn check_size(dims: &[usize]) -> Result<()> {
    // Of a shape without values, the others are multiplied too.
    let lengths = dims.iter().map(|n| (*n).max(1));
    let values = lengths.into_iter().try_fold(1usize, usize::checked_mul);
    match values.is_some_and(|values| values <= LARGEST) {
        true => Ok(()),
        false => problem(format!("{dims:?} are more than {LARGEST} values")),
    }
}

/// The shape to which two are repeated.
pub(super) fn common(a: &[usize], b: &[usize]) -> Result<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |dims: &[usize], axis: usize| match (axis + dims.len()).checked_sub(rank) {
        Some(axis) => dims[axis],
        None => 1,
    };
    (0..rank)
        .map(|axis| match (at(a, axis), at(b, axis)) {
            (1, n) | (n, 1) => Ok(n),
            (n, m) if n == m => Ok(n),
            _ => problem(format!("shapes {a:?} and {b:?} do not go together")),
        })
        .collect()
}

/// Several values, each repeated to the shape of all.
pub(super) fn together(inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    let mut dims = inputs.first().map_or(Vec::new(), |x| x.dims().to_vec());
    for input in inputs.iter().skip(1) {
        dims = common(&dims, input.dims())?;
    }
    inputs
        .iter()
        .map(|x| match x.dims() == dims {
            true => Ok((*x).clone()),
            false => Ok(x.broadcast_as(dims.as_slice())?.contiguous()?),
        })
        .collect()
}

/// One value everywhere, of the number type of another tensor, beside it.
pub(super) fn constant(value: f64, shape: impl Into<Shape>, like: &Tensor) -> Result<Tensor> {
    let zeros = Tensor::zeros(shape, like.dtype(), like.device())?;
    Ok(zeros.affine(0.0, value)?)
}
