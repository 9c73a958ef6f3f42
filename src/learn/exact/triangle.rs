//! A least-squares system of any number of equations as triangles: reduced to them, joined, solved, and how far its
//! solution moves when a part of the equations is left out.

use ndarray::{Array1, Array2, Array3, ArrayView2, Axis, Slice, concatenate, s};
use ndarray_linalg::{QR, SVD};

use super::LeastSquares;
use crate::error::{Error, Result};
use crate::ops::unfold;
use crate::options::ConvOptions;
use crate::rank::{Rank, Tensor};

/// Windows that are worked off at a time.
const CHUNK: usize = 1 << 13;

/// Parts that the windows are cut into, to see how far the kernel moves when one of them is left out.
const PARTS: usize = 16;

/// Windows for each unknown that there must be for that.
const WINDOWS_PER_UNKNOWN: usize = 64;

/// The most unknowns for which that is worth its time.
const MANY_UNKNOWNS: usize = 256;

/// The triangles of the QR decompositions of `[Colsᵀ | 1 | targetᵀ]`, all images of one group below one another: of
/// [`PARTS`] parts of it, or of all of it in one where they would be small or much work.
pub fn reduce<const D: usize>(
    input: &Tensor<f64, D>,
    target: &Tensor<f64, D>,
    kernel: [usize; D],
    options: &ConvOptions<D>,
    ask: &LeastSquares,
) -> Result<Vec<Array2<f64>>>
where
    [usize; D]: Rank,
{
    let (images, outputs) = (input.shape()[0], target.shape()[1]);
    let cells: usize = input.shape()[1] * kernel.iter().product::<usize>();
    let unknowns = cells + usize::from(ask.bias);
    let width = unknowns + outputs;
    let equations = target.len() / outputs.max(1);
    let has_parts = unknowns <= MANY_UNKNOWNS && equations >= WINDOWS_PER_UNKNOWN * unknowns;
    let part_len = if has_parts { equations.div_ceil(PARTS) } else { equations.max(1) };
    let mut triangles = vec![Array2::zeros((width, width)); equations.div_ceil(part_len).max(1)];
    for image in 0..images {
        let one = Slice::from(image..image + 1);
        let patches: Array3<f64> = unfold(&input.slice_axis(Axis(0), one), kernel, options)?;
        let windows = patches.dim().2;
        let wanted = target.slice_axis(Axis(0), one);
        let wanted = wanted.to_shape((outputs, windows)).map_err(|error| Error::Argument(error.to_string()))?;
        let mut start = 0;
        while start < windows {
            let equation = image * windows + start;
            let part = equation / part_len;
            let end = windows.min(start + CHUNK.max(width)).min((part + 1) * part_len - image * windows);
            let mut rows = Array2::ones((end - start, width));
            rows.slice_mut(s![.., ..cells]).assign(&patches.slice(s![0, .., start..end]).t());
            rows.slice_mut(s![.., unknowns..]).assign(&wanted.slice(s![.., start..end]).t());
            triangles[part] = stacked_triangle(&[triangles[part].view(), rows.view()])?;
            start = end;
        }
    }
    Ok(triangles)
}

/// What the first `cells` unknowns cost.
#[derive(Clone, Copy)]
pub struct Ridge {
    pub cells: usize,
    pub strength: f64,
}

/// The triangle of all rows that some triangles stand for, and of the ridge.
pub fn join<'a>(triangles: impl Iterator<Item = &'a Array2<f64>>, ridge: Ridge) -> Result<Array2<f64>> {
    let mut all: Vec<_> = triangles.map(|triangle| triangle.view()).collect();
    let mut costs = Array2::zeros(all[0].dim());
    if ridge.strength > 0.0 {
        costs.diag_mut().slice_mut(s![..ridge.cells]).fill(ridge.strength.sqrt());
        all.push(costs.view());
    }
    match all.as_slice() {
        [one] => Ok(one.to_owned()),
        all => stacked_triangle(all),
    }
}

fn stacked_triangle(rows: &[ArrayView2<'_, f64>]) -> Result<Array2<f64>> {
    let stacked = concatenate(Axis(0), rows).map_err(|error| Error::Argument(error.to_string()))?;
    let (_, triangle) = stacked.qr().map_err(|error| Error::Linalg(error.to_string()))?;
    Ok(triangle)
}

/// The largest standard deviation of a cell by the jackknife, which leaves out one part after the other; 0 if there is
/// one part only.
pub fn jackknife(triangles: &[Array2<f64>], ridge: Ridge, (unknowns, equations): (usize, usize)) -> Result<f64> {
    let count = triangles.len();
    if count < PARTS {
        return Ok(0.0);
    }
    let mut solutions = vec![];
    for left_out in 0..count {
        let others = triangles.iter().enumerate().filter(|&(part, _)| part != left_out).map(|(_, triangle)| triangle);
        match solve(&join(others, ridge)?, unknowns, equations) {
            Ok(found) => solutions.push(found.solution.slice_move(s![..ridge.cells, ..])),
            // One part alone determines a part of the kernel: there is no telling how well.
            Err(Error::Singular { .. }) => return Ok(f64::INFINITY),
            Err(other) => return Err(other),
        }
    }
    let solutions = ndarray::stack(Axis(0), &solutions.iter().map(|one| one.view()).collect::<Vec<_>>())
        .map_err(|error| Error::Argument(error.to_string()))?;
    // The sum of squares over parts, times (count - 1) / count; `var_axis` divides by count.
    let variance = solutions.var_axis(Axis(0), 0.0) * (count - 1) as f64;
    Ok(variance.iter().fold(0.0_f64, |most, &one| most.max(one)).sqrt())
}

pub struct Solution {
    /// The unknowns, a column a target.
    pub solution: Array2<f64>,
    pub condition: f64,
    /// By how much noise of deviation 1 moves each unknown.
    pub gains: Array1<f64>,
}

pub fn solve(triangle: &Array2<f64>, unknowns: usize, equations: usize) -> Result<Solution> {
    // A copy of a slice would keep strides of 0 for axes of length 1, which ndarray-linalg refuses.
    let mut square = Array2::zeros((unknowns, unknowns));
    square.assign(&triangle.slice(s![..unknowns, ..unknowns]));
    let right = triangle.slice(s![..unknowns, unknowns..]);
    let decomposed = square.svd(true, true).map_err(|error| Error::Linalg(error.to_string()))?;
    let (Some(u), strengths, Some(vt)) = decomposed else {
        return Err(Error::Linalg("the decomposition came without its vectors".into()));
    };
    let largest = strengths.first().copied().unwrap_or(0.0);
    // What rounding leaves of a zero: the usual bound of a rank.
    let least = largest * f64::EPSILON * equations.max(unknowns) as f64;
    let rank = strengths.iter().filter(|&&strength| strength > least).count();
    if rank < unknowns {
        return Err(Error::Singular { what: "the system for the kernel", rank, unknowns });
    }
    let scaled = u.t().dot(&right) / strengths.view().insert_axis(Axis(1));
    let gains =
        (&vt / &strengths.view().insert_axis(Axis(1))).mapv(|part| part * part).sum_axis(Axis(0)).mapv(f64::sqrt);
    Ok(Solution { solution: vt.t().dot(&scaled), condition: largest / strengths[unknowns - 1], gains })
}
