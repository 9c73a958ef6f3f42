//! The jobs of `convgemm filter`: which picture goes where, and what became of it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{MAIN_SEPARATOR, Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

use crate::atomic::Output;
use crate::output::{self, lossy};
use crate::picture::{Format, Picture};
use crate::pipeline::Filter;

/// One picture and where its result goes.
#[derive(Debug)]
pub struct Job {
    pub picture: PathBuf,
    output: PathBuf,
}

/// What was done to one picture.
#[derive(Debug, Serialize)]
pub struct Filtered {
    #[serde(serialize_with = "lossy")]
    input: PathBuf,
    #[serde(serialize_with = "lossy")]
    output: PathBuf,
    /// Channels, of which opacity is one, rows and pixels in a row.
    input_shape: [usize; 3],
    output_shape: [usize; 3],
    bits: u8,
    algorithm: String,
    backend: &'static str,
    workspace_bytes: usize,
    /// Without reading and writing the files.
    seconds: f64,
}

impl Filtered {
    /// A line for people.
    pub fn line(&self, kernel: &str) -> String {
        let Self { output, output_shape: [_, height, width], algorithm, seconds, .. } = self;
        let (path, time) = (output.display(), output::seconds(*seconds));
        format!("{path}: {width} × {height} pixels, {kernel} by {algorithm} in {time}\n")
    }
}

impl Job {
    /// Filters the picture and writes the result.
    ///
    /// # Errors
    /// A picture that cannot be read or filtered, a result that cannot be written.
    pub fn run(&self, filter: &Filter) -> Result<Filtered> {
        let picture = Picture::open(&self.picture)?;
        let format = Format::of(&self.output);
        picture.check_format(format).with_context(|| format!("cannot write {}", self.output.display()))?;
        let output = Output::create(&self.output)?;
        let start = Instant::now();
        let (result, explanation) = filter.apply(&picture).with_context(|| self.picture.display().to_string())?;
        let seconds = start.elapsed().as_secs_f64();
        let filtered = Filtered {
            input: self.picture.clone(),
            output: self.output.clone(),
            input_shape: picture.shape(),
            output_shape: result.shape(),
            bits: picture.bits(),
            algorithm: explanation.algorithm.to_string(),
            backend: explanation.backend,
            workspace_bytes: explanation.workspace_bytes,
            seconds,
        };
        drop(picture);
        output.write(|writer| result.write(format, writer))?;
        Ok(filtered)
    }
}

/// Says where each result goes, and makes the folder if that is where.
///
/// # Errors
/// Names that are none for a result, two results with one name, a folder that cannot be made.
pub fn jobs(pictures: &[PathBuf], output: &Path) -> Result<Vec<Job>> {
    let named_as_folder = output.to_string_lossy().ends_with(['/', MAIN_SEPARATOR]);
    let is_picture = output.extension().is_some_and(is_picture);
    if let ([picture], false) = (pictures, named_as_folder || output.is_dir()) {
        let is_stream = output.exists() && !output.is_file();
        let name = output.display();
        ensure!(is_picture || is_stream, "the output {name} must end in .png or .jpg, or in / if it is a folder");
        return Ok(vec![Job { picture: picture.clone(), output: output.to_owned() }]);
    }
    let folder = output.display();
    ensure!(output.is_dir() || !output.exists(), "several pictures need a folder, and {folder} is a file");
    if !named_as_folder && !output.is_dir() && is_picture {
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

fn is_picture(extension: &OsStr) -> bool {
    ["png", "jpg", "jpeg"].iter().any(|known| extension.eq_ignore_ascii_case(known))
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
