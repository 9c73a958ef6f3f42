//! What is computed: a shape with options, its data, and random ones.

use std::fmt;

use convgemm::{ConvOptions, Element, PadMode, Padding};
use ndarray::{Array1, ArrayD};
use proptest::prelude::*;

use super::oracle::{Border, Definition, Line, POINT};
use super::random::Random;
use super::views::{Held, Layout};

/// Padding as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pad {
    Valid,
    Same,
    SameLower,
    Explicit(Vec<(usize, usize)>),
}

/// A convolution or transposed convolution with everything but its numbers.
#[derive(Debug, Clone)]
pub struct Case {
    pub name: String,
    pub transposed: bool,
    /// `[N, C, *k]`.
    pub input: Vec<usize>,
    /// `[OC, C/g, *k]`, transposed `[C, OC/g, *k]`.
    pub weight: Vec<usize>,
    pub stride: Vec<usize>,
    pub dilation: Vec<usize>,
    pub padding: Pad,
    pub output_padding: Vec<usize>,
    pub border: Border,
    pub groups: usize,
    pub bias: bool,
    pub seed: u64,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

fn array<const D: usize, T: Copy>(values: &[T]) -> [T; D] {
    std::array::from_fn(|axis| values[axis])
}

impl Case {
    pub fn new(name: &str, input: &[usize], weight: &[usize]) -> Self {
        let rank = input.len() - 2;
        // A seed of its own for each name, the same in every run.
        let seed = name.bytes().fold(17, |seed: u64, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)));
        Self {
            name: name.to_owned(),
            transposed: false,
            input: input.to_vec(),
            weight: weight.to_vec(),
            stride: vec![1; rank],
            dilation: vec![1; rank],
            padding: Pad::Valid,
            output_padding: vec![0; rank],
            border: Border::Zeros,
            groups: 1,
            bias: false,
            seed,
        }
    }

    pub fn transposed(name: &str, input: &[usize], weight: &[usize]) -> Self {
        Self { transposed: true, ..Self::new(name, input, weight) }
    }

    pub fn stride(mut self, stride: &[usize]) -> Self {
        self.stride = stride.to_vec();
        self
    }

    pub fn dilation(mut self, dilation: &[usize]) -> Self {
        self.dilation = dilation.to_vec();
        self
    }

    pub fn padding(mut self, padding: Pad) -> Self {
        self.padding = padding;
        self
    }

    /// The same cells on both sides.
    pub fn pad(self, cells: &[usize]) -> Self {
        self.padding(Pad::Explicit(cells.iter().map(|&n| (n, n)).collect()))
    }

    pub fn sides(self, cells: &[(usize, usize)]) -> Self {
        self.padding(Pad::Explicit(cells.to_vec()))
    }

    pub fn output_padding(mut self, cells: &[usize]) -> Self {
        self.output_padding = cells.to_vec();
        self
    }

    pub fn border(mut self, border: Border) -> Self {
        self.border = border;
        self
    }

    pub fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }

    pub fn bias(mut self) -> Self {
        self.bias = true;
        self
    }

    pub fn rank(&self) -> usize {
        self.input.len() - 2
    }

    /// The same request in the library's words.
    pub fn options<const D: usize>(&self) -> ConvOptions<D> {
        assert_eq!(D, self.rank());
        let padding = match &self.padding {
            Pad::Valid => Padding::Valid,
            Pad::Same => Padding::Same,
            Pad::SameLower => Padding::SameLower,
            Pad::Explicit(cells) => Padding::Explicit(array(cells)),
        };
        let pad_mode = match self.border {
            Border::Zeros => PadMode::Zeros,
            Border::Reflect => PadMode::Reflect,
            Border::Replicate => PadMode::Replicate,
            Border::Circular => PadMode::Circular,
        };
        ConvOptions::new()
            .stride(array(&self.stride))
            .dilation(array(&self.dilation))
            .padding(padding)
            .output_padding(array(&self.output_padding))
            .pad_mode(pad_mode)
            .groups(self.groups)
    }

    /// The same request in the oracle's words.
    pub fn definition(&self) -> Definition {
        let mut lines = [POINT; 3];
        let rank = self.rank();
        for (axis, line) in lines[3 - rank..].iter_mut().enumerate() {
            *line = self.line(axis);
        }
        let (outer, inner) = (self.weight[0] / self.groups, self.weight[1]);
        let (group_inputs, group_outputs) = if self.transposed { (outer, inner) } else { (inner, outer) };
        Definition {
            transposed: self.transposed,
            rank,
            batch: self.input[0],
            groups: self.groups,
            group_inputs,
            group_outputs,
            lines,
            border: self.border,
        }
    }

    /// The output lengths of PyTorch's documentation, with TensorFlow's `SAME`.
    fn line(&self, axis: usize) -> Line {
        let (input, kernel) = (self.input[2 + axis], self.weight[2 + axis]);
        let (stride, dilation) = (self.stride[axis], self.dilation[axis]);
        let span = dilation * (kernel - 1) + 1;
        // `Same`: the cells that `windows` windows need beyond the `cells` that there are.
        let missing = |windows: usize, cells: usize| {
            windows.checked_sub(1).map_or(0, |steps| (steps * stride + span).saturating_sub(cells))
        };
        let (before, output) = if self.transposed {
            let full = (input.max(1) - 1) * stride + span + self.output_padding[axis];
            match &self.padding {
                Pad::Valid => (0, full),
                Pad::Explicit(cells) => (cells[axis].0, full - cells[axis].0 - cells[axis].1),
                Pad::Same => (missing(input, input * stride) / 2, input * stride),
                Pad::SameLower => (missing(input, input * stride).div_ceil(2), input * stride),
            }
        } else {
            let windows = |padded: usize| (padded - span) / stride + 1;
            let same = input.div_ceil(stride);
            match &self.padding {
                Pad::Valid => (0, windows(input)),
                Pad::Explicit(cells) => (cells[axis].0, windows(input + cells[axis].0 + cells[axis].1)),
                Pad::Same => (missing(same, input) / 2, same),
                Pad::SameLower => (missing(same, input).div_ceil(2), same),
            }
        };
        Line { kernel, stride, dilation, before, input, output }
    }
}

