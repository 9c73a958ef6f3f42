//! How a product meets the output that it is written to.

/// What becomes of the values that the output has already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    /// They are not read: `C = A · B`.
    Overwrite,
    /// `C = C + A · B`.
    Add,
}
