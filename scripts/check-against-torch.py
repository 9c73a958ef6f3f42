"""Throws random convolutions at the program and compares its answers with PyTorch's.

Usage: python scripts/check-against-torch.py --program target/release/convgemm --cases 500 --seed 1

Each case goes to one `convgemm worker` process, whose arrays have their channels first or last in memory; every fifth
one also to `convgemm run`. unfold and fold, which the worker does not know, go to `convgemm run` alone; where PyTorch
does not know them either, in 1-D and 3-D, NumPy takes its place. Half of the other cases name an algorithm; where it
is refused, which is counted, `auto` is taken.

f64 must agree to 1e-12 of max|y|. f32 is held against PyTorch's f64 answer: at most twice the error of PyTorch's own
f32, or √K roundings for a sum of K terms, whichever is more; by Strassen and Winograd twice as much. Some cases have the
shapes and channels that Winograd is chosen for.
Ends with exit code 1 if a case fails.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
ALGORITHMS = ["direct", "im2col", "im2col-tiled", "pointwise", "fused", "strassen", "depthwise", "winograd-f2", "winograd-f4"]
OPS = ["conv", "conv_transpose", "input_grad", "weight_grad", "unfold", "fold"]


def random_case(rng):
    """Options and shapes of a case whose output is not empty."""
    while True:
        op, dims = rng.choice(OPS), rng.choice([1, 2, 2, 3])
        span = lambda low, high: [rng.randint(low, high) for _ in range(dims)]
        kernel, stride, dilation = span(1, 4), span(1, 3), span(1, 3)
        size = span(1, {1: 60, 2: 20, 3: 9}[dims])
        groups = rng.choice([1, 1, 2, 3])
        algorithm = "auto" if op in ("unfold", "fold") or rng.random() < 0.5 else rng.choice(ALGORITHMS)
        many = dims == 2 and op in ("conv", "input_grad") and rng.random() < 0.4
        # Most cases that are named an algorithm for special kernels have them.
        special = algorithm if rng.random() < 0.8 else None
        if many or (special or "").startswith("winograd"):
            kernel, stride, dilation = [3] * dims, [1] * dims, [1] * dims
        elif special == "pointwise":
            kernel, stride, dilation = [1] * dims, [1] * dims, [1] * dims
        mode = rng.choice(["zeros", "zeros", "reflect", "replicate", "circular"])
        padding = [[rng.randint(0, 3), rng.randint(0, 3)] for _ in range(dims)]
        symmetric = op in ("conv_transpose", "unfold", "fold")
        if symmetric:
            mode, padding = "zeros", [[before, before] for before, _ in padding]
        if special == "pointwise":
            mode, padding = "zeros", [[0, 0]] * dims
        limit = {"reflect": lambda n: n - 1, "circular": lambda n: n}.get(mode)
        if limit and any(max(p) > limit(n) for p, n in zip(padding, size)):
            continue
        reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel)]
        extra = [0] * dims
        if op == "conv_transpose":
            extra = [rng.randint(0, max(s, d) - 1) for s, d in zip(stride, dilation)]
            out = [(n - 1) * s - sum(p) + r + e for n, s, p, r, e in zip(size, stride, padding, reach, extra)]
        else:
            out = [(n + sum(p) - r) // s + 1 if n + sum(p) >= r else 0
                   for n, p, r, s in zip(size, padding, reach, stride)]
        if min(out) < 1:
            continue
        inner, outer = (rng.randint(16, 96), rng.randint(16, 96)) if many else (rng.randint(1, 5), rng.randint(1, 6))
        inner = 1 if special == "depthwise" else inner
        weight = [groups * inner, outer] if op == "conv_transpose" else [groups * outer, inner]
        return dict(op=op, dims=dims, kernel=kernel, stride=stride, dilation=dilation, padding=padding, groups=groups,
                    pad_mode=mode, output_padding=extra, input=[rng.randint(1, 4), groups * inner, *size],
                    weight=weight + kernel, out=out, bias=op in ("conv", "conv_transpose") and rng.random() < 0.5,
                    dtype=rng.choice(["f32", "f64"]), numerics=rng.choice(["fast", "strict"]),
                    layout=rng.choice(["nchw", "nhwc"]), algorithm=algorithm)


def by_torch(case, arrays, dtype):
    x, w, b, g = (None if a is None else torch.from_numpy(a).to(dtype) for a in arrays)
    pads = [p[0] for p in case["padding"]]
    if case["op"] in ("unfold", "fold") and case["dims"] != 2:
        return torch.from_numpy(patches_by_numpy(case, x.numpy()))
    patch = dict(kernel_size=case["kernel"], dilation=case["dilation"], padding=pads, stride=case["stride"])
    if case["op"] == "unfold":
        return F.unfold(x, **patch)
    if case["op"] == "fold":
        return F.fold(x, case["input"][2:], **patch)
    if case["op"] == "conv_transpose":
        return TRANSPOSE[case["dims"]](x, w, b, case["stride"], pads, case["output_padding"], case["groups"],
                                       case["dilation"])
    x.requires_grad_()
    w.requires_grad_()
    flat = [cell for pair in reversed(case["padding"]) for cell in pair]
    padded = F.pad(x, flat, mode="constant" if case["pad_mode"] == "zeros" else case["pad_mode"])
    y = CONV[case["dims"]](padded, w, b, case["stride"], 0, case["dilation"], case["groups"])
    if case["op"] == "conv":
        return y.detach()
    return torch.autograd.grad(y, x if case["op"] == "input_grad" else w, g)[0]


def patches_by_numpy(case, x):
    """`unfold` or `fold` of any number of axes: a slice of the padded images for each cell of the kernel."""
    batch, channels, *size = case["input"]
    pads = [tuple(pair) for pair in case["padding"]]
    padded = np.zeros([batch, channels, *(n + sum(pair) for n, pair in zip(size, pads))], x.dtype)
    inside = (..., *(slice(before, before + n) for n, (before, _) in zip(size, pads)))
    if case["op"] == "unfold":
        padded[inside] = x
    shape = [batch, channels * int(np.prod(case["kernel"])), int(np.prod(case["out"]))]
    columns = x if case["op"] == "fold" else np.empty(shape, x.dtype)
    cells = columns.reshape(batch, channels, *case["kernel"], *case["out"])
    for cell in np.ndindex(*case["kernel"]):
        window = (..., *(slice(d * i, d * i + s * (o - 1) + 1, s)
                         for d, i, s, o in zip(case["dilation"], cell, case["stride"], case["out"])))
        if case["op"] == "fold":
            padded[window] += cells[(slice(None), slice(None), *cell)]
        else:
            cells[(slice(None), slice(None), *cell)] = padded[window]
    return padded[inside] if case["op"] == "fold" else columns


def arrays_of(case, seed):
    rng = np.random.default_rng(seed)
    make = lambda shape: rng.standard_normal(shape).astype(np.float32 if case["dtype"] == "f32" else np.float64)
    batch, channels = case["input"][:2]
    if case["op"] == "fold":
        columns = [batch, channels * int(np.prod(case["kernel"])), int(np.prod(case["out"]))]
        return make(columns), None, None, None
    if case["op"] == "unfold":
        return make(case["input"]), None, None, None
    outer = case["weight"][1] * case["groups"] if case["op"] == "conv_transpose" else case["weight"][0]
    gradient = make([batch, outer, *case["out"]]) if case["op"].endswith("_grad") else None
    return make(case["input"]), make(case["weight"]), make([outer]) if case["bias"] else None, gradient


def terms_of(case):
    """Products in one sum of the result."""
    taps = int(np.prod(case["kernel"]))
    return {
        "conv": case["weight"][1] * taps,
        "conv_transpose": case["weight"][0] // case["groups"] * taps,
        "input_grad": case["weight"][0] // case["groups"] * taps,
        "weight_grad": case["input"][0] * int(np.prod(case["out"])),
    }.get(case["op"], taps)


def by_run(program, case, files, folder):
    listed = lambda values: ",".join(map(str, values))
    command = [program, "run", "--op", case["op"].replace("_", "-"), "--output", str(folder / "run.npy"),
               "--algorithm", case["algorithm"], "--numerics", case["numerics"],
               "--stride", listed(case["stride"]), "--dilation", listed(case["dilation"]),
               "--padding", ",".join(f"{a}:{b}" for a, b in case["padding"])]
    if case["op"] in ("unfold", "fold"):
        command += ["--input", files["input"], "--kernel", listed(case["kernel"])]
        command += ["--output-size", listed(case["input"][2:])] if case["op"] == "fold" else []
    else:
        command += ["--groups", str(case["groups"])]
        command += ["--pad-mode", case["pad_mode"]] if case["pad_mode"] != "zeros" else []
        command += ["--output-padding", listed(case["output_padding"])] if case["op"] == "conv_transpose" else []
        shapes = {"input_grad": "input", "weight_grad": "weight"}
        for name, file in files.items():
            if shapes.get(case["op"]) == name:
                command += [f"--{name}-shape", listed(case[name])]
            else:
                command += [f"--{name.replace('_', '-')}", file]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"run: {done.stderr.strip()}")
    return np.load(folder / "run.npy")


class Worker:
    def __init__(self, program):
        self.process = subprocess.Popen([program, "worker", "--threads", "1"], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise RuntimeError(f"worker: {answer['error']}")
        return answer

    def compute(self, case, files, folder):
        keys = ["op", "input", "weight", "bias", "stride", "padding", "dilation", "groups", "output_padding",
                "pad_mode", "dtype", "numerics", "layout", "algorithm"]
        self.ask({"do": "prepare", "case": "a", "files": files, **{key: case[key] for key in keys}})
        self.ask({"do": "save", "case": "a", "file": str(folder / "worker.npy")})
        self.ask({"do": "drop", "case": "a"})
        return np.load(folder / "worker.npy")


    def algorithm(self, case):
        """The one that does the case: `auto` unless the one that it names can."""
        keys = [key for key in case if key not in ("dims", "kernel", "out")]
        try:
            answer = self.ask({"do": "prepare", "case": "b", **{key: case[key] for key in keys}})
        except RuntimeError as refusal:
            if "cannot do this" not in str(refusal) or case["algorithm"] == "auto":
                raise
            return None
        self.ask({"do": "drop", "case": "b"})
        return answer["algorithm"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="target/release/convgemm")
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    rng, worker = random.Random(asked.seed), Worker(asked.program)
    worst, counts, by, refused, failed = {}, {}, Counter(), Counter(), 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(asked.cases):
            case = random_case(rng)
            chosen = "auto"
            if case["op"] not in ("unfold", "fold"):
                chosen = worker.algorithm(case)
                if chosen is None:
                    refused[case["algorithm"]] += 1
                    case["algorithm"] = "auto"
                    chosen = worker.algorithm(case)
                if case["algorithm"] not in ("auto", chosen):
                    failed += 1
                    print(f"case {number}: {case['algorithm']} was asked, {chosen} does it")
                by[f"{chosen} {'by name' if case['algorithm'] != 'auto' else 'by itself'}, {case['layout']}"] += 1
            arrays = arrays_of(case, [asked.seed, number])
            files = {}
            for label, array in zip(["input", "weight", "bias", "grad_output"], arrays):
                if array is not None:
                    files[label] = str(folder / f"{label}.npy")
                    np.save(files[label], array)
            want = by_torch(case, arrays, torch.float64).numpy()
            scale = max(float(np.abs(want).max()), 1e-300)
            error_of = lambda got: float(np.abs(got.astype(np.float64) - want).max()) / scale
            bound = 1e-12
            if case["dtype"] == "f32":
                # What the tests allow too: roundings of the terms of the largest sum, which may cancel in the result.
                absolute = [None if array is None else np.abs(array) for array in arrays]
                largest = float(by_torch(case, absolute, torch.float64).numpy().max())
                bound = 2.0**-24 * (4 + terms_of(case) ** 0.5) * largest / scale
                # What the library promises of other sums is twice as far (docs/numerics.md).
                bound *= 2 if chosen.startswith(("strassen", "winograd")) else 1
            ways = ["worker"] if case["op"] not in ("unfold", "fold") else []
            ways += ["run"] if not ways or number % 5 == 0 else []
            for way in ways:
                key = (way, case["op"], f"{case['dims']}-D", case["dtype"])
                counts[key] = counts.get(key, 0) + 1
                try:
                    by_worker = way == "worker"
                    got = (worker.compute(case, files, folder) if by_worker
                           else by_run(asked.program, case, files, folder))
                    if got.shape != want.shape:
                        raise RuntimeError(f"shape {got.shape}, PyTorch has {want.shape}")
                    error = error_of(got)
                    worst[key] = max(worst.get(key, 0.0), error)
                    if not error <= bound:
                        raise RuntimeError(f"error {error:.2e}, allowed {bound:.2e}")
                except RuntimeError as problem:
                    failed += 1
                    print(f"case {number} by {way}: {problem}\n  {json.dumps(case)}")
    worker.process.stdin.close()
    for name in sorted(by):
        print(f"{name:32} {by[name]:5} cases")
    print("refused by name:", ", ".join(f"{name} {refused[name]}" for name in sorted(refused)))
    for key in sorted(counts):
        print(f"{' '.join(key):32} {counts[key]:5} cases, worst error {worst.get(key, float('nan')):.2e} of max|y|")
    print(f"{asked.cases} cases from seed {asked.seed}, {failed} failures")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
