//! `convgemm filter`: pictures filtered with a kernel.

use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use convgemm::{Algorithm, Backend, PadMode};
use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;
use serde::Serialize;

use crate::args::{Sizes, ThreadArgs, algorithm, backend, distances};
use crate::case::for_axes;
use crate::compare::Comparison;
use crate::jobs::{Filtered, Job, jobs};
use crate::kernels::Kernel;
use crate::output::{lossy, report, report_json};
use crate::picture::{Picture, Tone};
use crate::pipeline::Filter;

/// Filter pictures with a kernel
///
/// Reads PNG and JPEG, gray or colour, 8 or 16 bits, upright as their EXIF data says, and writes PNG of
/// the same depth (or JPEG, if the output's name says so). Samples are taken as they are stored (no gamma
/// is undone) and scaled to 0 for black and 1 for white; each colour channel is filtered by itself, opacity
/// is kept as it is. What the result has outside 0 to 1 is cut off (--clip), unless --absolute or --signed
/// is given.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  convgemm filter photo.jpg --kernel sobel-x --signed -o edges.png
  convgemm filter photo.jpg --kernel '[[1,-1]]' --gray --absolute -o edge.png
  convgemm filter *.jpg --kernel gaussian:2 -o blurred/
  convgemm filter photo.jpg --kernel box:5 --compare")]
pub struct FilterArgs {
    /// Pictures to filter, PNG or JPEG
    #[arg(value_name = "PICTURE", required = true)]
    pictures: Vec<PathBuf>,

    /// A name (see 'convgemm kernels'), rows of numbers such as '[[1,-1]]', or a NumPy file
    #[arg(long, short, value_name = "NAME|ROWS|FILE.npy")]
    kernel: String,

    /// Where to write: a .png or .jpg file, or a folder (made if there is none) for one picture or several, as PNG
    #[arg(long, short, value_name = "OUT.png|OUT.jpg|FOLDER", required_unless_present = "compare")]
    output: Option<PathBuf>,

    /// Slide the kernel as it is written, or flipped both ways
    #[arg(long, value_enum, value_name = "MODE", default_value = "correlate")]
    mode: Mode,

    /// What stands beyond the border; none makes the result smaller than the picture
    #[arg(long, value_name = "BORDER", default_value = "reflect", value_parser = border())]
    border: Border,

    /// Keep every n-th pixel: one number, or one for down and one for right
    #[arg(long, value_name = "N[,N]", default_value = "1", value_parser = distances)]
    stride: Sizes,

    /// How it is computed
    #[arg(long, value_name = "NAME", default_value = "auto", value_parser = algorithm(), conflicts_with = "compare")]
    algorithm: Algorithm,

    /// Library of the dense products
    #[arg(long, value_name = "NAME", default_value = "auto", value_parser = backend())]
    backend: Backend,

    /// Filter the brightness instead of the colours
    #[arg(long)]
    gray: bool,

    /// Show 0 as mid gray, -1 as black and 1 as white
    #[arg(long, group = "tone")]
    signed: bool,

    /// Show sizes without their sign
    #[arg(long, group = "tone")]
    absolute: bool,

    /// Show what is below 0 as black and above 1 as white; this is the default
    #[arg(long, group = "tone")]
    clip: bool,

    /// Multiply the result before it is shown
    #[arg(long, value_name = "FACTOR", default_value = "1")]
    gain: f32,

    /// Time the same job by direct, im2col and im2col-tiled, verified equal first (for one picture)
    #[arg(long)]
    compare: bool,

