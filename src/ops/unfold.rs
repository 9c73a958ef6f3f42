//! The patch matrix itself: unfold (im2col) and its transpose, fold (col2im).

use ndarray::{Array3, ArrayRef3, Axis};

use crate::element::Element;
use crate::error::{Error, Result};
use crate::geometry::ConvGeometry;
use crate::lowering::{PatchSink, PatchSource, blocks, entries, group_image};
use crate::options::ConvOptions;
use crate::parallel;
use crate::plan::check_dims;
use crate::rank::{Rank, Tensor, TensorRef};

/// The patch matrix of each image of `input` `[N, C, *k]`: `[N, C · Π kernel, windows]`, one row a kernel
/// cell (channel first), one column a window. Named `unfold` in PyTorch, im2col elsewhere.
///
/// Stride, padding, pad mode and dilation are those of `options`; its groups, algorithm and activation
/// have no meaning here.
///
/// # Errors
/// As [`conv`](crate::conv).
///
/// ```
/// use convgemm::{ConvOptions, unfold};
/// use ndarray::array;
///
/// let x = array![[[[0.0_f32, 1.0, 2.0], [3.0, 4.0, 5.0], [6.0, 7.0, 8.0]]]];
/// let patches = unfold(&x, [2, 2], &ConvOptions::<2>::new())?;
/// assert_eq!(
///     patches.index_axis(ndarray::Axis(0), 0),
///     array![[0.0, 1.0, 3.0, 4.0], [1.0, 2.0, 4.0, 5.0], [3.0, 4.0, 6.0, 7.0], [4.0, 5.0, 7.0, 8.0]]
/// );
/// # Ok::<(), convgemm::Error>(())
/// ```
pub fn unfold<T: Element, const D: usize>(
    input: &TensorRef<T, D>,
    kernel: [usize; D],
    options: &ConvOptions<D>,
) -> Result<Array3<T>>
where
    [usize; D]: Rank,
{
    let geometry = geometry(input.shape(), kernel, options)?;
    let mut patches = Array3::zeros((geometry.batch, geometry.patch_rows(), geometry.windows()));
    write(&geometry, input, &mut patches);
    Ok(patches)
}

/// [`unfold`] into an output that the caller owns.
///
/// # Errors
/// As [`unfold`], and an output of another shape.
pub fn unfold_into<T: Element, const D: usize>(
    input: &TensorRef<T, D>,
    kernel: [usize; D],
    options: &ConvOptions<D>,
    output: &mut ArrayRef3<T>,
) -> Result<()>
where
    [usize; D]: Rank,
{
    let geometry = geometry(input.shape(), kernel, options)?;
    check_dims("output", &[geometry.batch, geometry.patch_rows(), geometry.windows()], output.shape())?;
    write(&geometry, input, output);
    Ok(())
}

fn write<T: Element, const D: usize>(geometry: &ConvGeometry, input: &TensorRef<T, D>, output: &mut ArrayRef3<T>)
where
    [usize; D]: Rank,
{
    let (input, windows) = (<[usize; D]>::widen(input.view()), geometry.windows());
    let rows =
        entries(output.view_mut()).flat_map(|(image, rows)| entries(rows).map(move |(row, line)| (image, row, line)));
    let mut lines = vec![T::zero(); windows * parallel::threads()];
    parallel::for_each(rows, &mut lines, windows, |(image, row, mut out), line: &mut [T]| {
        let source = PatchSource::new(geometry, group_image(geometry, input, image, 0));
        match out.as_slice_mut() {
            Some(out) => source.write(row..row + 1, 0..windows, out),
            None => {
                source.write(row..row + 1, 0..windows, line);
                out.iter_mut().zip(&*line).for_each(|(out, &value)| *out = value);
            }
        }
    });
}

