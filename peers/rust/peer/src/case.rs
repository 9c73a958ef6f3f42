//! A case of the protocol: its layer, checked, and the arrays that its operation reads.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use convgemm_protocol::{Dtype, Layout, Op, Padding, Prepare};
use convgemm_suites::Layer;
use convgemm_suites::data::normal;
use ndarray::ArrayD;

/// A case in f32 and NCHW with zeros around it, which is all that these engines are asked to do.
#[derive(Debug, Clone)]
pub struct Case {
    /// `Conv`, `InputGrad` or `WeightGrad`.
    pub op: Op,
    /// Sizes and options.
    pub layer: Layer,
    /// Images.
    pub batch: usize,
    /// `[N, C, *k]`; empty for the gradient of the input.
    pub input: Vec<f32>,
    /// `[OC, C/g, *k]`; empty for the gradient of the weight.
    pub weight: Vec<f32>,
    /// `[OC]`, if the forward pass has one.
    pub bias: Option<Vec<f32>>,
    /// `[N, OC, *k]`; empty for the forward pass.
    pub grad_output: Vec<f32>,
}

impl Case {
    /// # Errors
    /// A case that is impossible, or that none of these engines does.
    pub fn new(asked: &Prepare) -> Result<Self> {
        let (layer, batch) = (layer(asked)?, asked.input[0]);
        let weight_shape = layer.weight_shape();
        let fan_in: usize = weight_shape[1..].iter().product();
        let deviation = (2.0 / fan_in as f64).sqrt();
        let (files, seed) = (&asked.files, asked.seed);
        let load = |wanted: bool, file: &Option<PathBuf>, shape: &[usize], deviation, stream| match file {
            _ if !wanted => Ok(Vec::new()),
            Some(path) => read(path, shape),
            None => Ok(normal(shape, deviation, seed, stream)),
        };
        let has_bias = asked.op == Op::Conv && (asked.bias || files.bias.is_some());
        let bias = load(has_bias, &files.bias, &[layer.out_channels], 1.0, 2)?;
        Ok(Self {
            op: asked.op,
            batch,
            input: load(asked.op != Op::InputGrad, &files.input, &asked.input, 1.0, 0)?,
            weight: load(asked.op != Op::WeightGrad, &files.weight, &weight_shape, deviation, 1)?,
            bias: has_bias.then_some(bias),
            grad_output: load(asked.op != Op::Conv, &files.grad_output, &layer.output_shape(batch), 1.0, 3)?,
            layer,
        })
    }

    /// Spatial axes.
    pub fn axes(&self) -> usize {
        self.layer.size.len()
    }

    /// `[N, C, *k]`.
    pub fn input_shape(&self) -> Vec<usize> {
        self.layer.input_shape(self.batch)
    }

    /// `[N, OC, *k]`.
    pub fn output_shape(&self) -> Vec<usize> {
        self.layer.output_shape(self.batch)
    }

    /// Of what the operation computes.
    pub fn result_shape(&self) -> Vec<usize> {
        match self.op {
            Op::InputGrad => self.input_shape(),
            Op::WeightGrad => self.layer.weight_shape(),
            Op::Conv | Op::ConvTranspose => self.output_shape(),
        }
    }

    /// # Errors
    /// A gradient.
    pub fn require_forward(&self) -> Result<()> {
        ensure!(self.op == Op::Conv, "unsupported: gradients");
        Ok(())
    }
}

