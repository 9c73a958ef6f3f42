//! Pictures: 8 or 16 bits a sample, gray or colour, with or without alpha.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, Write};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{DynamicImage, ImageBuffer, ImageDecoder, ImageEncoder, ImageReader, Limits};
use ndarray::{ArrayView2, ArrayViewMut2};
use rayon::prelude::*;
use serde::Serialize;

use crate::jpeg;
use crate::memory::{check, filled};
use crate::output::bytes;

/// Memory that decoding one picture may take: 20 000 × 20 000 samples of RGBA at 16 bits are 3.2 GB.
const DECODER_BYTES: u64 = 8 << 30;

/// Of 100: edges keep their place and their contrast.
const JPEG_QUALITY: u8 = 95;

/// How a picture is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Png,
    Jpeg,
}

impl Format {
    /// What the name of a file tells; PNG if it tells nothing.
    pub fn of(path: &Path) -> Self {
        let named = |name: &str| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(name));
        if named("jpg") || named("jpeg") { Self::Jpeg } else { Self::Png }
    }
}

/// A picture in memory.
pub struct Picture {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Colour channels: 1 or 3.
    pub colors: usize,
    /// Whether there is a channel of opacity after them.
    pub alpha: bool,
    samples: Samples,
    icc_profile: Option<Vec<u8>>,
}

enum Samples {
    Eight(Vec<u8>),
    Sixteen(Vec<u16>),
}

/// A sample as it is stored.
trait Sample: Copy + Default + Send + Sync + 'static {
    const WHITE: f32;
    fn value(self) -> f32;
    /// From 0…1, rounded; what lies outside becomes black or white, and so does what is not a number.
    fn from_unit(value: f32) -> Self;
}

impl Sample for u8 {
    const WHITE: f32 = 255.0;

    fn value(self) -> f32 {
        f32::from(self)
    }

    fn from_unit(value: f32) -> Self {
        (value * Self::WHITE + 0.5) as Self
    }
}

impl Sample for u16 {
    const WHITE: f32 = 65535.0;

    fn value(self) -> f32 {
        f32::from(self)
    }

    fn from_unit(value: f32) -> Self {
        (value * Self::WHITE + 0.5) as Self
    }
}

/// How a filtered value becomes a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tone {
    /// Black below 0, white above 1.
    Clip,
    /// The size without its sign.
    Absolute,
    /// 0 as mid gray, −1 as black, 1 as white.
    Signed,
}

impl Tone {
    fn apply(self, value: f32) -> f32 {
        match self {
            Self::Clip => value,
            Self::Absolute => value.abs(),
            Self::Signed => 0.5 + 0.5 * value,
        }
    }
}

impl Picture {
    /// Reads a PNG or JPEG, upright as its EXIF data says.
    ///
    /// # Errors
    /// A file that is not there, damaged, of another format, or too large for the memory.
    pub fn open(path: &Path) -> Result<Self> {
        Self::read(path).with_context(|| path.display().to_string())
    }

