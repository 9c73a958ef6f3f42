"""A case of the line protocol: what is asked, checked, and its data."""

from dataclasses import dataclass

import numpy as np

LINE_BYTES = 64


class Unsupported(Exception):
    """The engine cannot do the case. Not a failure: the table says so."""


OPS = ("conv", "conv_transpose", "input_grad", "weight_grad")
DEFAULTS = {
    "op": "conv",
    "bias": False,
    "stride": [1],
    "padding": [[0, 0]],
    "dilation": [1],
    "groups": 1,
    "output_padding": [0],
    "pad_mode": "zeros",
    "activation": "none",
    "dtype": "f32",
    "layout": "nchw",
    "algorithm": "auto",
    "numerics": "fast",
    "backend": "auto",
    "workspace_bytes": None,
    "seed": 0,
    "files": {},
}


@dataclass
class Case:
    """Shapes and options, one entry a spatial axis; `padding` is a list of (before, after)."""

    op: str
    input_shape: list
    weight_shape: list
    bias: bool
    stride: list
    padding: list
    dilation: list
    groups: int
    output_padding: list
    pad_mode: str
    dtype: np.dtype
    layout: str
    seed: int
    files: dict

    @property
    def axes(self):
        return len(self.input_shape) - 2

    @property
    def channels_last(self):
        return self.layout == "nhwc"

    def require_forward_f32(self):
        """Of engines that run networks in f32 and NCHW, and nothing else."""
        if self.op not in ("conv", "conv_transpose"):
            raise Unsupported("gradients")
        if self.channels_last:
            raise Unsupported("channels-last")
        if self.dtype != np.float32:
            raise Unsupported("f64")

    @property
    def out_channels(self):
        transposed = self.op == "conv_transpose"
        return self.weight_shape[1] * self.groups if transposed else self.weight_shape[0]

    def symmetric_padding(self):
        """One number an axis, or None where the two sides differ."""
        same = all(before == after for before, after in self.padding)
        return [before for before, _ in self.padding] if same else None

    def output_shape(self):
        sizes = zip(self.input_shape[2:], self.weight_shape[2:], self.stride, self.padding, self.dilation, self.output_padding)
        if self.op == "conv_transpose":
            size = [(n - 1) * s - b - a + d * (k - 1) + 1 + o for n, k, s, (b, a), d, o in sizes]
        else:
            size = [(n + b + a - d * (k - 1) - 1) // s + 1 for n, k, s, (b, a), d, _ in sizes]
        if min(size) < 1:
            raise ValueError(f"the kernel is larger than the padded input: output {size}")
        return [self.input_shape[0], self.out_channels, *size]

    def array(self, name, shape, scale=1.0):
        """The array of a file, or seeded N(0, scale²), in the order of its axes."""
        if name in self.files:
            found = np.load(self.files[name])
            if list(found.shape) != list(shape):
                raise ValueError(f"{name} has shape {list(found.shape)}, expected {list(shape)}")
        else:
            stream = ("input", "weight", "bias", "grad_output").index(name)
            found = np.random.default_rng([self.seed, stream]).standard_normal(shape) * scale
        array = aligned(shape, self.dtype)
        array[...] = found
        return array

    def arrays(self):
        """What the operation reads, by name."""
        weight = self.weight_shape
        arrays = {}
        if self.op != "weight_grad":
            fan_in = int(np.prod(weight[1:]))
            arrays["weight"] = self.array("weight", weight, (2.0 / fan_in) ** 0.5)
        if self.op != "input_grad":
            arrays["input"] = self.array("input", self.input_shape)
        if self.op in ("input_grad", "weight_grad"):
            arrays["grad_output"] = self.array("grad_output", self.output_shape())
        elif self.bias:
            arrays["bias"] = self.array("bias", [self.out_channels])
        return arrays


def aligned(shape, dtype):
    """An empty array that begins with a cache line, as tensors of PyTorch do and NumPy's own arrays do not."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    cells = np.empty(size + LINE_BYTES, np.uint8)
    start = -cells.ctypes.data % LINE_BYTES
    return cells[start : start + size].view(dtype).reshape(shape)


def parse(request):
    """The case of a `prepare` request. Raises ValueError for what makes no sense."""
    asked = {key: value for key, value in request.items() if key not in ("do", "case", "input", "weight")}
    unknown = sorted(set(asked) - set(DEFAULTS))
    if unknown:
        raise ValueError(f"unknown option '{unknown[0]}'")
    given = DEFAULTS | asked
    shape, weight = request["input"], request["weight"]
    axes = len(shape) - 2
    if not 1 <= axes <= 3 or len(weight) != len(shape):
        raise ValueError(f"input {shape} and weight {weight} are not batch, channels and 1 to 3 spatial axes")
    if given["op"] not in OPS:
        raise ValueError(f"'{given['op']}' is no operation")
    if given["activation"] != "none":
        raise Unsupported("activations")
    if given["algorithm"] != "auto":
        raise Unsupported(f"algorithm '{given['algorithm']}' by name")
    lists = {key: _for_axes(key, given[key], axes) for key in ("stride", "dilation", "output_padding")}
    if min(lists["stride"] + lists["dilation"] + [given["groups"]] + shape[1:] + weight) < 1:
        raise ValueError("a stride, a dilation, a length or a number of groups is 0")
    channels = weight[0] if given["op"] == "conv_transpose" else weight[1] * given["groups"]
    if shape[1] != channels:
        raise ValueError(f"the input has {shape[1]} channels, the weight expects {channels}")
    return Case(
        op=given["op"],
        input_shape=shape,
        weight_shape=weight,
        bias=given["bias"],
        padding=_padding(given["padding"], shape[2:], weight[2:], lists["stride"], lists["dilation"]),
        groups=given["groups"],
        pad_mode=given["pad_mode"],
        dtype=np.dtype({"f32": np.float32, "f64": np.float64}[given["dtype"]]),
        layout=given["layout"],
        seed=given["seed"],
        files=given["files"],
        **lists,
    )


def _for_axes(name, values, axes):
    if len(values) == 1:
        return list(values) * axes
    if len(values) != axes:
        raise ValueError(f"{name} has {len(values)} entries, the input has {axes} spatial axes")
    return list(values)


def _padding(padding, size, kernel, stride, dilation):
    if padding == "valid":
        return [(0, 0)] * len(size)
    if padding in ("same", "same-lower"):
        cells = []
        for n, k, s, d in zip(size, kernel, stride, dilation):
            total = max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
            half = total // 2
            cells.append((half, total - half) if padding == "same" else (total - half, half))
        return cells
    return [tuple(cells) for cells in _for_axes("padding", padding, len(size))]
