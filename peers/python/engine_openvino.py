"""OpenVINO's CPU plugin: constant weight, one stream, f32, input and output in memory kept here."""

import numpy as np
import openvino
import openvino.opset13 as opset

from case import Unsupported, aligned
from engine import Ready


class Engine:
    version = openvino.__version__.split("-")[0]
    features = ["CPU", "f32", "latency"]

    def __init__(self, threads, variant):
        self.core = openvino.Core()
        self.settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": "1",
            "INFERENCE_NUM_THREADS": str(threads),
        }

    def prepare(self, case, arrays):
        case.require_forward_f32()
        compiled = self.core.compile_model(build(case, arrays), "CPU", self.settings)
        request = compiled.create_infer_request()
        source, output = arrays["input"], aligned(case.output_shape(), np.float32)
        request.set_input_tensor(openvino.Tensor(source, shared_memory=True))
        request.set_output_tensor(openvino.Tensor(output, shared_memory=True))
        return Ready(algorithm(compiled), request.infer, lambda: (source, output)[1])


def algorithm(compiled):
    """The kernel that the plugin chose for the convolution."""
    for node in compiled.get_runtime_model().get_ops():
        info = node.get_rt_info()
        kind = str(info["layerType"].astype(str)) if "layerType" in info else ""
        if "onvolution" in kind and "primitiveType" in info:
            return str(info["primitiveType"].astype(str))
    return "cpu"


def build(case, arrays):
    x = opset.parameter(case.input_shape, np.float32)
    source, before, after = x, [b for b, _ in case.padding], [a for _, a in case.padding]
    if case.pad_mode != "zeros":
        mode = {"reflect": "reflect", "replicate": "edge"}.get(case.pad_mode)
        if mode is None or case.op != "conv":
            raise Unsupported(f"padding '{case.pad_mode}'")
        source = opset.pad(x, np.array([0, 0, *before]), np.array([0, 0, *after]), mode)
        before = after = [0] * case.axes
    weight = arrays["weight"]
    transposed = case.op == "conv_transpose"
    options = [case.stride, before, after, case.dilation]
    if case.groups == 1:
        filters = opset.constant(weight)
        if transposed:
            node = opset.convolution_backprop_data(source, filters, strides=options[0], pads_begin=before, pads_end=after, dilations=case.dilation, output_padding=case.output_padding)
        else:
            node = opset.convolution(source, filters, *options)
    else:
        filters = opset.constant(weight.reshape(case.groups, weight.shape[0] // case.groups, *weight.shape[1:]))
        if transposed:
            node = opset.group_convolution_backprop_data(source, filters, strides=options[0], pads_begin=before, pads_end=after, dilations=case.dilation, output_padding=case.output_padding)
        else:
            node = opset.group_convolution(source, filters, *options)
    if case.bias:
        node = opset.add(node, opset.constant(arrays["bias"].reshape(1, -1, *[1] * case.axes)))
    return openvino.Model([node], [x], "layer")
