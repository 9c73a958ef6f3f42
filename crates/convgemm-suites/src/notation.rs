//! Layers as short text, read and written.

use std::fmt::{self, Display, Write as _};
use std::str::FromStr;

use crate::layer::Layer;

/// Text that is no layer, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is no layer: {why}; write for example 3-64x7x7@224s2p3")]
pub struct NotationError {
    text: String,
    why: String,
}

impl FromStr for Layer {
    type Err = NotationError;

    fn from_str(text: &str) -> Result<Self, NotationError> {
        parse(text).map_err(|why| NotationError { text: text.to_owned(), why })
    }
}

fn parse(text: &str) -> Result<Layer, String> {
    let (shapes, rest) = text.split_once('@').ok_or("there is no '@' before the size of the input")?;
    let (channels, kernel) = shapes.split_once('x').ok_or("there is no kernel after the channels")?;
    let (in_channels, out_channels) = match channels.split_once('-') {
        Some((from, to)) => (number(from)?, number(to)?),
        None => (number(channels)?, number(channels)?),
    };
    let kernel: Vec<usize> = kernel.split('x').map(number).collect::<Result<_, _>>()?;
    let axes = kernel.len();
    if axes > 3 {
        return Err(format!("the kernel has {axes} axes; 1 to 3 are possible"));
    }
    let mut options = split_options(rest);
    let size = lengths("the input", options.next().map_or("", |(_, size)| size), axes, number)?;
    let (mut stride, mut dilation, mut padding) = (vec![1; axes], vec![1; axes], None);
    let (mut groups, mut bias) = (1, false);
    for (letter, value) in options {
        match letter {
            's' => stride = lengths("the stride", value, axes, number)?,
            'd' => dilation = lengths("the dilation", value, axes, number)?,
            'p' => padding = Some(lengths("the padding", value, axes, cells)?),
            'g' => groups = number(value)?,
            'b' if value.is_empty() => bias = true,
            _ => return Err(format!("'{letter}{value}' is no option; s, p, d and g with numbers, and b, are")),
        }
    }
    let padding = padding.unwrap_or_else(|| half(&kernel, &dilation));
    let layer = Layer { in_channels, out_channels, kernel, size, stride, padding, dilation, groups, bias };
    check(&layer)?;
    Ok(layer)
}

fn check(layer: &Layer) -> Result<(), String> {
    let Layer { in_channels, out_channels, groups, .. } = *layer;
    if in_channels % groups != 0 || out_channels % groups != 0 {
        return Err(format!("{in_channels} and {out_channels} channels do not divide into {groups} groups"));
    }
    match (0..layer.size.len()).find(|&axis| layer.output_len(axis).is_none()) {
        Some(axis) => Err(format!("the kernel is larger than the padded input along axis {axis}")),
        None => Ok(()),
    }
}

/// The padding that no option names: half of an odd kernel, so that stride 1 keeps the size; none if even.
fn half(kernel: &[usize], dilation: &[usize]) -> Vec<[usize; 2]> {
    let cells =
        |(&taps, &dilation): (&usize, &usize)| if taps % 2 == 1 { dilation.saturating_mul(taps / 2) } else { 0 };
    kernel.iter().zip(dilation).map(cells).map(|cells| [cells; 2]).collect()
}

/// The text up to the first option, with a letter that means nothing, and then each option with its letter.
fn split_options(text: &str) -> impl Iterator<Item = (char, &str)> {
    let starts = |c: char| c.is_alphabetic() && c != 'x';
    let mut rest = Some((' ', text));
    std::iter::from_fn(move || {
        let (letter, text) = rest?;
        let end = text.find(starts);
        rest = end.map(|end| {
            let mut after = text[end..].chars();
            (after.next().unwrap_or(' '), after.as_str())
        });
        Some((letter, end.map_or(text, |end| &text[..end])))
    })
}

fn lengths<V: Clone>(
    what: &str,
    text: &str,
    axes: usize,
    read: fn(&str) -> Result<V, String>,
) -> Result<Vec<V>, String> {
    let list: Vec<V> = text.split('x').map(read).collect::<Result<_, _>>()?;
    match list.len() {
        1 => Ok(vec![list[0].clone(); axes]),
        found if found == axes => Ok(list),
        found => Err(format!("{what} has {found} lengths, the kernel {axes} axes")),
    }
}