    /// Print what was done, and the comparison if there is one, as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    threads: ThreadArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
enum Mode {
    /// Cross-correlation, as in deep learning
    Correlate,
    /// Convolution, as in mathematics
    Convolve,
}

/// `none`, or how the border is filled.
#[derive(Debug, Clone, Copy)]
struct Border(Option<PadMode>);

fn border() -> impl TypedValueParser<Value = Border> {
    PossibleValuesParser::new(["reflect", "zeros", "replicate", "circular", "none"])
        .try_map(|name| if name == "none" { Ok(Border(None)) } else { name.parse().map(|mode| Border(Some(mode))) })
}

impl FilterArgs {
    /// # Errors
    /// Pictures or kernels that cannot be read, results that cannot be written, jobs that make no sense.
    pub fn run(self) -> Result<()> {
        let filter = self.filter()?;
        let jobs = match &self.output {
            Some(output) => jobs(&self.pictures, output)?,
            None => Vec::new(),
        };
        self.threads.install(|| {
            let comparison = if self.compare { Some(self.comparison(&filter)?) } else { None };
            if let (Some(comparison), false) = (&comparison, self.json) {
                report(&comparison.text(), self.output.as_deref())?;
            }
            let (failed, written) = outcomes(&jobs, &filter)?;
            let errors: Vec<String> = failed.iter().map(|failed| failed.error.clone()).collect();
            if self.json && (errors.is_empty() || jobs.len() > 1) {
                report_json(&Report::new(&self, &filter, (comparison, written, failed)), self.output.as_deref())?;
            } else if errors.is_empty() && !self.compare {
                report(&self.text(&written, &filter), self.output.as_deref())?;
            }
            match errors.as_slice() {
                [] => Ok(()),
                [one] => bail!("{one}"),
                [first, ..] => bail!("{} of {} pictures failed; the first: {first}", errors.len(), jobs.len()),
            }
        })
    }

    fn comparison(&self, filter: &Filter) -> Result<Comparison> {
        let [picture] = self.pictures.as_slice() else { bail!("--compare is for one picture") };
        Comparison::measure(picture.display().to_string(), &Picture::open(picture)?, filter)
    }

    fn filter(&self) -> Result<Filter> {
        ensure!(self.gain.is_finite(), "--gain is {}, it must be a finite number", self.gain);
        let stride = for_axes("--stride", &self.stride.0)?;
        ensure!(!stride.contains(&0), "--stride is 0, it must be at least 1");
        Ok(Filter {
            kernel: Kernel::parse(&self.kernel)?,
            flipped: self.mode == Mode::Convolve,
            border: self.border.0,
            stride,
            algorithm: self.algorithm,
            backend: self.backend,
            gray: self.gray,
            tone: match (self.signed, self.absolute) {
                (true, _) => Tone::Signed,
                (_, true) => Tone::Absolute,
                _ => Tone::Clip,
            },
            gain: self.gain,
        })
    }

    fn text(&self, written: &[Filtered], filter: &Filter) -> String {
        match (written, &self.output) {
            ([one], _) => one.line(&filter.kernel.name),
            (many, Some(folder)) => format!("{} pictures written to {}\n", many.len(), folder.display()),
            (_, None) => String::new(),
        }
    }
}

/// Writes every picture. One that fails does not keep the others from being written.
fn outcomes(jobs: &[Job], filter: &Filter) -> Result<(Vec<Failed>, Vec<Filtered>)> {
    let bar = if jobs.len() > 1 { ProgressBar::new(jobs.len() as u64) } else { ProgressBar::hidden() };
    let bar = bar.with_style(ProgressStyle::with_template("{bar:40} {pos}/{len} pictures, {eta} left")?);
    let outcomes = jobs.par_iter().partition_map(|job| {
        let outcome = job.run(filter);
        bar.inc(1);
        outcome.map_err(|error| Failed { input: job.picture.clone(), error: format!("{error:#}") }).into()
    });
    bar.finish_and_clear();
    Ok(outcomes)
}

/// What `--json` prints: what was asked, and what became of each picture.
#[derive(Serialize)]
struct Report<'a> {
    kernel: &'a str,
    kernel_shape: &'a [usize],
    mode: Mode,
    border: &'static str,
    stride: [usize; 2],
    gray: bool,
    tone: Tone,
    gain: f32,
    threads: usize,
    #[serde(flatten)]
    comparison: Option<Comparison>,
    pictures: Vec<Filtered>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed: Vec<Failed>,
}

#[derive(Serialize)]
struct Failed {
    #[serde(serialize_with = "lossy")]
    input: PathBuf,
    error: String,
}

impl<'a> Report<'a> {
    fn new(
        asked: &FilterArgs,
        filter: &'a Filter,
        (comparison, pictures, failed): (Option<Comparison>, Vec<Filtered>, Vec<Failed>),
    ) -> Self {
        Self {
            kernel: &filter.kernel.name,
            kernel_shape: filter.kernel.cells.shape(),
            mode: asked.mode,
            border: filter.border.map_or("none", PadMode::name),
            stride: filter.stride,
            gray: filter.gray,
            tone: filter.tone,
            gain: filter.gain,
            threads: rayon::current_num_threads(),
            comparison,
            pictures,
            failed,
        }
    }
}
