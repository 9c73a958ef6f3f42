//! The layer as a file in ONNX, from which rten makes its models.

use std::cell::RefCell;

use anyhow::Result;
use peer::Case;
use rten_onnx::onnx::{
    AttributeProto, AttributeType, DataType, Dimension, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    TensorProto, TensorShapeProto, TypeProto, TypeProtoTensor, ValueInfoProto,
};

/// A model with the input `x` and the output `y`.
pub fn onnx(case: &Case) -> Result<Vec<u8>> {
    let layer = &case.layer;
    let (before, after): (Vec<usize>, Vec<usize>) = layer.padding.iter().map(|&[b, a]| (b, a)).unzip();
    let mut initializer = vec![tensor("weight", &layer.weight_shape(), &case.weight)];
    initializer.extend(case.bias.as_ref().map(|bias| tensor("bias", &[bias.len()], bias)));
    let inputs = ["x", "weight"].into_iter().chain(case.bias.as_ref().map(|_| "bias"));
    let conv = NodeProto {
        name: Some("conv".into()),
        op_type: Some("Conv".into()),
        input: inputs.map(str::to_owned).collect(),
        output: vec!["y".into()],
        attribute: vec![
            numbers("strides", &layer.stride),
            numbers("dilations", &layer.dilation),
            numbers("pads", &[before, after].concat()),
            AttributeProto {
                name: Some("group".into()),
                r#type: Some(AttributeType::INT),
                i: Some(layer.groups as i64),
                ..AttributeProto::default()
            },
        ],
        ..NodeProto::default()
    };
    let graph = GraphProto {
        node: vec![conv],
        initializer,
        input: vec![value("x", &case.input_shape())],
        output: vec![value("y", &case.output_shape())],
        value_info: Vec::new(),
    };
    let model = ModelProto {
        ir_version: Some(9),
        opset_import: vec![OperatorSetIdProto { domain: None, version: Some(19) }],
        graph: Some(graph),
        ..ModelProto::default()
    };
    Ok(model.write_buf()?)
}

fn numbers(name: &str, values: &[usize]) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(AttributeType::INTS),
        ints: values.iter().map(|&value| value as i64).collect(),
        ..AttributeProto::default()
    }
}

fn tensor(name: &str, shape: &[usize], values: &[f32]) -> TensorProto {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    TensorProto {
        name: Some(name.to_owned()),
        dims: shape.iter().map(|&length| length as i64).collect(),
        data_type: Some(DataType::FLOAT),
        raw_data: Some(RefCell::new(bytes)),
        ..TensorProto::default()
    }
}

fn value(name: &str, shape: &[usize]) -> ValueInfoProto {
    let dim = shape.iter().map(|&length| Dimension { dim_value: Some(length as i64), dim_param: None }).collect();
    let tensor = TypeProtoTensor { elem_type: Some(DataType::FLOAT), shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto { tensor_type: Some(tensor), sequence: None }),
    }
}
