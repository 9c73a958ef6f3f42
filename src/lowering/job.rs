//! A pass over a geometry with everything chosen, and the weights and scratch memory that it needs.

use ndarray::{CowArray, Ix2};

use super::lanes::Vector;
use super::packed::Packed;
use super::tiled::{self, Tile};
use super::weights::Weights;
use super::{Algorithm, depthwise, direct, fused_grad, im2col, winograd};
use crate::element::Element;
use crate::gemm::Dense;
use crate::geometry::ConvGeometry;
use crate::parallel;

/// What is computed from what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Pass {
    /// `Y = W · Cols(X)`.
    Forward,
    /// `dX = Colsᵀ(Wᵀ · dY)`.
    InputGrad,
    /// `dW = dY · Cols(X)ᵀ`.
    WeightGrad,
}

/// A pass over a geometry with everything chosen. `algorithm` is never `Auto`.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub geometry: ConvGeometry,
    pub pass: Pass,
    pub algorithm: Algorithm,
    pub dense: Dense,
    pub workspace_bytes: usize,
    /// How the job is done on the microkernel, by the algorithms that pack for it.
    pub packed: Option<Packed>,
    /// How a weight gradient is cut, by the algorithms that have their own.
    pub grad: Option<Grad>,
}

/// The cut of a weight gradient.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "there is one a plan")]
pub(crate) enum Grad {
    Fused(fused_grad::Layout),
    Depthwise(depthwise::GradLayout),
    Winograd(winograd::GradLayout),
}

impl Grad {
    fn new<T: Element>(geometry: &ConvGeometry, algorithm: Algorithm, workspace_bytes: usize) -> Option<Self> {
        let vector = Vector::of::<T>();
        match algorithm {
            Algorithm::Fused => Some(Self::Fused(fused_grad::Layout::new(geometry, vector, workspace_bytes))),
            Algorithm::Depthwise => {
                depthwise::GradLayout::new(geometry, vector.size, workspace_bytes).map(Self::Depthwise)
            }
            _ => {
                let scheme = algorithm.scheme()?;
                winograd::GradLayout::new(geometry, scheme, vector, workspace_bytes).map(Self::Winograd)
            }
        }
    }
}

/// Scratch memory of a job, in elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Workspace {
    /// What one lane needs.
    pub slot_len: usize,
    /// Lanes that can be at work.
    pub slots: usize,
}

impl Workspace {
    pub fn len(self) -> usize {
        self.slot_len * self.slots
    }
}

impl Job {
    /// The job for elements of type `T`.
    pub fn new<T: Element>(
        geometry: ConvGeometry,
        (pass, algorithm): (Pass, Algorithm),
        dense: Dense,
        workspace_bytes: usize,
    ) -> Self {
        let packed = Packed::new::<T>(&geometry, pass, algorithm, workspace_bytes);
        let grad = match pass {
            Pass::WeightGrad => Grad::new::<T>(&geometry, algorithm, workspace_bytes),
            Pass::Forward | Pass::InputGrad => None,
        };
        Self { geometry, pass, algorithm, dense, workspace_bytes, packed, grad }
    }

    /// The weights `[OC, C/g · taps]` as this job reads them.
    pub fn weights<'a, T: Element>(&self, kernels: CowArray<'a, T, Ix2>) -> Weights<'a, T> {
        match &self.packed {
            Some(packed) => Weights::Packed(packed.weights(kernels.view(), &self.geometry, self.pass)),
            None => Weights::Rows(kernels),
        }
    }

    /// The scratch memory for elements of `size` bytes and the threads that there are now.
    pub fn workspace(&self, size: usize) -> Workspace {
        let threads = parallel::threads();
        let g = &self.geometry;
        if let Some(packed) = &self.packed {
            return Workspace { slot_len: packed.slot_len(), slots: threads };
        }
        if let Some(grad) = &self.grad {
            let slot_len = match grad {
                Grad::Fused(layout) => layout.slot_len(),
                Grad::Depthwise(layout) => layout.slot_len(g),
                Grad::Winograd(layout) => layout.slot_len(),
            };
            return Workspace { slot_len, slots: threads };
        }
        let (slot_len, slots) = match self.algorithm {
            Algorithm::Pointwise => (0, 0),
            Algorithm::Direct => (direct::slot_len(g), threads),
            Algorithm::Im2col if self.pass == Pass::Forward && !im2col::by_image(self) => (im2col::tile(self).len(), 1),
            _ => (self.tile(size).len(), threads),
        };
        // No more lanes than the address space has room for.
        let most = (isize::MAX as usize / size).checked_div(slot_len).unwrap_or(slots);
        Workspace { slot_len, slots: slots.min(most) }
    }

    pub(super) fn tile(&self, size: usize) -> Tile {
        match (self.algorithm, self.pass) {
            (Algorithm::Im2col, Pass::Forward) => im2col::tile(self),
            // The gradients of im2col are the tiled ones without a bound on the tile.
            (Algorithm::Im2col, _) => tiled::tile(self, size, usize::MAX),
            _ => tiled::tile(self, size, self.workspace_bytes.min(tiled::CACHED_BYTES)),
        }
    }
}
