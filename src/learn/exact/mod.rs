//! A kernel by least squares.

mod triangle;

use ndarray::{Array1, Axis, Dimension, Slice, s};

use crate::element::Element;
use crate::error::{Error, Result};
use crate::nn::{Conv, Reduction, squared_error};
use crate::options::ConvOptions;
use crate::rank::{Rank, Tensor, TensorRef};
use triangle::{Ridge, Solution, jackknife, join, reduce, solve};

/// The most elements of the system's triangle, 512 MiB: about 8000 unknowns.
const TRIANGLE_LIMIT: usize = 1 << 26;

/// What is asked of [`least_squares`] beside the arrays.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct LeastSquares {
    /// Whether there is a bias to be found.
    pub bias: bool,
    /// What the sum of the kernel's squares costs, against the sum of squared errors: with more than 0 every system has a
    /// solution, drawn a little towards 0. A bias costs nothing.
    pub ridge: f64,
}

impl LeastSquares {
    /// No bias and no ridge.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for a bias.
    #[must_use]
    pub fn with_bias(mut self) -> Self {
        self.bias = true;
        self
    }

    /// Sets what the sum of the kernel's squares costs.
    #[must_use]
    pub fn ridge(mut self, ridge: f64) -> Self {
        self.ridge = ridge;
        self
    }
}

/// The best kernel, and how good it is.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Fit<T: Element, const D: usize>
where
    [usize; D]: Rank,
{
    /// The convolution that was found.
    pub layer: Conv<T, D>,
    /// Root of the mean squared error of its output.
    pub residual: f64,
    /// Largest over smallest singular value of the patch matrix, of the worst group: by how much an error of the output can
    /// be larger in the kernel.
    pub condition: f64,
    /// Standard deviation of the least certain cell of the kernel: `residual · max √diag (Cols·Colsᵀ)⁻¹`, which holds if the
    /// residual is independent noise, or, if that is more, what the delete-one-group jackknife finds (B. Efron, "The jackknife, the
    /// bootstrap and other resampling plans", 1982) where there are windows enough. Errors of rounding are the same all over an even part of a
    /// picture, so that they do not cancel as independent ones would.
    pub uncertainty: f64,
}

