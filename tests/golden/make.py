"""Makes the golden files: outputs and gradients of torch.nn.functional, for tests/suite/golden.rs.

    python tests/golden/make.py        (needs torch and numpy)

A case `name` is a few arrays `name/…`: what was asked (`meta`: transposed, pad mode, groups; `stride`,
`dilation`, `padding` as pairs, `output_padding`), what went in (`x`, `w`, `bias`, `dy`) and what came out (`y`,
`dx`, `dw`, `db`), or `columns` and `folded` for unfold and fold.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

torch.set_num_threads(1)
MODES = ["zeros", "reflect", "replicate", "circular"]
CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


def pad(x, sides, mode):
    flat = [cells for pair in reversed(sides) for cells in pair]
    if not any(flat):
        return x
    return F.pad(x, flat) if mode == "zeros" else F.pad(x, flat, mode=mode)


def case(arrays, name, input_shape, weight_shape, *, stride=None, padding=None, dilation=None, groups=1,
         output_padding=None, mode="zeros", bias=False, transposed=False, dtype=torch.float64):
    rank = len(input_shape) - 2
    stride, dilation = stride or [1] * rank, dilation or [1] * rank
    output_padding = output_padding or [0] * rank
    sides = [p if isinstance(p, tuple) else (p, p) for p in padding or [0] * rank]
    generator = torch.Generator().manual_seed(sum(map(ord, name)))
    random = lambda shape: torch.randn(shape, generator=generator, dtype=torch.float32).to(dtype)
    x, w = random(input_shape).requires_grad_(), random(weight_shape).requires_grad_()
    channels = weight_shape[1] * groups if transposed else weight_shape[0]
    b = random([channels]).requires_grad_() if bias else None
    if transposed:
        assert all(before == after for before, after in sides) and mode == "zeros"
        symmetric = [before for before, _ in sides]
        y = TRANSPOSE[rank](x, w, b, stride, symmetric, output_padding, groups, dilation)
    else:
        y = CONV[rank](pad(x, sides, mode), w, b, stride, 0, dilation, groups)
        if mode == "zeros" and all(before == after for before, after in sides):
            symmetric = [before for before, _ in sides]
            torch.testing.assert_close(y, CONV[rank](x, w, b, stride, symmetric, dilation, groups))
    dy = random(y.shape)
    y.backward(dy)
    integers = {"meta": [int(transposed), MODES.index(mode), groups], "stride": stride, "dilation": dilation,
                "padding": sides, "output_padding": output_padding}
    arrays.update({f"{name}/{key}": np.array(value, dtype=np.int64) for key, value in integers.items()})
    tensors = {"x": x, "w": w, "dy": dy, "y": y, "dx": x.grad, "dw": w.grad}
    if bias:
        tensors |= {"bias": b, "db": b.grad}
    arrays.update({f"{name}/{key}": value.detach().numpy() for key, value in tensors.items()})


def unfold(arrays, name, input_shape, kernel, *, stride=(1, 1), padding=(0, 0), dilation=(1, 1)):
    generator = torch.Generator().manual_seed(sum(map(ord, name)))
    x = torch.randn(input_shape, generator=generator, dtype=torch.float64)
    options = {"kernel_size": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    columns = F.unfold(x, **options)
    folded = F.fold(columns, input_shape[2:], **options)
    integers = {"kernel": kernel, "stride": stride, "dilation": dilation, "padding": [(p, p) for p in padding]}
    arrays.update({f"{name}/{key}": np.array(value, dtype=np.int64) for key, value in integers.items()})
    arrays.update({f"{name}/{key}": value.numpy() for key, value in {"x": x, "columns": columns, "folded": folded}.items()})


def doubles():
    a = {}
    case(a, "conv1d", [2, 3, 9], [4, 3, 3], bias=True)
    case(a, "conv1d strided, dilated, grouped", [2, 4, 14], [6, 2, 3], stride=[2], padding=[2], dilation=[2], groups=2)
    case(a, "conv1d asymmetric", [1, 2, 7], [3, 2, 4], padding=[(3, 1)], bias=True)
    case(a, "conv2d", [2, 3, 6, 7], [4, 3, 3, 3], bias=True)
    case(a, "conv2d padded", [2, 2, 5, 6], [3, 2, 3, 3], padding=[1, 2])
    case(a, "conv2d strided", [2, 2, 8, 7], [3, 2, 3, 3], stride=[2, 2], padding=[1, 1], bias=True)
    case(a, "conv2d stride over kernel", [1, 2, 9, 11], [3, 2, 2, 1], stride=[4, 3])
    case(a, "conv2d dilated", [1, 2, 9, 8], [3, 2, 3, 2], dilation=[2, 3], padding=[2, 1])
    case(a, "conv2d grouped", [2, 6, 5, 5], [9, 2, 3, 3], groups=3, padding=[1, 1], bias=True)
    case(a, "conv2d depthwise", [2, 4, 6, 5], [4, 1, 3, 3], groups=4, padding=[1, 1])
    case(a, "conv2d depthwise with multiplier", [2, 3, 6, 5], [6, 1, 3, 2], groups=3, stride=[2, 1], bias=True)
    case(a, "conv2d pointwise", [2, 5, 4, 3], [7, 5, 1, 1], bias=True)
    case(a, "conv2d pointwise strided", [2, 5, 5, 4], [3, 5, 1, 1], stride=[2, 3])
    case(a, "conv2d asymmetric", [2, 2, 5, 6], [3, 2, 3, 2], padding=[(0, 2), (3, 1)], bias=True)
    case(a, "conv2d asymmetric, strided, dilated", [1, 2, 6, 7], [2, 2, 3, 2], padding=[(2, 0), (0, 3)],
         stride=[2, 3], dilation=[2, 2])
    case(a, "conv2d kernel over input", [1, 2, 2, 3], [3, 2, 5, 4], padding=[2, 1])
    case(a, "conv2d one cell", [3, 4, 1, 1], [5, 4, 1, 1], stride=[7, 3])
    case(a, "conv2d everything", [2, 4, 9, 10], [6, 2, 3, 2], stride=[2, 3], padding=[2, 1], dilation=[2, 1], groups=2,
         bias=True)
    for mode in MODES[1:]:
        case(a, f"conv2d {mode}", [2, 2, 5, 6], [3, 2, 3, 3], padding=[1, 2], mode=mode, bias=True)
        case(a, f"conv2d {mode} asymmetric", [1, 2, 6, 7], [2, 2, 3, 2], padding=[(3, 1), (0, 4)], stride=[2, 1],
             dilation=[1, 2], mode=mode)
        case(a, f"conv1d {mode}", [2, 3, 6], [2, 3, 4], padding=[(4, 2)], mode=mode)
        case(a, f"conv3d {mode}", [1, 2, 3, 4, 3], [2, 2, 2, 3, 2], padding=[(1, 0), (1, 2), (0, 2)], mode=mode)
    case(a, "conv3d", [2, 2, 4, 5, 3], [3, 2, 3, 2, 2], padding=[1, 0, 1], bias=True)
    case(a, "conv3d everything", [1, 4, 5, 4, 6], [4, 2, 2, 3, 2], stride=[2, 1, 3], padding=[(1, 0), (2, 1), (0, 3)],
         dilation=[1, 2, 2], groups=2, bias=True)
    t = {"transposed": True}
    case(a, "conv_transpose1d", [2, 3, 5], [3, 4, 4], stride=[3], padding=[1], output_padding=[2], bias=True, **t)
    case(a, "conv_transpose1d one cell", [1, 2, 1], [2, 3, 3], padding=[1], **t)
    case(a, "conv_transpose2d", [2, 3, 4, 5], [3, 2, 3, 3], bias=True, **t)
    case(a, "conv_transpose2d strided", [1, 3, 3, 4], [3, 2, 3, 2], stride=[2, 3], padding=[1, 0], **t)
    case(a, "conv_transpose2d output padding", [1, 2, 3, 4], [2, 3, 3, 3], stride=[2, 2], padding=[1, 1],
         output_padding=[1, 0], bias=True, **t)
    case(a, "conv_transpose2d output padding at stride 1", [1, 2, 4, 3], [2, 2, 3, 2], dilation=[2, 3], padding=[1, 0],
         output_padding=[1, 2], **t)
    case(a, "conv_transpose2d grouped", [2, 6, 3, 4], [6, 4, 3, 2], groups=2, stride=[2, 1], bias=True, **t)
    case(a, "conv_transpose2d depthwise", [1, 4, 3, 3], [4, 2, 3, 3], groups=4, stride=[2, 2], padding=[1, 1], **t)
    case(a, "conv_transpose2d dilated", [1, 2, 3, 4], [2, 3, 3, 2], dilation=[2, 3], stride=[3, 2], padding=[2, 1], **t)
    case(a, "conv_transpose2d padding over kernel", [1, 2, 5, 6], [2, 2, 2, 3], padding=[2, 3], stride=[2, 2], **t)
    case(a, "conv_transpose3d", [1, 2, 2, 3, 2], [2, 3, 2, 3, 2], stride=[2, 1, 3], padding=[0, 1, 1],
         output_padding=[1, 0, 2], bias=True, **t)
    unfold(a, "unfold", [2, 3, 5, 6], (2, 3))
    unfold(a, "unfold padded, strided, dilated", [1, 2, 7, 6], (3, 2), stride=(2, 1), padding=(2, 1), dilation=(1, 2))
    return a


def singles():
    a = {}
    case(a, "conv2d", [1, 8, 6, 7], [8, 8, 3, 3], padding=[1, 1], bias=True, dtype=torch.float32)
    case(a, "conv1d grouped", [2, 6, 20], [6, 3, 5], groups=2, stride=[2], dtype=torch.float32)
    case(a, "conv3d", [1, 3, 4, 4, 5], [4, 3, 2, 3, 2], padding=[1, 1, 0], dtype=torch.float32)
    case(a, "conv2d reflect", [1, 3, 6, 5], [4, 3, 3, 3], padding=[2, 1], mode="reflect", dtype=torch.float32)
    case(a, "conv_transpose2d", [1, 6, 4, 5], [6, 4, 3, 3], stride=[2, 2], padding=[1, 1], output_padding=[1, 1],
         bias=True, transposed=True, dtype=torch.float32)
    return a


if __name__ == "__main__":
    folder = Path(__file__).parent
    for file, arrays in {"f64.npz": doubles(), "f32.npz": singles()}.items():
        np.savez_compressed(folder / file, **arrays)
        print(f"{file}: {len({name.split('/')[0] for name in arrays})} cases, {(folder / file).stat().st_size} bytes")
    print(f"torch {torch.__version__}, numpy {np.__version__}")