/// The numbers of a case, each array in some memory.
#[derive(Debug, Clone)]
pub struct Data<T> {
    pub x: Held<T>,
    pub w: Held<T>,
    pub dy: Held<T>,
    pub bias: Option<Array1<T>>,
}

/// The layouts of `x`, `w` and `dy`.
pub type Layouts = [Layout; 3];

impl<T: Element> Data<T> {
    pub fn new(case: &Case, [x, w, dy]: Layouts) -> Self {
        let mut random = Random::new(case.seed);
        let output = case.definition().output_shape();
        Self {
            x: Held::new(x, &random.normals(&case.input)),
            w: Held::new(w, &random.normals(&case.weight)),
            dy: Held::new(dy, &random.normals(&output)),
            bias: case.bias.then(|| {
                let values = random.normals(&output[1..2]).mapv(T::from_f64);
                Array1::from_iter(values)
            }),
        }
    }

    pub fn bias_content(&self) -> Option<Array1<f64>> {
        self.bias.as_ref().map(|bias| bias.mapv(|b| b.to_f64()))
    }

    pub fn contents(&self) -> [ArrayD<f64>; 3] {
        [self.x.content(), self.w.content(), self.dy.content()]
    }
}

/// Raw numbers of one axis of a random case; [`case_from`] makes them consistent.
type RawAxis = ((usize, usize, usize), (usize, usize), usize, usize);

