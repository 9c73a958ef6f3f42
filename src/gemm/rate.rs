//! How fast this machine's microkernel is.

use std::hint::black_box;
use std::time::{Duration, Instant};

use ndarray::Array2;

use super::{Kernel, Operands, Store};
use crate::element::Element;

/// Bytes of the left operand: it, the right operand and the sums stay in any L1.
const LEFT_BYTES: usize = 16 << 10;

/// Multiply-adds between two looks at the clock: some 20 µs with vectors, so that a look costs nothing.
const REPETITION: usize = 1 << 20;

/// Repetitions, of which the best counts, since whatever else the machine does makes the others longer.
const REPETITIONS: usize = 10;

/// Where there is no clock to measure with, a rate of 10 multiply-adds a nanosecond.
const WITHOUT_CLOCK: f64 = 1e10;

impl<T: Element> Kernel<T> {
    /// Multiply-adds a second of one thread on data in the L1, measured once a process, in about 200 µs.
    pub fn rate(&self) -> f64 {
        *self.rate.get_or_init(|| {
            let has_clock = cfg!(not(all(target_family = "wasm", target_os = "unknown")));
            if has_clock { measure(self) } else { WITHOUT_CLOCK }
        })
    }
}

fn measure<T: Element>(kernel: &Kernel<T>) -> f64 {
    let (lanes, columns) = (kernel.lanes(), kernel.columns());
    let k = LEFT_BYTES / size_of::<T>() / lanes;
    // No zeros, with which some processors are faster, and no numbers that grow or vanish.
    let values = |n: usize| (0..n).map(|i| T::from_f64((i * 7919 % 1009) as f64 / 1009.0 - 0.5)).collect::<Vec<T>>();
    let (left, right) = (values(k * lanes), values(k * columns));
    let operands = Operands { k, left: &left, left_step: lanes, right: &right, right_step: columns, right_column: 1 };
    let mut sums = Array2::from_elem((columns, lanes), T::zero());
    let calls = REPETITION.div_ceil(k * lanes * columns);
    let mut repetition = || {
        let start = Instant::now();
        for _ in 0..calls {
            kernel.run(operands, Store::Overwrite, black_box(sums.view_mut()));
        }
        start.elapsed()
    };
    let best = (0..REPETITIONS).map(|_| repetition()).min().unwrap_or_default();
    // A clock too coarse to see a repetition must not give a rate without end.
    (calls * k * lanes * columns) as f64 / best.max(Duration::from_nanos(1)).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_measured_once_and_is_one_that_a_machine_can_have() {
        let rates = [Kernel::<f32>::best().rate(), Kernel::<f64>::best().rate()];
        // A slow interpreter does more than 1e5 a second, and no core does 1e13.
        assert!(rates.iter().all(|rate| (1e5..1e13).contains(rate)), "{rates:?}");
        assert_eq!(rates, [Kernel::<f32>::best().rate(), Kernel::<f64>::best().rate()]);
    }
}
