//! Named edge cases: each has broken some convolution library.

use super::cases::{Case, Pad};
use super::oracle::Border;

/// Every named case; small, so that all combinations of everything else can be tried on each. `NAMED_CASES=3/10` makes that every
/// tenth from the third on, where all of them take too long.
pub fn all() -> Vec<Case> {
    let cases = [convolutions(), batches(), borders(), groups(), other_ranks(), transposed()].concat();
    let Ok(part) = std::env::var("NAMED_CASES") else { return cases };
    let numbers =
        part.split_once('/').and_then(|(first, step)| Some((first.parse::<usize>().ok()?, step.parse().ok()?)));
    let Some((first @ 1.., step @ 1..)) = numbers else { panic!("NAMED_CASES={part}: it is FIRST/STEP, as 1/10") };
    cases.into_iter().skip(first - 1).step_by(step).collect()
}

fn conv(name: &str, input: [usize; 4], weight: [usize; 4]) -> Case {
    Case::new(name, &input, &weight)
}

fn transpose(name: &str, input: [usize; 4], weight: [usize; 4]) -> Case {
    Case::transposed(name, &input, &weight)
}

fn convolutions() -> Vec<Case> {
    vec![
        conv("plain", [2, 3, 6, 7], [4, 3, 3, 3]).bias(),
        conv("one cell", [1, 1, 1, 1], [1, 1, 1, 1]),
        // Going back, the height needs one row of output padding and the width none.
        conv("a stride that fits the width only", [2, 2, 8, 7], [3, 2, 3, 3]).stride(&[2, 2]).pad(&[1, 1]),
        conv("a stride that leaves cells unread", [1, 2, 9, 10], [2, 2, 2, 2]).stride(&[4, 3]),
        conv("stride over the kernel", [2, 2, 11, 9], [3, 2, 2, 3]).stride(&[5, 4]),
        conv("stride over the kernel of one tap", [2, 3, 7, 8], [4, 3, 1, 1]).stride(&[3, 2]),
        conv("kernel over the input, not over the padded one", [1, 2, 2, 3], [3, 2, 5, 4]).pad(&[2, 1]),
        conv("kernel the size of the input", [2, 3, 4, 5], [6, 3, 4, 5]),
        conv("windows that see only padding", [1, 2, 3, 2], [2, 2, 2, 3]).pad(&[4, 5]).stride(&[1, 2]),
        conv("even kernel, same", [1, 2, 5, 6], [2, 2, 2, 4]).padding(Pad::Same),
        conv("even kernel, same lower", [1, 2, 5, 6], [2, 2, 2, 4]).padding(Pad::SameLower),
        conv("dilation, same", [1, 2, 6, 5], [2, 2, 3, 2]).dilation(&[2, 3]).padding(Pad::Same),
        conv("stride, dilation, same", [2, 2, 7, 8], [3, 2, 3, 4]).stride(&[2, 3]).dilation(&[2, 1]).padding(Pad::Same),
        conv("same lower, stride over the kernel", [1, 2, 7, 5], [2, 2, 2, 1]).stride(&[3, 2]).padding(Pad::SameLower),
        conv("asymmetric padding", [2, 2, 5, 6], [3, 2, 3, 2]).sides(&[(0, 2), (3, 1)]).bias(),
        conv("asymmetric padding with stride and dilation", [2, 2, 6, 7], [2, 2, 3, 2])
            .sides(&[(2, 0), (0, 3)])
            .stride(&[2, 3])
            .dilation(&[2, 2]),
        conv("padding on one side only", [1, 1, 4, 4], [1, 1, 2, 2]).sides(&[(0, 1), (1, 0)]),
        conv("axes of one cell with odd strides", [3, 4, 1, 1], [5, 4, 1, 1]).stride(&[7, 3]),
        conv("axes of one cell with a padded kernel", [2, 3, 1, 5], [2, 3, 3, 3]).pad(&[1, 1]).stride(&[3, 1]),
        conv("one input channel", [2, 1, 6, 5], [4, 1, 3, 3]).pad(&[1, 1]),
        conv("one output channel", [2, 5, 5, 4], [1, 5, 3, 3]).bias(),
        conv("pointwise", [2, 5, 4, 3], [7, 5, 1, 1]).bias(),
        conv("pointwise, one image", [1, 9, 5, 5], [3, 9, 1, 1]),
        conv("one tap with padding", [2, 3, 3, 4], [2, 3, 1, 1]).pad(&[1, 2]).bias(),
        conv("no image", [0, 3, 5, 5], [4, 3, 3, 3]).pad(&[1, 1]).bias(),
        conv("no image, pointwise", [0, 3, 5, 5], [4, 3, 1, 1]),
        conv("no input channel", [2, 0, 5, 4], [3, 0, 2, 2]).bias(),
        conv("no input channel in many images", [9, 0, 3, 4], [2, 0, 1, 2]).bias(),
        conv("no output channel", [2, 3, 5, 4], [0, 3, 2, 2]),
        conv("no input cell", [2, 3, 0, 4], [2, 3, 1, 2]).pad(&[1, 0]).bias(),
        conv("more rows than a tile", [1, 12, 9, 11], [17, 12, 3, 3]).pad(&[1, 1]),
        conv("long rows", [1, 1, 3, 150], [2, 1, 3, 5]).pad(&[1, 2]),
        conv("more columns of tiles than a block has", [1, 17, 6, 530], [18, 17, 3, 3]).pad(&[1, 1]),
        conv("three taps by two, odd sizes", [2, 17, 13, 10], [19, 17, 3, 3])
            .stride(&[2, 2])
            .sides(&[(1, 1), (0, 2)])
            .bias(),
        conv("a border of long rows", [2, 5, 9, 30], [17, 5, 3, 3]).pad(&[1, 1]).bias(),
        conv("a border of rows of a tile", [1, 18, 5, 13], [40, 18, 3, 3]).sides(&[(0, 2), (1, 1)]),
        conv("a border of two cells", [1, 12, 8, 14], [33, 12, 5, 5]).pad(&[2, 2]),
        conv("a border of dilated taps", [1, 11, 9, 29], [20, 11, 3, 3]).dilation(&[2, 3]).pad(&[2, 3]),
        conv("a border wider than the kernel", [1, 16, 3, 9], [35, 16, 3, 3]).pad(&[4, 5]),
        conv("one tap by two", [3, 30, 13, 27], [26, 30, 1, 1]).stride(&[2, 2]),
        conv("taps that all read the same phase", [2, 4, 9, 11], [6, 4, 3, 3])
            .dilation(&[2, 4])
            .stride(&[2, 2])
            .pad(&[1, 3]),
        conv("a border by two", [1, 13, 12, 27], [34, 13, 3, 3]).stride(&[2, 2]).pad(&[1, 1]),
        conv("three taps by two, windows behind the input", [1, 5, 19, 8], [6, 5, 3, 3])
            .stride(&[2, 2])
            .sides(&[(1, 6), (1, 0)]),
        conv("three taps by two, one output", [1, 3, 3, 4], [5, 3, 3, 3]).stride(&[2, 2]),
        conv("five taps", [2, 17, 9, 12], [18, 17, 5, 5]).sides(&[(2, 1), (0, 3)]).bias(),
        conv("five taps, groups", [1, 6, 7, 5], [8, 3, 5, 5]).groups(2).pad(&[2, 2]),
    ]
}

