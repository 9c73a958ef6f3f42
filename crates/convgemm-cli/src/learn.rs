//! `convgemm learn`: the kernel that turned one picture into another.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::{Args, ValueEnum};
use convgemm::ConvOptions;
use convgemm::learn::{Descent, descend, steepest};
use convgemm::nn::{Conv2d, Reduction, Rng};
use ndarray::{Array3, Array4, Axis, Ix2, Ix3, Slice};
use serde::Serialize;

use crate::args::whole;
use crate::atomic::Output;
use crate::exercises::chart;
use crate::memory::check;
use crate::npy::{self, AnyArray, is_array};
use crate::output::{matrix, report, report_json};
use crate::picture::Picture;

/// Find the kernel that turned one picture into another
///
/// Only windows that lie wholly inside are used, so it does not matter how the border was filled. The second picture
/// has the size of the first, or that of the first without a border (`filter --border none`). Colours are seen as
/// several pictures with one kernel. An 8-bit picture is rounded: the ± tells how uncertain that leaves the kernel.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  convgemm filter photo.jpg -k box:3 -o after.png
  convgemm learn photo.jpg after.png --size 3x3
  convgemm learn x.npy y.npy --size 5x5 -o kernel.npy
  convgemm learn photo.jpg after.png --size 3x3 --method descent --plot loss.svg")]
pub struct LearnArgs {
    /// Picture (PNG, JPEG) or array (.npy, [H, W] or [C, H, W]) before the filter
    before: PathBuf,
    /// The same after it
    after: PathBuf,
    /// Rows and columns of the kernel, as in 3x3
    #[arg(long, value_parser = size)]
    size: [usize; 2],
    /// How the kernel is found
    #[arg(long, value_enum, default_value_t)]
    method: Method,
    /// Look for a number that was added to every pixel, too
    #[arg(long)]
    bias: bool,
    /// Price of the kernel's squares against squared errors (least-squares)
    #[arg(long, default_value_t = 0.0)]
    ridge: f64,
    /// Part of the gradient that a step takes, of the mean squared error; unasked, what the steepest direction bears (descent)
    #[arg(long)]
    rate: Option<f64>,
    /// Part of a step that the next one keeps (descent)
    #[arg(long, default_value_t = 0.9)]
    momentum: f64,
    /// Steps downhill (descent)
    #[arg(long, default_value_t = 500, value_parser = whole)]
    steps: usize,
    /// Save the kernel as .npy
    #[arg(short, long, value_name = "FILE.npy")]
    output: Option<PathBuf>,
    /// Save the losses as a picture (descent)
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Method {
    /// In one step, by solving for the kernel
    #[default]
    LeastSquares,
    /// By gradient descent with momentum
    Descent,
}

/// What was found.
#[derive(Debug, Serialize)]
struct Found {
    kernel: Vec<Vec<f64>>,
    bias: Option<f64>,
    /// Root of the mean squared error, white being 1.
    residual: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    uncertainty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<f64>,
    /// Share of the second picture's samples that are black or white, where a value may have been cut off.
    cut_off: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    losses: Vec<f64>,
}

fn size(text: &str) -> Result<[usize; 2], String> {
    let parts: Vec<Option<usize>> = text.split(['x', '×']).map(|part| part.parse().ok()).collect();
    match parts.as_slice() {
        [Some(height @ 1..), Some(width @ 1..)] => Ok([*height, *width]),
        _ => Err("not rows and columns of at least 1, as in 3x3".into()),
    }
}

impl LearnArgs {
    /// # Errors
    /// Pictures that do not fit each other or do not determine the kernel, files that cannot be read or written.
    pub fn run(self) -> Result<()> {
        ensure!(self.plot.is_none() || self.method == Method::Descent, "a plot of losses needs --method descent");
        let (before, after) = self.pair()?;
        let outputs = [&self.output, &self.plot].map(|path| path.as_deref().map(Output::create).transpose());
        let [kernel, plot] = outputs;
        let (kernel, plot) = (kernel?, plot?);
        let black_or_white = after.iter().filter(|&&sample| sample <= 0.0 || sample >= 1.0).count();
        let cut_off = if self.are_pictures() { black_or_white as f64 / after.len() as f64 } else { 0.0 };
        let (layer, mut found) = match self.method {
            Method::LeastSquares => self.solve(&before, &after)?,
            Method::Descent => self.walk(&before, &after)?,
        };
        let cells = layer.weight.index_axis(Axis(0), 0).index_axis_move(Axis(0), 0).to_owned();
        found.kernel = cells.rows().into_iter().map(|row| row.to_vec()).collect();
        found.bias = layer.bias.as_ref().map(|bias| bias[0]);
        found.cut_off = cut_off;
        if let Some(output) = kernel {
            npy::write(output, &cells)?;
        }
        if let Some(output) = plot {
            let points = (1..).zip(&found.losses).map(|(step, &loss)| (f64::from(step), loss)).collect();
            let svg = chart::standalone("mean squared error before each step", &[("loss".to_owned(), points)]);
            output.write(|writer| Ok(writer.write_all(svg.as_bytes())?))?;
        }
        let files = [&self.output, &self.plot].into_iter().flatten().map(PathBuf::as_path);
        if self.json {
            return report_json(&found, files);
        }
        let mut text = format!("kernel {} × {}:\n{}", self.size[0], self.size[1], matrix(cells.view(), 2));
        if let Some(bias) = found.bias {
            text += &format!("bias: {bias:.4}\n");
        }
        text += &format!("residual: {:.2e} (root of the mean squared error; white is 1)\n", found.residual);
        if let (Some(uncertainty), Some(condition)) = (found.uncertainty, found.condition) {
            text += &format!(
                "noise of that size makes each number uncertain by ± {uncertainty:.1e}; the system's condition is {condition:.0}\n"
            );
        }
        if let (Some(first), Some(last), Some(rate)) = (found.losses.first(), found.losses.last(), found.rate) {
            text += &format!("loss: {first:.3e} at first, {last:.3e} at step {}, rate {rate:.3}\n", found.losses.len());
        }
        if cut_off > 0.001 {
            let percent = 100.0 * cut_off;
            text += &format!(
                "{percent:.1} % of the second picture is black or white: what was cut off there bends the result\n"
            );
        }
        report(&text, files)
    }