/// The kernel of `kernel` cells that turns `input` `[N, C, *k]` into `target` `[N, OC, *k]` with the least sum of squared
/// errors. As many kernels are found as `target` has channels, each `C/g` deep.
///
/// `Colsᵀ · weightᵀ = targetᵀ` is reduced to a triangle by QR decompositions of a few thousand windows at a time, in double precision
/// whatever `T` is; so the condition of the patch matrix counts once, not squared as in the normal equations. The patch matrix of one
/// image and group is held in memory.
///
/// # Errors
/// [`Error::Singular`] if the data leave a part of the kernel open: too few windows, or a constant input;
/// [`Error::TooLarge`] beyond some 8000 unknowns. As
/// [`conv`](crate::conv); a target of another shape; a negative ridge; data that are not finite.
///
/// ```
/// use convgemm::learn::{LeastSquares, least_squares};
/// use convgemm::ConvOptions;
/// use ndarray::array;
///
/// let (before, after) = (array![[[1.0_f64, 1.0, 0.0, 0.0, 1.0, 1.0]]], array![[[0.0, 1.0, 0.0, -1.0, 0.0]]]);
/// let fit = least_squares(&before, &after, [2], &ConvOptions::<1>::new(), &LeastSquares::new())?;
/// assert!((fit.layer.weight - array![[[1.0, -1.0]]]).iter().all(|error| error.abs() < 1e-12));
/// # Ok::<(), convgemm::Error>(())
/// ```
pub fn least_squares<T: Element, const D: usize>(
    input: &TensorRef<T, D>,
    target: &TensorRef<T, D>,
    kernel: [usize; D],
    options: &ConvOptions<D>,
    ask: &LeastSquares,
) -> Result<Fit<T, D>>
where
    [usize; D]: Rank,
{
    options.without_activation()?;
    if !(ask.ridge >= 0.0 && ask.ridge.is_finite()) {
        return Err(Error::Argument(format!("a ridge of {}; 0 or more is possible", ask.ridge)));
    }
    let finite = |array: &TensorRef<T, D>| array.iter().all(|value| value.is_finite());
    if !finite(input) || !finite(target) {
        return Err(Error::Argument("input or target holds what is not a finite number".into()));
    }
    let (groups, outputs) = (options.groups.max(1), target.shape()[1]);
    let shape = [&[outputs, input.shape()[1] / groups], &kernel[..]].concat();
    let geometry = options.geometry(input.shape(), &shape)?;
    let mut expected = vec![geometry.batch, outputs];
    expected.extend(&geometry.output_shape()[2..][3 - D..]);
    // One and two axes are embedded in three with the caller's last.
    if expected != target.shape() {
        return Err(Error::Shape { what: "target", expected, found: target.shape().to_vec() });
    }
    let equations = geometry.batch * geometry.windows();
    let unknowns = geometry.patch_rows() + usize::from(ask.bias);
    if equations < unknowns && ask.ridge == 0.0 {
        return Err(Error::Singular { what: "the system for the kernel", rank: equations, unknowns });
    }
    let elements = (unknowns + geometry.group_out_channels()).saturating_pow(2);
    if elements > TRIANGLE_LIMIT {
        return Err(Error::TooLarge { what: "the triangle of the system", elements, limit: TRIANGLE_LIMIT });
    }
    let mut dimension = <[usize; D] as Rank>::Tensor::zeros(D + 2);
    dimension.slice_mut().copy_from_slice(&shape);
    let mut weight = Tensor::<T, D>::zeros(dimension);
    let mut bias = ask.bias.then(|| Array1::<T>::zeros(outputs));
    let (mut condition, mut gain, mut spread) = (1.0_f64, 0.0_f64, 0.0_f64);
    for group in 0..groups {
        let of_group = |size: usize| Slice::from(group * size..(group + 1) * size);
        let inputs = of_group(geometry.group_in_channels());
        let range = of_group(geometry.group_out_channels());
        let triangles = reduce(
            &input.slice_axis(Axis(1), inputs).mapv(Element::to_f64),
            &target.slice_axis(Axis(1), range).mapv(Element::to_f64),
            kernel,
            &ConvOptions { groups: 1, ..*options },
            ask,
        )?;
        let ridge = Ridge { cells: geometry.patch_rows(), strength: ask.ridge };
        let Solution { solution, condition: worst, gains } =
            solve(&join(triangles.iter(), ridge)?, unknowns, equations)?;
        condition = condition.max(worst);
        spread = spread.max(jackknife(&triangles, ridge, (unknowns, equations))?);
        gain = gains.iter().take(geometry.patch_rows()).fold(gain, |gain, &other| gain.max(other));
        let mut part = weight.slice_axis_mut(Axis(0), range);
        // One column a kernel, in the order of the weight's cells.
        let cells = solution.slice(s![..geometry.patch_rows(), ..]);
        part.iter_mut().zip(cells.t().iter()).for_each(|(to, &from)| *to = T::from_f64(from));
        if let Some(bias) = &mut bias {
            let last = solution.row(unknowns - 1);
            bias.slice_axis_mut(Axis(0), range).zip_mut_with(&last, |to, &from| *to = T::from_f64(from));
        }
    }
    let layer = Conv { weight, bias, options: *options };
    let loss = squared_error(&layer.forward(input)?, target, Reduction::Mean)?;
    let residual = loss.value.sqrt();
    Ok(Fit { layer, residual, condition, uncertainty: spread.max(residual * gain) })
}

#[cfg(test)]
mod tests {
    use ndarray::{Array, Array3, Array4, ShapeBuilder};

    use super::*;
    use crate::nn::{Conv1d, Conv2d, Conv3d, Rng};
    use crate::ops::unfold;
    use crate::options::{PadMode, Padding};

    fn random<D: Dimension, Sh: ShapeBuilder<Dim = D>>(shape: Sh, rng: &mut Rng) -> Array<f64, D> {
        Array::from_shape_simple_fn(shape, || rng.uniform(-1.0, 1.0))
    }

    #[test]
    fn groups_strides_and_borders_are_undone_with_their_biases() {
        let rng = &mut Rng::new(1);
        let options = ConvOptions::new().groups(2).stride([2, 1]).dilation([1, 2]);
        let options = options.padding(Padding::symmetric([1, 2])).pad_mode(PadMode::Reflect);
        let teacher = Conv2d::<f64>::new([4, 6], [3, 2], options, rng).unwrap();
        let input = random((3, 4, 9, 8), rng);
        let target = teacher.forward(&input).unwrap();
        let fit = least_squares(&input, &target, [3, 2], &options, &LeastSquares::new().with_bias()).unwrap();
        assert!((&fit.layer.weight - &teacher.weight).iter().all(|error| error.abs() < 1e-12));
        let bias = fit.layer.bias.unwrap() - teacher.bias.unwrap();
        assert!(bias.iter().all(|error| error.abs() < 1e-12));
        assert!(fit.residual < 1e-13 && (1.0..10.0).contains(&fit.condition), "{}", fit.condition);
    }