    fn read(path: &Path) -> Result<Self> {
        let file = BufReader::new(File::open(path)?);
        let mut reader = ImageReader::new(file).with_guessed_format()?;
        let Some(format) = reader.format() else { bail!("neither a PNG nor a JPEG") };
        if format == image::ImageFormat::Jpeg {
            // The decoder fills what is missing of a cut file with gray, and says nothing.
            let file = reader.into_inner();
            let file = whole_jpeg(file)?;
            reader = ImageReader::with_format(file, format);
        }
        let mut limits = Limits::default();
        limits.max_alloc = Some(DECODER_BYTES);
        reader.limits(limits);
        let mut decoder = reader.into_decoder()?;
        let orientation = decoder.orientation()?;
        let icc_profile = decoder.icc_profile()?;
        let (width, height) = decoder.dimensions();
        // The decoder would end the program where the memory is not to be had.
        let size = usize::try_from(decoder.total_bytes()).unwrap_or(usize::MAX);
        ensure!(
            size as u64 <= DECODER_BYTES,
            "{width} × {height} pixels are more than can be read: {}",
            bytes(size as f64)
        );
        check("the picture", size)?;
        let mut image = DynamicImage::from_decoder(decoder)?;
        image.apply_orientation(orientation);
        let (width, height) = (image.width() as usize, image.height() as usize);
        let (colors, alpha) = match image.color().channel_count() {
            count @ (1 | 3) => (usize::from(count), false),
            count => (usize::from(count) - 1, true),
        };
        let samples = match image {
            DynamicImage::ImageLuma8(buffer) => Samples::Eight(buffer.into_raw()),
            DynamicImage::ImageLumaA8(buffer) => Samples::Eight(buffer.into_raw()),
            DynamicImage::ImageRgb8(buffer) => Samples::Eight(buffer.into_raw()),
            DynamicImage::ImageRgba8(buffer) => Samples::Eight(buffer.into_raw()),
            DynamicImage::ImageLuma16(buffer) => Samples::Sixteen(buffer.into_raw()),
            DynamicImage::ImageLumaA16(buffer) => Samples::Sixteen(buffer.into_raw()),
            DynamicImage::ImageRgb16(buffer) => Samples::Sixteen(buffer.into_raw()),
            DynamicImage::ImageRgba16(buffer) => Samples::Sixteen(buffer.into_raw()),
            other => bail!("pixels of type {:?} are not supported", other.color()),
        };
        Ok(Self { width, height, colors, alpha, samples, icc_profile })
    }

    /// A black picture with the same depth and alpha.
    ///
    /// # Errors
    /// Memory that is not to be had.
    pub fn blank_like(&self, width: usize, height: usize, colors: usize) -> Result<Self> {
        let channels = colors + usize::from(self.alpha);
        let len =
            width.checked_mul(height).and_then(|cells| cells.checked_mul(channels)).context("its size overflows")?;
        let samples = match &self.samples {
            Samples::Eight(_) => Samples::Eight(filled("the picture", len, 0)?),
            Samples::Sixteen(_) => Samples::Sixteen(filled("the picture", len, 0)?),
        };
        // A profile describes channels that are no longer there once colours have become gray.
        let icc_profile = self.icc_profile.clone().filter(|_| colors == self.colors);
        Ok(Self { width, height, colors, alpha: self.alpha, samples, icc_profile })
    }

    fn channels(&self) -> usize {
        self.colors + usize::from(self.alpha)
    }

    /// Copies a colour channel to `plane`, black as 0 and white as 1.
    pub fn read_channel(&self, channel: usize, plane: ArrayViewMut2<'_, f32>) {
        let channels = self.channels();
        match &self.samples {
            Samples::Eight(samples) => fill(samples, channels, plane, |pixel| pixel[channel].value()),
            Samples::Sixteen(samples) => fill(samples, channels, plane, |pixel| pixel[channel].value()),
        }
    }

    /// Copies the brightness (0.2126 R + 0.7152 G + 0.0722 B) to `plane`, black as 0 and white as 1.
    pub fn read_gray(&self, plane: ArrayViewMut2<'_, f32>) {
        if self.colors == 1 {
            return self.read_channel(0, plane);
        }
        let channels = self.channels();
        match &self.samples {
            Samples::Eight(samples) => fill(samples, channels, plane, brightness),
            Samples::Sixteen(samples) => fill(samples, channels, plane, brightness),
        }
    }

    /// Overwrites a colour channel with `gain` times `plane`.
    pub fn write_channel(&mut self, channel: usize, plane: ArrayView2<'_, f32>, tone: Tone, gain: f32) {
        let channels = self.channels();
        let value = |value: f32| tone.apply(gain * value);
        match &mut self.samples {
            Samples::Eight(samples) => store(samples, (channels, channel), plane, value),
            Samples::Sixteen(samples) => store(samples, (channels, channel), plane, value),
        }
    }

