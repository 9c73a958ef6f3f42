//! Figures as HTML.

use std::fmt::Write;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use convgemm_exercises::{Figure, Timing, Tone};
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};
use ndarray::Array2;

use super::chart::{escaped, lines};
use crate::output::{bytes, seconds, short};

/// Side of a cell of a matrix, in units of the drawing.
const CELL: usize = 30;

/// Cells of a matrix that still gets its numbers written.
const MOST_NUMBERS: usize = 90;

const JPEG_QUALITY: u8 = 82;

/// One figure with its caption.
pub fn html(figure: &Figure) -> Result<String> {
    let (class, body, caption) = match figure {
        Figure::Matrices(caption, matrices) => {
            let parts = matrices.iter().map(|(name, matrix)| named(name, &heat_map(name, matrix)));
            ("row", parts.collect(), (*caption).to_owned())
        }
        Figure::Sliding { input, kernel, output, patches } => {
            let caption = "Each place of the window is a column of the patch matrix and a cell of Y.";
            ("player", sliding(input, kernel, output, patches), caption.to_owned())
        }
        Figure::Curves(caption, curves) => {
            let series: Vec<_> = curves.iter().map(|curve| (curve.name.clone(), curve.points.clone())).collect();
            let keys = series
                .iter()
                .enumerate()
                .map(|(i, (name, _))| format!("<li><span class=\"key key-{}\"></span>{}</li>", i % 6, escaped(name)));
            let body = format!("{}<ul class=\"keys\">{}</ul>", lines(caption, &series), keys.collect::<String>());
            ("curves", body, (*caption).to_owned())
        }
        Figure::Blocks { caption, matrix, block } => ("row", blocks(matrix, *block), (*caption).to_owned()),
        Figure::Pictures(caption, pictures) => {
            let parts =
                pictures.iter().map(|(name, picture, tone)| Ok(named(name, &photograph(name, picture, *tone)?)));
            ("row pictures", parts.collect::<Result<_>>()?, (*caption).to_owned())
        }
        Figure::Timings(caption, timings) => ("timings", bars(timings), caption.clone()),
    };
    Ok(format!(
        "<figure class=\"{class}\"><div class=\"body\">{body}</div><figcaption>{}</figcaption></figure>",
        escaped(&caption)
    ))
}

fn named(name: &str, body: &str) -> String {
    format!("<div class=\"part\">{body}<span class=\"name\">{}</span></div>", escaped(name))
}

/// The cells of a matrix with its corner at (`x`, `y`), coloured by sign and size.
fn cells(matrix: &Array2<f64>, (x, y): (usize, usize), side: usize) -> String {
    let largest = matrix.iter().fold(0.0_f64, |largest, cell| largest.max(cell.abs()));
    let mut svg = String::new();
    for ((row, column), &cell) in matrix.indexed_iter() {
        let (cx, cy) = (x + column * side, y + row * side);
        let class = if cell < 0.0 { "neg" } else { "pos" };
        let strength = if largest > 0.0 { 0.75 * cell.abs() / largest } else { 0.0 };
        let _ = write!(
            svg,
            "<rect class=\"cell {class}\" x=\"{cx}\" y=\"{cy}\" width=\"{side}\" height=\"{side}\" fill-opacity=\"{strength:.2}\"/>"
        );
        if matrix.len() <= MOST_NUMBERS {
            // What a computation leaves of a whole number is shown as that.
            let whole = (cell - cell.round()).abs() < 1e-6;
            let text = if whole { short(cell.round()) } else { format!("{cell:.2}") };
            let small = if text.len() > 3 { " class=\"small\"" } else { "" };
            let (tx, ty) = (cx + side / 2, cy + side / 2 + 4);
            let _ = write!(
                svg,
                "<text{small} x=\"{tx}\" y=\"{ty}\" text-anchor=\"middle\">{}</text>",
                text.replace('-', "−")
            );
        }
    }
    svg
}

fn frame(name: &str, width: usize, height: usize, body: &str) -> String {
    format!(
        "<svg class=\"matrix\" viewBox=\"-2 -2 {} {}\" width=\"{}\" role=\"img\" aria-label=\"{}\">{body}</svg>",
        width + 4,
        height + 4,
        width + 4,
        escaped(name)
    )
}

fn heat_map(name: &str, matrix: &Array2<f64>) -> String {
    let side = if matrix.len() <= MOST_NUMBERS { CELL } else { CELL / 2 };
    let (rows, columns) = matrix.dim();
    let label = format!("{name}: {rows} × {columns}");
    frame(&label, columns * side, rows * side, &cells(matrix, (0, 0), side))
}

