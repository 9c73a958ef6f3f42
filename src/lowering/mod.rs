//! From convolution to dense products: one file an algorithm, and here the only choice between them.
//!
//! Three passes serve all operations: forward, input gradient (which a transposed convolution is, too)
//! and weight gradient. Arrays come as `[N, C, D, H, W]` views of any strides; outputs with their
//! windows merged into one axis.

mod direct;
mod epilogue;
mod fused;
mod im2col;
mod panel;
mod patches;
mod pieces;
mod pointwise;
mod runs;
mod scratch;
mod slab;
mod tiled;

pub use epilogue::Activation;
pub(crate) use epilogue::Epilogue;
pub(crate) use patches::{PatchSink, PatchSource};
pub(crate) use pieces::{blocks, entries};

use ndarray::{
    ArrayView2, ArrayView3, ArrayView4, ArrayView5, ArrayViewMut2, ArrayViewMut3, ArrayViewMut5, Axis, CowArray, Ix2, s,
};

use crate::element::Element;
use crate::gemm::Dense;
use crate::geometry::ConvGeometry;
use crate::parallel;
use tiled::Tile;

/// How a convolution is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Algorithm {
    /// The plan chooses, and [`explain`](crate::ConvPlan::explain) says why.
    #[default]
    Auto,
    /// Nested loops: tiny problems, and kernels that see few channels.
    Direct,
    /// The textbook: the whole patch matrix of each image, and one dense product with it.
    Im2col,
    /// The patch matrix by tiles that fit [`workspace_bytes`](crate::ConvOptions::workspace_bytes).
    Im2colTiled,
    /// 1×1 kernels without stride or padding: the input is the patch matrix, nothing is copied.
    Pointwise,
    /// The patch matrix is never stored: packing for the microkernel reads it from the image.
    Fused,
}

impl Algorithm {
    /// Every algorithm, `Auto` first.
    pub const ALL: [Self; 6] =
        [Self::Auto, Self::Direct, Self::Im2col, Self::Im2colTiled, Self::Pointwise, Self::Fused];

    /// Its name in lower case, words joined by hyphens.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Direct => "direct",
            Self::Im2col => "im2col",
            Self::Im2colTiled => "im2col-tiled",
            Self::Pointwise => "pointwise",
            Self::Fused => "fused",
        }
    }
}

impl std::fmt::Display for Algorithm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

impl std::str::FromStr for Algorithm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == text)
            .ok_or_else(|| format!("'{text}' is no algorithm; {}", Self::ALL.map(Self::name).join(", ")))
    }
}

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
    /// What the fused algorithm computes: the same geometry, or its adjoint for an input gradient.
    fused: Option<(ConvGeometry, fused::Layout)>,
}

/// The weights of a job as its algorithm reads them.
#[derive(Debug, Clone)]
pub(crate) enum Weights<'a, T: Element> {
    /// One kernel a row.
    Rows(CowArray<'a, T, Ix2>),
    /// Packed for the microkernel.
    Packed(Vec<T>),
}