    fn are_pictures(&self) -> bool {
        !is_array(&self.after)
    }

    /// Both pictures, one channel each image, the second less its border.
    fn pair(&self) -> Result<(Array4<f64>, Array4<f64>)> {
        let gray = colors(&self.before)? != colors(&self.after)?;
        let (before, after) = (read(&self.before, gray)?, read(&self.after, gray)?);
        let [(_, h, w), (_, ah, aw)] = [before.dim(), after.dim()];
        let [kh, kw] = self.size;
        ensure!(kh <= h && kw <= w, "the kernel is {kh} × {kw}, the pictures only {h} × {w} (rows × columns)");
        let (oh, ow) = (h - kh + 1, w - kw + 1);
        ensure!(
            (ah, aw) == (h, w) || (ah, aw) == (oh, ow),
            "the pictures differ in size: {h} × {w} before, {ah} × {aw} after (rows × columns); \
             the same, or {oh} × {ow} without a border, is possible"
        );
        ensure!(before.dim().0 == after.dim().0, "the arrays have {} and {} channels", before.dim().0, after.dim().0);
        let inside = if (ah, aw) == (h, w) { ((kh - 1) / 2, (kw - 1) / 2) } else { (0, 0) };
        let after = after.slice_axis(Axis(1), Slice::from(inside.0..inside.0 + oh)).to_owned();
        let after = after.slice_axis(Axis(2), Slice::from(inside.1..inside.1 + ow)).to_owned();
        Ok((before.insert_axis(Axis(1)), after.insert_axis(Axis(1))))
    }

    #[cfg(feature = "linalg")]
    fn solve(&self, before: &Array4<f64>, after: &Array4<f64>) -> Result<(Conv2d<f64>, Found)> {
        use convgemm::learn::{LeastSquares, least_squares};
        let windows = after.len() / after.dim().0.max(1);
        let patches = windows.saturating_mul(self.size[0].saturating_mul(self.size[1]));
        // One for the patch matrix, as much again for what is worked on.
        check("the patch matrix (--method descent needs none)", patches.saturating_mul(2 * size_of::<f64>()))?;
        let mut ask = LeastSquares::new().ridge(self.ridge);
        if self.bias {
            ask = ask.with_bias();
        }
        let fit = least_squares(before, after, self.size, &ConvOptions::new(), &ask).map_err(explained)?;
        let found = Found {
            uncertainty: Some(fit.uncertainty),
            condition: Some(fit.condition),
            ..Found::with_residual(fit.residual)
        };
        Ok((fit.layer, found))
    }

