//! The kernels that have names.

use ndarray::{Array2, arr2};

use crate::error::{Error, Result};

/// A kernel with a name, or a family of them with a parameter.
#[derive(Debug, Clone, Copy)]
pub struct Named {
    /// What stands before the colon.
    pub name: &'static str,
    /// The parameter's letter, if it has one.
    pub parameter: Option<&'static str>,
    /// What it does.
    pub about: &'static str,
    /// An example of its parameter, for lists; empty if it has none.
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

    /// A name that [`named`] takes: `gaussian:1`.
    pub fn sample(&self) -> String {
        if self.example.is_empty() { self.name.to_owned() } else { format!("{}:{}", self.name, self.example) }
    }
}

/// Every name.
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

/// The kernel of a name of [`NAMED`], with its parameter after a colon where it has one.
///
/// # Errors
/// [`Error::Argument`] for a name that is none, a parameter that is missing, superfluous or out of range.
///
/// ```
/// use convgemm::stencil::named;
///
/// assert_eq!(named("edge")?, ndarray::array![[1.0, -1.0]]);
/// assert_eq!(named("box:2")?, ndarray::array![[0.25, 0.25], [0.25, 0.25]]);
/// # Ok::<(), convgemm::Error>(())
/// ```
pub fn named(text: &str) -> Result<Array2<f64>> {
    let (name, parameter) = text.split_once(':').map_or((text, None), |(name, rest)| (name, Some(rest)));
    let Some(named) = NAMED.iter().find(|named| named.name == name) else {
        let names: Vec<String> = NAMED.iter().map(Named::usage).collect();
        return Err(Error::Argument(format!("no such name; there are {}", names.join(", "))));
    };
    match (named.parameter, parameter) {
        (Some(_), Some(value)) => (named.make)(value),
        (Some(letter), None) => Err(Error::Argument(format!("it needs its {letter}, as in {}", named.sample()))),
        (None, Some(_)) => Err(Error::Argument(format!("{name} takes no parameter"))),
        (None, None) => (named.make)(""),
    }
}

fn derivative(smooth: [f64; 3]) -> Array2<f64> {
    Array2::from_shape_fn((3, 3), |(y, x)| smooth[y] * [-1.0, 0.0, 1.0][x])
}

fn gaussian(sigma: &str) -> Result<Array2<f64>> {
    let sigma: f64 = sigma.parse().map_err(|_| Error::Argument(format!("σ is '{sigma}', not a number")))?;
    let largest = LONGEST as f64 / 6.0;
    if !(sigma > 0.0 && sigma <= largest) {
        return Err(Error::Argument(format!("σ is {sigma}; more than 0 and at most {largest:.0} is possible")));
    }
    let radius = (3.0 * sigma).ceil() as i32;
    let bell: Vec<f64> = (-radius..=radius).map(|x| (-0.5 * (f64::from(x) / sigma).powi(2)).exp()).collect();
    let sum: f64 = bell.iter().sum();
    Ok(Array2::from_shape_fn((bell.len(), bell.len()), |(y, x)| bell[y] * bell[x] / (sum * sum)))
}

fn mean(side: &str) -> Result<Array2<f64>> {
    let side: usize = side.parse().map_err(|_| Error::Argument(format!("n is '{side}', not a whole number")))?;
    if !(1..=LONGEST).contains(&side) {
        return Err(Error::Argument(format!("n is {side}; 1 to {LONGEST} is possible")));
    }
    Ok(Array2::from_elem((side, side), 1.0 / (side * side) as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_gives_a_kernel_and_blurs_sum_to_one() {
        for entry in NAMED {
            assert!(!named(&entry.sample()).unwrap().is_empty(), "{}", entry.sample());
        }
        for blur in ["gaussian:0.3", "gaussian:2.5", "box:1", "box:4", "identity", "sharpen"] {
            assert!((named(blur).unwrap().sum() - 1.0).abs() < 1e-12, "{blur}");
        }
        for derivative in ["edge", "sobel-x", "sobel-y", "scharr-x", "scharr-y", "prewitt-x", "prewitt-y", "laplacian"]
        {
            assert_eq!(named(derivative).unwrap().sum(), 0.0, "{derivative}");
        }
    }

    #[test]
    fn derivatives_have_their_textbook_numbers() {
        let cells = |name| named(name).unwrap();
        assert_eq!(cells("sobel-x"), arr2(&[[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]));
        assert_eq!(cells("scharr-y"), arr2(&[[-3.0, -10.0, -3.0], [0.0, 0.0, 0.0], [3.0, 10.0, 3.0]]));
    }

    #[test]
    fn a_gaussian_reaches_three_deviations_and_is_symmetric() {
        let kernel = named("gaussian:1.5").unwrap();
        assert_eq!(kernel.dim(), (11, 11));
        assert_eq!(kernel, kernel.t());
        assert!((kernel[[5, 6]] / kernel[[5, 5]] - (-0.5_f64 / 2.25).exp()).abs() < 1e-12);
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_reason() {
        for (text, reason) in [
            ("sobel", "no such name"),
            ("gaussian", "it needs its σ, as in gaussian:1"),
            ("gaussian:-1", "more than 0"),
            ("gaussian:nan", "more than 0"),
            ("gaussian:1e9", "at most 167"),
            ("gaussian:wide", "not a number"),
            ("box:0", "1 to 1001"),
            ("box:2.5", "not a whole number"),
            ("edge:3", "takes no parameter"),
        ] {
            let error = named(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