    #[test]
    fn a_kernel_of_one_cell_is_found() {
        let input = random((1, 1, 3, 3), &mut Rng::new(9));
        let fit = least_squares(&input, &(&input * 3.0), [1, 1], &ConvOptions::new(), &LeastSquares::new()).unwrap();
        assert!((fit.layer.weight[[0, 0, 0, 0]] - 3.0).abs() < 1e-14);
    }

    #[test]
    fn sequences_volumes_and_single_precision_will_do() {
        let rng = &mut Rng::new(2);
        let teacher = Conv1d::<f32>::new([2, 1], [5], ConvOptions::new(), rng).unwrap().without_bias();
        let input = random((1, 2, 20_000), rng).mapv(|x| x as f32);
        let target = teacher.forward(&input).unwrap();
        let fit = least_squares(&input, &target, [5], &teacher.options, &LeastSquares::new()).unwrap();
        assert!((fit.layer.weight - teacher.weight).iter().all(|error| error.abs() < 1e-6));
        let teacher = Conv3d::<f64>::new([1, 2], [2, 1, 3], ConvOptions::new(), rng).unwrap().without_bias();
        let input = random((2, 1, 4, 3, 5), rng);
        let target = teacher.forward(&input).unwrap();
        let fit = least_squares(&input, &target, [2, 1, 3], &teacher.options, &LeastSquares::new()).unwrap();
        assert!((fit.layer.weight - teacher.weight).iter().all(|error| error.abs() < 1e-12));
    }

    #[test]
    fn noise_gives_the_solution_of_the_normal_equations() {
        let rng = &mut Rng::new(3);
        let (input, target) = (random((1, 1, 40), rng), random((1, 1, 39), rng));
        let fit = least_squares(&input, &target, [2], &ConvOptions::<1>::new(), &LeastSquares::new()).unwrap();
        let patches = unfold(&input, [2], &ConvOptions::<1>::new()).unwrap();
        // At the floor of the bowl the error is at right angles to every row of the patch matrix.
        let error = fit.layer.forward(&input).unwrap() - &target;
        let slope = (&patches.index_axis(Axis(0), 0) * &error.index_axis(Axis(0), 0)).sum_axis(Axis(1));
        assert!(slope.iter().all(|slope| slope.abs() < 1e-13), "{slope}");
        assert!((fit.residual - (error.mapv(|e| e * e).sum() / 39.0).sqrt()).abs() < 1e-14);
    }

    #[test]
    fn the_uncertainty_is_the_spread_that_noise_gives() {
        let rng = &mut Rng::new(8);
        let teacher = Conv1d::<f64>::new([1, 1], [3], ConvOptions::new(), rng).unwrap().without_bias();
        let input = random((1, 1, 60), rng);
        let clean = teacher.forward(&input).unwrap();
        let (mut spread, mut told) = (Array1::<f64>::zeros(3), 0.0);
        for _ in 0..2000 {
            let noisy = &clean + &random((1, 1, 58), rng) * 0.1;
            let fit = least_squares(&input, &noisy, [3], &teacher.options, &LeastSquares::new()).unwrap();
            let error = (fit.layer.weight - &teacher.weight).into_shape_with_order(3).unwrap();
            spread += &error.mapv(|e| e * e / 2000.0);
            told += fit.uncertainty / 2000.0;
        }
        let found = spread.iter().fold(0.0_f64, |most, &e| most.max(e)).sqrt();
        assert!((found / told - 1.0).abs() < 0.1, "{found} against {told}");
    }

    #[test]
    fn errors_that_neighbours_share_make_a_kernel_less_certain() {
        let rng = &mut Rng::new(10);
        let teacher = Conv1d::<f64>::new([1, 1], [3], ConvOptions::new(), rng).unwrap().without_bias();
        let input = random((1, 1, 2002), rng).mapv(|x| x + 1.0);
        let clean = teacher.forward(&input).unwrap();
        let (mut spread, mut told, mut alone) = (Array1::<f64>::zeros(3), 0.0, 0.0);
        for _ in 0..200 {
            let shared = random(20, rng);
            let noisy = Array::from_shape_fn((1, 1, 2000), |(_, _, i)| clean[[0, 0, i]] + 0.1 * shared[i / 100]);
            let fit = least_squares(&input, &noisy, [3], &teacher.options, &LeastSquares::new()).unwrap();
            let error = (fit.layer.weight - &teacher.weight).into_shape_with_order(3).unwrap();
            spread += &error.mapv(|e| e * e / 200.0);
            told += fit.uncertainty / 200.0;
            alone += fit.residual / 200.0;
        }
        let found = spread.iter().fold(0.0_f64, |most, &e| most.max(e)).sqrt();
        assert!((0.6..1.5).contains(&(found / told)), "{found} against {told}, residual {alone}");
    }

