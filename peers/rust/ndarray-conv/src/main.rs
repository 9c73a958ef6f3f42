//! ndarray-conv, which has no channels: a layer of two axes is, for each image and output channel, a convolution
//! along three of which the first is the channels'. By the definition, or by Fourier transforms if that is faster.

#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use ndarray::{Array, ArrayView, Dim, IntoDimension, Ix, RemoveAxis, SliceArg, SliceInfo, SliceInfoElem};
use ndarray_conv::{ConvExt, ConvFFTExt, ConvMode, PaddingMode, ReverseKernel, WithDilation};
use peer::{Case, Peer, Ready, locked};

fn main() -> Result<()> {
    peer::run(|_| {
        let features = vec!["conv".to_owned(), "conv_fft".to_owned()];
        Peer { name: "ndarray-conv", version: locked("ndarray-conv"), features, prepare }
    })
}

fn prepare(case: Case, threads: usize) -> Result<Ready> {
    case.require_forward()?;
    ensure!(threads == 1, "unsupported: more than one thread");
    match case.axes() {
        1 => ready::<2>(case),
        2 => ready::<3>(case),
        _ => ready::<4>(case),
    }
}

#[derive(Clone, Copy)]
enum Way {
    Plain,
    Fourier,
}

/// For layers of `N - 1` axes.
fn ready<const N: usize>(case: Case) -> Result<Ready>
where
    Dim<[Ix; N]>: RemoveAxis,
    [Ix; N]: IntoDimension<Dim = Dim<[Ix; N]>>,
    SliceInfo<[SliceInfoElem; N], Dim<[Ix; N]>, Dim<[Ix; N]>>: SliceArg<Dim<[Ix; N]>, OutDim = Dim<[Ix; N]>>,
{
    let shape = case.output_shape();
    let layer = Layer::<N>::new(case);
    let way = if layer.time_of_one(Way::Fourier)? < layer.time_of_one(Way::Plain)? { Way::Fourier } else { Way::Plain };
    let name = match way {
        Way::Plain => "conv",
        Way::Fourier => "conv_fft",
    };
    let len = shape.iter().product();
    let run = move |last: Option<Vec<f32>>| {
        let mut y = last.unwrap_or_else(|| vec![0.0; len]);
        layer.run(way, &mut y)?;
        Ok(y)
    };
    Ok(Ready::new(name, shape, run, |y: &Vec<f32>| Ok(y.clone())))
}

struct Layer<const N: usize> {
    case: Case,
    mode: ConvMode<N>,
    dilation: [usize; N],
    /// Of a group of channels, and of the kernel of an output channel.
    group: [usize; N],
    kernel: [usize; N],
}

impl<const N: usize> Layer<N>
where
    Dim<[Ix; N]>: RemoveAxis,
    [Ix; N]: IntoDimension<Dim = Dim<[Ix; N]>>,
    SliceInfo<[SliceInfoElem; N], Dim<[Ix; N]>, Dim<[Ix; N]>>: SliceArg<Dim<[Ix; N]>, OutDim = Dim<[Ix; N]>>,
{
    fn new(case: Case) -> Self {
        let layer = &case.layer;
        let channels = layer.in_channels / layer.groups;
        let with_channels =
            |first: usize, list: &[usize]| std::array::from_fn(|i| if i == 0 { first } else { list[i - 1] });
        let padding = std::array::from_fn(|i| if i == 0 { [0, 0] } else { layer.padding[i - 1] });
        Self {
            mode: ConvMode::Explicit { padding, strides: with_channels(1, &layer.stride) },
            dilation: with_channels(1, &layer.dilation),
            group: with_channels(channels, &layer.size),
            kernel: with_channels(channels, &layer.kernel),
            case,
        }
    }

    fn run(&self, way: Way, y: &mut [f32]) -> Result<()> {
        let (layer, groups) = (&self.case.layer, self.case.layer.groups);
        let (inputs, weights) = (len(&self.group), len(&self.kernel));
        let images = y.chunks_exact_mut(y.len() / self.case.batch).zip(self.case.input.chunks_exact(inputs * groups));
        for (y, x) in images {
            let planes = y.chunks_exact_mut(y.len() / layer.out_channels);
            for (channel, (plane, kernel)) in planes.zip(self.case.weight.chunks_exact(weights)).enumerate() {
                let group = channel / (layer.out_channels / groups);
                let found = self.one(way, &x[group * inputs..][..inputs], kernel)?;
                let bias = self.case.bias.as_ref().map_or(0.0, |bias| bias[channel]);
                plane.iter_mut().zip(&found).for_each(|(to, from)| *to = from + bias);
            }
        }
        Ok(())
    }

    /// One output channel of one image.
    fn one(&self, way: Way, x: &[f32], kernel: &[f32]) -> Result<Array<f32, Dim<[Ix; N]>>> {
        let x = ArrayView::from_shape(self.group, x)?;
        let kernel = ArrayView::from_shape(self.kernel, kernel)?;
        let kernel = kernel.with_dilation(self.dilation).no_reverse();
        let found = match way {
            Way::Plain => x.conv(kernel, self.mode, PaddingMode::Zeros),
            Way::Fourier => x.conv_fft(kernel, self.mode, PaddingMode::Zeros),
        };
        found.map_err(|error| anyhow!("{error}"))
    }

    fn time_of_one(&self, way: Way) -> Result<Duration> {
        let (inputs, weights) = (len(&self.group), len(&self.kernel));
        let mut best = Duration::MAX;
        for _ in 0..3 {
            let start = Instant::now();
            self.one(way, &self.case.input[..inputs], &self.case.weight[..weights])?;
            best = best.min(start.elapsed());
        }
        Ok(best)
    }
}

fn len(lengths: &[usize]) -> usize {
    lengths.iter().product()
}