    /// Copies the opacity of `from`, of the pixels `offset + stride · i` on each axis.
    pub fn copy_alpha(&mut self, from: &Self, offset: [usize; 2], stride: [usize; 2]) {
        if !self.alpha || !from.alpha {
            return;
        }
        let (to_width, to_channels) = (self.width, self.channels());
        let (from_width, from_channels) = (from.width, from.channels());
        let source = |index: usize| {
            let pixel = index / to_channels;
            let y = offset[0] + stride[0] * (pixel / to_width);
            let x = offset[1] + stride[1] * (pixel % to_width);
            (y * from_width + x) * from_channels + from_channels - 1
        };
        let targets = to_channels - 1;
        match (&mut self.samples, &from.samples) {
            (Samples::Eight(to), Samples::Eight(from)) => {
                (targets..to.len()).step_by(to_channels).for_each(|i| to[i] = from[source(i)]);
            }
            (Samples::Sixteen(to), Samples::Sixteen(from)) => {
                (targets..to.len()).step_by(to_channels).for_each(|i| to[i] = from[source(i)]);
            }
            _ => unreachable!("a picture made by blank_like has the depth of its model"),
        }
    }

    /// Channels, of which opacity is one, rows and pixels in a row.
    pub fn shape(&self) -> [usize; 3] {
        [self.channels(), self.height, self.width]
    }

    /// Bits of a sample.
    pub fn bits(&self) -> u8 {
        match self.samples {
            Samples::Eight(_) => 8,
            Samples::Sixteen(_) => 16,
        }
    }

    /// # Errors
    /// What the format cannot hold of pictures like this one.
    pub fn check_format(&self, format: Format) -> Result<()> {
        if format == Format::Jpeg {
            ensure!(self.bits() == 8, "a JPEG holds no samples of 16 bits; write a .png");
            ensure!(!self.alpha, "a JPEG holds no opacity; write a .png");
        }
        Ok(())
    }

    /// Writes it, as a picture that [`check_format`](Self::check_format) has found to fit.
    ///
    /// # Errors
    /// What the file system says, and sizes that the format cannot have.
    pub fn write(mut self, format: Format, writer: &mut dyn Write) -> Result<()> {
        let profile = self.icc_profile.take();
        let image = self.into_image()?;
        match format {
            Format::Png => encode(PngEncoder::new(writer), &image, profile),
            Format::Jpeg => encode(JpegEncoder::new_with_quality(writer, JPEG_QUALITY), &image, profile),
        }
    }

    fn into_image(self) -> Result<DynamicImage> {
        let (width, height) = (u32::try_from(self.width)?, u32::try_from(self.height)?);
        let channels = (self.colors, self.alpha);
        let image = match (self.samples, channels) {
            (Samples::Eight(s), (1, false)) => ImageBuffer::from_raw(width, height, s).map(DynamicImage::ImageLuma8),
            (Samples::Eight(s), (1, true)) => ImageBuffer::from_raw(width, height, s).map(DynamicImage::ImageLumaA8),
            (Samples::Eight(s), (_, false)) => ImageBuffer::from_raw(width, height, s).map(DynamicImage::ImageRgb8),
            (Samples::Eight(s), (_, true)) => ImageBuffer::from_raw(width, height, s).map(DynamicImage::ImageRgba8),
            (Samples::Sixteen(s), (1, false)) => ImageBuffer::from_raw(width, height, s).map(DynamicImage::ImageLuma16),
            (Samples::Sixteen(s), (1, true)) => ImageBuffer::from_raw(width, height, s).map(DynamicImage::ImageLumaA16),
            (Samples::Sixteen(s), (_, false)) => ImageBuffer::from_raw(width, height, s).map(DynamicImage::ImageRgb16),
            (Samples::Sixteen(s), (_, true)) => ImageBuffer::from_raw(width, height, s).map(DynamicImage::ImageRgba16),
        };
        image.context("as many samples as pixels and channels")
    }
}

