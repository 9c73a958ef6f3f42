//! tract: a model of the one layer, optimised with its weight and bias as constants, so that they are packed once.

#![forbid(unsafe_code)]

use anyhow::Result;
use peer::{Case, Peer, Ready, locked};
use tract_core::internal::*;
use tract_core::ops::cnn::{Conv, KernelFormat, PaddingSpec, PoolSpec};
use tract_core::ops::nn::DataFormat;
use tract_linalg::multithread::{Executor, set_default_executor};

fn main() -> Result<()> {
    peer::run(|threads| {
        if threads > 1 {
            set_default_executor(Executor::multithread(threads));
        }
        let features = vec!["optimised".to_owned(), "f32".to_owned()];
        Peer { name: "tract", version: locked("tract-core"), features, prepare }
    })
}

fn prepare(case: Case, _: usize) -> Result<Ready> {
    case.require_forward()?;
    let layer = &case.layer;
    let (before, after) = layer.padding.iter().map(|&[before, after]| (before, after)).unzip();
    let pool = PoolSpec {
        data_format: DataFormat::NCHW,
        kernel_shape: layer.kernel.as_slice().into(),
        padding: PaddingSpec::Explicit(before, after),
        dilations: Some(layer.dilation.as_slice().into()),
        strides: Some(layer.stride.as_slice().into()),
        input_channels: layer.in_channels,
        output_channels: layer.out_channels,
    };
    let conv = Conv { pool_spec: pool, kernel_fmt: KernelFormat::OIHW, group: layer.groups, q_params: None };
    let bias = case.bias.clone().unwrap_or_else(|| vec![0.0; layer.out_channels]);
    let shape = case.input_shape();

    let mut model = TypedModel::default();
    let x = model.add_source("x", f32::fact(&shape))?;
    let weight = model.add_const("weight", Tensor::from_shape(&layer.weight_shape(), &case.weight)?)?;
    let bias = model.add_const("bias", Tensor::from_shape(&[layer.out_channels], &bias)?)?;
    let y = model.wire_node("y", conv, &[x, weight, bias])?;
    model.select_output_outlets(&y)?;
    let mut state = model.into_optimized()?.into_runnable()?.spawn()?;

    // A clone shares the values.
    let input = Tensor::from_shape(&shape, &case.input)?.into_tvalue();
    let run = move |_| Ok(state.run(tvec!(input.clone()))?.remove(0));
    let values = |y: &TValue| Ok(y.to_plain_array_view::<f32>()?.iter().copied().collect());
    Ok(Ready::new("conv", case.output_shape(), run, values))
}
