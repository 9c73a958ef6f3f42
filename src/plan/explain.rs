//! What a plan will do, and what it costs.

use std::fmt;

use super::choose::Choice;
use super::predict;
use crate::element::Element;
use crate::lowering::{Algorithm, Job, Pass};

/// The algorithm of a plan, the reason for it, and its sizes. `Display` prints it for people.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// What is computed: `"forward"`, `"input gradient"` or `"weight gradient"`.
    pub pass: &'static str,
    /// The algorithm; never [`Algorithm::Auto`].
    pub algorithm: Algorithm,
    /// Why it was chosen.
    pub reason: &'static str,
    /// The library of the dense products.
    pub backend: &'static str,
    /// Dense products of the textbook method: images times groups.
    pub products: usize,
    /// Rows of the first factor of each: output channels of a group.
    pub m: usize,
    /// Depth of each: rows of the patch matrix.
    pub k: usize,
    /// Columns of the second: windows of an image.
    pub n: usize,
    /// Multiplications and additions of the direct method.
    pub flops: f64,
    /// Bytes of input, weight and output together: what has to be moved at least.
    pub tensor_bytes: f64,
    /// Bytes of the patch matrices of one image, all groups, if they were stored.
    pub patch_matrix_bytes: f64,
    /// Bytes of scratch memory of one thread.
    pub workspace_bytes_per_thread: usize,
    /// Bytes of scratch memory of all threads that the plan knows of.
    pub workspace_bytes: usize,
    /// Seconds of a run on one thread with data near at hand, about: estimated from the shapes, and from the speed
    /// of this machine's microkernel, which is measured once a process (in 0.2 ms). It has no part in the choice.
    pub predicted_seconds: f64,
}

impl Explanation {
    pub(super) fn new<T: Element>(job: &Job, choice: Choice) -> Self {
        let (g, size) = (&job.geometry, size_of::<T>());
        let workspace = job.workspace(size);
        let volume = |shape: [usize; 5]| shape.iter().map(|&n| n as f64).product::<f64>() * size as f64;
        Self {
            pass: match job.pass {
                Pass::Forward => "forward",
                Pass::InputGrad => "input gradient",
                Pass::WeightGrad => "weight gradient",
            },
            algorithm: choice.algorithm,
            reason: choice.reason,
            backend: job.dense.name(),
            products: g.batch * g.groups,
            m: g.group_out_channels(),
            k: g.patch_rows(),
            n: g.windows(),
            flops: g.flops(),
            tensor_bytes: volume(g.input_shape()) + volume(g.weight_shape()) + volume(g.output_shape()),
            patch_matrix_bytes: (g.groups * g.patch_rows()) as f64 * g.windows() as f64 * size as f64,
            workspace_bytes_per_thread: workspace.slot_len * size,
            workspace_bytes: workspace.len() * size,
            predicted_seconds: predict::seconds::<T>(g, job.pass, choice.algorithm),
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pass, algorithm, reason, backend, products, m, k, n, .. } = self;
        writeln!(f, "{pass} by {algorithm}: {reason}")?;
        writeln!(f, "as dense products: {products} of [{m} × {k}] · [{k} × {n}] ({backend})")?;
        writeln!(f, "{:.3} GFLOP, {} moved at least", self.flops / 1e9, Bytes(self.tensor_bytes))?;
        writeln!(
            f,
            "patch matrix of one image {}, workspace {} a thread",
            Bytes(self.patch_matrix_bytes),
            Bytes(self.workspace_bytes_per_thread as f64)
        )?;
        write!(f, "about {:.3} ms on one thread", self.predicted_seconds * 1e3)
    }
}

/// Bytes in the unit that a person would use.
struct Bytes(f64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Bytes(mut value) = *self;
        for unit in ["B", "KiB", "MiB"] {
            if value < 1024.0 {
                return write!(f, "{} {unit}", (value * 100.0).round() / 100.0);
            }
            value /= 1024.0;
        }
        write!(f, "{value:.2} GiB")
    }
}