/// Batches of small maps, whose images are taken together.
fn batches() -> Vec<Case> {
    vec![
        conv("three images", [3, 7, 7, 7], [19, 7, 3, 3]).pad(&[1, 1]).bias(),
        conv("five images, pointwise", [5, 9, 7, 7], [14, 9, 1, 1]).bias(),
        conv("nine images by two", [9, 3, 13, 9], [5, 3, 3, 3]).stride(&[2, 2]).pad(&[1, 1]),
        conv("two images, groups", [2, 12, 6, 5], [18, 6, 2, 3]).groups(2).sides(&[(1, 0), (0, 2)]),
        conv("small maps of many channels, groups", [2, 1056, 5, 5], [140, 528, 1, 1]).groups(2).bias(),
        conv("nine images of one window", [9, 4, 3, 3], [20, 4, 3, 3]).bias(),
        conv("five images, long sums", [5, 45, 4, 5], [7, 45, 3, 3]).pad(&[1, 1]),
        conv("three images, dilation, reflect", [3, 2, 7, 6], [4, 2, 3, 3])
            .dilation(&[2, 1])
            .sides(&[(1, 2), (2, 1)])
            .border(Border::Reflect)
            .bias(),
        conv("four taps", [2, 17, 9, 12], [18, 17, 4, 4]).sides(&[(2, 1), (0, 3)]).bias(),
        conv("phases of five taps", [2, 5, 13, 16], [18, 5, 5, 5]).stride(&[2, 2]).pad(&[2, 2]).bias(),
        conv("phases of seven and eight taps, groups", [1, 6, 20, 15], [6, 3, 7, 8])
            .groups(2)
            .stride(&[2, 2])
            .sides(&[(3, 2), (4, 0)]),
        conv("phases of nine taps", [3, 2, 17, 14], [4, 2, 9, 10]).stride(&[2, 2]).pad(&[4, 3]),
        conv("phases of eleven taps", [2, 3, 39, 27], [5, 3, 11, 11]).stride(&[4, 4]).pad(&[2, 2]).bias(),
        conv("phases of thirteen taps", [1, 2, 30, 21], [3, 2, 13, 14]).stride(&[4, 4]).pad(&[5, 1]),
        conv("nine images, five taps", [9, 3, 5, 6], [4, 3, 5, 5]).pad(&[2, 2]),
        Case::new("five images: line, one output a group", &[5, 6, 17], &[3, 2, 4])
            .groups(3)
            .stride(&[2])
            .dilation(&[2]),
        transpose("five images, transposed", [5, 6, 4, 5], [6, 7, 3, 3]).pad(&[1, 1]).bias(),
    ]
}

