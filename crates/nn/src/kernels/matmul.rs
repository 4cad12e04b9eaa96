//! Products of matrices, pair by pair: attention's.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use pulp::Arch as Isa;

use super::{cpu, panel};

/// `[…, a, b]` and `[…, b, c]` to `[…, a, c]`, both contiguous and alike before the last two axes; differentiable by both.
///
/// # Errors
/// If they are not alike.
pub(crate) fn forward(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let is_some = a.elem_count() > 0 && b.elem_count() > 0;
    match is_some && cpu::are_single(&[a, b]) {
        true => a.apply_op2_no_bwd(b, &Products),
        false => a.matmul(b),
    }
}

struct Products;

impl CustomOp2 for Products {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn cpu_fwd(
        &self,
        a: &CpuStorage,
        a_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (of_a, of_b) = (a_layout.dims(), b_layout.dims());
        let ([before_a @ .., rows, depth], [before_b @ .., depth_of_b, columns]) = (of_a, of_b)
        else {
            candle_core::bail!("{of_a:?} and {of_b:?} are no matrices");
        };
        if before_a != before_b || depth != depth_of_b {
            candle_core::bail!("{of_a:?} and {of_b:?} do not multiply");
        }
        let pairs = before_a.iter().product();
        let output = panel::products(
            Isa::new(),
            cpu::slice(a, a_layout)?,
            cpu::slice(b, b_layout)?,
            [pairs, *rows, *depth, *columns],
        );
        let shape = [before_a, &[*rows, *columns]].concat();
        Ok((CpuStorage::F32(output), shape.into()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::DType;
    use proptest::prelude::*;

    use super::*;
    use crate::kernels::testing::tensor_by_lot;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        /// As candle's in f64.
        #[test]
        fn of_any_sizes(
            (pairs, rows) in (1usize..4, 1usize..30),
            (depth, columns) in (prop_oneof![1usize..40, 250usize..270], 1usize..70),
            seed: u64,
        ) {
            let (a, b) = (tensor_by_lot(&[2, pairs, rows, depth], seed), tensor_by_lot(&[2, pairs, depth, columns], !seed));
            let own = forward(&a, &b).unwrap().to_dtype(DType::F64).unwrap();
            let wide = |x: &Tensor| x.to_dtype(DType::F64).unwrap();
            let apart = (own - wide(&a).matmul(&wide(&b)).unwrap()).unwrap().abs().unwrap();
            let apart = apart.flatten_all().unwrap().max(0).unwrap().to_scalar::<f64>().unwrap();
            prop_assert!(apart < 1e-5 * (depth as f64).sqrt(), "{}", apart);
        }
    }
}