/// Random cases of one to three axes, convolutions and transposed ones, always possible.
pub fn any_case() -> impl Strategy<Value = Case> {
    // Kernel, stride, dilation; padding; cells beyond the least; output padding.
    let axis = ((1..=4_usize, 1..=3_usize, 1..=3_usize), (0..=3_usize, 0..=3_usize), 0..=6_usize, 0..=2_usize);
    // Rows of three taps and squares of three to eleven, which have algorithms of their own, are rare by chance: how often axes
    // are made these.
    let row = proptest::option::weighted(0.2, (0..=40_usize, 1..=9_usize));
    let usual = prop_oneof![Just((3_usize, 1_usize)), Just((3, 2)), Just((5, 1))];
    let square = prop_oneof![3 => usual, 1 => prop_oneof![Just((4, 1)), Just((5, 2)), Just((7, 1)), Just((7, 2)), Just((9, 2)), Just((11, 4))]];
    let square = proptest::option::weighted(0.35, (square, [0..=14_usize, 0..=14_usize]));
    let border = prop_oneof![
        3 => Just(Border::Zeros),
        1 => Just(Border::Reflect),
        1 => Just(Border::Replicate),
        1 => Just(Border::Circular),
    ];
    let padding = prop_oneof![1 => Just(Pad::Valid), 1 => Just(Pad::Same), 1 => Just(Pad::SameLower), 4 => Just(Pad::Explicit(vec![]))];
    // Groups and input channels of each: a few of several, or many of one.
    let groups = prop_oneof![5 => (1..=3_usize, 1..=4_usize), 2 => (8..=18_usize, 1..=1_usize)];
    let channels = (0..=3_usize, groups, 1..=4_usize).prop_map(|(batch, (groups, inner), outer)| {
        // Of many groups half have one output channel, too.
        let outer = if groups > 3 && outer < 3 { 1 } else { outer };
        (batch, groups, inner, outer)
    });
    let special = (row, square);
    (proptest::collection::vec(axis, 1..=3), special, channels, padding, border, any::<[bool; 2]>(), any::<u64>())
        .prop_map(|(mut axes, (row, square), channels, padding, border, [transposed, bias], seed)| {
            if let Some((more, dilation)) = row {
                let [above @ .., width] = &mut axes[..] else { unreachable!("one axis or more") };
                above.iter_mut().for_each(|axis| (axis.0.0, axis.0.1) = (1, 1));
                (width.0, width.2) = ((3, 1, dilation), more);
            } else if let (Some(((kernel, stride), more)), 2..) = (square, axes.len()) {
                let [above @ .., height, width] = &mut axes[..] else { unreachable!("two axes or more") };
                above.iter_mut().for_each(|axis| (axis.0, axis.1) = ((1, 1, 1), (0, 0)));
                (height.0, height.2) = ((kernel, stride, 1), more[0]);
                (width.0, width.2) = ((kernel, stride, 1), more[1]);
            }
            let case = case_from(&axes, channels, &padding, (border, transposed));
            Case { bias, seed, ..case }
        })
}

fn case_from(
    axes: &[RawAxis],
    (batch, groups, inner, outer): (usize, usize, usize, usize),
    padding: &Pad,
    (border, transposed): (Border, bool),
) -> Case {
    let mut case = if transposed {
        Case::transposed("random", &[batch, groups * outer], &[groups * outer, inner])
    } else {
        Case::new("random", &[batch, groups * inner], &[groups * outer, inner])
    };
    case.groups = groups;
    case.border = if transposed { Border::Zeros } else { border };
    let mut sides = vec![];
    for &((kernel, stride, dilation), (before, after), more, output_padding) in axes {
        // Volumes stay small enough for loops.
        let (kernel, more) = if axes.len() == 3 { (kernel.min(3), more.min(2)) } else { (kernel, more) };
        let span = dilation * (kernel - 1) + 1;
        let (mut before, mut after) = if matches!(padding, Pad::Explicit(_)) { (before, after) } else { (0, 0) };
        let output_padding = if transposed && matches!(padding, Pad::Explicit(_)) {
            output_padding.min(stride.max(dilation) - 1)
        } else {
            0
        };
        let length;
        if transposed {
            length = 1 + more.min(4);
            let full = (length - 1) * stride + span + output_padding;
            before = before.min(full - 1);
            after = after.min(full - 1 - before);
        } else {
            let least = match (padding, case.border) {
                // Room for a border on both sides, which is less than a kernel.
                (Pad::Same | Pad::SameLower, Border::Reflect | Border::Circular) => span,
                (Pad::Same | Pad::SameLower, _) => 1,
                (_, Border::Reflect) => span.saturating_sub(before + after).max(before.max(after) + 1),
                (_, Border::Circular) => span.saturating_sub(before + after).max(before.max(after)),
                _ => span.saturating_sub(before + after),
            };
            length = least.max(1) + more;
        }
        case.input.push(length);
        case.weight.push(kernel);
        case.stride.push(stride);
        case.dilation.push(dilation);
        case.output_padding.push(output_padding);
        sides.push((before, after));
    }
    case.padding = if matches!(padding, Pad::Explicit(_)) { Pad::Explicit(sides) } else { padding.clone() };
    case
}
