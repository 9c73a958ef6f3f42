//! `convgemm worker`: the line protocol of `convgemm_protocol`, spoken by this engine.

use std::io::stdin;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use clap::Args;
use convgemm_protocol::{Engine, Files, Hello, Op, Prepare, Prepared, isa, serve};
use ndarray::{ArrayD, IxDyn};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};

use crate::args::ThreadArgs;
use crate::atomic::Output;
use crate::case::Case;
use crate::engine::{Operand, Operation, Source, prepare};
use crate::memory::filled;
use crate::npy::{AnyArray, Scalar};
use crate::output::print_bytes;

/// Compute for a coordinator: a JSON request a line in, a JSON answer a line out
///
/// Requests: hello, prepare, time, save, drop, quit. A request that cannot be served is answered with
/// {"error": …}, and the worker lives on.
#[derive(Debug, Args)]
#[command(after_help = r#"Example of a conversation:
  {"do":"hello"}
  {"do":"prepare","case":"a","input":[1,64,56,56],"weight":[64,64,3,3],"padding":[[1,1],[1,1]]}
  {"do":"time","case":"a","runs":5}
  {"do":"save","case":"a","file":"y.npy"}
  {"do":"quit"}"#)]
pub struct WorkerArgs {
    #[command(flatten)]
    threads: ThreadArgs,
}

impl WorkerArgs {
    /// # Errors
    /// Standard input or output that fail.
    pub fn run(self) -> Result<()> {
        self.threads.install(|| serve(&mut Convgemm, &mut stdin().lock(), print_bytes))
    }
}

/// This library as an engine.
struct Convgemm;

impl Engine for Convgemm {
    fn hello(&self) -> Hello {
        let features = [("openblas", cfg!(feature = "openblas")), ("linalg", cfg!(feature = "linalg"))];
        Hello {
            engine: "convgemm".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            isa: isa().into(),
            threads: rayon::current_num_threads(),
            features: features.into_iter().filter(|(_, on)| *on).map(|(name, _)| name.to_owned()).collect(),
        }
    }

    fn prepare(&mut self, asked: &Prepare) -> Result<Box<dyn Prepared>> {
        let case = Case::try_from(asked)?;
        let source = Seeded { files: &asked.files, seed: asked.seed, case: &case };
        let operation = prepare(&case, source).map_err(|error| match error.downcast_ref() {
            Some(convgemm::Error::Unsupported { .. }) => error.context("unsupported"),
            _ => error,
        })?;
        Ok(Box::new(Ready(operation)))
    }
}

struct Ready(Box<dyn Operation>);

impl Prepared for Ready {
    fn algorithm(&self) -> String {
        self.0.explain().algorithm.to_string()
    }

    fn workspace_bytes(&self) -> usize {
        self.0.workspace_bytes()
    }

    fn packed_bytes(&self) -> usize {
        self.0.packed_bytes()
    }

    fn run(&mut self) -> Result<()> {
        self.0.run()
    }

    fn save(&mut self, file: &Path) -> Result<Vec<usize>> {
        self.0.write(Output::create(file)?)?;
        Ok(self.0.output_shape().to_vec())
    }
}

/// Arrays from files, and else N(0, 1) numbers of a seed, weights scaled after He by √(2 / fan-in) so that
/// outputs have the size of inputs.
struct Seeded<'a> {
    files: &'a Files,
    seed: u64,
    case: &'a Case,
}

impl Seeded<'_> {
    fn file(&self, operand: Operand) -> Option<&Path> {
        let file = match operand {
            Operand::Input => &self.files.input,
            Operand::Weight => &self.files.weight,
            Operand::Bias => &self.files.bias,
            Operand::GradOutput => &self.files.grad_output,
        };
        file.as_deref()
    }

    /// Products in the sum of one output.
    fn fan_in(&self) -> f64 {
        let weight = &self.case.weight;
        let taps: f64 = weight.iter().skip(2).map(|&n| n as f64).product();
        let channels = match self.case.op {
            Op::ConvTranspose => weight[0] / self.case.settings.groups.max(1),
            Op::Conv | Op::InputGrad | Op::WeightGrad => weight[1],
        };
        channels as f64 * taps
    }
}

impl Source for Seeded<'_> {
    fn load<T: Scalar>(&mut self, operand: Operand, shape: &[usize]) -> Result<ArrayD<T>> {
        let name = operand.name();
        if let Some(path) = self.file(operand) {
            let array = AnyArray::read(path)?;
            ensure!(array.shape() == shape, "{name}: the file has shape {:?}, expected {shape:?}", array.shape());
            let array = T::unwrap(array).with_context(|| format!("{name}: the file is not of type {}", T::NAME))?;
            return Ok(array);
        }
        let scale = if operand == Operand::Weight { (2.0 / self.fan_in().max(1.0)).sqrt() } else { 1.0 };
        // A stream for each array: the data of one does not depend on what others are needed.
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(operand as u64);
        let mut cells = filled(name, shape.iter().product(), T::zero())?;
        for cell in &mut cells {
            let normal: f64 = StandardNormal.sample(&mut random);
            *cell = T::from_f64(scale * normal);
        }
        Ok(ArrayD::from_shape_vec(IxDyn(shape), cells)?)
    }
}

#[cfg(test)]
mod tests {
    use convgemm_protocol::Request;

    use super::*;

    fn case() -> (Case, Files) {
        let line = r#"{"do":"prepare","case":"a","input":[2,8,40,40],"weight":[64,8,3,3]}"#;
        let Request::Prepare(asked) = serde_json::from_str(line).unwrap() else { panic!() };
        (Case::try_from(&*asked).unwrap(), asked.files)
    }

    #[test]
    fn the_same_seed_gives_the_same_normal_numbers_in_both_types() {
        let (case, files) = case();
        let data = |seed, operand| {
            let mut source = Seeded { files: &files, seed, case: &case };
            source.load::<f64>(operand, &case.input).unwrap()
        };
        let input = data(7, Operand::Input);
        assert_eq!(input, data(7, Operand::Input));
        assert_ne!(input, data(8, Operand::Input));
        assert_ne!(input, data(7, Operand::GradOutput));
        let single = Seeded { files: &files, seed: 7, case: &case }.load::<f32>(Operand::Input, &case.input).unwrap();
        assert_eq!(single, input.mapv(|cell| cell as f32));
        assert!(input.mean().unwrap().abs() < 0.03 && (input.std(0.0) - 1.0).abs() < 0.03);
    }

    #[test]
    fn weights_are_scaled_so_that_outputs_stay_in_size() {
        let (case, files) = case();
        let weight = Seeded { files: &files, seed: 1, case: &case }.load::<f64>(Operand::Weight, &case.weight).unwrap();
        let expected = (2.0_f64 / 72.0).sqrt();
        assert!((weight.std(0.0) / expected - 1.0).abs() < 0.05);
    }
}