fn borders() -> Vec<Case> {
    let mut cases = vec![];
    for (name, border) in
        [("reflect", Border::Reflect), ("replicate", Border::Replicate), ("circular", Border::Circular)]
    {
        let case = |what: &str, input, weight| conv(&format!("{name}: {what}"), input, weight).border(border);
        cases.extend([
            case("plain", [2, 2, 5, 6], [3, 2, 3, 3]).pad(&[1, 1]).bias(),
            case("asymmetric with stride and dilation", [1, 2, 6, 7], [2, 2, 3, 2])
                .sides(&[(3, 1), (0, 4)])
                .stride(&[2, 3])
                .dilation(&[2, 3]),
            case("as wide as it may be", [1, 2, 4, 3], [2, 2, 3, 4]).pad(&[3, 2]),
            case("same", [2, 2, 5, 4], [2, 2, 3, 2]).padding(Pad::Same),
            case("one tap", [1, 2, 3, 3], [2, 2, 1, 1]).pad(&[2, 1]).stride(&[2, 1]),
            case("no padding at all", [1, 2, 3, 4], [2, 2, 2, 2]),
        ]);
    }
    cases.extend([
        conv("circular: padding of the whole axis", [1, 2, 3, 2], [2, 2, 4, 3]).pad(&[3, 2]).border(Border::Circular),
        conv("replicate: one cell, seen everywhere", [1, 2, 1, 1], [2, 2, 3, 5]).pad(&[4, 3]).border(Border::Replicate),
        Case::new("reflect: line", &[2, 2, 6], &[3, 2, 4]).sides(&[(5, 2)]).border(Border::Reflect),
        Case::new("circular: volume", &[1, 2, 3, 2, 3], &[2, 2, 2, 2, 2]).pad(&[1, 1, 2]).border(Border::Circular),
    ]);
    cases
}

