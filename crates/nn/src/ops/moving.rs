//! What ops that move values have in common.

use candle_core::Tensor;

use crate::{Claims, Map, Result};

/// An op that gives values of its first input at other places. What else it reads says where, and takes no relevance.
pub(super) trait Moving {
    /// What is given.
    fn moved(&self, inputs: &[&Tensor]) -> Result<Tensor>;

    /// How relevance goes back.
    fn map(&self) -> Map<'_>;

    /// What can be proved of what is given.
    fn keeps(&self) -> Claims {
        Claims::KEEPS_NON_NEGATIVE
    }
}

/// The op of each that is [`Moving`], with its name and how much it reads.
macro_rules! moving {
    ($($op:ident $name:literal $arity:expr;)*) => {$(
        impl $crate::Op for $op {
            fn name(&self) -> &str {
                $name
            }

            fn kind(&self) -> $crate::Kind {
                $crate::Kind::Reshape
            }

            fn arity(&self) -> std::ops::RangeInclusive<usize> {
                $arity
            }

            fn forward(
                &self,
                _: &$crate::Params,
                inputs: &[&candle_core::Tensor],
                _: &mut $crate::Mode,
            ) -> $crate::Result<candle_core::Tensor> {
                $crate::ops::moving::Moving::moved(self, inputs)
            }

            fn branches(&self, _: usize) -> Vec<$crate::Branch<'_>> {
                $crate::Branch::only($crate::ops::moving::Moving::map(self))
            }

            fn keeps_batch(&self) -> bool {
                false
            }

            fn claims(&self) -> $crate::Claims {
                $crate::ops::moving::Moving::keeps(self)
            }
        }
    )*};
}

pub(super) use moving;