impl<T: Element> Weights<'_, T> {
    pub fn len(&self) -> usize {
        match self {
            Self::Rows(rows) => rows.len(),
            Self::Packed(packed) => packed.len(),
        }
    }

    pub fn into_owned(self) -> Weights<'static, T> {
        match self {
            Self::Rows(rows) => Weights::Rows(rows.into_owned().into()),
            Self::Packed(packed) => Weights::Packed(packed),
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
        let fused = (algorithm == Algorithm::Fused).then(|| {
            let geometry = fused_geometry(&geometry, pass).expect("chosen only where there is one");
            let layout = fused::Layout::new(&geometry, fused::vector::<T>(), workspace_bytes);
            (geometry, layout)
        });
        Self { geometry, pass, algorithm, dense, workspace_bytes, fused }
    }

    /// The weights `[OC, C/g · taps]` as this job reads them.
    pub fn weights<'a, T: Element>(&self, kernels: CowArray<'a, T, Ix2>) -> Weights<'a, T> {
        match &self.fused {
            None => Weights::Rows(kernels),
            Some((geometry, layout)) if self.pass == Pass::InputGrad => {
                let kernels = fused::adjoint_kernels(kernels.view(), &self.geometry);
                Weights::Packed(fused::pack_weights(kernels.view(), geometry.groups, layout))
            }
            Some((geometry, layout)) => Weights::Packed(fused::pack_weights(kernels.view(), geometry.groups, layout)),
        }
    }

    /// The scratch memory for elements of `size` bytes and the threads that there are now.
    pub fn workspace(&self, size: usize) -> Workspace {
        let threads = parallel::threads();
        let g = &self.geometry;
        let (slot_len, slots) = match self.algorithm {
            Algorithm::Fused => (self.fused.as_ref().map_or(0, |(_, layout)| layout.slot_len()), threads),
            Algorithm::Pointwise => (0, 0),
            Algorithm::Direct => (direct::slot_len(g), threads),
            Algorithm::Im2col if self.pass == Pass::Forward && !im2col::by_image(self) => (im2col::tile(self).len(), 1),
            _ => (self.tile(size).len(), threads),
        };
        // No more lanes than the address space has room for.
        let most = (isize::MAX as usize / size).checked_div(slot_len).unwrap_or(slots);
        Workspace { slot_len, slots: slots.min(most) }
    }

    fn tile(&self, size: usize) -> Tile {
        match (self.algorithm, self.pass) {
            (Algorithm::Im2col, Pass::Forward) => im2col::tile(self),
            // The gradients of im2col are the tiled ones without a bound on the tile.
            (Algorithm::Im2col, _) => tiled::tile(self, size, usize::MAX),
            _ => tiled::tile(self, size, self.workspace_bytes.min(tiled::CACHED_BYTES)),
        }
    }
}

/// The convolution that the fused algorithm runs for a pass, if there is one.
pub(crate) fn fused_geometry(geometry: &ConvGeometry, pass: Pass) -> Option<ConvGeometry> {
    match pass {
        Pass::Forward => Some(geometry.clone()),
        Pass::InputGrad => geometry.adjoint(),
        Pass::WeightGrad => None,
    }
}

/// `output [N, OC, windows] = W · Cols(input)`, finished by the epilogue.
pub(crate) fn forward<T: Element>(
    job: &Job,
    weights: &Weights<'_, T>,
    input: ArrayView5<'_, T>,
    epilogue: Epilogue<'_, T>,
    (output, workspace): (ArrayViewMut3<'_, T>, &mut [T]),
) {
    let rows = match (weights, &job.fused) {
        (Weights::Packed(packed), Some((geometry, layout))) => {
            return fused::forward((geometry, layout), packed, input, epilogue, (output, workspace));
        }
        (Weights::Rows(rows), _) => rows.view(),
        (Weights::Packed(_), None) => unreachable!("weights are packed by the job that reads them"),
    };
    match job.algorithm {
        Algorithm::Direct => direct::forward(job, rows, input, epilogue, (output, workspace)),
        Algorithm::Im2col => im2col::forward(job, rows, input, epilogue, (output, workspace)),
        Algorithm::Pointwise => with_merged(input, |input| pointwise::forward(job, rows, input, epilogue, output)),
        Algorithm::Im2colTiled | Algorithm::Auto | Algorithm::Fused => {
            tiled::forward(job, job.tile(size_of::<T>()), rows, input, epilogue, (output, workspace));
        }
    }
}

/// `input_grad [N, C, D, H, W] = Colsᵀ(Wᵀ · grad_output)`, finished by the epilogue, whose bias is the
/// input's channels'.
pub(crate) fn input_grad<T: Element>(
    job: &Job,
    weights: &Weights<'_, T>,
    grad_output: ArrayView5<'_, T>,
    epilogue: Epilogue<'_, T>,
    (input_grad, workspace): (ArrayViewMut5<'_, T>, &mut [T]),
) {
    let rows = match (weights, &job.fused) {
        (Weights::Packed(packed), Some((geometry, layout))) => {
            return with_merged_mut(input_grad, |input_grad| {
                fused::forward((geometry, layout), packed, grad_output, epilogue, (input_grad, workspace));
            });
        }
        (Weights::Rows(rows), _) => rows.view(),
        (Weights::Packed(_), None) => unreachable!("weights are packed by the job that reads them"),
    };
    with_merged(grad_output, |grad| match job.algorithm {
        Algorithm::Direct => direct::input_grad(job, rows, grad, epilogue, (input_grad, workspace)),
        Algorithm::Pointwise => with_merged_mut(input_grad, |input_grad| {
            pointwise::input_grad(job, rows, grad, epilogue, input_grad);
        }),
        Algorithm::Im2col | Algorithm::Im2colTiled | Algorithm::Auto | Algorithm::Fused => {
            let tile = job.tile(size_of::<T>());
            tiled::input_grad(job, tile, rows, grad, epilogue, (input_grad, workspace));
        }
    });
}

/// `weight_grad [OC, C/g · taps] = grad_output · Cols(input)ᵀ`, summed over the batch.
pub(crate) fn weight_grad<T: Element>(
    job: &Job,
    input: ArrayView5<'_, T>,
    grad_output: ArrayView3<'_, T>,
    (weight_grad, workspace): (ArrayViewMut2<'_, T>, &mut [T]),
) {
    match job.algorithm {
        Algorithm::Direct => direct::weight_grad(job, input, grad_output, (weight_grad, workspace)),
        Algorithm::Pointwise => {
            with_merged(input, |input| pointwise::weight_grad(job, input, grad_output, weight_grad))
        }
        Algorithm::Im2col | Algorithm::Im2colTiled | Algorithm::Auto | Algorithm::Fused => {
            tiled::weight_grad(job, job.tile(size_of::<T>()), input, grad_output, (weight_grad, workspace));
        }
    }
}

/// The channels of one group of one image.
pub(crate) fn group_image<'a, T>(
    geometry: &ConvGeometry,
    input: ArrayView5<'a, T>,
    image: usize,
    group: usize,
) -> ArrayView4<'a, T> {
    let channels = geometry.group_in_channels();
    input.slice_move(s![image, group * channels..(group + 1) * channels, .., .., ..])
}

/// `count` kernels as row vectors, from `first` on.
fn group_rows<'a, T>(weight: ArrayView2<'a, T>, first: usize, count: usize) -> ArrayView2<'a, T> {
    weight.slice_move(s![first..first + count, ..])
}

