"""JAX on XLA's CPU backend: one jitted function with the weight as a constant; gradients by its own rules."""

import os


def restrict(threads):
    """XLA sizes its pools by the processors that it may use, so the process is given that many."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    if threads == 1:
        os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"


class Engine:
    features = ["cpu", "jit"]

    def __init__(self, threads, variant):
        restrict(threads)
        os.environ["JAX_PLATFORMS"] = "cpu"
        import jax

        jax.config.update("jax_enable_x64", True)
        jax.config.update("jax_default_matmul_precision", "highest")
        self.version = jax.__version__

    def prepare(self, case, arrays):
        import jax
        import numpy as np

        from case import Unsupported
        from engine import Ready

        if case.pad_mode != "zeros" or case.op == "conv_transpose":
            raise Unsupported("padding other than zeros" if case.pad_mode != "zeros" else "the transposed convolution")
        space = "DHW"[3 - case.axes :]
        layout = f"N{space}C" if case.channels_last else f"NC{space}"
        orders = (layout, f"OI{space}", layout)

        def convolution(x, w):
            return jax.lax.conv_general_dilated(
                x, w, case.stride, case.padding, rhs_dilation=case.dilation, dimension_numbers=orders,
                feature_group_count=case.groups, precision=jax.lax.Precision.HIGHEST,
            )  # fmt: skip

        def in_memory(array):
            return jax.device_put(np.ascontiguousarray(np.moveaxis(array, 1, -1)) if case.channels_last else array)

        def shape(lengths):
            lengths = [lengths[0], *lengths[2:], lengths[1]] if case.channels_last else lengths
            return jax.ShapeDtypeStruct(lengths, case.dtype)

        if case.op == "conv":
            w, bias = arrays["weight"], arrays.get("bias")
            along_channels = None if bias is None else bias.reshape([-1] + [1] * (0 if case.channels_last else case.axes))
            function = jax.jit(lambda x: convolution(x, w) if bias is None else convolution(x, w) + along_channels)
            sources, last = [in_memory(arrays["input"])], case.channels_last
        elif case.op == "input_grad":
            w = arrays["weight"]
            transpose = jax.linear_transpose(lambda x: convolution(x, w), shape(case.input_shape))
            function = jax.jit(lambda grad: transpose(grad)[0])
            sources, last = [in_memory(arrays["grad_output"])], case.channels_last
        else:
            weight = jax.ShapeDtypeStruct(case.weight_shape, case.dtype)
            function = jax.jit(lambda x, grad: jax.linear_transpose(lambda w: convolution(x, w), weight)(grad)[0])
            sources, last = [in_memory(arrays["input"]), in_memory(arrays["grad_output"])], False
        compiled = function.lower(*sources).compile()
        kept = [None]

        def run():
            kept[0] = compiled(*sources).block_until_ready()

        def result():
            array = np.asarray(kept[0])
            return np.moveaxis(array, -1, 1) if last else array

        return Ready("xla", run, result)
