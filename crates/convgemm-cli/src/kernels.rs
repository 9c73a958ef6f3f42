//! The kernels that have names, and kernels from files and from the command line.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use ndarray::{Array2, Ix2, arr2};

use crate::npy::AnyArray;

/// A kernel and what the user called it.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// As the user wrote it.
    pub name: String,
    /// Its cells, at least one.
    pub cells: Array2<f64>,
}

/// A kernel with a name, or a family of them with a parameter.
pub struct Named {
    /// What the user writes before the colon.
    pub name: &'static str,
    /// The parameter's letter, if it has one.
    pub parameter: Option<&'static str>,
    /// What it does.
    pub about: &'static str,
    /// An example of its parameter, for lists.
    pub example: &'static str,
    make: fn(&str) -> Result<Array2<f64>>,
}

impl Named {
    const fn fixed(name: &'static str, about: &'static str, make: fn(&str) -> Result<Array2<f64>>) -> Self {
        Self { name, parameter: None, about, example: "", make }
    }

    /// How it is written: `gaussian:σ`.
    pub fn usage(&self) -> String {
        self.parameter.map_or_else(|| self.name.to_owned(), |letter| format!("{}:{letter}", self.name))
    }

    /// A kernel of this name that can be shown: `gaussian:1`.
    pub fn sample(&self) -> Kernel {
        let name =
            if self.example.is_empty() { self.name.to_owned() } else { format!("{}:{}", self.name, self.example) };
        let cells = (self.make)(self.example).expect("the example of a named kernel is valid");
        Kernel { name, cells }
    }
}

