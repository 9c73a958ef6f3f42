//! One logical array in every kind of memory that a view can have.

use ndarray::{ArrayBase, ArrayD, ArrayViewD, ArrayViewMutD, Axis, IxDyn, RawData, Slice};

use convgemm::Element;

/// How an array lies in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Row-major, nothing between.
    Standard,
    /// The channels, axis 1, innermost.
    ChannelsLast,
    /// All axes the other way round.
    ColumnMajor,
    /// Every other cell along every axis; NaN between.
    Stepped,
    /// Negative strides along every axis.
    Reversed,
    /// A block inside a larger array of NaN.
    Block,
    /// Stride 0 along the first axis and the third, whose content is therefore repeated.
    Broadcast,
}

impl Layout {
    pub const ALL: [Self; 7] = [
        Self::Standard,
        Self::ChannelsLast,
        Self::ColumnMajor,
        Self::Stepped,
        Self::Reversed,
        Self::Block,
        Self::Broadcast,
    ];

    /// Every layout whose cells are all different, so that it can be written to.
    pub const WRITABLE: [Self; 6] =
        [Self::Standard, Self::ChannelsLast, Self::ColumnMajor, Self::Stepped, Self::Reversed, Self::Block];
}

const REPEATED: [usize; 2] = [0, 2];

/// An array whose [`view`](Self::view) has a layout.
#[derive(Debug, Clone)]
pub struct Held<T> {
    memory: ArrayD<T>,
    shape: Vec<usize>,
    layout: Layout,
}

impl<T: Element> Held<T> {
    /// `content`, rounded to `T`, in the memory that `layout` says. `Broadcast` repeats its first slice.
    pub fn new(layout: Layout, content: &ArrayD<f64>) -> Self {
        let mut held = Self::filled(layout, content.shape(), T::nan());
        let mut content = content.view();
        if layout == Layout::Broadcast {
            for axis in REPEATED {
                let len = content.shape()[axis].min(1);
                content.slice_axis_inplace(Axis(axis), Slice::from(..len));
            }
            held.memory.assign(&content.mapv(T::from_f64));
        } else {
            held.view_mut().assign(&content.mapv(T::from_f64));
        }
        held
    }

    /// Memory of `layout` filled with `value`, between the cells as well.
    pub fn filled(layout: Layout, shape: &[usize], value: T) -> Self {
        let mut lengths = shape.to_vec();
        match layout {
            Layout::Standard | Layout::Reversed => {}
            Layout::ChannelsLast => lengths[1..].rotate_left(1),
            Layout::ColumnMajor => lengths.reverse(),
            Layout::Stepped => lengths.iter_mut().for_each(|n| *n = *n * 2 + 1),
            Layout::Block => lengths.iter_mut().for_each(|n| *n += 3),
            Layout::Broadcast => REPEATED.iter().for_each(|&axis| lengths[axis] = lengths[axis].min(1)),
        }
        Self { memory: ArrayD::from_elem(IxDyn(&lengths), value), shape: shape.to_vec(), layout }
    }

    pub fn view(&self) -> ArrayViewD<'_, T> {
        if self.layout == Layout::Broadcast {
            return self.memory.broadcast(IxDyn(&self.shape)).expect("repeated axes have one cell or none");
        }
        arrange(self.memory.view(), self.layout)
    }

    pub fn view_mut(&mut self) -> ArrayViewMutD<'_, T> {
        assert_ne!(self.layout, Layout::Broadcast, "shared cells cannot be written to");
        arrange(self.memory.view_mut(), self.layout)
    }

    /// Whether cells are seen more than once.
    pub fn repeats(&self) -> bool {
        self.layout == Layout::Broadcast
    }

    /// What a reader of the view sees.
    pub fn content(&self) -> ArrayD<f64> {
        self.view().mapv(|value| value.to_f64())
    }

    /// How many cells of the memory hold `value`'s like: NaN, or not NaN.
    pub fn count_nan(&self) -> usize {
        self.memory.iter().filter(|value| value.is_nan()).count()
    }

    /// Cells of memory that the view does not show.
    pub fn hidden(&self) -> usize {
        self.memory.len() - self.shape.iter().product::<usize>()
    }
}

fn arrange<S: RawData>(memory: ArrayBase<S, IxDyn>, layout: Layout) -> ArrayBase<S, IxDyn> {
    let axes = memory.ndim();
    let mut view = memory;
    match layout {
        Layout::Standard | Layout::Broadcast => {}
        Layout::ColumnMajor => view = view.reversed_axes(),
        Layout::ChannelsLast => {
            let mut order: Vec<usize> = (0..axes).collect();
            order[1..].rotate_right(1);
            view = view.permuted_axes(order);
        }
        Layout::Stepped => (0..axes).for_each(|axis| view.slice_axis_inplace(Axis(axis), Slice::new(1, None, 2))),
        Layout::Reversed => (0..axes).for_each(|axis| view.slice_axis_inplace(Axis(axis), Slice::new(0, None, -1))),
        Layout::Block => (0..axes).for_each(|axis| view.slice_axis_inplace(Axis(axis), Slice::new(1, Some(-2), 1))),
    }
    view
}

#[test]
fn every_layout_shows_the_same_content() {
    let content = super::random::Random::new(1).normals(&[2, 3, 4, 5]);
    for layout in Layout::WRITABLE {
        let held = Held::<f64>::new(layout, &content);
        assert_eq!(held.content(), content, "{layout:?}");
        assert_eq!(held.count_nan(), held.hidden(), "{layout:?}");
    }
    let strides = |layout| Held::<f64>::new(layout, &content).view().strides().to_vec();
    assert_eq!(strides(Layout::ChannelsLast), [60, 1, 15, 3]);
    assert_eq!(strides(Layout::ColumnMajor), [1, 2, 6, 24]);
    assert!(strides(Layout::Reversed).iter().all(|&stride| stride < 0));
    let repeated = Held::<f64>::new(Layout::Broadcast, &content);
    assert_eq!(repeated.view().shape(), content.shape());
    assert_eq!(repeated.view().strides()[0], 0);
    assert_eq!(repeated.content()[[1, 2, 3, 4]], content[[0, 2, 0, 4]]);
}
