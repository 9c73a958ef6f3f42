//! The algorithms that pack for the microkernel: what they compute for each pass, and with which layout.

use ndarray::{ArrayView2, ArrayView5, ArrayViewMut3, Axis};

use super::lanes::Vector;
use super::spread::Spread;
use super::weights::PackedWeights;
use super::winograd::{self, Polyphase, Scheme, Tile};
use super::{Algorithm, Epilogue, Pass, depthwise, fused, strassen};
use crate::element::Element;
use crate::geometry::{ConvGeometry, Phase};
use crate::parallel;

/// A forward convolution on the microkernel. An input gradient is one, too: that of the adjoint geometry.
#[derive(Debug, Clone)]
pub(crate) struct Packed {
    /// With as many images as are computed at a time: all, unless they are spread.
    geometry: ConvGeometry,
    layout: Layout,
    /// Where the outputs belong, if they are not all of an input gradient.
    spread: Option<Spread>,
}

#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "there is one a plan")]
enum Layout {
    Fused(fused::Layout),
    Strassen(strassen::Layout),
    Depthwise(depthwise::Layout),
    /// The same along rows.
    Rows(depthwise::Rows),
    /// The same with channels on the vector lanes, and input gradients of any stride.
    Channels(depthwise::Channels),
    Winograd(winograd::Layout),
    /// An input gradient of any stride.
    Phases(fused::Phases),
}

impl Packed {
    /// `None` if `algorithm` is none of these, or cannot compute the pass.
    pub fn new<T: Element>(
        geometry: &ConvGeometry,
        pass: Pass,
        algorithm: Algorithm,
        workspace_bytes: usize,
    ) -> Option<Self> {
        let vector = Vector::of::<T>();
        if let Some(scheme) = algorithm.scheme() {
            let Tiled { geometry, tile, phases } = Tiled::of(geometry, pass, scheme)?;
            let layout = winograd::Layout::new(&geometry, tile, vector, workspace_bytes).by_phases(phases);
            return Some(Self { geometry, layout: Layout::Winograd(layout), spread: None });
        }
        let Some(packed) = packed_geometry(geometry, pass, algorithm) else {
            let layout = match (pass, algorithm) {
                (Pass::InputGrad, Algorithm::Fused) => {
                    Layout::Phases(fused::Phases::new(geometry, vector, workspace_bytes)?)
                }
                (Pass::InputGrad, Algorithm::Depthwise) => {
                    Layout::Channels(depthwise::Channels::input_grad(geometry, vector.size, workspace_bytes)?)
                }
                _ => return None,
            };
            return Some(Self { geometry: geometry.clone(), layout, spread: None });
        };
        let only = (pass == Pass::InputGrad).then(|| geometry.only_phase()).flatten();
        let spread = only.and_then(|only| Spread::new(geometry, &only));
        // A few images at a time are computed and spread.
        let batch = if spread.is_some() { packed.batch.min(parallel::threads()).max(1) } else { packed.batch };
        let geometry = ConvGeometry { batch, ..packed };
        let layout = match algorithm {
            Algorithm::Depthwise => {
                if let Some(rows) = depthwise::Rows::new(&geometry, vector.size, workspace_bytes) {
                    Layout::Rows(rows)
                } else if let Some(channels) = depthwise::Channels::forward(&geometry, vector.size, workspace_bytes) {
                    Layout::Channels(channels)
                } else {
                    Layout::Depthwise(depthwise::Layout::new(&geometry, vector.size, workspace_bytes))
                }
            }
            Algorithm::Strassen => Layout::Strassen(strassen::Layout::new(&geometry, vector, workspace_bytes)),
            _ => Layout::Fused(fused::Layout::new(&geometry, vector, workspace_bytes)),
        };
        Some(Self { geometry, layout, spread })
    }

    /// Elements of scratch memory a lane.
    pub fn slot_len(&self) -> usize {
        self.layout_len().max(self.spread.as_ref().map_or(0, Spread::slot_len))
    }

    fn layout_len(&self) -> usize {
        match &self.layout {
            Layout::Fused(layout) => layout.slot_len(),
            Layout::Strassen(layout) => layout.slot_len(),
            Layout::Depthwise(layout) => layout.slot_len(),
            Layout::Rows(rows) => rows.slot_len(),
            Layout::Channels(channels) => channels.slot_len(),
            Layout::Winograd(layout) => layout.slot_len(),
            Layout::Phases(phases) => phases.slot_len(),
        }
    }

    /// Packs the kernels `[OC, C/g · taps]` of a job over `geometry`.
    pub fn weights<T: Element>(
        &self,
        kernels: ArrayView2<'_, T>,
        geometry: &ConvGeometry,
        pass: Pass,
    ) -> PackedWeights<T> {
        let are_finite = kernels.iter().all(|weight| weight.is_finite());
        let adjoint = (pass == Pass::InputGrad)
            .then(|| self.adjoint(geometry))
            .flatten()
            .map(|phase| fused::phase_kernels(kernels, geometry, &phase));
        let kernels = adjoint.as_ref().map_or(kernels, |adjoint| adjoint.view());
        let phased = match &self.layout {
            Layout::Winograd(layout) => layout.phases.as_ref().map(|phases| phases.kernels(kernels)),
            _ => None,
        };
        let kernels = phased.as_ref().map_or(kernels, |phased| phased.view());
        let values = match &self.layout {
            Layout::Fused(layout) => fused::pack_weights(kernels, geometry.groups, layout),
            Layout::Strassen(layout) => strassen::pack_weights(kernels, geometry.groups, layout),
            Layout::Depthwise(_) | Layout::Rows(_) => depthwise::pack_weights(kernels),
            Layout::Channels(channels) => channels.pack_weights(kernels, geometry),
            Layout::Winograd(layout) => winograd::pack_weights(kernels, geometry.groups, layout),
            Layout::Phases(phases) => phases.pack_weights(kernels, geometry),
        };
        PackedWeights { values, are_finite }
    }

