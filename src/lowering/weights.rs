//! The weights of a pass as its algorithm reads them.

use ndarray::{CowArray, Ix2};

use crate::element::Element;

/// The weights of a job as its algorithm reads them.
#[derive(Debug, Clone)]
pub(crate) enum Weights<'a, T: Element> {
    /// One kernel a row.
    Rows(CowArray<'a, T, Ix2>),
    /// Packed for the microkernel.
    Packed(PackedWeights<T>),
}

impl<T: Element> Weights<'_, T> {
    pub fn len(&self) -> usize {
        match self {
            Self::Rows(rows) => rows.len(),
            Self::Packed(packed) => packed.values.len(),
        }
    }

    pub fn into_owned(self) -> Weights<'static, T> {
        match self {
            Self::Rows(rows) => Weights::Rows(rows.into_owned().into()),
            Self::Packed(packed) => Weights::Packed(packed),
        }
    }
}

/// Kernels as the microkernel reads them.
#[derive(Debug, Clone)]
pub(crate) struct PackedWeights<T> {
    pub values: Vec<T>,
    /// Whether all of them are finite, so that products with zeros are zeros and may be left out.
    pub are_finite: bool,
}
