"""PyTorch: `torch`, and with oneDNN switched off `torch-no-mkldnn`. Channels-last is the case's layout."""

import torch
import torch.nn.functional as functional

from case import Unsupported
from engine import Ready, fastest

CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


class Engine:
    version = torch.__version__

    def __init__(self, threads, variant):
        torch.set_num_threads(threads)
        torch.set_num_interop_threads(1)
        torch.set_grad_enabled(False)
        torch.set_float32_matmul_precision("highest")
        self.mkldnn = variant != "no-mkldnn"
        torch.backends.mkldnn.set_flags(self.mkldnn)
        self.features = ["inference_mode", "onednn" if self.mkldnn else "native", torch.backends.cpu.get_cpu_capability()]

    def prepare(self, case, arrays):
        with torch.inference_mode():
            tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
            if case.channels_last:
                order(case, tensors)
            if case.op == "conv":
                return self.forward(case, tensors)
            if case.op == "conv_transpose":
                return transposed(case, tensors)
            return gradient(case, tensors)

    def forward(self, case, tensors):
        x, w, bias = tensors["input"], tensors["weight"], tensors.get("bias")
        pad, padding = outer_padding(case)
        convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[case.axes - 1]

        def plain():
            return remembering("plain", lambda: convolve(pad(x), w, bias, case.stride, padding, case.dilation, case.groups))

        def prepacked():
            # The weight reordered once, as torch.compile does when it freezes; the answer is channels-last.
            packed = torch.ops.mkldnn._reorder_convolution_weight(
                w, padding, case.stride, case.dilation, case.groups, list(pad(x).shape)
            )

            def run():
                return torch.ops.mkldnn._convolution_pointwise(
                    pad(x), packed, bias, padding, case.stride, case.dilation, case.groups, "none", [], ""
                )

            if case.channels_last:
                return remembering("prepacked", run)
            out = torch.empty(case.output_shape(), dtype=x.dtype)
            return remembering("prepacked", lambda: out.copy_(run()))

        def blocked():
            # Into oneDNN's own blocked layout and back to NCHW, with the weight in it from the start.
            packed = torch._C._nn.mkldnn_reorder_conv2d_weight(
                w.to_mkldnn(), padding, case.stride, case.dilation, case.groups
            )
            inner = None if bias is None else bias.to_mkldnn()
            return remembering(
                "blocked",
                lambda: convolve(
                    pad(x).to_mkldnn(), packed, inner, case.stride, padding, case.dilation, case.groups
                ).to_dense(),
            )

        packable = self.mkldnn and case.axes == 2 and x.dtype == torch.float32
        return fastest([plain, prepacked, blocked][: (2 if case.channels_last else 3) if packable else 1])


def transposed(case, tensors):
    padding = case.symmetric_padding()
    if padding is None or case.pad_mode != "zeros":
        raise Unsupported("padding that differs on the two sides")
    convolve = (functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d)[case.axes - 1]
    x, w, bias = tensors["input"], tensors["weight"], tensors.get("bias")
    return remembering(
        "plain",
        lambda: convolve(x, w, bias, case.stride, padding, case.output_padding, case.groups, case.dilation),
    )


def gradient(case, tensors):
    """One gradient alone, without the graph of autograd around it."""
    padding = case.symmetric_padding()
    if padding is None or case.pad_mode != "zeros":
        raise Unsupported("gradients of padding that differs on the two sides")
    grad = tensors["grad_output"]
    x = tensors.get("input", torch.empty(case.input_shape, dtype=grad.dtype))
    w = tensors.get("weight", torch.empty(case.weight_shape, dtype=grad.dtype))
    if case.channels_last and case.axes > 1:
        x, w = (t.contiguous(memory_format=CHANNELS_LAST[t.ndim]) for t in (x, w))
    wanted = 0 if case.op == "input_grad" else 1
    mask = [wanted == 0, wanted == 1, False]

    def run():
        return torch.ops.aten.convolution_backward(
            grad, x, w, None, case.stride, padding, case.dilation, False, case.output_padding, case.groups, mask
        )[wanted]

    return remembering("convolution_backward", run)


def remembering(algorithm, compute):
    """Ready to run, keeping the last result. Torch allocates it anew each time, from memory that malloc kept."""
    kept = [None]

    def run():
        with torch.inference_mode():
            kept[0] = compute()

    return Ready(algorithm, run, lambda: kept[0].contiguous().numpy())


def order(case, tensors):
    """Everything but the bias in channels-last memory."""
    if case.axes == 1:
        raise Unsupported("channels-last for one axis")
    for name, tensor in tensors.items():
        if name != "bias":
            tensors[name] = tensor.contiguous(memory_format=CHANNELS_LAST[tensor.ndim])


def outer_padding(case):
    """A function that pads where the convolution cannot, and the padding that is left to the convolution."""
    padding = case.symmetric_padding()
    if padding is not None and case.pad_mode == "zeros":
        return (lambda x: x), padding
    cells = [cell for pair in reversed(case.padding) for cell in pair]
    mode = "constant" if case.pad_mode == "zeros" else case.pad_mode
    return (lambda x: functional.pad(x, cells, mode=mode)), [0] * case.axes
