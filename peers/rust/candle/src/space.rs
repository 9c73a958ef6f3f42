//! Convolutions along one or two axes, for which candle has functions of different names.

use anyhow::{Result, bail};
use candle_core::Tensor;
use peer::Layer;

/// Options, of which candle has one for all axes. Padding that it does not have is added to the input first.
pub struct Space {
    pub axes: usize,
    pub stride: usize,
    pub dilation: usize,
    /// That the convolution itself adds.
    pub padding: usize,
    /// That is added before it, an entry for each axis.
    pub outer: Vec<[usize; 2]>,
}

impl Space {
    pub fn new(layer: &Layer) -> Result<Self> {
        let axes = layer.size.len();
        if axes > 2 {
            bail!("unsupported: three axes");
        }
        let (Some(stride), Some(dilation)) = (same(&layer.stride), same(&layer.dilation)) else {
            bail!("unsupported: strides or dilations that differ between axes");
        };
        let cells = same(&layer.padding).and_then(|cells| same(&cells));
        let outer = if cells.is_some() { vec![[0, 0]; axes] } else { layer.padding.clone() };
        Ok(Self { axes, stride, dilation, padding: cells.unwrap_or(0), outer })
    }

    /// The input with what the convolution itself cannot add.
    pub fn pad(&self, x: &Tensor) -> Result<Tensor> {
        let mut padded = x.clone();
        for (axis, &[before, after]) in self.outer.iter().enumerate() {
            padded = padded.pad_with_zeros(axis + 2, before, after)?;
        }
        Ok(padded)
    }

    pub fn conv(&self, x: &Tensor, weight: &Tensor, groups: usize) -> Result<Tensor> {
        let Self { padding, stride, dilation, .. } = *self;
        Ok(match self.axes {
            1 => x.conv1d(weight, padding, stride, dilation, groups)?,
            _ => x.conv2d(weight, padding, stride, dilation, groups)?,
        })
    }
}

/// The entry that all are.
fn same<V: Copy + PartialEq>(list: &[V]) -> Option<V> {
    list.iter().all(|entry| *entry == list[0]).then_some(list[0])
}
