//! `convgemm exercises learn`: the descent of statement 4 from any start.

use anyhow::{Result, ensure};
use clap::Args;
use convgemm::ConvOptions;
use convgemm::correlate2d;
use convgemm::learn::{Descent, descend};
use convgemm::nn::{Conv2d, Rng};
use ndarray::{Array2, Axis, array};
use serde::Serialize;

use crate::args::whole;
use crate::kernels::Kernel;
use crate::output::{print, print_json};

/// Learn the edge kernel of statement 4 from a start of your own
#[derive(Debug, Args)]
#[command(after_help = "Example:
  convgemm exercises learn --init '[[0.25,-0.5]]' --rate 0.03 --steps 10 --json")]
pub struct TrainArgs {
    /// The kernel at the start: one row of two numbers
    #[arg(long, allow_hyphen_values = true)]
    init: String,
    /// Part of the gradient that a step takes
    #[arg(long)]
    rate: f64,
    /// How many steps
    #[arg(long, value_parser = whole)]
    steps: usize,
    /// Learn a bias too, from 0
    #[arg(long)]
    bias: bool,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Trained {
    /// The sum of squared errors before each step.
    losses: Vec<f64>,
    kernel: Vec<Vec<f64>>,
    bias: Option<f64>,
}

impl TrainArgs {
    /// # Errors
    /// A start of another shape, a rate out of range, a descent that diverges.
    pub fn run(self) -> Result<()> {
        let start = Kernel::parse(&self.init)?.cells;
        ensure!(
            start.dim() == (1, 2),
            "the start is {} × {}, the kernel of statement 4 is 1 × 2",
            start.nrows(),
            start.ncols()
        );
        let x = Array2::from_shape_fn((6, 8), |(_, column)| if (2..6).contains(&column) { 0.0 } else { 1.0 });
        let y = correlate2d(&x, &array![[1.0, -1.0]], &ConvOptions::new())?;
        let image = |matrix: Array2<f64>| matrix.insert_axis(Axis(0)).insert_axis(Axis(0));
        let layer = Conv2d::new([1, 1], [1, 2], ConvOptions::new(), &mut Rng::new(0))?;
        let mut layer = if self.bias { layer.with_zero_bias() } else { layer.without_bias() };
        layer.weight = image(start);
        let learned = descend(layer, &image(x), &image(y), &Descent::new(self.rate, self.steps))?;
        let kernel: Vec<f64> = learned.layer.weight.iter().copied().collect();
        let trained =
            Trained { losses: learned.losses, kernel: vec![kernel], bias: learned.layer.bias.map(|bias| bias[0]) };
        if self.json {
            return print_json(&trained);
        }
        let mut text = String::new();
        for (step, loss) in (1..).zip(&trained.losses) {
            text += &format!("step {step}: loss {loss:.6}\n");
        }
        text += &format!("kernel: [[{:.5}, {:.5}]]\n", trained.kernel[0][0], trained.kernel[0][1]);
        if let Some(bias) = trained.bias {
            text += &format!("bias: {bias:.5}\n");
        }
        print(&text)
    }
}
