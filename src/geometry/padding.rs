//! What stands in the border around an input.

use std::fmt;

use crate::error::{Error, Result};

/// How the cells of the padding are filled. With `abc` as the input and two cells each side:
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum PadMode {
    /// `00 abc 00`.
    #[default]
    Zeros,
    /// `cb abc ba`: the border cell is not repeated. Each side must be shorter than the axis.
    Reflect,
    /// `aa abc cc`.
    Replicate,
    /// `bc abc ab`. Each side must be no longer than the axis.
    Circular,
}

impl PadMode {
    /// Every mode, in the order of the documentation.
    pub const ALL: [Self; 4] = [Self::Zeros, Self::Reflect, Self::Replicate, Self::Circular];

    /// Its name in lower case, as in PyTorch.
    pub fn name(self) -> &'static str {
        match self {
            Self::Zeros => "zeros",
            Self::Reflect => "reflect",
            Self::Replicate => "replicate",
            Self::Circular => "circular",
        }
    }

    /// The input cell shown at `position` of an axis of `length` cells, or `None` for a zero.
    ///
    /// `position` must be within the padding that [`check`](Self::check) allows.
    pub(crate) fn source(self, position: isize, length: usize) -> Option<usize> {
        if let Ok(inside) = usize::try_from(position)
            && inside < length
        {
            return Some(inside);
        }
        let last = length as isize - 1;
        let mapped = match self {
            Self::Zeros => return None,
            Self::Replicate => position.clamp(0, last),
            Self::Reflect if position < 0 => -position,
            Self::Reflect => 2 * last - position,
            Self::Circular => position.rem_euclid(last + 1),
        };
        usize::try_from(mapped).ok()
    }

    /// Whether this mode can fill `before` and `after` cells from an axis of `length` cells.
    pub(crate) fn check(self, axis: usize, length: usize, before: usize, after: usize) -> Result<()> {
        let padding = before.max(after);
        let needed = match self {
            Self::Zeros => return Ok(()),
            Self::Reflect => padding.saturating_add(1),
            Self::Replicate => 1,
            Self::Circular => padding.max(1),
        };
        if length >= needed || padding == 0 {
            return Ok(());
        }
        Err(Error::PaddingTooWide { axis, mode: self.name(), padding, needed, length })
    }
}

impl fmt::Display for PadMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for PadMode {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|mode| mode.name() == text)
            .ok_or_else(|| format!("'{text}' is no pad mode; zeros, reflect, replicate or circular"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn border(mode: PadMode) -> String {
        (-2..5).map(|position| mode.source(position, 3).map_or('0', |cell| ['a', 'b', 'c'][cell])).collect()
    }

    #[test]
    fn the_border_is_what_the_documentation_draws() {
        assert_eq!(border(PadMode::Zeros), "00abc00");
        assert_eq!(border(PadMode::Reflect), "cbabcba");
        assert_eq!(border(PadMode::Replicate), "aaabccc");
        assert_eq!(border(PadMode::Circular), "bcabcab");
    }

    #[test]
    fn a_border_wider_than_the_mode_allows_is_refused() {
        assert!(PadMode::Reflect.check(2, 3, 2, 2).is_ok());
        assert!(PadMode::Reflect.check(2, 3, 0, 3).is_err());
        assert!(PadMode::Circular.check(2, 3, 3, 0).is_ok());
        assert!(PadMode::Circular.check(2, 3, 4, 0).is_err());
        assert!(PadMode::Replicate.check(2, 0, 1, 0).is_err());
    }
}
