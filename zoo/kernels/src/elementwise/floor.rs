//! Keeps factors away from zero.

use candle_core::Tensor;

use super::BLOCK;
use crate::Result;
use crate::cuda::on_cuda;
use crate::dispatch::dispatch;
use crate::real::Real;
use crate::storage::write;
use crate::tasks::each_chunk;

/// Raises every magnitude below `floor` to it, in place. The sign stays; a zero becomes `floor`.
pub fn floor_magnitude(x: &Tensor, floor: f64) -> Result<()> {
    const OP: &str = "elementwise::floor_magnitude";
    on_cuda!(x => crate::cuda::ops::elementwise::floor_magnitude(OP, x, floor));
    dispatch!(OP, x, T => {
        let (floor, zero) = (<T as Real>::of(floor), <T as Real>::of(0.0));
        write::<T, _>(OP, "x", x, x.elem_count(), |x| {
            each_chunk(x, BLOCK, |_, x| {
                for x in x {
                    if *x >= zero && *x < floor {
                        *x = floor;
                    } else if *x < zero && *x > -floor {
                        *x = -floor;
                    }
                }
            });
        })
    })
}
