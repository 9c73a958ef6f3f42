//! The convolutions of candle's backward pass. It goes through the groups one by one, as its forward pass does.

use anyhow::{Result, ensure};
use candle_core::Tensor;
use peer::Layer;

use crate::space::Space;

/// The gradient of the input: a transposed convolution of the gradient.
pub struct OfInput {
    space: Space,
    groups: usize,
    /// Cells that no window reaches, at the end of every axis.
    unread: usize,
    /// Lengths of the input without padding.
    size: Vec<usize>,
}

impl OfInput {
    pub fn new(space: Space, layer: &Layer) -> Result<Self> {
        let unread: Vec<usize> = (0..space.axes)
            .map(|axis| {
                let [before, after] = layer.padding[axis];
                (layer.size[axis] + before + after - layer.dilation[axis] * (layer.kernel[axis] - 1) - 1)
                    % layer.stride[axis]
            })
            .collect();
        ensure!(
            unread.iter().all(|cells| *cells == unread[0]),
            "unsupported: a gradient of axes at whose ends different numbers of cells are not read"
        );
        Ok(Self { groups: layer.groups, unread: unread[0], size: layer.size.clone(), space })
    }

    pub fn compute(&self, grad: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let Space { padding, stride, dilation, .. } = self.space;
        let of_group = |grad: &Tensor, weight: &Tensor| match self.space.axes {
            1 => grad.conv_transpose1d(weight, padding, self.unread, stride, dilation, 1),
            _ => grad.conv_transpose2d(weight, padding, self.unread, stride, dilation),
        };
        let mut found = each_group(self.groups, (grad, 1), (weight, 0), 1, of_group)?;
        for (axis, (&[before, _], &len)) in self.space.outer.iter().zip(&self.size).enumerate() {
            found = found.narrow(axis + 2, before, len)?;
        }
        Ok(found.contiguous()?)
    }
}

/// The gradient of the weight: a convolution of the input by the gradient, with images and channels exchanged.
pub fn of_weight(space: &Space, groups: usize, x: &Tensor, grad: &Tensor, kernel: &[usize]) -> Result<Tensor> {
    let x = space.pad(x)?;
    let of_group = |x: &Tensor, grad: &Tensor| {
        let (x, grad) = (x.transpose(0, 1)?, grad.transpose(0, 1)?);
        let found = match space.axes {
            // candle 0.11 copies a kernel of other strides and then reads the one that it copied: wrong results.
            1 => x.conv1d(&grad.contiguous()?, space.padding, space.dilation, space.stride, 1)?,
            _ => x.conv2d(&grad, space.padding, space.dilation, space.stride, 1)?,
        };
        found.transpose(0, 1)
    };
    let mut found = each_group(groups, (&x, 1), (grad, 1), 0, of_group)?;
    for (axis, &taps) in kernel.iter().enumerate() {
        found = found.narrow(axis + 2, 0, taps)?;
    }
    Ok(found.contiguous()?)
}

/// Calls `compute` for each group of two tensors, which are cut along an axis of each, and joins the results.
fn each_group(
    groups: usize,
    (a, a_axis): (&Tensor, usize),
    (b, b_axis): (&Tensor, usize),
    result_axis: usize,
    compute: impl Fn(&Tensor, &Tensor) -> candle_core::Result<Tensor>,
) -> Result<Tensor> {
    if groups == 1 {
        return Ok(compute(a, b)?);
    }
    let pairs = a.chunk(groups, a_axis)?.into_iter().zip(b.chunk(groups, b_axis)?);
    let parts = pairs.map(|(a, b)| compute(&a, &b)).collect::<candle_core::Result<Vec<_>>>()?;
    Ok(Tensor::cat(&parts, result_axis)?)
}
