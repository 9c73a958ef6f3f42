//! `convgemm filter`: pictures filtered with a kernel.

use std::collections::HashMap;
use std::path::{MAIN_SEPARATOR, Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use convgemm::{Algorithm, Backend, PadMode};
use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;

use crate::args::{Sizes, ThreadArgs, algorithm, backend};
use crate::atomic::Output;
use crate::case::for_axes;
use crate::compare::Comparison;
use crate::kernels::Kernel;
use crate::output::{self, print, print_json};
use crate::picture::{Picture, Tone};
use crate::pipeline::Filter;

/// Filter pictures with a kernel
///
/// Reads PNG and JPEG, gray or colour, 8 or 16 bits, upright as their EXIF data says, and writes PNG of
/// the same depth. Samples are taken as they are stored (no gamma is undone) and scaled to 0 for black and
/// 1 for white; each colour channel is filtered by itself, opacity is kept as it is. What the result has
/// outside 0 to 1 is cut off (--clip), unless --absolute or --signed is given.
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

    /// Where to write: a .png file, or a folder (made if there is none) for one picture or several
    #[arg(long, short, value_name = "OUT.png|FOLDER", required_unless_present = "compare")]
    output: Option<PathBuf>,

    /// Slide the kernel as it is written, or flipped both ways
    #[arg(long, value_enum, value_name = "MODE", default_value = "correlate")]
    mode: Mode,

    /// What stands beyond the border; none makes the result smaller than the picture
    #[arg(long, value_name = "BORDER", default_value = "reflect", value_parser = border())]
    border: Border,

    /// Keep every n-th pixel: one number, or one for down and one for right
    #[arg(long, value_name = "N[,N]", default_value = "1")]
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
    #[arg(long, value_name = "FACTOR", default_value = "1", allow_negative_numbers = true)]
    gain: f32,

    /// Time the same job by direct, im2col and im2col-tiled, verified equal first (for one picture)
    #[arg(long)]
    compare: bool,

    /// Print the comparison as JSON
    #[arg(long, requires = "compare")]
    json: bool,

    #[command(flatten)]
    threads: ThreadArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
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
            if self.compare {
                let [picture] = self.pictures.as_slice() else { bail!("--compare is for one picture") };
                let comparison = Comparison::measure(picture.display().to_string(), &Picture::open(picture)?, &filter)?;
                if self.json { print_json(&comparison)? } else { print(&comparison.text())? }
            }
            self.write(&jobs, &filter)
        })
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

    /// Writes every picture. One that fails does not keep the others from being written.
    fn write(&self, jobs: &[Job], filter: &Filter) -> Result<()> {
        if let [job] = jobs {
            let line = job.run(filter)?;
            // The comparison, or its JSON, stands alone.
            return if self.compare { Ok(()) } else { print(&line) };
        }
        let bar = ProgressBar::new(jobs.len() as u64)
            .with_style(ProgressStyle::with_template("{bar:40} {pos}/{len} pictures, {eta} left")?);
        let failures: Vec<String> = jobs
            .par_iter()
            .filter_map(|job| {
                let result = job.run(filter);
                bar.inc(1);
                result.err().map(|error| format!("{error:#}"))
            })
            .collect();
        bar.finish_and_clear();
        match failures.as_slice() {
            [] => {
                let folder = self.output.as_deref().unwrap_or(Path::new(".")).display();
                if jobs.is_empty() { Ok(()) } else { print(&format!("{} pictures written to {folder}\n", jobs.len())) }
            }
            [one] => bail!("{one}"),
            [first, ..] => bail!("{} of {} pictures failed; the first: {first}", failures.len(), jobs.len()),
        }
    }
}

/// One picture and where its result goes.
#[derive(Debug)]
struct Job {
    picture: PathBuf,
    output: PathBuf,
}

impl Job {
    /// Filters the picture and says what was done.
    fn run(&self, filter: &Filter) -> Result<String> {
        let picture = Picture::open(&self.picture)?;
        let output = Output::create(&self.output)?;
        let start = Instant::now();
        let (result, algorithm) = filter.apply(&picture).with_context(|| self.picture.display().to_string())?;
        let time = output::seconds(start.elapsed().as_secs_f64());
        let (width, height) = (result.width, result.height);
        drop(picture);
        output.write(|writer| result.write_png(writer))?;
        let (name, path) = (&filter.kernel.name, self.output.display());
        Ok(format!("{path}: {width} × {height} pixels, {name} by {algorithm} in {time}\n"))
    }
}

/// Says where each result goes, and makes the folder if that is where.
fn jobs(pictures: &[PathBuf], output: &Path) -> Result<Vec<Job>> {
    let named_as_folder = output.to_string_lossy().ends_with(['/', MAIN_SEPARATOR]);
    if let ([picture], false) = (pictures, named_as_folder || output.is_dir()) {
        let is_png = output.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png"));
        let is_stream = output.exists() && !output.is_file();
        let name = output.display();
        ensure!(is_png || is_stream, "the output {name} must end in .png, or in / if it is a folder");
        return Ok(vec![Job { picture: picture.clone(), output: output.to_owned() }]);
    }
    let folder = output.display();
    ensure!(output.is_dir() || !output.exists(), "several pictures need a folder, and {folder} is a file");
    let is_picture =
        |extension: &std::ffi::OsStr| ["png", "jpg", "jpeg"].iter().any(|e| extension.eq_ignore_ascii_case(e));
    if !named_as_folder && !output.is_dir() && output.extension().is_some_and(is_picture) {
        bail!("several pictures need a folder, and {folder} is the name of a picture (end it with / if it is not)");
    }
    let mut taken: HashMap<PathBuf, &Path> = HashMap::new();
    let mut jobs = Vec::new();
    for picture in pictures {
        let name = picture.file_stem().with_context(|| format!("{} is no picture", picture.display()))?;
        let path = output.join(name).with_extension_added("png");
        let itself = path.exists() && path.canonicalize().ok() == picture.canonicalize().ok();
        ensure!(!itself, "{} would be overwritten by its own result; give another folder", picture.display());
        if let Some(other) = taken.insert(path.clone(), picture) {
            bail!("{} and {} would both be written to {}", other.display(), picture.display(), path.display());
        }
        jobs.push(Job { picture: picture.clone(), output: path });
    }
    std::fs::create_dir_all(output).with_context(|| format!("cannot make the folder {folder}"))?;
    Ok(jobs)
}

/// `photo.v2` is a name, of which `.v2` is no extension that may be replaced.
trait AddExtension {
    fn with_extension_added(self, extension: &str) -> PathBuf;
}

impl AddExtension for PathBuf {
    fn with_extension_added(self, extension: &str) -> PathBuf {
        let mut name = self.into_os_string();
        name.push(".");
        name.push(extension);
        name.into()
    }
}
