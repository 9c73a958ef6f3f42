//! The definitions as plain loops in f64. Nothing here comes from the library under test.
//!
//! A convolution and its transpose are each a sum of terms `y += w · x`: the loops list the terms, and
//! the same list gives both gradients, `dx += w · dy` and `dw += x · dy`.

use ndarray::{Array1, ArrayD, IxDyn};

/// What stands outside the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Border {
    Zeros,
    Reflect,
    Replicate,
    Circular,
}

/// One spatial axis: window `o` reads position `o · stride + t · dilation − before` at tap `t`.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    pub kernel: usize,
    pub stride: usize,
    pub dilation: usize,
    pub before: usize,
    pub input: usize,
    pub output: usize,
}

/// An axis that is not there.
pub const POINT: Line = Line { kernel: 1, stride: 1, dilation: 1, before: 0, input: 1, output: 1 };

/// A convolution, or the transpose of one, over three spatial axes.
#[derive(Debug, Clone)]
pub struct Definition {
    pub transposed: bool,
    pub rank: usize,
    pub batch: usize,
    pub groups: usize,
    pub group_inputs: usize,
    pub group_outputs: usize,
    pub lines: [Line; 3],
    pub border: Border,
}

/// An exact result, and what is needed to judge an inexact one.
#[derive(Debug, Clone)]
pub struct Expected {
    pub value: ArrayD<f64>,
    /// The same sums over the absolute values of all terms.
    pub magnitude: ArrayD<f64>,
    /// The largest that any of these sums could be, were the windows over no border: what an algorithm that computes other
    /// sums is exact to, since the taps that only meet zeros have a part in its roundings, too.
    pub ceiling: f64,
    /// The most terms that any one sum has.
    pub terms: usize,
}

impl Expected {
    pub fn new(value: ArrayD<f64>, magnitude: ArrayD<f64>, terms: usize) -> Self {
        let ceiling = largest(&magnitude);
        Self { value, magnitude, ceiling, terms }
    }

    /// With a ceiling of at least `ceiling`.
    fn under(self, ceiling: f64) -> Self {
        Self { ceiling: self.ceiling.max(ceiling), ..self }
    }

    /// For sums in which the same terms come again and again, if `repeats`: their roundings are alike, and add up
    /// instead of walking at random, so that only the proven bound holds.
    pub fn with_repeated_terms(mut self, repeats: bool) -> Self {
        if repeats {
            self.terms = self.terms.saturating_mul(self.terms);
        }
        self
    }
}

type Index = [usize; 5];

/// All positions in a box, in row-major order.
fn cells([depth, height, width]: [usize; 3]) -> impl Iterator<Item = [usize; 3]> {
    (0..depth).flat_map(move |d| (0..height).flat_map(move |h| (0..width).map(move |w| [d, h, w])))
}

/// The cell of an axis of `length` that is seen at `position`; `None` is a zero.
fn seen(position: isize, length: usize, border: Border) -> Option<usize> {
    let end = length as isize;
    let mut p = position;
    match border {
        Border::Zeros => {}
        Border::Replicate => p = p.max(0).min(end - 1),
        Border::Circular => {
            while p < 0 {
                p += end;
            }
            while p >= end {
                p -= end;
            }
        }
        Border::Reflect => {
            if p < 0 {
                p = -p;
            }
            if p >= end {
                p = 2 * (end - 1) - p;
            }
        }
    }
    (0 <= p && p < end).then_some(p as usize)
}

fn each<R>(make: impl Fn(usize) -> Option<R>) -> Option<[R; 3]> {
    Some([make(0)?, make(1)?, make(2)?])
}

impl Definition {
    fn shape(&self, outer: usize, inner: usize, length: impl Fn(&Line) -> usize) -> Vec<usize> {
        let lengths = self.lines[3 - self.rank..].iter().map(length);
        [outer, inner].into_iter().chain(lengths).collect()
    }

    pub fn input_shape(&self) -> Vec<usize> {
        self.shape(self.batch, self.groups * self.group_inputs, |line| line.input)
    }

    pub fn output_shape(&self) -> Vec<usize> {
        self.shape(self.batch, self.groups * self.group_outputs, |line| line.output)
    }

    pub fn weight_shape(&self) -> Vec<usize> {
        let (inputs, outputs) = (self.group_inputs, self.group_outputs);
        let (outer, inner) = if self.transposed { (inputs, outputs) } else { (outputs, inputs) };
        self.shape(outer * self.groups, inner, |line| line.kernel)
    }

    fn lengths(&self, length: impl Fn(&Line) -> usize) -> [usize; 3] {
        [length(&self.lines[0]), length(&self.lines[1]), length(&self.lines[2])]
    }

