//! From a picture to a filtered picture: planes, a plan, and the way back to samples.

use anyhow::{Result, ensure};
use convgemm::{Algorithm, Backend, ConvOptions, ConvPlan, Explanation, PadMode, Padding};
use ndarray::{Array4, ArrayView4, Axis};

use crate::kernels::Kernel;
use crate::memory::filled;
use crate::output::lengths;
use crate::picture::{Picture, Tone};

/// What is done to every picture.
pub struct Filter {
    pub kernel: Kernel,
    /// Whether the kernel is flipped both ways: convolution instead of cross-correlation.
    pub flipped: bool,
    /// How cells beyond the border are made; without, only windows inside the picture count.
    pub border: Option<PadMode>,
    pub stride: [usize; 2],
    pub algorithm: Algorithm,
    pub backend: Backend,
    pub gray: bool,
    pub tone: Tone,
    pub gain: f32,
}

/// Channels of a picture are filtered as one batch while they take no more than this, and else one by
/// one, to hold few copies of a large picture.
const BATCH_BYTES: usize = 256 << 20;

impl Filter {
    fn colors(&self, picture: &Picture) -> usize {
        if self.gray { 1 } else { picture.colors }
    }

    /// How many of the picture's channels are filtered together.
    pub fn batch(&self, picture: &Picture) -> usize {
        let colors = self.colors(picture);
        let bytes = picture.width.saturating_mul(picture.height).saturating_mul(colors * size_of::<f32>());
        if bytes <= BATCH_BYTES { colors } else { 1 }
    }

    /// Cells before and after each axis. The window of an output lies around the pixel that it is for;
    /// where the kernel is even, a cell more after it, or before it if the kernel is flipped.
    fn cells(&self) -> [(usize, usize); 2] {
        let (height, width) = self.kernel.cells.dim();
        [height, width].map(|length| {
            let (less, more) = ((length - 1) / 2, length / 2);
            match self.border {
                None => (0, 0),
                Some(_) if self.flipped => (more, less),
                Some(_) => (less, more),
            }
        })
    }

    /// The plan for `batch` channels of a picture, as a batch of images with one channel each.
    ///
    /// # Errors
    /// A kernel that is too large for the picture or its border.
    pub fn plan(&self, picture: &Picture, batch: usize, algorithm: Algorithm) -> Result<ConvPlan<f32, 2>> {
        let mut kernel = self.kernel.cells.mapv(|cell| cell as f32);
        if self.flipped {
            kernel.invert_axis(Axis(0));
            kernel.invert_axis(Axis(1));
        }
        let weight = kernel.insert_axis(Axis(0)).insert_axis(Axis(0));
        let options = ConvOptions::new()
            .stride(self.stride)
            .padding(Padding::Explicit(self.cells()))
            .pad_mode(self.border.unwrap_or_default())
            .algorithm(algorithm)
            .backend(self.backend);
        let (height, width) = (picture.height, picture.width);
        ConvPlan::conv([batch, 1, height, width], &weight, None, &options).map_err(|error| {
            let other = match error {
                convgemm::Error::PaddingTooWide { .. } => " (a border of replicate fits any picture)",
                _ => "",
            };
            let size = lengths(self.kernel.cells.shape());
            let job = format!("kernel {} of {size} on {width} × {height} pixels{other}", self.kernel.name);
            anyhow::Error::new(error).context(job)
        })
    }

    /// The channels from `first` on, as many as `planes` has images.
    pub fn read(&self, picture: &Picture, first: usize, planes: &mut Array4<f32>) {
        for (i, mut image) in planes.outer_iter_mut().enumerate() {
            let plane = image.index_axis_mut(Axis(0), 0);
            if self.gray { picture.read_gray(plane) } else { picture.read_channel(first + i, plane) }
        }
    }

    /// The filtered picture, and how it was made.
    ///
    /// # Errors
    /// A kernel that is too large, memory that is not to be had.
    pub fn apply(&self, picture: &Picture) -> Result<(Picture, Explanation)> {
        let (colors, batch) = (self.colors(picture), self.batch(picture));
        let plan = self.plan(picture, batch, self.algorithm)?;
        let mut workspace = filled("the workspace", plan.workspace_len(), 0.0)?;
        let mut planes = planes(&plan.input_shape())?;
        let mut filtered = self::planes(&plan.output_shape())?;
        let (_, _, height, width) = filtered.dim();
        let mut result = picture.blank_like(width, height, colors)?;
        for first in (0..colors).step_by(batch) {
            self.read(picture, first, &mut planes);
            plan.run_into(&planes, &mut filtered, &mut workspace)?;
            self.store(&mut result, first, filtered.view());
        }
        result.copy_alpha(picture, self.anchor(), self.stride);
        Ok((result, plan.explain()))
    }

    fn store(&self, result: &mut Picture, first: usize, filtered: ArrayView4<'_, f32>) {
        for (i, image) in filtered.outer_iter().enumerate() {
            result.write_channel(first + i, image.index_axis(Axis(0), 0), self.tone, self.gain);
        }
    }

    /// The pixel that the first window is for.
    fn anchor(&self) -> [usize; 2] {
        let (height, width) = self.kernel.cells.dim();
        match self.border {
            Some(_) => [0, 0],
            None => [height, width].map(|length| if self.flipped { length / 2 } else { (length - 1) / 2 }),
        }
    }
}

/// Images of one channel, or an error where the memory is not to be had.
pub fn planes(shape: &[usize]) -> Result<Array4<f32>> {
    let &[batch, channels, height, width] = shape else { unreachable!("a plan over two axes has four lengths") };
    let cells = filled("the picture's planes", shape.iter().product(), 0.0)?;
    ensure!(!cells.is_empty(), "it has no pixels");
    Ok(Array4::from_shape_vec((batch, channels, height, width), cells)?)
}