    /// What computes all of the input gradient of `geometry` at once.
    fn adjoint(&self, geometry: &ConvGeometry) -> Option<Phase> {
        match self.layout {
            Layout::Winograd(_) => geometry.adjoint().or_else(|| geometry.doubled()),
            Layout::Strassen(_) => geometry.only_phase().map(|only| only.phase),
            _ => geometry.adjoint(),
        }
    }

    /// `output [N, OC, windows] = W · Cols(input)`, finished by the epilogue.
    pub fn run<T: Element>(
        &self,
        weights: &PackedWeights<T>,
        input: ArrayView5<'_, T>,
        epilogue: Epilogue<'_, T>,
        (mut output, workspace): (ArrayViewMut3<'_, T>, &mut [T]),
    ) {
        let Some(spread) = &self.spread else { return self.compute(weights, input, epilogue, (output, workspace)) };
        let images = self.geometry.batch;
        let inputs = input.axis_chunks_iter(Axis(0), images);
        for (input, mut output) in inputs.zip(output.axis_chunks_iter_mut(Axis(0), images)) {
            self.compute(weights, input, Epilogue::NONE, (spread.narrow(output.view_mut()), &mut *workspace));
            spread.run(epilogue, (output, &mut *workspace), self.slot_len());
        }
    }

    /// The outputs of this convolution.
    fn compute<T: Element>(
        &self,
        weights: &PackedWeights<T>,
        input: ArrayView5<'_, T>,
        epilogue: Epilogue<'_, T>,
        target: (ArrayViewMut3<'_, T>, &mut [T]),
    ) {
        let (geometry, values) = (&self.geometry, &weights.values);
        match &self.layout {
            Layout::Fused(layout) => fused::forward((geometry, layout), weights, input, epilogue, target),
            Layout::Strassen(layout) => strassen::forward((geometry, layout), values, input, epilogue, target),
            Layout::Depthwise(layout) => depthwise::forward((geometry, layout), values, input, epilogue, target),
            Layout::Rows(rows) => rows.run(values, input, epilogue, target),
            Layout::Channels(channels) => channels.run(values, input, epilogue, target),
            Layout::Winograd(layout) => winograd::forward((geometry, layout), values, input, epilogue, target),
            Layout::Phases(phases) => phases.run(weights, input, (epilogue, geometry.groups), target),
        }
    }
}

/// The convolution, or the arrays of one, that Winograd's tiles compute for a pass, those tiles, and what its channels are phases of.
#[derive(Debug, Clone)]
pub(crate) struct Tiled {
    pub geometry: ConvGeometry,
    pub tile: Tile,
    pub phases: Option<Polyphase>,
}

impl Tiled {
    /// `None` if there are no such tiles for it.
    pub fn of(geometry: &ConvGeometry, pass: Pass, scheme: Scheme) -> Option<Self> {
        let doubled = |phase: Phase| Self { geometry: phase.geometry, tile: Tile::doubling(scheme), phases: None };
        match pass {
            Pass::Forward => Self::forward(geometry.clone(), scheme),
            Pass::InputGrad => match geometry.adjoint() {
                Some(phase) => Self::forward(phase.geometry, scheme),
                None => geometry.doubled().map(doubled),
            },
            Pass::WeightGrad => None,
        }
    }

    /// The same for a convolution.
    pub fn forward(geometry: ConvGeometry, scheme: Scheme) -> Option<Self> {
        if let Some(tile) = Tile::of(&geometry, scheme) {
            return Some(Self { geometry, tile, phases: None });
        }
        let (phases, geometry) = Polyphase::of(&geometry)?;
        let tile = Tile::of(&geometry, scheme)?;
        Some(Self { geometry, tile, phases: Some(phases) })
    }
}

/// The convolution that `algorithm` runs for a pass, if it packs for the microkernel and there is one.
pub(crate) fn packed_geometry(geometry: &ConvGeometry, pass: Pass, algorithm: Algorithm) -> Option<ConvGeometry> {
    let geometry = match pass {
        Pass::Forward => Some(geometry.clone()),
        Pass::InputGrad if algorithm == Algorithm::Strassen => geometry.only_phase().map(|only| only.phase.geometry),
        Pass::InputGrad => geometry.adjoint().map(|phase| phase.geometry),
        Pass::WeightGrad => None,
    };
    geometry.filter(|geometry| match algorithm {
        Algorithm::Fused => true,
        Algorithm::Strassen => strassen::applies(geometry),
        Algorithm::Depthwise => depthwise::applies(geometry),
        _ => algorithm.scheme().is_some_and(|scheme| Tiled::forward(geometry.clone(), scheme).is_some()),
    })
}
