"""ONNX Runtime: the weight an initialiser, so that it is packed once; input and output bound to memory kept here."""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from case import Unsupported, aligned
from engine import Ready, fastest


class Engine:
    version = onnxruntime.__version__
    features = ["CPUExecutionProvider", "io-binding"]

    def __init__(self, threads, variant):
        self.threads = threads

    def prepare(self, case, arrays):
        case.require_forward_f32()
        model = build(case, arrays).SerializeToString()
        # All optimisations bring a blocked layout, with reorders before and after; for one layer that can lose.
        levels = {
            "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
            "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
        }
        return fastest([lambda name=name, level=level: self.session(model, name, level, case, arrays) for name, level in levels.items()])

    def session(self, model, name, level, case, arrays):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = level
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        output = aligned(case.output_shape(), case.dtype)
        binding = session.io_binding()
        binding.bind_input("x", "cpu", 0, np.float32, arrays["input"].shape, arrays["input"].ctypes.data)
        binding.bind_output("y", "cpu", 0, np.float32, output.shape, output.ctypes.data)
        # The closure keeps the input alive, which the binding knows by address alone.
        keep = arrays["input"]
        return Ready(f"graph-{name}", lambda: session.run_with_iobinding(binding), lambda: (keep, output)[1])


def build(case, arrays):
    """A model of the one operator, with what pads before it where the operator cannot."""
    names = [name for name in ("weight", "bias") if name in arrays]
    initialisers = [numpy_helper.from_array(arrays[name], name) for name in names]
    pads = [before for before, _ in case.padding] + [after for _, after in case.padding]
    nodes, source = [], "x"
    if case.pad_mode != "zeros":
        if case.op != "conv":
            raise Unsupported("padding other than zeros")
        mode = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}[case.pad_mode]
        outer = [0, 0, *pads[: case.axes], 0, 0, *pads[case.axes :]]
        initialisers.append(numpy_helper.from_array(np.array(outer, np.int64), "cells"))
        nodes.append(helper.make_node("Pad", ["x", "cells"], ["padded"], mode=mode))
        pads, source = [0] * len(pads), "padded"
    attributes = {
        "kernel_shape": case.weight_shape[2:],
        "strides": case.stride,
        "dilations": case.dilation,
        "group": case.groups,
        "pads": pads,
    }
    operator = "Conv"
    if case.op == "conv_transpose":
        operator = "ConvTranspose"
        attributes["output_padding"] = case.output_padding
    nodes.append(helper.make_node(operator, [source, *names], ["y"], **attributes))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, case.input_shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, case.output_shape())
    graph = helper.make_graph(nodes, "layer", [x], [y], initialisers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
