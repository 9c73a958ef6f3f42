//! rten: a model of the one layer, its weight and bias constants, packed when it is loaded where rten can.

#![forbid(unsafe_code)]

mod model;

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use peer::{Case, Peer, Ready, locked};
use rten::{ModelOptions, RunOptions, ThreadPool, Value};
use rten_tensor::Tensor;
use rten_tensor::prelude::*;

fn main() -> Result<()> {
    peer::run(|_| {
        let features = vec!["prepacked".to_owned(), "f32".to_owned()];
        Peer { name: "rten", version: locked("rten"), features, prepare }
    })
}

fn prepare(case: Case, threads: usize) -> Result<Ready> {
    case.require_forward()?;
    ensure!(case.axes() < 3, "unsupported: three axes");
    let mut options = ModelOptions::with_all_ops();
    options.prepack_weights(true);
    let model = options.load(model::onnx(&case)?)?;
    let (x, y) = (model.input_ids().first(), model.output_ids().first());
    let (&x, &y) = x.zip(y).context("the model has lost its input or output")?;
    let pool = Arc::new(ThreadPool::with_num_threads(threads));
    let input = Tensor::from_data(&case.input_shape(), case.input.clone());
    let run = move |last: Option<Value>| {
        // Before the next one is made, so that its memory can be used again.
        drop(last);
        let options = RunOptions::default().with_thread_pool(Some(pool.clone()));
        let [found] = model.run_n(vec![(x, input.view().into())], [y], Some(options))?;
        Ok(found)
    };
    let values = |y: &Value| {
        let found: rten_tensor::TensorView<f32> = y.try_into()?;
        Ok(found.to_vec())
    };
    Ok(Ready::new("conv", case.output_shape(), run, values))
}
