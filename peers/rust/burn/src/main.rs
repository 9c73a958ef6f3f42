//! burn, by the operations of its CPU backend, burn-flex. It has no way to prepare a weight, and a result is new
//! memory each time. A gradient is the backend's operation for it, which autodiff would call.

#![forbid(unsafe_code)]

use anyhow::{Result, anyhow};
use burn_backend::TensorData;
use burn_backend::ops::{ConvOptions, ModuleOps};
use burn_flex::{Flex, FlexTensor};
use peer::{Case, Op, Peer, Ready, locked};

fn main() -> Result<()> {
    peer::run(|_| {
        let features = ["flex", "simd", "rayon", "x86-v4"].map(str::to_owned).to_vec();
        Peer { name: "burn", version: locked("burn-flex"), features, prepare }
    })
}

type Forward<const D: usize> = fn(FlexTensor, FlexTensor, Option<FlexTensor>, ConvOptions<D>) -> FlexTensor;
type Backward<const D: usize> = fn(FlexTensor, FlexTensor, FlexTensor, ConvOptions<D>) -> FlexTensor;

fn prepare(case: Case, _: usize) -> Result<Ready> {
    match case.axes() {
        1 => ready(case, Flex::conv1d, Flex::conv1d_x_backward, Flex::conv1d_weight_backward),
        2 => ready(case, Flex::conv2d, Flex::conv2d_x_backward, Flex::conv2d_weight_backward),
        _ => ready(case, Flex::conv3d, Flex::conv3d_x_backward, Flex::conv3d_weight_backward),
    }
}

fn ready<const D: usize>(
    case: Case,
    conv: Forward<D>,
    input_grad: Backward<D>,
    weight_grad: Backward<D>,
) -> Result<Ready> {
    let options = options::<D>(&case)?;
    // Clones share the values. Of what a gradient does not read, only the shape matters.
    let tensor = |values: &[f32], shape: Vec<usize>| {
        let len = shape.iter().product();
        let values = if values.is_empty() { vec![0.0; len] } else { values.to_vec() };
        FlexTensor::from_data(TensorData::new(values, shape))
    };
    let x = tensor(&case.input, case.input_shape());
    let weight = tensor(&case.weight, case.layer.weight_shape());
    let bias = case.bias.as_ref().map(|bias| tensor(bias, vec![bias.len()]));
    let grad = (case.op != Op::Conv).then(|| tensor(&case.grad_output, case.output_shape()));
    let run = move |last: Option<FlexTensor>| {
        // Before the next one is made, so that its memory can be used again.
        drop(last);
        let (x, weight, options) = (x.clone(), weight.clone(), options.clone());
        Ok(match (&grad, case.op) {
            (Some(grad), Op::WeightGrad) => weight_grad(x, weight, grad.clone(), options),
            (Some(grad), _) => input_grad(x, weight, grad.clone(), options),
            (None, _) => conv(x, weight, bias.clone(), options),
        })
    };
    let values = |y: &FlexTensor| {
        let values = y.clone().into_data().try_into_vec::<f32>();
        values.map_err(|error| anyhow!("{error:?}"))
    };
    Ok(Ready::new("flex", case.result_shape(), run, values))
}

fn options<const D: usize>(case: &Case) -> Result<ConvOptions<D>> {
    let layer = &case.layer;
    let lengths = |list: &[usize]| <[usize; D]>::try_from(list);
    let mut options = ConvOptions::new(lengths(&layer.stride)?, [0; D], lengths(&layer.dilation)?, layer.groups);
    options.padding = std::array::from_fn(|axis| layer.padding[axis].into());
    Ok(options)
}