fn groups() -> Vec<Case> {
    vec![
        conv("grouped", [2, 6, 5, 5], [9, 2, 3, 3]).groups(3).pad(&[1, 1]).bias(),
        conv("grouped, pointwise", [2, 6, 4, 3], [4, 3, 1, 1]).groups(2).bias(),
        conv("depthwise", [2, 5, 6, 4], [5, 1, 3, 3]).groups(5).pad(&[1, 1]),
        conv("depthwise with multiplier", [2, 3, 6, 5], [6, 1, 3, 2]).groups(3).stride(&[2, 1]).bias(),
        conv("one output channel a group", [1, 8, 4, 4], [4, 2, 2, 2]).groups(4),
        conv("grouped, no output channel", [1, 4, 3, 3], [0, 2, 2, 2]).groups(2),
        transpose("grouped, transposed", [2, 6, 3, 4], [6, 4, 3, 2]).groups(2).stride(&[2, 1]).bias(),
        conv("seventeen channels apart", [2, 17, 9, 8], [34, 1, 3, 5]).groups(17).stride(&[2, 1]).pad(&[2, 1]).bias(),
        conv("sixteen channels apart by two", [1, 16, 13, 15], [16, 1, 3, 3]).groups(16).stride(&[2, 2]).pad(&[1, 1]),
        conv("channels apart, border and gaps", [2, 9, 7, 10], [9, 1, 2, 3])
            .groups(9)
            .dilation(&[3, 2])
            .sides(&[(0, 3), (4, 0)]),
        conv("channels apart, stride beyond kernel", [1, 8, 11, 9], [8, 1, 2, 1])
            .groups(8)
            .stride(&[3, 3])
            .pad(&[1, 0]),
        conv("channels apart, small rows", [1, 33, 6, 5], [33, 1, 3, 3]).groups(33).pad(&[1, 1]),
        conv("channels apart, windows beyond the image", [1, 9, 3, 4], [9, 1, 2, 2]).groups(9).sides(&[(2, 7), (0, 3)]),
        Case::new("channels apart: volume", &[1, 9, 4, 6, 7], &[9, 1, 2, 3, 3])
            .groups(9)
            .stride(&[1, 2, 2])
            .dilation(&[2, 1, 2])
            .pad(&[1, 1, 2]),
        conv("channels apart, several regions", [1, 8, 41, 60], [8, 1, 3, 4]).groups(8).stride(&[2, 2]).pad(&[1, 1]),
        conv("channels apart, stride and gaps", [2, 19, 10, 17], [19, 1, 3, 4])
            .groups(19)
            .stride(&[2, 4])
            .dilation(&[3, 2])
            .sides(&[(2, 1), (1, 3)]),
        Case::new("channels apart: line by two", &[2, 20, 71], &[20, 1, 5]).groups(20).stride(&[2]).pad(&[2]),
        transpose("channels apart, transposed", [2, 17, 6, 7], [17, 1, 4, 3])
            .groups(17)
            .stride(&[2, 2])
            .pad(&[1, 1])
            .output_padding(&[1, 0])
            .bias(),
        transpose("channels apart with multiplier, transposed", [1, 9, 5, 4], [9, 2, 3, 4])
            .groups(9)
            .stride(&[2, 3])
            .bias(),
        Case::transposed("channels apart, transposed: volume", &[1, 8, 2, 3, 4], &[8, 1, 3, 2, 2])
            .groups(8)
            .stride(&[2, 3, 1])
            .output_padding(&[1, 2, 0]),
        conv("squares apart", [2, 9, 7, 7], [9, 1, 3, 3]).groups(9).pad(&[1, 1]).bias(),
        conv("squares apart by two", [1, 9, 15, 33], [9, 1, 3, 3]).groups(9).stride(&[2, 2]).sides(&[(0, 1), (1, 0)]),
        conv("squares apart, several regions", [1, 3, 47, 90], [3, 1, 3, 3]).groups(3).pad(&[1, 1]),
        conv("squares apart by two, several regions", [1, 3, 44, 99], [3, 1, 3, 3])
            .groups(3)
            .stride(&[2, 2])
            .pad(&[2, 1]),
        conv("squares apart, many rows", [1, 3, 240, 6], [3, 1, 3, 3]).groups(3).pad(&[1, 1]),
        conv("squares apart with multiplier", [2, 5, 9, 18], [15, 1, 5, 5]).groups(5).pad(&[2, 2]).bias(),
        conv("squares of five apart by two", [1, 8, 14, 50], [16, 1, 5, 5]).groups(8).stride(&[2, 2]).pad(&[2, 2]),
        conv("squares of seven apart", [1, 6, 12, 39], [6, 1, 7, 7]).groups(6).sides(&[(3, 3), (6, 2)]),
        conv("squares of seven apart by two", [2, 4, 23, 21], [4, 1, 7, 7]).groups(4).stride(&[2, 2]).pad(&[3, 3]),
        conv("squares apart, circular", [1, 5, 10, 12], [5, 1, 3, 3]).groups(5).pad(&[1, 1]).border(Border::Circular),
        conv("squares apart, beyond the image", [1, 7, 4, 3], [7, 1, 3, 3]).groups(7).sides(&[(2, 9), (1, 20)]),
        Case::new("squares apart: volume", &[1, 6, 3, 8, 9], &[6, 1, 1, 3, 3]).groups(6).pad(&[0, 1, 1]),
        Case::new("squares apart: every other plane", &[1, 6, 5, 8, 9], &[6, 1, 1, 3, 3])
            .groups(6)
            .stride(&[2, 2, 2])
            .pad(&[1, 1, 1]),
        Case::new("channels apart: line", &[2, 20, 70], &[20, 1, 5]).groups(20).pad(&[2]),
        transpose("depthwise, transposed", [1, 4, 3, 3], [4, 1, 3, 3]).groups(4).stride(&[2, 2]).pad(&[1, 1]),
        transpose("depthwise with multiplier, transposed", [2, 3, 3, 2], [3, 2, 2, 3]).groups(3).stride(&[3, 2]),
    ]
}