    /// Calls `term` with the indices `(y, w, x)` of every term, in the order of the definition.
    fn terms(&self, term: impl FnMut(Index, Index, Index)) {
        if self.transposed { self.scatter(term) } else { self.gather(term) }
    }

    /// Each output collects what its window sees.
    fn gather(&self, mut term: impl FnMut(Index, Index, Index)) {
        let (outputs, taps) = (self.lengths(|line| line.output), self.lengths(|line| line.kernel));
        for n in 0..self.batch {
            for g in 0..self.groups {
                for oc in g * self.group_outputs..(g + 1) * self.group_outputs {
                    for o in cells(outputs) {
                        for c in 0..self.group_inputs {
                            for t in cells(taps) {
                                let place = each(|axis| {
                                    let line = &self.lines[axis];
                                    let at = (o[axis] * line.stride + t[axis] * line.dilation) as isize;
                                    seen(at - line.before as isize, line.input, self.border)
                                });
                                let Some(i) = place else { continue };
                                let x = [n, g * self.group_inputs + c, i[0], i[1], i[2]];
                                term([n, oc, o[0], o[1], o[2]], [oc, c, t[0], t[1], t[2]], x);
                            }
                        }
                    }
                }
            }
        }
    }

    /// Each input is spread over the outputs; what falls into the padding is dropped.
    fn scatter(&self, mut term: impl FnMut(Index, Index, Index)) {
        let (inputs, taps) = (self.lengths(|line| line.input), self.lengths(|line| line.kernel));
        for n in 0..self.batch {
            for g in 0..self.groups {
                for c in g * self.group_inputs..(g + 1) * self.group_inputs {
                    for i in cells(inputs) {
                        for o in 0..self.group_outputs {
                            for t in cells(taps) {
                                let place = each(|axis| {
                                    let line = &self.lines[axis];
                                    let at = i[axis] * line.stride + t[axis] * line.dilation;
                                    at.checked_sub(line.before).filter(|&p| p < line.output)
                                });
                                let Some(p) = place else { continue };
                                let y = [n, g * self.group_outputs + o, p[0], p[1], p[2]];
                                term(y, [c, o, t[0], t[1], t[2]], [n, c, i[0], i[1], i[2]]);
                            }
                        }
                    }
                }
            }
        }
    }

    pub fn forward(&self, x: &ArrayD<f64>, w: &ArrayD<f64>, bias: Option<&Array1<f64>>) -> Expected {
        let (fx, fw) = (Flat::new(x), Flat::new(w));
        let mut sums = Sums::new(&self.output_shape());
        self.terms(|yi, wi, xi| sums.add(yi, fw.at(wi) * fx.at(xi)));
        let mut expected = sums.done().under(largest(&self.sums_by_channel(w, !self.transposed)) * largest(x));
        if let Some(bias) = bias {
            for (channel, &b) in bias.iter().enumerate() {
                expected.value.index_axis_mut(ndarray::Axis(1), channel).mapv_inplace(|y| y + b);
                expected.magnitude.index_axis_mut(ndarray::Axis(1), channel).mapv_inplace(|y| y + b.abs());
            }
            expected.ceiling += largest(&bias.clone().into_dyn());
            expected.terms += 1;
        }
        expected
    }

    pub fn input_grad(&self, w: &ArrayD<f64>, dy: &ArrayD<f64>) -> Expected {
        let (fw, fy) = (Flat::new(w), Flat::new(dy));
        let mut sums = Sums::new(&self.input_shape());
        self.terms(|yi, wi, xi| sums.add(xi, fw.at(wi) * fy.at(yi)));
        sums.done().under(largest(&self.sums_by_channel(w, self.transposed)) * largest(dy))
    }

    pub fn weight_grad(&self, x: &ArrayD<f64>, dy: &ArrayD<f64>) -> Expected {
        let (fx, fy) = (Flat::new(x), Flat::new(dy));
        let mut sums = Sums::new(&self.weight_shape());
        self.terms(|yi, wi, xi| sums.add(wi, fx.at(xi) * fy.at(yi)));
        sums.done().under(largest(&bias_grad(dy).magnitude) * largest(x))
    }

    /// Sums of the absolute weights of each channel that `w`'s first axis counts, or, group by group, of each that its second
    /// one does.
    fn sums_by_channel(&self, w: &ArrayD<f64>, by_first: bool) -> ArrayD<f64> {
        let (first, second) = (w.shape()[0], w.shape()[1]);
        let channel = |[i, j, ..]: Index| if by_first { i } else { i * self.groups / first * second + j };
        let channels = if by_first { first } else { self.groups * second };
        let mut sums = ArrayD::zeros(vec![channels]);
        let shape = IxDyn(&five(w.shape()));
        let w = w.to_shape(shape).expect("axes of length one added");
        for (index, weight) in w.indexed_iter() {
            sums[channel([0, 1, 2, 3, 4].map(|axis| index[axis]))] += weight.abs();
        }
        sums
    }