/// A matrix with lines between its blocks.
fn blocks(matrix: &Array2<f64>, (tall, wide): (usize, usize)) -> String {
    let side = if matrix.len() <= MOST_NUMBERS { CELL } else { 16 };
    let (height, width) = (matrix.nrows() * side, matrix.ncols() * side);
    let mut body = cells(matrix, (0, 0), side);
    for row in (0..=matrix.nrows()).step_by(tall.max(1)) {
        let _ = write!(body, "<path class=\"seam\" d=\"M0 {}H{width}\"/>", row * side);
    }
    for column in (0..=matrix.ncols()).step_by(wide.max(1)) {
        let _ = write!(body, "<path class=\"seam\" d=\"M{} 0V{height}\"/>", column * side);
    }
    let name = format!("{} × {}, in blocks of {tall} × {wide}", matrix.nrows(), matrix.ncols());
    named(&name, &frame(&name, width, height, &body))
}

/// All states of the sliding window, of which the page shows one.
fn sliding(input: &Array2<f64>, kernel: &Array2<f64>, output: &Array2<f64>, patches: &Array2<f64>) -> String {
    let width = |matrix: &Array2<f64>| matrix.ncols() * CELL;
    let (kh, kw) = kernel.dim();
    let outline = |x: usize, y: usize, columns: usize, rows: usize| {
        let (x, y, width, height) = (x * CELL, y * CELL, columns * CELL, rows * CELL);
        format!("<rect class=\"lit\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>")
    };
    let (mut on_input, mut on_output, mut on_patches, mut sums) = (vec![], vec![], vec![], String::new());
    for (step, ((row, column), &sum)) in output.indexed_iter().enumerate() {
        let shown = if step == 0 { "" } else { " hidden" };
        let group = |body: &str| {
            format!(
                "<g class=\"step\" data-step=\"{step}\"{}>{body}</g>",
                if step == 0 { "" } else { " style=\"display:none\"" }
            )
        };
        on_input.push(group(&outline(column, row, kw, kh)));
        on_output.push(group(&outline(column, row, 1, 1)));
        on_patches.push(group(&outline(step, 0, 1, patches.nrows())));
        let column = patches.column(step);
        let products = column.iter().zip(kernel).map(|(x, k)| format!("{}·{}", short(*x), short(*k)));
        let products = products.collect::<Vec<_>>().join(" + ");
        let _ = write!(sums, "<p class=\"sum\" data-step=\"{step}\"{shown}>{products} = <b>{}</b></p>", short(sum));
    }
    let part = |name: &str, matrix: &Array2<f64>, lit: &[String]| {
        let body = cells(matrix, (0, 0), CELL) + &lit.concat();
        named(name, &frame(name, width(matrix), matrix.nrows() * CELL, &body))
    };
    let row = part("X", input, &on_input) + &part("K", kernel, &[]) + &part("Y", output, &on_output);
    let patches = part("patch matrix: a row a cell of K, a column a window", patches, &on_patches);
    let last = output.len().saturating_sub(1);
    format!(
        "<div class=\"row\">{row}{patches}</div><div class=\"sums\" aria-live=\"polite\">{sums}</div>\
         <div class=\"controls\"><button type=\"button\" data-do=\"back\" aria-label=\"step back\">◀</button>\
         <button type=\"button\" data-do=\"play\">Play</button>\
         <button type=\"button\" data-do=\"next\" aria-label=\"step forward\">▶</button>\
         <input type=\"range\" min=\"0\" max=\"{last}\" value=\"0\" aria-label=\"place of the window\"></div>"
    )
}

fn photograph(name: &str, picture: &Array2<f64>, tone: Tone) -> Result<String> {
    let shade = |value: f64| if tone == Tone::Signed { 0.5 + 0.5 * value } else { value };
    let samples: Vec<u8> = picture.iter().map(|&value| (shade(value) * 255.0).round() as u8).collect();
    let (height, width) = picture.dim();
    let mut file = vec![];
    let (w, h) = (u32::try_from(width)?, u32::try_from(height)?);
    let encoder = JpegEncoder::new_with_quality(&mut file, JPEG_QUALITY);
    encoder.write_image(&samples, w, h, ExtendedColorType::L8).context("a picture of the page")?;
    let (name, data) = (escaped(name), STANDARD.encode(file));
    Ok(format!("<img alt=\"{name}\" width=\"{width}\" height=\"{height}\" src=\"data:image/jpeg;base64,{data}\">"))
}

fn bars(timings: &[Timing]) -> String {
    let slowest = timings.iter().fold(0.0_f64, |slowest, timing| slowest.max(timing.seconds));
    let mut rows = String::new();
    for timing in timings {
        let share = 100.0 * timing.seconds / slowest;
        let factor = slowest / timing.seconds;
        let factor = if factor < 9.95 { format!("{factor:.1}") } else { format!("{factor:.0}") };
        let _ = write!(
            rows,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{factor} ×</td><td>{}</td></tr>\
             <tr class=\"bar\" aria-hidden=\"true\"><td colspan=\"4\"><span style=\"width:{share:.2}%\"></span></td></tr>",
            escaped(&timing.name),
            seconds(timing.seconds),
            bytes(timing.bytes as f64)
        );
    }
    let head = "<tr><th scope=\"col\">way</th><th scope=\"col\">time</th><th scope=\"col\">speed</th><th scope=\"col\">extra memory</th></tr>";
    format!("<table><thead>{head}</thead><tbody>{rows}</tbody></table>")
}
