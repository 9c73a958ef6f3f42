"""ncnn: a network of the one layer, f32 storage and arithmetic, Winograd allowed, memory from its pools.

ncnn has no batch: images go through one after the other. It packs channels on the way in and unpacks them on the
way out, as in any network whose caller owns NCHW memory; both are in the time.
"""

import tempfile
from pathlib import Path

import ncnn
import numpy as np

from case import Unsupported
from engine import Ready

LAYERS = {
    ("conv", False): ("Convolution1D", "Convolution", "Convolution3D"),
    ("conv", True): ("ConvolutionDepthWise1D", "ConvolutionDepthWise", "ConvolutionDepthWise3D"),
    ("conv_transpose", False): ("Deconvolution1D", "Deconvolution", "Deconvolution3D"),
    ("conv_transpose", True): ("DeconvolutionDepthWise1D", "DeconvolutionDepthWise", "DeconvolutionDepthWise3D"),
}
# Ids of a layer's parameters, for the axes from the last to the first.
KERNEL, DILATION, STRIDE, BEFORE, AFTER = (1, 11, 21), (2, 12, 22), (3, 13, 23), (4, 14, 24), (15, 16, 17)
OUTPUT_PADDING = (18, 19, 20)


class Engine:
    version = ncnn.__version__
    features = ["f32", "winograd", "packing"]

    def __init__(self, threads, variant):
        self.threads = threads
        ncnn.set_omp_num_threads(threads)
        self.pools = ncnn.UnlockedPoolAllocator(), ncnn.PoolAllocator()

    def prepare(self, case, arrays):
        if (case.op, case.groups > 1) not in LAYERS:
            raise Unsupported("gradients")
        if case.channels_last:
            raise Unsupported("channels-last")
        if case.dtype != np.float32:
            raise Unsupported("f64")
        if case.pad_mode != "zeros":
            raise Unsupported(f"padding '{case.pad_mode}'")
        net = self.network(case, arrays)
        # Images without the copy that a batch would need; each Mat refers to the array's memory.
        images = [ncnn.Mat(image) for image in arrays["input"]]
        results = [None] * len(images)

        def run():
            for i, image in enumerate(images):
                extractor = net.create_extractor()
                extractor.input("x", image)
                status, results[i] = extractor.extract("y")
                if status != 0:
                    raise MemoryError("ncnn could not compute the layer")

        return Ready("auto", run, lambda: (arrays, np.stack([np.array(mat) for mat in results]))[1])

    def network(self, case, arrays):
        net = ncnn.Net()
        options = net.opt
        options.num_threads = self.threads
        options.use_vulkan_compute = False
        for kind in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_packed", "bf16_storage"):
            setattr(options, f"use_{kind}", False)
        options.use_int8_inference = False
        options.use_winograd_convolution = True
        options.use_sgemm_convolution = True
        options.use_packing_layout = True
        options.blob_allocator, options.workspace_allocator = self.pools
        with tempfile.TemporaryDirectory() as folder:
            parameters, weights = Path(folder, "layer.param"), Path(folder, "layer.bin")
            parameters.write_text(text(case, arrays["weight"]))
            with open(weights, "wb") as file:
                # A zero before the weight says that it is f32.
                file.write(np.zeros(1, np.uint32).tobytes())
                file.write(ordered_weight(case, arrays["weight"]).tobytes())
                if case.bias:
                    file.write(arrays["bias"].tobytes())
            if net.load_param(str(parameters)) != 0 or net.load_model(str(weights)) != 0:
                raise Unsupported("the layer, says ncnn when it loads it")
        return net


def text(case, weight):
    """The network in ncnn's own format."""
    layer = LAYERS[case.op, case.groups > 1][case.axes - 1]
    values = {0: case.out_channels, 5: int(case.bias), 6: weight.size}
    if case.groups > 1:
        values[7] = case.groups
    lists = [
        (KERNEL, case.weight_shape[2:]),
        (DILATION, case.dilation),
        (STRIDE, case.stride),
        (BEFORE, [before for before, _ in case.padding]),
        (AFTER, [after for _, after in case.padding]),
    ]
    if case.op == "conv_transpose":
        lists.append((OUTPUT_PADDING, case.output_padding))
    for ids, list_ in lists:
        values.update(zip(ids, reversed(list_)))
    shown = " ".join(f"{key}={value}" for key, value in values.items())
    return f"7767517\n2 2\nInput x 0 1 x\n{layer} y 1 1 x y {shown}\n"


def ordered_weight(case, weight):
    """Transposed layers have their output channels first, within each group."""
    if case.op == "conv":
        return weight
    grouped = weight.reshape(case.groups, weight.shape[0] // case.groups, *weight.shape[1:])
    return np.ascontiguousarray(np.swapaxes(grouped, 1, 2))