fn number(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("a length, a stride or a number of groups is 0".into()),
        Ok(number) => Ok(number),
        Err(_) => Err(format!("'{text}' is no number")),
    }
}

fn cells(text: &str) -> Result<[usize; 2], String> {
    let read = |text: &str| text.parse().map_err(|_| format!("'{text}' is no number"));
    match text.split_once(':') {
        Some((before, after)) => Ok([read(before)?, read(after)?]),
        None => read(text).map(|cells| [cells; 2]),
    }
}

impl Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.in_channels.to_string();
        if self.out_channels != self.in_channels {
            let _ = write!(text, "-{}", self.out_channels);
        }
        let kernel: Vec<String> = self.kernel.iter().map(usize::to_string).collect();
        let _ = write!(text, "x{}@{}", kernel.join("x"), shortest(&self.size));
        if self.stride.iter().any(|&n| n != 1) {
            let _ = write!(text, "s{}", shortest(&self.stride));
        }
        if self.padding != half(&self.kernel, &self.dilation) {
            let cell = |&[before, after]: &[usize; 2]| match before == after {
                true => before.to_string(),
                false => format!("{before}:{after}"),
            };
            let _ = write!(text, "p{}", shortest(&self.padding.iter().map(cell).collect::<Vec<_>>()));
        }
        if self.dilation.iter().any(|&n| n != 1) {
            let _ = write!(text, "d{}", shortest(&self.dilation));
        }
        if self.groups != 1 {
            let _ = write!(text, "g{}", self.groups);
        }
        if self.bias {
            text.push('b');
        }
        f.pad(&text)
    }
}

/// One entry if all are the same.
fn shortest<V: Display + PartialEq>(list: &[V]) -> String {
    let same = list.windows(2).all(|pair| pair[0] == pair[1]);
    let shown = if same { &list[..list.len().min(1)] } else { list };
    shown.iter().map(V::to_string).collect::<Vec<_>>().join("x")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(text: &str) -> Layer {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_written_is_read_again_as_the_same_layer() {
        for text in [
            "64x3x3@56",
            "3-64x7x7@224s2",
            "64-128x2@16000p512:0d512",
            "1-32x5x20@161x700s2p0",
            "64x7x1@56x28s2x1p1:2x0",
            "32x3x3@112s2g32b",
            "3-64x7x7x7@16x224x224s2",
        ] {
            assert_eq!(layer(text).to_string(), text);
        }
    }

    #[test]
    fn padding_that_is_not_written_is_half_of_an_odd_kernel() {
        assert_eq!(layer("8x3x5@20d2x1").padding, [[2, 2], [2, 2]]);
        assert_eq!(layer("8x2x4@20").padding, [[0, 0], [0, 0]]);
        assert_eq!(layer("8x3x3@20").output_shape(2), [2, 8, 20, 20]);
    }

    #[test]
    fn the_order_of_options_does_not_matter() {
        assert_eq!(layer("8x3x3@20bg8d2s3"), layer("8x3x3@20s3d2g8b"));
    }

    #[test]
    fn every_mistake_is_told() {
        for (text, why) in [
            ("", "no '@'"),
            ("64@56", "no kernel"),
            ("64x3x3@", "'' is no number"),
            ("64x3x3@56x56x56", "the input has 3 lengths, the kernel 2 axes"),
            ("64x3x3@56s2x2x2", "the stride has 3"),
            ("64x3x3@56s0", "is 0"),
            ("0x3x3@56", "is 0"),
            ("64x3x3@56p", "'' is no number"),
            ("64x3x3@56p1:2:3", "'2:3' is no number"),
            ("64x3x3@56b2", "'b2' is no option"),
            ("64x3x3@56é2", "'é2' is no option"),
            ("64x3x3@56g3", "do not divide into 3 groups"),
            ("64x1x1x1x1@56", "the kernel has 4 axes"),
            ("64x7x7@3p0", "larger than the padded input along axis 0"),
            ("64x99999999999999999999@3", "is no number"),
            ("64x3@3d9223372036854775809p1", "larger than the padded input"),
        ] {
            let error = text.parse::<Layer>().unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
