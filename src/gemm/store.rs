//! How a product meets the output that it is written to.

use crate::element::Element;

/// What becomes of the values that the output has already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    /// They are not read: `C = A · B`.
    Overwrite,
    /// `C = C + A · B`.
    Add,
}

impl Store {
    /// For the part of a sum that begins with its term `start`.
    pub fn after(start: usize) -> Self {
        if start == 0 { Self::Overwrite } else { Self::Add }
    }

    #[inline(always)]
    pub fn put<T: Element>(self, to: &mut T, value: T) {
        *to = match self {
            Self::Overwrite => value,
            Self::Add => *to + value,
        };
    }
}