fn other_ranks() -> Vec<Case> {
    vec![
        Case::new("volume: one tap by two and three", &[2, 4, 5, 6, 7], &[6, 4, 1, 1, 1]).stride(&[2, 3, 2]),
        Case::new("a long line", &[2, 6, 700], &[34, 6, 5]).dilation(&[2]).sides(&[(2, 7)]).bias(),
        Case::new("a long line by two, grouped", &[1, 6, 901], &[8, 3, 4]).stride(&[2]).groups(2).pad(&[3]),
        Case::new("a long line by three, dilated", &[2, 5, 769], &[20, 5, 4])
            .stride(&[3])
            .dilation(&[2])
            .sides(&[(3, 1)]),
        Case::new("a long line by two, of even length", &[1, 40, 520], &[3, 40, 2]).stride(&[2]),
        Case::new("a long line of one tap", &[2, 70, 640], &[9, 70, 1]),
        Case::new("long rows, dilated", &[2, 6, 5, 330], &[34, 6, 3, 2])
            .dilation(&[1, 3])
            .sides(&[(1, 1), (2, 0)])
            .bias(),
        Case::new("long rows by two and three, grouped", &[1, 6, 9, 700], &[8, 3, 4, 5])
            .stride(&[2, 3])
            .groups(2)
            .pad(&[1, 2]),
        Case::new("long rows of a volume", &[1, 3, 3, 4, 260], &[5, 3, 2, 2, 3]).stride(&[1, 2, 1]).pad(&[1, 0, 1]),
        Case::new("a long line, mirrored", &[1, 4, 500], &[5, 4, 3]).pad(&[1]).border(Border::Reflect),
        Case::new("line", &[2, 3, 11], &[4, 3, 3]).stride(&[2]).pad(&[1]).bias(),
        Case::new("line, grouped and dilated", &[3, 4, 13], &[6, 2, 4]).groups(2).dilation(&[3]).sides(&[(2, 1)]),
        Case::new("line, three taps", &[2, 5, 37], &[4, 5, 3]).sides(&[(0, 2)]).bias(),
        Case::new("line, three taps apart", &[1, 6, 53], &[10, 3, 3]).groups(2).dilation(&[3]).pad(&[3]).bias(),
        Case::new("line, three taps far apart", &[1, 2, 41], &[2, 2, 3]).dilation(&[17]).sides(&[(9, 21)]),
        Case::new("line, three taps as far apart as outputs", &[2, 1, 15], &[3, 1, 3]).dilation(&[5]),
        Case::new("line, three taps eight apart", &[2, 3, 139], &[5, 3, 3]).dilation(&[8]).sides(&[(8, 5)]),
        Case::new("line, three taps, reflect", &[1, 3, 23], &[2, 3, 3])
            .dilation(&[2])
            .pad(&[4])
            .border(Border::Reflect),
        Case::new("line, many tiles", &[1, 2, 1111], &[3, 2, 3]).pad(&[1]),
        conv("rows of three taps", [2, 3, 5, 13], [17, 3, 1, 3]).padding(Pad::Same).bias(),
        conv("rows of three taps apart, padded on all sides", [1, 4, 3, 22], [6, 2, 1, 3])
            .groups(2)
            .dilation(&[1, 4])
            .sides(&[(1, 2), (4, 1)]),
        conv("rows of three taps, circular", [1, 2, 2, 9], [3, 2, 1, 3]).pad(&[1, 3]).border(Border::Circular),
        Case::new("rows of three taps in a volume", &[1, 2, 3, 4, 11], &[3, 2, 1, 1, 3]).pad(&[0, 0, 1]),
        Case::new("line, pointwise", &[2, 5, 7], &[3, 5, 1]),
        Case::new("volume", &[2, 2, 4, 5, 3], &[3, 2, 3, 2, 2]).pad(&[1, 0, 1]).bias(),
        Case::new("volume with everything", &[1, 4, 5, 4, 6], &[4, 2, 2, 3, 2])
            .groups(2)
            .stride(&[2, 1, 3])
            .dilation(&[1, 2, 2])
            .sides(&[(1, 0), (2, 1), (0, 3)])
            .bias(),
        Case::new("volume, same", &[1, 2, 3, 4, 5], &[2, 2, 2, 3, 4]).stride(&[1, 2, 2]).padding(Pad::Same),
        Case::new("volume, pointwise", &[2, 3, 2, 3, 2], &[4, 3, 1, 1, 1]).bias(),
        Case::transposed("line, transposed", &[2, 3, 5], &[3, 4, 4]).stride(&[3]).pad(&[1]).output_padding(&[2]).bias(),
        Case::transposed("line, three taps apart, transposed", &[2, 3, 19], &[3, 4, 3]).dilation(&[4]).pad(&[3]),
        Case::transposed("volume, transposed", &[1, 2, 2, 3, 2], &[2, 3, 2, 3, 2])
            .stride(&[2, 1, 3])
            .sides(&[(0, 1), (1, 1), (2, 0)])
            .output_padding(&[1, 0, 2]),
    ]
}

