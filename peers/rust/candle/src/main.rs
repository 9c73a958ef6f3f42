//! candle: its functions on tensors that are made once. It has no way to prepare a weight, and a result is new
//! memory each time.
//!
//! A gradient is the one convolution which its backward pass runs for it, without the rest of that pass.

#![forbid(unsafe_code)]

mod gradient;
mod space;

use anyhow::Result;
use candle_core::{Device, Tensor};
use peer::{Case, Op, Peer, Ready, locked};

use space::Space;

fn main() -> Result<()> {
    peer::run(|_| {
        let features = vec!["cpu".to_owned(), "f32".to_owned()];
        Peer { name: "candle", version: locked("candle-core"), features, prepare }
    })
}

fn prepare(case: Case, _: usize) -> Result<Ready> {
    let space = Space::new(&case.layer)?;
    let tensor = |values: &[f32], shape: &[usize]| Tensor::from_slice(values, shape, &Device::Cpu);
    let (input_shape, weight_shape) = (case.input_shape(), case.layer.weight_shape());
    let groups = case.layer.groups;
    let compute: Box<dyn Fn() -> Result<Tensor>> = match case.op {
        Op::InputGrad => {
            let grad = tensor(&case.grad_output, &case.output_shape())?;
            let weight = tensor(&case.weight, &weight_shape)?;
            let gradient = gradient::OfInput::new(space, &case.layer)?;
            Box::new(move || gradient.compute(&grad, &weight))
        }
        Op::WeightGrad => {
            let x = tensor(&case.input, &input_shape)?;
            let grad = tensor(&case.grad_output, &case.output_shape())?;
            Box::new(move || gradient::of_weight(&space, groups, &x, &grad, &weight_shape[2..]))
        }
        Op::Conv | Op::ConvTranspose => {
            let x = tensor(&case.input, &input_shape)?;
            let weight = tensor(&case.weight, &weight_shape)?;
            let along_channels = [&[1, case.layer.out_channels][..], &vec![1; case.axes()]].concat();
            let bias = case.bias.as_ref().map(|bias| tensor(bias, &along_channels)).transpose()?;
            Box::new(move || {
                let y = space.conv(&space.pad(&x)?, &weight, groups)?;
                Ok(bias.as_ref().map_or(Ok(y.clone()), |bias| y.broadcast_add(bias))?)
            })
        }
    };
    let run = move |last: Option<Tensor>| {
        // Before the next one is made, so that its memory can be used again.
        drop(last);
        compute()
    };
    Ok(Ready::new("conv", case.result_shape(), run, |y: &Tensor| Ok(y.flatten_all()?.to_vec1::<f32>()?)))
}