    #[test]
    fn a_ridge_solves_its_own_equations_and_spares_the_bias() {
        let rng = &mut Rng::new(4);
        let (input, target) = (random((1, 1, 30), rng), random((1, 1, 28), rng) + 5.0);
        let ask = LeastSquares::new().ridge(2.5).with_bias();
        let fit = least_squares(&input, &target, [3], &ConvOptions::<1>::new(), &ask).unwrap();
        let patches = unfold(&input, [3], &ConvOptions::<1>::new()).unwrap();
        let error: Array3<f64> = fit.layer.forward(&input).unwrap() - &target;
        let slope = (&patches.index_axis(Axis(0), 0) * &error.index_axis(Axis(0), 0)).sum_axis(Axis(1));
        let balance = slope + 2.5 * &fit.layer.weight.slice(s![0, 0, ..]);
        assert!(balance.iter().all(|slope| slope.abs() < 1e-12) && error.sum().abs() < 1e-12);
    }

    #[test]
    fn what_leaves_the_kernel_open_is_a_typed_error_and_a_ridge_closes_it() {
        let options = ConvOptions::<2>::new();
        let fit = |input: &Array4<f64>, target: &Array4<f64>, ask| least_squares(input, target, [3, 3], &options, &ask);
        let (gray, none) = (Array4::from_elem((1, 1, 9, 9), 0.3), Array4::zeros((1, 1, 7, 7)));
        let singular = |rank| Error::Singular { what: "the system for the kernel", rank, unknowns: 9 };
        assert_eq!(fit(&gray, &none, LeastSquares::new()).unwrap_err(), singular(1));
        let (few, two) = (random((1, 1, 3, 4), &mut Rng::new(5)), Array4::zeros((1, 1, 1, 2)));
        assert_eq!(fit(&few, &two, LeastSquares::new()).unwrap_err(), singular(2));
        let black = Array4::zeros((1, 1, 9, 9));
        assert_eq!(fit(&black, &none, LeastSquares::new()).unwrap_err(), singular(0));
        assert!(fit(&gray, &none, LeastSquares::new().ridge(0.1)).is_ok());
        let (wide, ask) = (Array4::<f64>::zeros((1, 1, 100, 100)), LeastSquares::new().ridge(0.1));
        let error = least_squares(&wide, &Array4::zeros((1, 1, 1, 1)), [100, 100], &options, &ask).unwrap_err();
        assert!(matches!(error, Error::TooLarge { elements: 100_020_001, .. }), "{error}");
        let empty = Array4::zeros((0, 1, 9, 9));
        assert_eq!(fit(&empty, &Array4::zeros((0, 1, 7, 7)), LeastSquares::new()).unwrap_err(), singular(0));
    }

    #[test]
    fn shapes_and_numbers_that_do_not_fit_are_refused() {
        let options = ConvOptions::<2>::new();
        let input = random((1, 2, 5, 5), &mut Rng::new(6));
        let fit = |target: [usize; 4], options, ask| {
            least_squares(&input, &Array4::zeros(target), [2, 2], &options, &ask).unwrap_err().to_string()
        };
        assert!(fit([1, 1, 5, 5], options, LeastSquares::new()).contains("expected [1, 1, 4, 4]"));
        assert!(fit([1, 1, 4, 4], options, LeastSquares::new().ridge(-1.0)).contains("a ridge of -1"));
        assert!(fit([1, 1, 4, 4], options, LeastSquares::new().ridge(f64::NAN)).contains("a ridge of NaN"));
        assert!(fit([1, 3, 4, 4], options.groups(2), LeastSquares::new()).contains("2 groups"));
        assert!(fit([1, 1, 4, 4], options.groups(0), LeastSquares::new()).contains("groups is 0"));
        let unknown = Array4::from_elem((1, 1, 4, 4), f64::NAN);
        let error = least_squares(&input, &unknown, [2, 2], &options, &LeastSquares::new()).unwrap_err();
        assert!(error.to_string().contains("not a finite number"));
    }
}