/// The layer, with one entry for each axis.
fn layer(asked: &Prepare) -> Result<Layer> {
    let (input, weight) = (&asked.input, &asked.weight);
    let unsupported = [
        ("the transposed convolution", asked.op == Op::ConvTranspose),
        ("f64", asked.dtype == Dtype::F64),
        ("channels-last", asked.layout == Layout::Nhwc),
        ("padding other than zeros", asked.pad_mode != "zeros"),
        ("activations", asked.activation != "none"),
        ("an algorithm by name", asked.algorithm != "auto"),
        ("a backend by name", asked.backend != "auto"),
    ];
    if let Some((what, _)) = unsupported.iter().find(|(_, is_asked)| *is_asked) {
        bail!("unsupported: {what}");
    }
    let axes = input.len().saturating_sub(2);
    ensure!(
        (1..=3).contains(&axes) && weight.len() == input.len(),
        "input {input:?} and weight {weight:?} are not batch, channels and 1 to 3 spatial axes"
    );
    let padding = match &asked.padding {
        Padding::Cells(cells) => for_axes("padding", cells, axes)?,
        Padding::Rule(_) => bail!("unsupported: padding by a rule"),
    };
    let (stride, dilation) = (for_axes("stride", &asked.stride, axes)?, for_axes("dilation", &asked.dilation, axes)?);
    let lengths = [input, weight, &stride, &dilation].into_iter().flatten().chain([&asked.groups]);
    ensure!(lengths.min() > Some(&0), "a length, a stride, a dilation or the number of groups is 0");
    let channels = weight[1].checked_mul(asked.groups);
    ensure!(channels == Some(input[1]), "the input has {} channels, the weight is {weight:?}", input[1]);
    ensure!(weight[0] % asked.groups == 0, "{} groups do not divide {} channels", asked.groups, weight[0]);
    let layer = Layer {
        in_channels: input[1],
        out_channels: weight[0],
        kernel: weight[2..].to_vec(),
        size: input[2..].to_vec(),
        stride,
        padding,
        dilation,
        groups: asked.groups,
        bias: asked.bias,
    };
    ensure!(!layer.output_size().contains(&0), "the kernel is larger than the padded input");
    Ok(layer)
}

/// One entry for each axis, from as many or from one.
fn for_axes<V: Copy>(what: &str, list: &[V], axes: usize) -> Result<Vec<V>> {
    match list {
        &[one] => Ok(vec![one; axes]),
        _ => {
            ensure!(list.len() == axes, "{what} has {} entries, the input has {axes} spatial axes", list.len());
            Ok(list.to_vec())
        }
    }
}

fn read(path: &Path, shape: &[usize]) -> Result<Vec<f32>> {
    let array: ArrayD<f32> = ndarray_npy::read_npy(path).with_context(|| path.display().to_string())?;
    ensure!(array.shape() == shape, "{} has shape {:?}, expected {shape:?}", path.display(), array.shape());
    Ok(array.as_standard_layout().iter().copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(fields: &str) -> Result<Case> {
        let text = format!(r#"{{"case":"a","input":[2,4,9,8],"weight":[6,2,3,2],"groups":2{fields}}}"#);
        Case::new(&serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn a_case_has_the_arrays_that_its_operation_reads() {
        let found = case(r#","bias":true,"stride":[2],"padding":[[1,1],[0,1]]"#).unwrap();
        assert_eq!((found.output_shape(), found.result_shape()), (vec![2, 6, 5, 4], vec![2, 6, 5, 4]));
        assert_eq!((found.input.len(), found.weight.len(), found.grad_output.len()), (2 * 4 * 72, 72, 0));
        assert_eq!(found.bias.map(|bias| bias.len()), Some(6));
        let found = case(r#","op":"weight_grad","bias":true"#).unwrap();
        assert_eq!((found.weight.len(), found.bias.is_none()), (0, true));
        assert_eq!(found.result_shape(), [6, 2, 3, 2]);
    }

    #[test]
    fn what_cannot_be_done_is_unsupported_and_what_makes_no_sense_is_a_mistake() {
        for fields in [r#","op":"conv_transpose""#, r#","dtype":"f64""#, r#","layout":"nhwc""#, r#","padding":"same""#]
        {
            let error = case(fields).unwrap_err().to_string();
            assert!(error.starts_with("unsupported"), "{fields}: {error}");
        }
        for fields in
            [r#","stride":[0]"#, r#","stride":[1,1,1]"#, r#","dilation":[9]"#, r#","files":{"input":"none.npy"}"#]
        {
            let error = case(fields).unwrap_err().to_string();
            assert!(!error.starts_with("unsupported"), "{fields}: {error}");
        }
    }
}
