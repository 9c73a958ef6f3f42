//! The layers of four networks at batch 1, forward and both gradients; every result is verified before it is
//! timed. Criterion's throughput is in floating-point operations of the definition: `Gelem/s` is GFLOP/s.
//!
//! `cargo bench --bench layers -- conv/resnet50` runs a part; the names are `operation/suite/layer`.

use std::error::Error;
use std::hint::black_box;
use std::time::Duration;

use convgemm::{ConvOptions, ConvPlan, Padding, WeightGradPlan};
use convgemm_suites::data::Data;
use convgemm_suites::oracle::Expected;
use convgemm_suites::{Layer, Op, Suite};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ndarray::{Array1, Array4};

const SUITES: [&str; 4] = ["resnet50", "vgg16", "mobilenetv1", "alexnet"];
const BATCH: usize = 1;
const SEED: u64 = 7;
/// Largest difference to the oracle, scaled by its largest value: far above f32's rounding, Winograd's
/// included, and far below any mistake.
const TOLERANCE: f64 = 1e-4;

fn layers(criterion: &mut Criterion) {
    for op in Op::ALL {
        for suite in SUITES.map(|name| Suite::named(name).expect("a suite of this name")) {
            let mut group = criterion.benchmark_group(format!("{op}/{}", suite.name));
            for entry in &suite.layers {
                group.throughput(Throughput::Elements(entry.layer.flops(BATCH) as u64));
                // What is made here is made only if the layer passes Criterion's filter.
                group.bench_function(entry.name, |bencher| {
                    let data = Data::seeded(&entry.layer, BATCH, SEED);
                    let expected = Expected::sampled(&entry.layer, op, BATCH, &data, SEED);
                    let mut prepared = Prepared::new(&entry.layer, op, &data).expect("a possible layer");
                    prepared.verify(&expected).unwrap_or_else(|error| panic!("{}: {error}", entry.name));
                    bencher.iter(|| black_box(prepared.run()));
                });
            }
            group.finish();
        }
    }
}

/// An operation with its plan and its memory, ready to run again and again.
struct Prepared {
    plan: Plan,
    /// What the plan reads: one array, or the input and the gradient of the output.
    sources: Vec<Array4<f32>>,
    output: Array4<f32>,
    workspace: Vec<f32>,
}

enum Plan {
    Conv(ConvPlan<f32, 2>),
    WeightGrad(WeightGradPlan<f32, 2>),
}

impl Prepared {
    fn new(layer: &Layer, op: Op, data: &Data) -> Result<Self, Box<dyn Error>> {
        let [input, weight, output] = [layer.input_shape(BATCH), layer.weight_shape(), layer.output_shape(BATCH)]
            .map(|shape| [shape[0], shape[1], shape[2], shape[3]]);
        let options = ConvOptions::new()
            .stride([layer.stride[0], layer.stride[1]])
            .padding(Padding::Explicit([0, 1].map(|axis| layer.padding[axis].into())))
            .dilation([layer.dilation[0], layer.dilation[1]])
            .groups(layer.groups);
        let array = |shape, values: &[f32]| Array4::from_shape_vec(shape, values.to_vec());
        let kernels = array(weight, &data.weight)?;
        let bias = layer.bias.then(|| Array1::from(data.bias.clone()));
        let (images, grad) = (array(input, &data.input)?, array(output, &data.grad_output)?);
        let (plan, sources) = match op {
            Op::Conv => (Plan::Conv(ConvPlan::conv(input, &kernels, bias.as_deref(), &options)?), vec![images]),
            Op::InputGrad => (Plan::Conv(ConvPlan::input_grad(input, &kernels, &options)?), vec![grad]),
            Op::WeightGrad => (Plan::WeightGrad(WeightGradPlan::conv(input, weight, &options)?), vec![images, grad]),
        };
        let workspace = vec![0.0; plan.workspace_len()];
        let result = layer.result_shape(op, BATCH);
        let output = Array4::zeros([result[0], result[1], result[2], result[3]]);
        Ok(Self { plan, sources, output, workspace })
    }

    fn run(&mut self) -> convgemm::Result<()> {
        let (output, workspace) = (&mut self.output, &mut self.workspace);
        match (&self.plan, self.sources.as_slice()) {
            (Plan::Conv(plan), [source]) => plan.run_into(source, output, workspace),
            (Plan::WeightGrad(plan), [images, grad]) => plan.run_into(images, grad, output, workspace),
            _ => unreachable!("a plan with the sources that it was made with"),
        }
    }

    /// Runs it once and compares the result with the oracle's.
    fn verify(&mut self, expected: &Expected) -> Result<(), Box<dyn Error>> {
        self.run()?;
        let found = expected.deviation(self.output.as_slice().ok_or("the output is not in order")?)?;
        if found.max < TOLERANCE { Ok(()) } else { Err(format!("a wrong result: {found:?}").into()) }
    }
}

impl Plan {
    fn workspace_len(&self) -> usize {
        match self {
            Self::Conv(plan) => plan.workspace_len(),
            Self::WeightGrad(plan) => plan.workspace_len(),
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = layers
}
criterion_main!(benches);