/// Every name. Positive x is to the right and positive y down; numbers are those of cross-correlation.
pub const NAMED: &[Named] = &[
    Named::fixed("edge", "difference of a cell and its right neighbour", |_| Ok(arr2(&[[1.0, -1.0]]))),
    Named::fixed("sobel-x", "horizontal derivative, smoothed", |_| Ok(derivative([1.0, 2.0, 1.0]))),
    Named::fixed("sobel-y", "vertical derivative, smoothed", |_| Ok(derivative([1.0, 2.0, 1.0]).reversed_axes())),
    Named::fixed("scharr-x", "horizontal derivative, nearly the same in every direction", |_| {
        Ok(derivative([3.0, 10.0, 3.0]))
    }),
    Named::fixed("scharr-y", "vertical derivative, nearly the same in every direction", |_| {
        Ok(derivative([3.0, 10.0, 3.0]).reversed_axes())
    }),
    Named::fixed("prewitt-x", "horizontal derivative, mean of three rows", |_| Ok(derivative([1.0; 3]))),
    Named::fixed("prewitt-y", "vertical derivative, mean of three columns", |_| {
        Ok(derivative([1.0; 3]).reversed_axes())
    }),
    Named::fixed("laplacian", "sum of both second derivatives", |_| {
        Ok(arr2(&[[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]]))
    }),
    Named {
        name: "gaussian",
        parameter: Some("σ"),
        about: "blur of standard deviation σ cells, cut off at 3σ, sum 1",
        example: "1",
        make: gaussian,
    },
    Named { name: "box", parameter: Some("n"), about: "mean over n × n cells", example: "3", make: mean },
    Named::fixed("sharpen", "the picture less its laplacian", |_| {
        Ok(arr2(&[[0.0, -1.0, 0.0], [-1.0, 5.0, -1.0], [0.0, -1.0, 0.0]]))
    }),
    Named::fixed("emboss", "relief lit from the upper left", |_| {
        Ok(arr2(&[[-2.0, -1.0, 0.0], [-1.0, 1.0, 1.0], [0.0, 1.0, 2.0]]))
    }),
    Named::fixed("identity", "the picture itself", |_| Ok(arr2(&[[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]))),
];

/// The longest side of a kernel made from a parameter: 1001² products a pixel are slow enough.
const LONGEST: usize = 1001;

fn derivative(smooth: [f64; 3]) -> Array2<f64> {
    Array2::from_shape_fn((3, 3), |(y, x)| smooth[y] * [-1.0, 0.0, 1.0][x])
}

fn gaussian(sigma: &str) -> Result<Array2<f64>> {
    let sigma: f64 = sigma.parse().map_err(|_| anyhow!("σ is '{sigma}', not a number"))?;
    let largest = LONGEST as f64 / 6.0;
    ensure!(sigma > 0.0 && sigma <= largest, "σ is {sigma}; more than 0 and at most {largest:.0} is possible");
    let radius = (3.0 * sigma).ceil() as i32;
    let bell: Vec<f64> = (-radius..=radius).map(|x| (-0.5 * (f64::from(x) / sigma).powi(2)).exp()).collect();
    let sum: f64 = bell.iter().sum();
    Ok(Array2::from_shape_fn((bell.len(), bell.len()), |(y, x)| bell[y] * bell[x] / (sum * sum)))
}

fn mean(side: &str) -> Result<Array2<f64>> {
    let side: usize = side.parse().map_err(|_| anyhow!("n is '{side}', not a whole number"))?;
    ensure!((1..=LONGEST).contains(&side), "n is {side}; 1 to {LONGEST} is possible");
    Ok(Array2::from_elem((side, side), 1.0 / (side * side) as f64))
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
        } else if Path::new(text).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npy")) {
            from_file(Path::new(text))
        } else {
            from_name(text)
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

fn from_name(text: &str) -> Result<Array2<f64>> {
    let (name, parameter) = text.split_once(':').map_or((text, None), |(name, rest)| (name, Some(rest)));
    let Some(named) = NAMED.iter().find(|named| named.name == name) else {
        let names: Vec<String> = NAMED.iter().map(Named::usage).collect();
        bail!("no such name; there are {}", names.join(", "));
    };
    match (named.parameter, parameter) {
        (Some(_), Some(value)) => (named.make)(value),
        (Some(letter), None) => bail!("it needs its {letter}, as in {name}:{}", named.example),
        (None, Some(_)) => bail!("{name} takes no parameter"),
        (None, None) => (named.make)(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(text: &str) -> Array2<f64> {
        Kernel::parse(text).unwrap().cells
    }

    #[test]
    fn every_name_gives_a_kernel_and_blurs_sum_to_one() {
        for named in NAMED {
            let sample = named.sample();
            assert_eq!(cells(&sample.name), sample.cells, "{}", sample.name);
        }
        for blur in ["gaussian:0.3", "gaussian:2.5", "box:1", "box:4", "identity", "sharpen"] {
            assert!((cells(blur).sum() - 1.0).abs() < 1e-12, "{blur}");
        }
        for derivative in ["edge", "sobel-x", "sobel-y", "scharr-x", "scharr-y", "prewitt-x", "prewitt-y", "laplacian"]
        {
            assert_eq!(cells(derivative).sum(), 0.0, "{derivative}");
        }
    }

    #[test]
    fn derivatives_have_their_textbook_numbers() {
        assert_eq!(cells("sobel-x"), arr2(&[[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]));
        assert_eq!(cells("scharr-y"), arr2(&[[-3.0, -10.0, -3.0], [0.0, 0.0, 0.0], [3.0, 10.0, 3.0]]));
        assert_eq!(cells("edge"), cells("[[1,-1]]"));
    }

    #[test]
    fn a_gaussian_reaches_three_deviations_and_is_symmetric() {
        let kernel = cells("gaussian:1.5");
        assert_eq!(kernel.dim(), (11, 11));
        assert_eq!(kernel, kernel.t());
        assert!((kernel[[5, 6]] / kernel[[5, 5]] - (-0.5_f64 / 2.25).exp()).abs() < 1e-12);
    }

    #[test]
    fn what_is_no_kernel_is_refused_with_the_reason() {
        for (text, reason) in [
            ("sobel", "no such name"),
            ("gaussian", "it needs its σ"),
            ("gaussian:-1", "more than 0"),
            ("gaussian:nan", "more than 0"),
            ("gaussian:1e9", "at most 167"),
            ("gaussian:wide", "not a number"),
            ("box:0", "1 to 1001"),
            ("box:2.5", "not a whole number"),
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