fn transposed() -> Vec<Case> {
    vec![
        transpose("transposed", [2, 3, 4, 5], [3, 2, 3, 3]).bias(),
        transpose("transposed with stride", [2, 3, 3, 4], [3, 2, 3, 2]).stride(&[2, 3]).pad(&[1, 0]),
        transpose("transposed, padding takes all but one cell", [1, 2, 1, 1], [2, 3, 3, 3]).pad(&[1, 1]),
        Case::transposed("transposed line of one cell", &[1, 1, 1], &[1, 1, 3]).pad(&[1]),
        transpose("transposed, kernel over the input", [1, 2, 1, 2], [2, 2, 4, 5]).stride(&[2, 2]),
        transpose("transposed, output padding", [1, 2, 3, 4], [2, 3, 3, 3])
            .stride(&[2, 2])
            .pad(&[1, 1])
            .output_padding(&[1, 0])
            .bias(),
        transpose("transposed by two, several tiles", [1, 17, 10, 11], [17, 18, 3, 3])
            .stride(&[2, 2])
            .pad(&[1, 1])
            .output_padding(&[0, 1])
            .bias(),
        transpose("transposed by two, groups", [3, 6, 5, 3], [6, 4, 3, 3]).groups(2).stride(&[2, 2]).pad(&[1, 1]),
        transpose("transposed, output padding at stride 1", [1, 2, 4, 3], [2, 2, 3, 2])
            .dilation(&[2, 3])
            .pad(&[1, 0])
            .output_padding(&[1, 2]),
        transpose("transposed, output padding over the stride", [1, 2, 3, 3], [2, 2, 2, 2])
            .stride(&[2, 1])
            .dilation(&[4, 3])
            .output_padding(&[3, 2]),
        transpose("transposed, stride over the kernel", [2, 2, 3, 2], [2, 2, 2, 1])
            .stride(&[4, 3])
            .output_padding(&[3, 2])
            .bias(),
        transpose("transposed, asymmetric padding", [1, 2, 4, 4], [2, 2, 3, 4])
            .stride(&[2, 1])
            .sides(&[(0, 2), (3, 1)]),
        transpose("transposed, padding over the kernel", [1, 2, 5, 6], [2, 2, 2, 3]).pad(&[2, 3]).stride(&[2, 2]),
        transpose("transposed, dilated", [2, 2, 3, 4], [2, 3, 3, 2]).dilation(&[2, 3]).stride(&[3, 2]).pad(&[2, 1]),
        transpose("transposed, same", [1, 2, 4, 3], [2, 2, 3, 4]).stride(&[2, 3]).padding(Pad::Same),
        transpose("transposed, same lower", [1, 2, 4, 3], [2, 2, 4, 2]).stride(&[1, 3]).padding(Pad::SameLower),
        transpose("transposed, same, stride over the kernel", [1, 2, 2, 3], [2, 2, 1, 2])
            .stride(&[3, 4])
            .padding(Pad::Same),
        transpose("transposed, pointwise", [2, 4, 3, 5], [4, 6, 1, 1]).bias(),
        transpose("transposed, one tap with stride", [1, 3, 2, 3], [3, 2, 1, 1])
            .stride(&[2, 3])
            .output_padding(&[1, 0]),
        transpose("transposed, no image", [0, 2, 3, 3], [2, 3, 3, 3]).stride(&[2, 2]).bias(),
        transpose("transposed, no input cell", [2, 3, 0, 4], [3, 2, 3, 3]).stride(&[2, 1]).padding(Pad::Same).bias(),
        transpose("transposed, no input channel", [2, 0, 3, 3], [0, 3, 2, 2]).bias(),
        transpose("transposed, no output channel", [2, 2, 3, 3], [2, 0, 2, 2]),
    ]
}
