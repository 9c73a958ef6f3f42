//! What is measured: layers of suites or of the user's, each for some operations and batches.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use convgemm_protocol::{Files, Padding, Prepare};
use convgemm_suites::data::Data;
use convgemm_suites::{Layer, Op, Suite};
use ndarray::ArrayView;

use crate::atomic::Output;
use crate::npy;

/// The suite of layers that the user wrote.
pub const OWN: &str = "own";
/// By which workers call the one case that they have.
pub const NAME: &str = "case";

/// A layer, an operation and a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    pub suite: String,
    pub name: String,
    /// How often the network has the layer.
    pub count: usize,
    pub layer: Layer,
    pub op: Op,
    pub batch: usize,
}

/// What the user chose.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    pub suites: Vec<String>,
    pub layers: Vec<Layer>,
    /// Only layers of suites whose name contains this.
    pub only: Option<String>,
    pub ops: Vec<Op>,
    pub batches: Vec<usize>,
}

impl Choice {
    /// The cases, suite by suite, and in a suite all layers of an operation and batch together.
    ///
    /// # Errors
    /// An unknown suite, or nothing to measure.
    pub fn cases(&self) -> Result<Vec<Case>> {
        let mut lists = Vec::new();
        for name in &self.suites {
            let suites: Vec<Suite> = if name == "all" {
                Suite::all().collect()
            } else {
                let names = || Suite::names().collect::<Vec<_>>().join(", ");
                vec![Suite::named(name).with_context(|| format!("there is no suite '{name}'; all, {}", names()))?]
            };
            for suite in suites {
                let layers = suite.layers.into_iter().map(|entry| (entry.name.to_owned(), entry.count, entry.layer));
                let wanted = |name: &str| self.only.as_ref().is_none_or(|only| name.contains(only.as_str()));
                lists.push((suite.name.to_owned(), layers.filter(|(name, ..)| wanted(name)).collect::<Vec<_>>()));
            }
        }
        if !self.layers.is_empty() {
            let layers = self.layers.iter().map(|layer| (layer.to_string(), 1, layer.clone())).collect();
            lists.push((OWN.to_owned(), layers));
        }
        let mut cases = Vec::new();
        for (suite, layers) in &lists {
            for (&op, &batch) in self.ops.iter().flat_map(|op| self.batches.iter().map(move |batch| (op, batch))) {
                cases.extend(layers.iter().cloned().map(|(name, count, layer)| Case {
                    suite: suite.clone(),
                    name,
                    count,
                    layer,
                    op,
                    batch,
                }));
            }
        }
        ensure!(!cases.is_empty(), "there is nothing to measure: name a suite or a layer");
        Ok(cases)
    }
}

impl Case {
    /// Unique within a comparison.
    pub fn id(&self) -> String {
        format!("{}/{} {} n{}", self.suite, self.name, self.op, self.batch)
    }

    /// Writes the arrays that the operation reads to a folder, and makes the request that names them.
    ///
    /// # Errors
    /// What the file system says.
    pub fn request(&self, data: &Data, folder: &Path) -> Result<Prepare> {
        let layer = &self.layer;
        let write = |name: &str, shape: &[usize], values: &[f32]| {
            let path = folder.join(name);
            npy::write(Output::create(&path)?, &ArrayView::from_shape(shape, values)?)?;
            anyhow::Ok(Some(path))
        };
        let mut files = Files::default();
        if self.op != Op::InputGrad {
            files.input = write("input.npy", &layer.input_shape(self.batch), &data.input)?;
        }
        if self.op != Op::WeightGrad {
            files.weight = write("weight.npy", &layer.weight_shape(), &data.weight)?;
        }
        if self.op != Op::Conv {
            files.grad_output = write("grad_output.npy", &layer.output_shape(self.batch), &data.grad_output)?;
        } else if layer.bias {
            files.bias = write("bias.npy", &[layer.out_channels], &data.bias)?;
        }
        // From the two that are required, so that options which are added to the protocol keep their defaults.
        let shapes =
            serde_json::json!({"case": NAME, "input": layer.input_shape(self.batch), "weight": layer.weight_shape()});
        let mut request: Prepare = serde_json::from_value(shapes)?;
        request.op = match self.op {
            Op::Conv => convgemm_protocol::Op::Conv,
            Op::InputGrad => convgemm_protocol::Op::InputGrad,
            Op::WeightGrad => convgemm_protocol::Op::WeightGrad,
        };
        request.bias = layer.bias && self.op == Op::Conv;
        request.stride.clone_from(&layer.stride);
        request.padding = Padding::Cells(layer.padding.clone());
        request.dilation.clone_from(&layer.dilation);
        request.groups = layer.groups;
        request.files = files;
        Ok(request)
    }
}

/// Operations in files, by their names.
pub mod op_as_text {
    use convgemm_suites::Op;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(op: &Op, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(op.name())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Op, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(suites: &[&str]) -> Choice {
        Choice {
            suites: suites.iter().map(|&name| name.to_owned()).collect(),
            ops: vec![Op::Conv, Op::WeightGrad],
            batches: vec![1, 8],
            ..Choice::default()
        }
    }

    #[test]
    fn every_layer_is_measured_for_every_operation_and_batch_under_a_name_of_its_own() {
        let cases = Choice { layers: vec!["8x3@9".parse().unwrap()], ..choice(&["alexnet"]) }.cases().unwrap();
        assert_eq!(cases.len(), (5 + 1) * 4);
        assert_eq!(
            (cases[0].id().as_str(), cases[5].id().as_str()),
            ("alexnet/conv1 conv n1", "alexnet/conv1 conv n8")
        );
        assert_eq!(cases[20].id(), "own/8x3@9 conv n1");
        let ids: std::collections::HashSet<_> = cases.iter().map(Case::id).collect();
        assert_eq!(ids.len(), cases.len());
    }

    #[test]
    fn an_unknown_suite_and_nothing_at_all_are_mistakes() {
        assert!(choice(&["resnet51"]).cases().unwrap_err().to_string().contains("all, resnet50, vgg16"));
        assert!(choice(&[]).cases().is_err());
        assert!(Choice { only: Some("no such layer".into()), ..choice(&["alexnet"]) }.cases().is_err());
    }

    #[test]
    fn a_request_names_the_files_that_the_operation_reads() {
        let folder = tempfile::tempdir().unwrap();
        let cases = Choice { layers: vec!["4-6x3x2@7x6s2x1p1:0g2b".parse().unwrap()], ..choice(&[]) }.cases().unwrap();
        let case = &cases[1];
        let data = Data::seeded(&case.layer, case.batch, 1);
        let request = case.request(&data, folder.path()).unwrap();
        assert_eq!((request.input, request.weight), (vec![8, 4, 7, 6], vec![6, 2, 3, 2]));
        assert_eq!((request.stride, request.padding), (vec![2, 1], Padding::Cells(vec![[1, 0], [1, 0]])));
        assert!(request.bias && request.files.grad_output.is_none());
        let read = npy::AnyArray::read(&request.files.input.unwrap()).unwrap().into_f64();
        assert_eq!(read[[7, 3, 6, 5]], f64::from(data.input[8 * 4 * 42 - 1]));
    }
}