/// Adds each cell of the patch matrices `columns` `[N, C · Π kernel, windows]` to the cell of an image
/// that it was read from: the transpose of [`unfold`]. Returns `[N, C, *output_size]`.
///
/// # Errors
/// As [`unfold`], and columns that are not the patch matrices of such images.
///
/// ```
/// use convgemm::{ConvOptions, fold};
///
/// let ones = ndarray::Array3::<f64>::ones((1, 2, 3));
/// let counts = fold(&ones, [4], [2], &ConvOptions::<1>::new())?;
/// assert_eq!(counts, ndarray::array![[[1.0, 2.0, 2.0, 1.0]]]);
/// # Ok::<(), convgemm::Error>(())
/// ```
pub fn fold<T: Element, const D: usize>(
    columns: &ArrayRef3<T>,
    output_size: [usize; D],
    kernel: [usize; D],
    options: &ConvOptions<D>,
) -> Result<Tensor<T, D>>
where
    [usize; D]: Rank,
{
    let geometry = fold_geometry(columns, output_size, kernel, options)?;
    let mut images = <[usize; D]>::narrow(ndarray::Array5::zeros(geometry.input_shape()));
    add::<T, D>(&geometry, columns, &mut images);
    Ok(images)
}

/// [`fold`] into an output that the caller owns. What it held is not read.
///
/// # Errors
/// As [`fold`], and an output of another shape.
pub fn fold_into<T: Element, const D: usize>(
    columns: &ArrayRef3<T>,
    kernel: [usize; D],
    options: &ConvOptions<D>,
    output: &mut TensorRef<T, D>,
) -> Result<()>
where
    [usize; D]: Rank,
{
    let mut output_size = [0; D];
    output_size.copy_from_slice(&output.shape()[2..]);
    let geometry = fold_geometry(columns, output_size, kernel, options)?;
    check_dims("output", &[geometry.batch, geometry.in_channels], &output.shape()[..2])?;
    add::<T, D>(&geometry, columns, output);
    Ok(())
}

fn fold_geometry<T: Element, const D: usize>(
    columns: &ArrayRef3<T>,
    output_size: [usize; D],
    kernel: [usize; D],
    options: &ConvOptions<D>,
) -> Result<ConvGeometry> {
    let (batch, rows, _) = columns.dim();
    let cells = kernel.iter().try_fold(1_usize, |cells, &n| cells.checked_mul(n)).unwrap_or(0);
    let Some(channels) = rows.checked_div(cells).filter(|channels| channels * cells == rows) else {
        return Err(Error::Argument(format!(
            "columns have {rows} rows, which is no multiple of the kernel's cells {kernel:?}"
        )));
    };
    let shape = [&[batch, channels], &output_size[..]].concat();
    let geometry = geometry(&shape, kernel, options)?;
    check_dims("columns", &[batch, geometry.patch_rows(), geometry.windows()], columns.shape())?;
    Ok(geometry)
}

fn add<T: Element, const D: usize>(geometry: &ConvGeometry, columns: &ArrayRef3<T>, output: &mut TensorRef<T, D>)
where
    [usize; D]: Rank,
{
    let taps = geometry.taps();
    let channels = entries(<[usize; D]>::widen(output.view_mut())).flat_map(|(image, channels)| {
        blocks(channels, Axis(0), 1).map(move |(channel, piece)| (image, channel, piece))
    });
    let block_len = taps * geometry.windows();
    let mut workspace = vec![T::zero(); block_len * parallel::threads()];
    parallel::for_each(channels, &mut workspace, block_len, |(image, channel, mut piece), block: &mut [T]| {
        piece.fill(T::zero());
        let part = columns.slice(ndarray::s![image, channel * taps..(channel + 1) * taps, ..]);
        let mut sink = PatchSink::new(geometry, piece);
        match part.as_slice() {
            Some(part) => sink.scatter(0..geometry.windows(), part),
            None => {
                block.iter_mut().zip(part).for_each(|(cell, &value)| *cell = value);
                sink.scatter(0..geometry.windows(), block);
            }
        }
    });
}

/// The geometry of a convolution with one output channel, whatever the groups of `options`.
fn geometry<const D: usize>(input: &[usize], kernel: [usize; D], options: &ConvOptions<D>) -> Result<ConvGeometry> {
    let channels = input.get(1).copied().unwrap_or(0);
    options.groups(1).geometry(input, &[&[1, channels], &kernel[..]].concat())
}