    /// `[N, C·taps, windows]`, the rows in the order of the weight's inner axes.
    fn columns_shape(&self) -> Vec<usize> {
        let (taps, windows) = (self.lengths(|line| line.kernel), self.lengths(|line| line.output));
        let channels = self.groups * self.group_inputs;
        vec![self.batch, channels * taps.iter().product::<usize>(), windows.iter().product()]
    }

    /// Calls `entry` with the index of every nonzero entry of the patch matrix and the input it shows.
    fn entries(&self, mut entry: impl FnMut(Index, Index)) {
        let [kd, kh, kw] = self.lengths(|line| line.kernel);
        let [_, oh, ow] = self.lengths(|line| line.output);
        let one = Self { groups: 1, group_inputs: self.groups * self.group_inputs, group_outputs: 1, ..self.clone() };
        one.gather(|[n, _, d, h, w], [_, c, td, th, tw], x| {
            let (row, column) = (((c * kd + td) * kh + th) * kw + tw, (d * oh + h) * ow + w);
            entry([n, row, 0, 0, column], x);
        });
    }

    pub fn unfold(&self, x: &ArrayD<f64>) -> Expected {
        let fx = Flat::new(x);
        let mut sums = Sums::new(&self.columns_shape());
        self.entries(|column, xi| sums.add(column, fx.at(xi)));
        sums.done()
    }

    pub fn fold(&self, columns: &ArrayD<f64>) -> Expected {
        let fc = Flat::new(columns);
        let mut sums = Sums::new(&self.input_shape());
        self.entries(|column, xi| sums.add(xi, fc.at(column)));
        sums.done()
    }
}

/// The sum of an output gradient over everything but its channels.
pub fn bias_grad(dy: &ArrayD<f64>) -> Expected {
    let channels = dy.shape()[1];
    let sum = |of: fn(f64) -> f64| {
        let sums = (0..channels).map(|c| dy.index_axis(ndarray::Axis(1), c).iter().map(|&v| of(v)).sum());
        Array1::from_iter(sums).into_dyn()
    };
    Expected::new(sum(|v| v), sum(f64::abs), dy.len() / channels.max(1))
}

/// The largest absolute value, zero of none.
fn largest(values: &ArrayD<f64>) -> f64 {
    values.iter().fold(0.0, |largest, value| largest.max(value.abs()))
}

/// Lengths of the five axes of an array of three to five, the missing ones after the channels.
fn five(shape: &[usize]) -> Index {
    let mut five = [1; 5];
    five[..2].copy_from_slice(&shape[..2]);
    five[7 - shape.len()..].copy_from_slice(&shape[2..]);
    five
}

fn offset(lengths: Index, index: Index) -> usize {
    index.iter().zip(&lengths).fold(0, |at, (i, n)| {
        assert!(i < n, "index {index:?} outside {lengths:?}");
        at * n + i
    })
}

/// Values in row-major order.
struct Flat {
    lengths: Index,
    values: Vec<f64>,
}

impl Flat {
    fn new(array: &ArrayD<f64>) -> Self {
        Self { lengths: five(array.shape()), values: array.iter().copied().collect() }
    }

    fn at(&self, index: Index) -> f64 {
        self.values[offset(self.lengths, index)]
    }
}

struct Sums {
    shape: Vec<usize>,
    lengths: Index,
    /// Sum, sum of the absolute values, number of terms.
    values: Vec<(f64, f64, usize)>,
}

impl Sums {
    fn new(shape: &[usize]) -> Self {
        let lengths = five(shape);
        Self { shape: shape.to_vec(), lengths, values: vec![(0.0, 0.0, 0); lengths.iter().product()] }
    }

    fn add(&mut self, index: Index, term: f64) {
        let (sum, magnitude, terms) = &mut self.values[offset(self.lengths, index)];
        *sum += term;
        *magnitude += term.abs();
        *terms += 1;
    }

    fn done(self) -> Expected {
        let array = |of: fn(&(f64, f64, usize)) -> f64| {
            let values = self.values.iter().map(of).collect();
            ArrayD::from_shape_vec(IxDyn(&self.shape), values).expect("as many values as the shape has")
        };
        let terms = self.values.iter().map(|&(.., terms)| terms).max().unwrap_or(0);
        Expected::new(array(|v| v.0), array(|v| v.1), terms)
    }
}