fn encode(mut encoder: impl ImageEncoder, image: &DynamicImage, profile: Option<Vec<u8>>) -> Result<()> {
    if let Some(profile) = profile {
        encoder.set_icc_profile(profile)?;
    }
    Ok(image.write_with_encoder(encoder)?)
}

fn whole_jpeg<R: BufRead + Seek>(mut file: R) -> Result<R> {
    file.rewind()?;
    ensure!(jpeg::is_whole(&mut file)?, "the JPEG is damaged: it ends too early");
    file.rewind()?;
    Ok(file)
}

fn brightness<S: Sample>(pixel: &[S]) -> f32 {
    0.2126 * pixel[0].value() + 0.7152 * pixel[1].value() + 0.0722 * pixel[2].value()
}

fn fill<S: Sample>(
    samples: &[S],
    channels: usize,
    mut plane: ArrayViewMut2<'_, f32>,
    value: impl Fn(&[S]) -> f32 + Sync,
) {
    let row_len = plane.ncols() * channels;
    let rows = plane.rows_mut().into_iter().collect::<Vec<_>>();
    rows.into_par_iter().zip(samples.par_chunks_exact(row_len)).for_each(|(mut row, samples)| {
        for (cell, pixel) in row.iter_mut().zip(samples.chunks_exact(channels)) {
            *cell = value(pixel) / S::WHITE;
        }
    });
}

fn store<S: Sample>(
    samples: &mut [S],
    (channels, channel): (usize, usize),
    plane: ArrayView2<'_, f32>,
    value: impl Fn(f32) -> f32 + Sync,
) {
    let row_len = plane.ncols() * channels;
    samples.par_chunks_exact_mut(row_len).enumerate().for_each(|(y, samples)| {
        for (pixel, &cell) in samples.chunks_exact_mut(channels).zip(plane.row(y)) {
            pixel[channel] = S::from_unit(value(cell));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    #[test]
    fn samples_survive_the_way_to_numbers_and_back() {
        for sample in 0..=u8::MAX {
            assert_eq!(u8::from_unit(f32::from(sample) / u8::WHITE), sample);
        }
        for sample in 0..=u16::MAX {
            assert_eq!(u16::from_unit(f32::from(sample) / u16::WHITE), sample);
        }
        assert_eq!([f32::NAN, -1.0, 2.0].map(u8::from_unit), [0, 0, 255]);
    }

    #[test]
    fn signed_shows_zero_as_mid_gray_and_one_as_white() {
        let shown = |tone: Tone| [-1.0, 0.0, 1.0].map(|value| u8::from_unit(tone.apply(value)));
        assert_eq!(shown(Tone::Signed), [0, 128, 255]);
        assert_eq!(shown(Tone::Absolute), [255, 0, 255]);
        assert_eq!(shown(Tone::Clip), [0, 0, 255]);
    }

    #[test]
    fn alpha_is_taken_from_the_pixels_that_stay() {
        let samples = (0..2 * 4 * 2).map(|i| i as u8).collect();
        let from = Picture {
            width: 4,
            height: 2,
            colors: 1,
            alpha: true,
            samples: Samples::Eight(samples),
            icc_profile: None,
        };
        let mut to = from.blank_like(2, 1, 1).unwrap();
        to.copy_alpha(&from, [1, 1], [1, 2]);
        let Samples::Eight(samples) = &to.samples else { panic!() };
        assert_eq!(samples, &[0, 11, 0, 15]);
    }

    #[test]
    fn gray_is_weighed_by_brightness() {
        let samples = Samples::Sixteen(vec![65535, 0, 0, 0, 65535, 0]);
        let picture = Picture { width: 2, height: 1, colors: 3, alpha: false, samples, icc_profile: None };
        let mut plane = Array2::zeros((1, 2));
        picture.read_gray(plane.view_mut());
        assert!((plane[[0, 0]] - 0.2126).abs() < 1e-6 && (plane[[0, 1]] - 0.7152).abs() < 1e-6);
    }
}