    #[cfg(not(feature = "linalg"))]
    fn solve(&self, _: &Array4<f64>, _: &Array4<f64>) -> Result<(Conv2d<f64>, Found)> {
        check("nothing", self.ridge as usize)?;
        bail!("this build has no least squares; use --method descent, or build with --features openblas,linalg")
    }

    fn walk(&self, before: &Array4<f64>, after: &Array4<f64>) -> Result<(Conv2d<f64>, Found)> {
        let flat = before.iter().zip(before.iter().skip(1)).all(|(a, b)| a == b);
        ensure!(!flat, "the first picture is constant, so that any kernel of the right sum would do");
        let options = ConvOptions::new();
        let rate = match self.rate {
            Some(rate) => rate,
            None => after.len() as f64 / steepest(before, self.size, &options, self.bias)?,
        };
        let layer = Conv2d::new([1, 1], self.size, options, &mut Rng::new(1))?;
        let mut layer = if self.bias { layer.with_zero_bias() } else { layer.without_bias() };
        // No direction is better than another before anything is known.
        layer.weight.fill(0.0);
        let how = Descent::new(rate, self.steps).momentum(self.momentum).reduction(Reduction::Mean);
        let learned = descend(layer, before, after, &how)?;
        let last = descend(learned.layer.clone(), before, after, &Descent::new(0.0, 1).reduction(Reduction::Mean))?;
        let residual = last.losses.first().copied().unwrap_or(f64::NAN).sqrt();
        let found = Found { rate: Some(rate), losses: learned.losses, ..Found::with_residual(residual) };
        Ok((learned.layer, found))
    }
}

impl Found {
    fn with_residual(residual: f64) -> Self {
        Self {
            kernel: vec![],
            bias: None,
            residual,
            uncertainty: None,
            condition: None,
            cut_off: 0.0,
            rate: None,
            losses: vec![],
        }
    }
}

#[cfg(feature = "linalg")]
fn explained(error: convgemm::Error) -> anyhow::Error {
    match error {
        convgemm::Error::Singular { rank, unknowns, .. } => anyhow!(
            "the pictures do not determine the kernel: they fix {rank} of its {unknowns} numbers (a constant or too small \
             picture, or a kernel too large for it); another picture, a smaller --size or a --ridge helps"
        ),
        other => other.into(),
    }
}

/// Channels of a picture; an array has those that it has.
fn colors(path: &Path) -> Result<Option<usize>> {
    Ok(if is_array(path) { None } else { Some(Picture::open(path)?.colors) })
}

/// `[C, H, W]`, black as 0 and white as 1.
fn read(path: &Path, gray: bool) -> Result<Array3<f64>> {
    let array = if is_array(path) {
        let array = AnyArray::read(path)?.into_f64();
        let axes = array.ndim();
        match axes {
            2 => array.into_dimensionality::<Ix2>()?.insert_axis(Axis(0)),
            3 => array.into_dimensionality::<Ix3>()?,
            _ => bail!("{}: it has {axes} axes; [H, W] and [C, H, W] are possible", path.display()),
        }
    } else {
        let picture = Picture::open(path)?;
        let channels = if gray { 1 } else { picture.colors };
        let samples = channels.saturating_mul(picture.height).saturating_mul(picture.width);
        check("the picture in double precision", samples.saturating_mul(3 * size_of::<f64>()))?;
        let mut array = Array3::<f32>::zeros((channels, picture.height, picture.width));
        for (channel, plane) in array.outer_iter_mut().enumerate() {
            if gray { picture.read_gray(plane) } else { picture.read_channel(channel, plane) }
        }
        array.mapv(f64::from)
    };
    ensure!(array.iter().all(|sample| sample.is_finite()), "{}: it holds what is no finite number", path.display());
    (!array.is_empty()).then_some(array).with_context(|| anyhow!("{}: it has no samples", path.display()))
}
