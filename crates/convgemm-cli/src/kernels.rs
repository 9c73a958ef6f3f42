//! Kernels from the command line: by name, as rows of numbers, from files.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use convgemm::stencil;
use ndarray::{Array2, Ix2};

use crate::npy::{AnyArray, is_array};

/// A kernel and what the user called it.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// As the user wrote it.
    pub name: String,
    /// Its cells, at least one.
    pub cells: Array2<f64>,
}

impl Kernel {
    /// A kernel from a name (`sobel-x`, `gaussian:2`), rows of numbers (`[[1,-1]]`) or a NumPy file.
    ///
    /// # Errors
    /// A name that is none, rows of different lengths, a file that cannot be read, cells that are not
    /// finite.
    pub fn parse(text: &str) -> Result<Self> {
        let cells = if text.trim_start().starts_with('[') {
            from_rows(text)
        } else if is_array(Path::new(text)) {
            from_file(Path::new(text))
        } else {
            stencil::named(text).map_err(Into::into)
        };
        let cells = cells.and_then(checked).with_context(|| format!("kernel {text}"))?;
        Ok(Self { name: text.to_owned(), cells })
    }
}

fn checked(cells: Array2<f64>) -> Result<Array2<f64>> {
    ensure!(!cells.is_empty(), "it has no cells");
    // Pictures are filtered in single precision.
    ensure!(cells.iter().all(|&cell| (cell as f32).is_finite()), "a cell is not a finite number of single precision");
    Ok(cells)
}

fn from_rows(text: &str) -> Result<Array2<f64>> {
    let rows: Vec<Vec<f64>> =
        serde_json::from_str(text).map_err(|error| anyhow!("not rows of numbers like [[1,-1]]: {error}"))?;
    let width = rows.first().map_or(0, Vec::len);
    if let Some(other) = rows.iter().find(|row| row.len() != width) {
        bail!("its rows have {width} and {} cells", other.len());
    }
    Ok(Array2::from_shape_vec((rows.len(), width), rows.concat())?)
}

fn from_file(path: &Path) -> Result<Array2<f64>> {
    let array = AnyArray::read(path)?.into_f64();
    let axes = array.ndim();
    array.into_dimensionality::<Ix2>().map_err(|_| anyhow!("it has {axes} axes, a kernel for pictures has 2"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(text: &str) -> Array2<f64> {
        Kernel::parse(text).unwrap().cells
    }

    #[test]
    fn names_give_the_kernels_of_the_library_and_rows_their_own_numbers() {
        for named in stencil::NAMED {
            assert_eq!(cells(&named.sample()), stencil::named(&named.sample()).unwrap(), "{}", named.name);
        }
        assert_eq!(cells("edge"), cells("[[1,-1]]"));
    }

    #[test]
    fn what_is_no_kernel_is_refused_with_the_reason() {
        for (text, reason) in [
            ("sobel", "no such name"),
            ("gaussian", "it needs its σ"),
            ("box:0", "1 to 1001"),
            ("edge:3", "takes no parameter"),
            ("[[1,2],[3]]", "its rows have 2 and 1 cells"),
            ("[1,2]", "not rows of numbers"),
            ("[[1,-1]", "not rows of numbers"),
            ("[]", "no cells"),
            ("[[]]", "no cells"),
            ("[[1e300]]", "not a finite number"),
            ("nowhere.npy", "nowhere.npy"),
        ] {
            let error = format!("{:#}", Kernel::parse(text).unwrap_err());
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