/// The view with its spatial axes merged into one, `[N, C, D·H·W]`, where its strides allow it.
pub(crate) fn merged<T>(mut view: ArrayView5<'_, T>) -> Option<ArrayView3<'_, T>> {
    if view.is_empty() {
        return ArrayView3::from_shape(merged_dim(view.dim()), &[]).ok();
    }
    let is_merged = view.merge_axes(Axis(3), Axis(4)) && view.merge_axes(Axis(2), Axis(4));
    is_merged.then(|| view.index_axis_move(Axis(2), 0).index_axis_move(Axis(2), 0))
}

/// The same for a view that is written; `Err` gives it back.
pub(crate) fn merged_mut<T>(mut view: ArrayViewMut5<'_, T>) -> Result<ArrayViewMut3<'_, T>, ArrayViewMut5<'_, T>> {
    if merged(view.view()).is_none() {
        return Err(view);
    }
    if view.is_empty() {
        return ArrayViewMut3::from_shape(merged_dim(view.dim()), &mut []).map_err(|_| view);
    }
    let is_merged = view.merge_axes(Axis(3), Axis(4)) && view.merge_axes(Axis(2), Axis(4));
    debug_assert!(is_merged);
    Ok(view.index_axis_move(Axis(2), 0).index_axis_move(Axis(2), 0))
}

fn merged_dim((n, c, d, h, w): (usize, usize, usize, usize, usize)) -> [usize; 3] {
    [n, c, d * h * w]
}

/// Calls `work` with the merged view, or with that of a contiguous copy.
pub(crate) fn with_merged<T: Element, R>(view: ArrayView5<'_, T>, work: impl FnOnce(ArrayView3<'_, T>) -> R) -> R {
    match merged(view) {
        Some(view) => work(view),
        None => work(contiguous(view).view()),
    }
}

/// Calls `work` with the merged view, or with a contiguous array that is then assigned to the view.
pub(crate) fn with_merged_mut<T: Element>(view: ArrayViewMut5<'_, T>, work: impl FnOnce(ArrayViewMut3<'_, T>)) {
    match merged_mut(view) {
        Ok(view) => work(view),
        Err(mut view) => {
            let mut copy = ndarray::Array5::zeros(view.dim());
            if let Ok(merged) = merged_mut(copy.view_mut()) {
                work(merged);
            }
            view.assign(&copy);
        }
    }
}

fn contiguous<T: Element>(view: ArrayView5<'_, T>) -> ndarray::Array3<T> {
    let (n, c, d, h, w) = view.dim();
    ndarray::Array3::from_shape_vec((n, c, d * h * w), view.iter().copied().collect())
        .expect("as many elements as the view has")
}
