"""Makes onnx/: small ONNX networks as exporters write them, and what ONNX Runtime gives on them.

    pip install -r requirements.txt
    python make_onnx.py

onnx/ops.safetensors    one case an op or a setting of it: CASE/model (u8, a serialized ModelProto), and CASE/input.NAME and
                        CASE/output.NAME by the graph's names (f32; i64 of any kind of integers; u8 of booleans). Where there
                        are gradients also f64: CASE/cotangent c, and CASE/gradient.NAME of ⟨first output, c⟩ by each f32 input

ONNX Runtime runs node by node, without its rewriting of graphs. The gradients are PyTorch's, of another writing of the same
function, which has to give the same outputs.
"""

import functools
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file
from torch.nn import functional as F

HERE = Path(__file__).parent
FREE = {"N": 2, "T": 8}
BATCH, SOUND, IMAGE = "N 3 5", "N 4 T", "N 4 7 5"
LAST = 2**63 - 1


@dataclass
class Drawn:
    """An input or weight of random numbers; axes named in FREE are free in the model."""

    shape: str
    numbers: Callable

    def axes(self):
        return [axis if axis in FREE else int(axis) for axis in self.shape.split()]

    def draw(self, rng):
        return np.asarray(self.numbers(rng, [FREE.get(axis, axis) for axis in self.axes()]))


@dataclass
class Case:
    """Inputs (or one, x) and weights are arrays, Drawn, or shapes of normal numbers. The reference gets those it names."""

    name: str
    nodes: list | onnx.NodeProto
    inputs: dict | np.ndarray | Drawn | str
    weights: dict
    reference: Callable
    opset: int = 17
    outputs: str = "y"
    listed: bool = False  # the graph has its weights among its inputs too, as they are where nothing else is given

    def __post_init__(self):
        self.nodes = self.nodes if isinstance(self.nodes, list) else [self.nodes]
        self.inputs = self.inputs if isinstance(self.inputs, dict) else {"x": self.inputs}


def normal(shape):
    return Drawn(shape, lambda rng, size: rng.standard_normal(size, np.float32))


def positive(shape):
    return Drawn(shape, lambda rng, size: rng.uniform(0.3, 2, size).astype(np.float32))


def away(shape):
    """Of both signs, and away from 0."""
    return Drawn(shape, lambda rng, size: (rng.uniform(0.4, 2, size) * rng.choice([-1, 1], size)).astype(np.float32))


def wide(shape):
    """Evenly over where functions bend, and further out."""

    def numbers(rng, size):
        return rng.permutation(np.linspace(-7.83, 8.11, math.prod(size), dtype=np.float32)).reshape(size)

    return Drawn(shape, numbers)


def whole(shape, low, high, dtype=np.int64):
    return Drawn(shape, lambda rng, size: rng.integers(low, high, size).astype(dtype))


def mask(shape):
    return Drawn(shape, lambda rng, size: rng.random(size) < 0.5)


def ints(*values, dtype=np.int64):
    return np.array(values, dtype)


def floats(*values):
    return np.array(values, np.float32)


def scalar(value, dtype=np.float32):
    return np.array(value, dtype)


def node(op, inputs="x", outputs="y", **attributes):
    """Of names with spaces between, - where one is left out."""
    inputs, outputs = (["" if name == "-" else name for name in names.split()] for names in (inputs, outputs))
    return helper.make_node(op, inputs, outputs, **attributes)


def dashed(op):
    return re.sub("(?<=[a-z])(?=[A-Z])", "-", op).lower()


def constant(name, value):
    return node("Constant", "", name, value=numpy_helper.from_array(value))


def length(of, axis, to):
    """The length of an axis as [1], as exporters find it."""
    return [
        node("Shape", of, f"{to}_shape"), constant(f"{to}_axis", scalar(axis, np.int64)),
        node("Gather", f"{to}_shape {to}_axis", f"{to}_scalar", axis=0),
        constant(f"{to}_0", ints(0)), node("Unsqueeze", f"{to}_scalar {to}_0", to),
    ]


# --- convolutions -------------------------------------------------------------------------------------------------------------


def same(x, kernel, stride, lower=False, value=0.0):
    """x padded as auto_pad SAME_UPPER or SAME_LOWER does, of equal settings on all axes."""
    pads = []
    for size in x.shape[:1:-1]:
        total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
        pads += [total - total // 2, total // 2] if lower else [total // 2, total - total // 2]
    return F.pad(x, pads, value=value)


def convolutions():
    w1, w2 = {"w": "6 4 3", "b": "6"}, {"w": "6 4 3 2", "b": "6"}
    square = {"w": "3 4 3 3", "b": "3"}

    def conv(name, shape, weights, reference, opset=17, **attributes):
        return Case(name, node("Conv", " ".join(["x", *weights]), **attributes), shape, weights, reference, opset)

    def conv1d(**settings):
        return lambda x, w, b: F.conv1d(x, w, b, **settings)

    def conv2d(**settings):
        return lambda x, w, b: F.conv2d(x, w, b, **settings)

    yield conv("conv1d", SOUND, w1, conv1d(), kernel_shape=[3])
    yield conv("conv1d-settings", SOUND, w1, conv1d(stride=2, padding=2, dilation=2), opset=9,
               kernel_shape=[3], strides=[2], pads=[2, 2], dilations=[2], group=1)
    yield conv("conv1d-without-bias", SOUND, {"w": "6 4 3"}, lambda x, w: F.conv1d(x, w), kernel_shape=[3])
    yield conv("conv1d-grouped", SOUND, {"w": "6 2 3", "b": "6"}, conv1d(groups=2, stride=2),
               kernel_shape=[3], group=2, strides=[2])
    yield conv("conv1d-depthwise", SOUND, {"w": "4 1 3", "b": "4"}, conv1d(groups=4, padding=1),
               kernel_shape=[3], group=4, pads=[1, 1])
    yield conv("conv1d-asymmetric-pads", SOUND, w1, lambda x, w, b: F.conv1d(F.pad(x, (2, 0)), w, b),
               kernel_shape=[3], pads=[2, 0])
    # ONNX Runtime has these without dilations only.
    for auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        lower = auto_pad == "SAME_LOWER"
        yield conv(f"conv1d-{auto_pad.lower().replace('_', '-')}", SOUND, {"w": "3 4 4", "b": "3"},
                   lambda x, w, b, lower=lower: F.conv1d(same(x, 4, 1, lower=lower), w, b), kernel_shape=[4], auto_pad=auto_pad)
        yield conv(f"conv2d-{auto_pad.lower().replace('_', '-')}", "N 4 8 5", square,
                   lambda x, w, b, lower=lower: F.conv2d(same(x, 3, 2, lower=lower), w, b, 2),
                   kernel_shape=[3, 3], strides=[2, 2], auto_pad=auto_pad)
    yield conv("conv2d-valid", IMAGE, square, conv2d(stride=2), kernel_shape=[3, 3], strides=[2, 2], auto_pad="VALID")
    yield conv("conv2d-notset", IMAGE, square, conv2d(padding=1), kernel_shape=[3, 3], pads=[1, 1, 1, 1], auto_pad="NOTSET")
    yield conv("conv2d", IMAGE, w2, conv2d(), opset=9,
               kernel_shape=[3, 2], pads=[0, 0, 0, 0], strides=[1, 1], dilations=[1, 1], group=1)
    yield conv("conv2d-without-attributes", IMAGE, w2, conv2d())
    yield conv("conv2d-without-bias", IMAGE, {"w": "6 4 3 2"}, lambda x, w: F.conv2d(x, w), kernel_shape=[3, 2])
    yield conv("conv2d-strides", IMAGE, w2, conv2d(stride=(2, 1), padding=(1, 0)),
               kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 0])
    yield conv("conv2d-dilations", IMAGE, w2, conv2d(dilation=(2, 3)), kernel_shape=[3, 2], dilations=[2, 3])
    yield conv("conv2d-grouped", IMAGE, {"w": "6 2 3 2", "b": "6"}, conv2d(groups=2), kernel_shape=[3, 2], group=2)
    yield conv("conv2d-depthwise", IMAGE, {"w": "8 1 3 2", "b": "8"}, conv2d(groups=4, padding=1),
               kernel_shape=[3, 2], group=4, pads=[1, 1, 1, 1])
    yield conv("conv2d-asymmetric-pads", IMAGE, w2, lambda x, w, b: F.conv2d(F.pad(x, (2, 1, 0, 3)), w, b, 2),
               kernel_shape=[3, 2], pads=[0, 2, 3, 1], strides=[2, 2])
    yield conv("conv2d-1x1", IMAGE, {"w": "3 4 1 1", "b": "3"}, conv2d(), kernel_shape=[1, 1])
    yield conv("conv2d-free-time", "N 1 5 T", {"w": "3 1 5 3", "b": "3"}, conv2d(padding=(0, 1)),
               kernel_shape=[5, 3], pads=[0, 1, 0, 1])
    yield Case("conv2d-listed-weights", node("Conv", "x w b"), IMAGE, w2, conv2d(), 9, listed=True)


def transposed_convolutions():
    def conv(name, shape, weights, reference, opset=17, **attributes):
        nodes = node("ConvTranspose", " ".join(["x", *weights]), **attributes)
        return Case(name, nodes, shape, weights, reference, opset)

    def conv1d(**settings):
        return lambda x, w, b: F.conv_transpose1d(x, w, b, **settings)

    def conv2d(**settings):
        return lambda x, w, b: F.conv_transpose2d(x, w, b, **settings)

    w1, w2, image = {"w": "4 3 3", "b": "3"}, {"w": "4 3 3 2", "b": "3"}, "N 4 3 4"
    yield conv("conv-transpose1d", SOUND, w1, conv1d(), kernel_shape=[3])
    yield conv("conv-transpose1d-settings", SOUND, w1, conv1d(stride=3, padding=1, output_padding=2, dilation=2), opset=9,
               kernel_shape=[3], strides=[3], pads=[1, 1], output_padding=[2], dilations=[2])
    yield conv("conv-transpose1d-grouped", SOUND, {"w": "4 3 3", "b": "6"}, conv1d(groups=2, stride=2),
               kernel_shape=[3], group=2, strides=[2])
    yield conv("conv-transpose1d-without-bias", SOUND, {"w": "4 3 4"}, lambda x, w: F.conv_transpose1d(x, w, stride=2),
               kernel_shape=[4], strides=[2])
    yield conv("conv-transpose1d-asymmetric-pads", SOUND, w1, lambda x, w, b: F.conv_transpose1d(x, w, b, 2)[..., 2:],
               kernel_shape=[3], strides=[2], pads=[2, 0])
    yield conv("conv-transpose2d", image, w2, conv2d(), kernel_shape=[3, 2])
    yield conv("conv-transpose2d-strides", image, w2, conv2d(stride=(2, 3), padding=1),
               kernel_shape=[3, 2], strides=[2, 3], pads=[1, 1, 1, 1])
    yield conv("conv-transpose2d-output-padding", image, w2, conv2d(stride=2, output_padding=(0, 1)),
               kernel_shape=[3, 2], strides=[2, 2], output_padding=[0, 1])
    yield conv("conv-transpose2d-dilations", image, w2, conv2d(dilation=(2, 1)), kernel_shape=[3, 2], dilations=[2, 1])
    yield conv("conv-transpose2d-depthwise", image, {"w": "4 1 3 2", "b": "4"}, conv2d(groups=4, stride=2),
               kernel_shape=[3, 2], group=4, strides=[2, 2])


# --- products -----------------------------------------------------------------------------------------------------------------


def products():
    transposed = {"w": "4 5", "b": "4"}
    yield Case("gemm", node("Gemm", "x w b", alpha=1.0, beta=1.0, transB=1), "N 5", transposed,
               lambda x, w, b: F.linear(x, w, b), 9)
    yield Case("gemm-not-transposed", node("Gemm", "x w b"), "N 5", {"w": "5 4", "b": "4"}, lambda x, w, b: x @ w + b)
    yield Case("gemm-alpha-beta", node("Gemm", "x w b", alpha=0.5, beta=-2.0, transB=1), "N 5", transposed,
               lambda x, w, b: 0.5 * x @ w.T - 2 * b)
    yield Case("gemm-without-bias", node("Gemm", "x w", transB=1, alpha=1.5), "N 5", {"w": "4 5"}, lambda x, w: 1.5 * x @ w.T)
    for name, shape in [("row", "1 4"), ("of-one", "1"), ("scalar", ""), ("column", "2 1")]:
        size = "2 5" if name == "column" else "N 5"
        yield Case(f"gemm-bias-{name}", node("Gemm", "x w b"), size, {"w": "5 4", "b": shape}, lambda x, w, b: x @ w + b)

    for name, x, w in [
        ("weight", "N 5", "5 4"), ("weight-over-time", "N T 5", "5 4"), ("vector-weight", "N T 5", "5"),
        ("batched-weight", "N 3 2 5", "3 5 4"),
    ]:
        yield Case(f"matmul-{name}", node("MatMul", "x w"), x, {"w": w}, lambda x, w: x @ w)
    yield Case("matmul-weight-first", node("MatMul", "w x"), "N 5 T", {"w": "4 5"}, lambda x, w: w @ x)
    yield Case("matmul-vector-weight-first", node("MatMul", "w x"), "N 5 T", {"w": "5"}, lambda x, w: w @ x)
    linear = [node("Transpose", "w", "t", perm=[1, 0]), node("MatMul", "x t", "p"), node("Add", "b p")]
    yield Case("matmul-transposed-weight", linear, "N T 5", transposed, lambda x, w, b: F.linear(x, w, b))
    for name, x, z in [
        ("inputs", "N 2 T 5", "N 2 5 4"), ("inputs-broadcast-second", "N 3 2 5", "5 4"),
        ("inputs-broadcast-first", "1 2 5", "N 5 4"), ("inputs-broadcast-both", "N 1 2 5", "3 5 4"),
        ("input-vectors", "N 3 5", "5"),
    ]:
        yield Case(f"matmul-{name}", node("MatMul", "x z"), {"x": x, "z": z}, {}, lambda x, z: x @ z)

    for name, equation, x, z in [
        ("attention-scores", "bhid,bhjd->bhij", "N 2 T 3", "N 2 5 3"), ("matmul", "bij,bjk->bik", "N T 3", "N 3 4"),
        ("attention-values", "bhij,bhjd->bhid", "N 2 T 5", "N 2 5 3"), ("time", "nct,ncp->ntp", "N 3 T", "N 3 4"),
        ("spaces", "b i d , b j d -> b i j", "N T 3", "N 4 3"),
    ]:
        yield Case(f"einsum-{name}", node("Einsum", "x z", equation=equation), {"x": x, "z": z}, {},
                   lambda x, z, equation=equation: torch.einsum(equation, x, z))
    yield Case("einsum-graph", node("Einsum", "x w", equation="nkctv,kvw->nctw"), "N 2 3 T 4", {"w": "2 4 5"},
               lambda x, w: torch.einsum("nkctv,kvw->nctw", x, w))


# --- normalizations -----------------------------------------------------------------------------------------------------------


def normalizations():
    statistics = {"scale": "4", "b": "4", "mean": "4", "var": positive("4")}
    for shape, over in [("N 4", "vectors"), (SOUND, "time"), (IMAGE, "images")]:
        for opset, attributes in [(9, {"momentum": 0.9}), (15, {"training_mode": 0})]:
            normalize = node("BatchNormalization", "x scale b mean var", epsilon=1e-3, **attributes)
            yield Case(f"batch-normalization-opset{opset}-{over}", normalize, shape, statistics,
                       lambda x, scale, b, mean, var: F.batch_norm(x, mean, var, scale, b, eps=1e-3), opset)
    yield Case("batch-normalization-default-epsilon", node("BatchNormalization", "x scale b mean var"), IMAGE, statistics,
               lambda x, scale, b, mean, var: F.batch_norm(x, mean, var, scale, b))

    last, two = {"scale": "5", "b": "5"}, {"scale": "3 5", "b": "3 5"}
    yield Case("layer-normalization", node("LayerNormalization", "x scale b", axis=-1, epsilon=1e-2), "N T 5", last,
               lambda x, scale, b: F.layer_norm(x, (5,), scale, b, 1e-2))
    yield Case("layer-normalization-defaults", node("LayerNormalization", "x scale b"), "N T 5", last,
               lambda x, scale, b: F.layer_norm(x, (5,), scale, b))
    yield Case("layer-normalization-two-axes", node("LayerNormalization", "x scale b", axis=-2), "N 2 3 5", two,
               lambda x, scale, b: F.layer_norm(x, (3, 5), scale, b))
    yield Case("layer-normalization-positive-axis", node("LayerNormalization", "x scale b", axis=1, stash_type=1), BATCH, two,
               lambda x, scale, b: F.layer_norm(x, (3, 5), scale, b))
    yield Case("layer-normalization-without-bias", node("LayerNormalization", "x scale"), "N T 5", {"scale": "5"},
               lambda x, scale: F.layer_norm(x, (5,), scale))

    channels = {"scale": "4", "b": "4"}
    for shape, over in [(SOUND, "time"), (IMAGE, "images")]:
        yield Case(f"instance-normalization-over-{over}", node("InstanceNormalization", "x scale b", epsilon=1e-2),
                   shape, channels, lambda x, scale, b: F.instance_norm(x, weight=scale, bias=b, eps=1e-2), 9)
        yield Case(f"group-normalization-opset21-over-{over}",
                   node("GroupNormalization", "x scale b", epsilon=1e-2, num_groups=2),
                   shape, channels, lambda x, scale, b: F.group_norm(x, 2, scale, b, 1e-2), 21)
    # Not opset 18's GroupNormalization, of a weight a group: it is withdrawn.

    # As PyTorch writes nn.GroupNorm before opset 18.
    yield Case("group-normalization-by-instances", [
        constant("s", ints(0, 2, -1)), node("Reshape", "x s", "g"),
        node("InstanceNormalization", "g one zero", "n", epsilon=1e-5),
        node("Shape", "x", "shape"), node("Reshape", "n shape", "r"), node("Mul", "r scale", "m"), node("Add", "m b"),
    ], IMAGE, {"one": floats(1, 1), "zero": floats(0, 0), "scale": "4 1 1", "b": "4 1 1"},
        lambda x, scale, b: F.group_norm(x, 2, scale.flatten(), b.flatten()), 13)
    yield Case("lp-normalization", node("LpNormalization"), BATCH, {}, lambda x: F.normalize(x, dim=-1))
    yield Case("lp-normalization-p1", node("LpNormalization", axis=1, p=1), BATCH, {}, lambda x: F.normalize(x, p=1.0, dim=1))


# --- functions of one number --------------------------------------------------------------------------------------------------


def functions():
    for name, op, attributes, function in [
        ("relu", "Relu", {}, torch.relu),
        ("leaky-relu", "LeakyRelu", {}, F.leaky_relu),
        ("leaky-relu-alpha", "LeakyRelu", {"alpha": 0.2}, lambda x: F.leaky_relu(x, 0.2)),
        ("elu", "Elu", {}, F.elu),
        ("elu-alpha", "Elu", {"alpha": 0.7}, lambda x: F.elu(x, 0.7)),
        ("selu", "Selu", {}, F.selu),
        ("selu-alpha-gamma", "Selu", {"alpha": 0.5, "gamma": 1.5}, lambda x: 1.5 * F.elu(x, 0.5)),
        ("celu", "Celu", {}, F.celu),
        ("celu-alpha", "Celu", {"alpha": 2.0}, lambda x: F.celu(x, 2.0)),
        ("hard-swish", "HardSwish", {}, F.hardswish),
        ("hard-sigmoid", "HardSigmoid", {}, lambda x: (0.2 * x + 0.5).clamp(0, 1)),
        ("hard-sigmoid-of-torch", "HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}, F.hardsigmoid),
        ("sigmoid", "Sigmoid", {}, torch.sigmoid),
        ("tanh", "Tanh", {}, torch.tanh),
        ("softplus", "Softplus", {}, F.softplus),
        ("softsign", "Softsign", {}, F.softsign),
        ("erf", "Erf", {}, torch.erf),
        ("abs", "Abs", {}, torch.abs),
        ("neg", "Neg", {}, torch.neg),
        ("exp", "Exp", {}, torch.exp),
        ("sin", "Sin", {}, torch.sin),
        ("cos", "Cos", {}, torch.cos),
        ("ceil", "Ceil", {}, torch.ceil),
        ("floor", "Floor", {}, torch.floor),
        ("round", "Round", {}, torch.round),
        ("sign", "Sign", {}, torch.sign),
        ("identity", "Identity", {}, lambda x: x),
    ]:
        yield Case(name, node(op, **attributes), wide("N 4 5"), {}, lambda x, function=function: function(x))
    for name, function in [("Log", torch.log), ("Sqrt", torch.sqrt), ("Reciprocal", torch.reciprocal)]:
        yield Case(name.lower(), node(name), positive(BATCH), {}, lambda x, function=function: function(x))
    yield Case("reciprocal-negative", node("Reciprocal"), away(BATCH), {}, lambda x: 1 / x)
    yield Case("round-halves-to-even", node("Round"), floats([-2.5, -1.5, -0.5, 0.5], [1.5, 2.5, 3.4, -3.6]), {},
               lambda x: x.round().detach())
    yield Case("gelu", node("Gelu"), wide("N 4 5"), {}, lambda x: F.gelu(x), 20)
    yield Case("gelu-tanh", node("Gelu", approximate="tanh"), wide("N 4 5"), {}, lambda x: F.gelu(x, approximate="tanh"), 20)
    yield Case("mish", node("Mish"), wide("N 4 5"), {}, lambda x: F.mish(x), 18)
    yield Case("relu-opset9", node("Relu"), SOUND, {}, lambda x: torch.relu(x), 9)

    for name, shape, slope, opset in [
        ("by-channel", IMAGE, "4 1 1", 17), ("by-channel-over-time", SOUND, "4 1", 17), ("of-one", SOUND, "1", 17),
        ("scalar", SOUND, "", 17), ("opset9", IMAGE, "4 1 1", 9),
    ]:
        yield Case(f"prelu-{name}", node("PRelu", "x slope"), shape, {"slope": slope},
                   lambda x, slope: torch.where(x < 0, slope * x, x), opset)

    low, high = {"low": scalar(-1.1)}, {"high": scalar(2.1)}
    for name, attributes in [("", {"min": -1.1, "max": 2.1}), ("-min", {"min": -1.1}), ("-max", {"max": 2.1})]:
        yield Case(f"clip-opset9{name}", node("Clip", **attributes), wide("N 4 5"), {},
                   lambda x, settings=attributes: x.clamp(**settings), 9)
    yield Case("clip-opset11", node("Clip", "x low high"), wide("N 4 5"), low | high, lambda x: x.clamp(-1.1, 2.1), 11)
    yield Case("clip-opset13", [constant("low", scalar(0)), constant("high", scalar(6)), node("Clip", "x low high")],
               wide("N 4 5"), {}, lambda x: F.relu6(x), 13)
    yield Case("clip-opset13-min", node("Clip", "x low"), wide("N 4 5"), low, lambda x: x.clamp(min=-1.1), 13)
    yield Case("clip-opset13-max", node("Clip", "x - high"), wide("N 4 5"), high, lambda x: x.clamp(max=2.1), 13)


def powers():
    for name, exponent, shape in [
        ("2", 2, normal(BATCH)), ("3", 3, normal(BATCH)), ("half", 0.5, positive(BATCH)), ("minus-1", -1, away(BATCH)),
    ]:
        yield Case(f"pow-{name}", node("Pow", "x p"), shape, {"p": scalar(exponent)},
                   lambda x, exponent=exponent: x.pow(exponent))
    yield Case("pow-of-one-opset9", node("Pow", "x p"), BATCH, {"p": floats(2)}, lambda x: x.square(), 9)
    yield Case("pow-whole-exponent", node("Pow", "x p"), BATCH, {"p": scalar(3, np.int64)}, lambda x: x**3, 15)
    yield Case("clip-computed", [node("ReduceMean", "x", "low", keepdims=0), node("Clip", "x low")], BATCH, {},
               lambda x: torch.maximum(x, x.mean()), 13)
    yield Case("is-inf", [node("IsInf", "x", "inf"), node("Where", "inf zero x")],
               floats([1, np.inf, -2], [-np.inf, 0.5, 3]), {"zero": scalar(0)},
               lambda x: torch.where(torch.isinf(x), torch.zeros_like(x), x), 13)
    yield Case("is-nan", [node("IsNaN", "x", "nan"), node("Where", "nan zero x")],
               floats([1, np.nan, -2], [np.nan, 0.5, 3]), {"zero": scalar(0)}, lambda x: torch.where(torch.isnan(x), 0 * x.nan_to_num(), x), 13)
    yield Case("pow-tensor", node("Pow", "x p"), {"x": positive(BATCH), "p": "3 1"}, {}, lambda x, p: x**p)
    yield Case("pow-of-constant", node("Pow", "base x"), BATCH, {"base": scalar(10)}, lambda x: 10**x)


# --- functions of several tensors ---------------------------------------------------------------------------------------------


def of_two(op, function):
    def inputs(x, z):
        return {"x": away(x), "z": away(z)}

    def straight(x, z):
        return function(x, z)

    def swapped(x, z):
        return function(z, x)

    name, nodes, swap = op.lower(), node(op, "x z"), node(op, "z x")
    yield Case(name, nodes, inputs(BATCH, BATCH), {}, straight, 9)
    yield Case(f"{name}-broadcast-second", nodes, inputs(BATCH, "3 1"), {}, straight)
    yield Case(f"{name}-broadcast-first", nodes, inputs("5", BATCH), {}, straight)
    yield Case(f"{name}-broadcast-both", nodes, inputs("N 1 5", "N 3 1"), {}, straight)
    yield Case(f"{name}-scalar", nodes, away(BATCH), {"z": away("")}, straight)
    yield Case(f"{name}-scalar-first", swap, away(BATCH), {"z": away("")}, swapped)
    yield Case(f"{name}-initializer", nodes, away("N 1 5"), {"z": away("1 3 1")}, straight)
    yield Case(f"{name}-initializer-first", swap, away(BATCH), {"z": away("3 1")}, swapped)
    yield Case(f"{name}-more-axes", nodes, away("N 5"), {"z": away("3 1 1")}, straight)
    yield Case(f"{name}-itself", node(op, "x x"), away(BATCH), {}, lambda x: function(x, x))


def of_several(op, function):
    name, nodes = op.lower(), node(op, "x z")
    yield Case(name, nodes, {"x": BATCH, "z": BATCH}, {}, lambda x, z: function(x, z), 9)
    yield Case(f"{name}-broadcast", nodes, {"x": "N 1 5", "z": "3 1"}, {}, lambda x, z: function(x, z))
    yield Case(f"{name}-scalar", nodes, BATCH, {"z": scalar(0.1)}, lambda x, z: function(x, z))
    yield Case(f"{name}-of-3", node(op, "x z v"), {"x": BATCH, "z": "5", "v": "N 1 5"}, {}, lambda x, z, v: function(x, z, v))


def arithmetic():
    for op, function in [("Add", torch.add), ("Sub", torch.sub), ("Mul", torch.mul), ("Div", torch.div)]:
        yield from of_two(op, function)
    for op, function in [
        ("Max", lambda *xs: functools.reduce(torch.maximum, xs)), ("Min", lambda *xs: functools.reduce(torch.minimum, xs)),
        ("Sum", lambda *xs: sum(xs)), ("Mean", lambda *xs: sum(xs) / len(xs)),
    ]:
        yield from of_several(op, function)


def logic():
    half, above = {"half": scalar(0.5)}, node("Greater", "x half", "above")
    yield Case("where", [above, node("Where", "above x half")], BATCH, half, lambda x: torch.where(x > 0.5, x, 0.5))
    two = [node("Mul", "x x", "square"), node("Neg", "x", "minus")]
    yield Case("where-of-two", [above, *two, node("Where", "above square minus")], BATCH, half,
               lambda x: torch.where(x > 0.5, x * x, -x), 9)
    yield Case("where-mask", node("Where", "mask x z"), {"x": BATCH, "z": "3 1"}, {"mask": mask("3 5")},
               lambda x, z, mask: torch.where(mask, x, z))
    yield Case("where-minus-infinity", [node("Where", "mask x floor", "masked"), node("Softmax", "masked", axis=-1)], "N 4 4",
               {"mask": np.tril(np.ones((4, 4), bool)), "floor": scalar(-np.inf)},
               lambda x, mask: x.masked_fill(~mask, -torch.inf).softmax(-1))
    for op, function in [("Greater", torch.gt), ("Less", torch.lt), ("GreaterOrEqual", torch.ge), ("LessOrEqual", torch.le)]:
        yield Case(dashed(op), node(op, "x z"), {"x": BATCH, "z": "5"}, {}, lambda x, z, function=function: function(x, z))
    yield Case("equal", node("Equal", "x z"), whole(BATCH, 0, 3, np.float32), {"z": scalar(1)}, lambda x, z: x == z, 11)
    yield Case("equal-whole", node("Equal", "x z"), whole(BATCH, 0, 3), {"z": scalar(1, np.int64)}, lambda x, z: x == z, 9)
    yield Case("not", [above, node("Not", "above")], BATCH, half, lambda x: ~(x > 0.5))
    within = [above, node("Less", "x one", "below")]
    yield Case("and", [*within, node("And", "above below")], BATCH, half | {"one": scalar(1)}, lambda x: (x > 0.5) & (x < 1))
    yield Case("or-of-input", [above, node("Or", "above given")], {"x": BATCH, "given": mask("3 1")}, half,
               lambda x, given: (x > 0.5) | given)


# --- pooling and reductions ---------------------------------------------------------------------------------------------------


def averaged(pool, pad):
    """Averages over what is not padding."""
    return lambda x: pool(pad(x)) / pool(pad(torch.ones_like(x)))


def pooling():
    image, cut = "N 2 7 6", "N 2 6 5"

    def case(op, name, shape, reference, opset=17, **attributes):
        return Case(f"{dashed(op)}{name}", node(op, **attributes), shape, {}, reference, opset)

    yield case("MaxPool", "1d", SOUND, lambda x: F.max_pool1d(x, 3, 1), kernel_shape=[3])
    yield case("MaxPool", "1d-settings", SOUND, lambda x: F.max_pool1d(x, 3, 2, 1, 2),
               kernel_shape=[3], strides=[2], pads=[1, 1], dilations=[2])
    yield case("MaxPool", "2d", image, lambda x: F.max_pool2d(x, (2, 3), 1), opset=9, kernel_shape=[2, 3])
    yield case("MaxPool", "2d-strides", image, lambda x: F.max_pool2d(x, 3, (2, 3)), kernel_shape=[3, 3], strides=[2, 3])
    yield case("MaxPool", "2d-pads", image, lambda x: F.max_pool2d(x, 3, 2, (1, 0)),
               kernel_shape=[3, 3], strides=[2, 2], pads=[1, 0, 1, 0])
    yield case("MaxPool", "2d-asymmetric-pads", image, lambda x: F.max_pool2d(F.pad(x, (0, 1, 1, 0), value=-torch.inf), 2, 2),
               kernel_shape=[2, 2], strides=[2, 2], pads=[1, 0, 0, 1])
    yield case("MaxPool", "2d-dilations", image, lambda x: F.max_pool2d(x, 2, 1, 0, (3, 2)),
               kernel_shape=[2, 2], dilations=[3, 2])
    yield case("MaxPool", "2d-ceil", cut, lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True), ceil_mode=1,
               kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    # A last window that would begin in the padding is left out.
    yield case("MaxPool", "2d-ceil-without-last", "N 2 5 6", lambda x: F.max_pool2d(x, 2, 3, 1, ceil_mode=True), ceil_mode=1,
               kernel_shape=[2, 2], strides=[3, 3], pads=[1, 1, 1, 1])
    yield case("AveragePool", "1d", SOUND, lambda x: F.avg_pool1d(x, 3, 2), kernel_shape=[3], strides=[2])
    yield case("AveragePool", "2d", image, lambda x: F.avg_pool2d(x, (2, 3), 1), opset=9, kernel_shape=[2, 3])
    for include in (0, 1):
        settings = {"count_include_pad": bool(include)}
        yield case("AveragePool", f"2d-pads-include-{include}", image, lambda x, s=settings: F.avg_pool2d(x, 3, 2, 1, **s),
                   kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=include)
        yield case("AveragePool", f"2d-ceil-include-{include}", cut,
                   lambda x, s=settings: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, **s),
                   opset=19, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=include, ceil_mode=1)
    yield case("AveragePool", "2d-ceil-unpadded", cut, lambda x: F.avg_pool2d(x, 2, 2, ceil_mode=True), opset=19,
               kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
    yield case("AveragePool", "1d-asymmetric-pads", SOUND,
               averaged(lambda x: F.avg_pool1d(x, 3, 2), lambda x: F.pad(x, (2, 1))),
               kernel_shape=[3], strides=[2], pads=[2, 1])
    yield case("AveragePool", "1d-dilations", SOUND, lambda x: (x[..., :-4] + x[..., 2:-2] + x[..., 4:]) / 3, opset=19,
               kernel_shape=[3], dilations=[2])
    for auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        name, lower = f"2d-{auto_pad.lower().replace('_', '-')}", auto_pad == "SAME_LOWER"
        settings = {"kernel_shape": [2, 2], "strides": [1, 1], "auto_pad": auto_pad}
        yield case("MaxPool", name, image, lambda x, lower=lower: F.max_pool2d(same(x, 2, 1, lower, -torch.inf), 2, 1),
                   **settings)
        yield case("AveragePool", name, image,
                   averaged(lambda x: F.avg_pool2d(x, 2, 1), lambda x, lower=lower: same(x, 2, 1, lower)), **settings)
    yield case("MaxPool", "2d-valid", image, lambda x: F.max_pool2d(x, 2, 2),
               kernel_shape=[2, 2], strides=[2, 2], auto_pad="VALID")
    yield case("LpPool", "2d", image, lambda x: F.lp_pool2d(x, 2.0, 2, 2), kernel_shape=[2, 2], strides=[2, 2])
    yield case("GlobalAveragePool", "2d", image, lambda x: x.mean((2, 3), keepdim=True))
    yield case("GlobalAveragePool", "1d", SOUND, lambda x: x.mean(2, keepdim=True))
    yield case("GlobalMaxPool", "2d", image, lambda x: x.amax((2, 3), keepdim=True))
    yield case("GlobalMaxPool", "1d", SOUND, lambda x: x.amax(2, keepdim=True))


def product_over(x, axes, keepdim):
    for axis in sorted((axis % x.ndim for axis in axes), reverse=True):
        x = x.prod(axis, keepdim)
    return x


REDUCTIONS = {
    "Mean": torch.mean, "Sum": torch.sum, "Max": torch.amax, "Min": torch.amin, "Prod": product_over,
    "L1": lambda x, *over: x.abs().sum(*over), "L2": lambda x, *over: x.square().sum(*over).sqrt(),
    "SumSquare": lambda x, *over: x.square().sum(*over), "LogSum": lambda x, *over: x.sum(*over).log(),
    "LogSumExp": torch.logsumexp,
}


def reductions():
    for op, function in REDUCTIONS.items():
        shape, with_input = positive("N 3 4") if op == "LogSum" else away("N 3 4"), 13 if op == "Sum" else 18

        def case(name, nodes, axes, keepdim, opset, weights, op=op, shape=shape, function=function):
            return Case(f"reduce-{dashed(op)}-{name}", nodes, shape, weights, lambda x: function(x, axes, keepdim), opset)

        yield case("opset11", node(f"Reduce{op}", axes=[1], keepdims=0), (1,), False, 11, {})
        yield case("opset11-two-axes", node(f"Reduce{op}", axes=[-1, -2]), (-1, -2), True, 11, {})
        yield case("opset11-all", node(f"Reduce{op}", keepdims=0), (0, 1, 2), False, 11, {})
        yield case(f"opset{with_input}", node(f"Reduce{op}", "x axes", keepdims=0), (2,), False, with_input, {"axes": ints(-1)})
        yield case(f"opset{with_input}-keepdims", node(f"Reduce{op}", "x axes"), (1, 2), True, with_input, {"axes": ints(1, 2)})
        yield case(f"opset{with_input}-all", node(f"Reduce{op}", keepdims=1), (0, 1, 2), True, with_input, {})
    yield Case("reduce-sum-noop", node("ReduceSum", noop_with_empty_axes=1), BATCH, {}, lambda x: 1 * x, 13)
    yield Case("reduce-mean-opset9", node("ReduceMean", axes=[2, 3], keepdims=1), IMAGE, {},
               lambda x: x.mean((2, 3), keepdim=True), 9)

    yield Case("argmax", node("ArgMax", axis=1, keepdims=0), BATCH, {}, lambda x: x.argmax(1))
    yield Case("argmax-keepdims", node("ArgMax", axis=-1), BATCH, {}, lambda x: x.argmax(-1, keepdim=True))
    yield Case("argmax-ties", node("ArgMax", axis=1, keepdims=0), floats([1, 3, 3, 2], [5, 5, 0, 5]), {},
               lambda x: torch.tensor([1, 0]))
    yield Case("cumsum", node("CumSum", "x axis"), BATCH, {"axis": scalar(1, np.int64)}, lambda x: x.cumsum(1))
    yield Case("cumsum-reverse", node("CumSum", "x axis", reverse=1), SOUND, {"axis": scalar(-1, np.int64)},
               lambda x: x.flip(-1).cumsum(-1).flip(-1))
    yield Case("cumsum-exclusive", node("CumSum", "x axis", exclusive=1), BATCH, {"axis": scalar(2, np.int32)},
               lambda x: x.cumsum(2) - x)

    for op, function in [("Softmax", torch.softmax), ("LogSoftmax", torch.log_softmax)]:
        name = dashed(op)

        def flattened(x, function=function):
            return function(x.flatten(1), 1).reshape(x.shape)

        # Before opset 13 over all axes from the given one on.
        yield Case(f"{name}-opset11", node(op, axis=1), "N 2 3 4", {}, flattened, 11)
        yield Case(f"{name}-opset11-default", node(op), BATCH, {}, flattened, 11)
        yield Case(f"{name}-opset11-last", node(op, axis=3), "N 2 3 4", {}, lambda x, function=function: function(x, -1), 11)
        yield Case(f"{name}-opset13", node(op, axis=1), "N 2 3 4", {}, lambda x, function=function: function(x, 1), 13)
        yield Case(f"{name}-opset13-default", node(op), "N 2 3 4", {}, lambda x, function=function: function(x, -1), 13)


# --- pieces and shapes --------------------------------------------------------------------------------------------------------


def padding():
    pads, flat = [0, 0, 1, 2, 0, 0, 3, 1], (2, 1, 1, 3)
    for mode, of_torch in [("constant", "constant"), ("reflect", "reflect"), ("edge", "replicate")]:
        yield Case(f"pad-opset9-{mode}", node("Pad", mode=mode, pads=pads), IMAGE, {},
                   lambda x, mode=of_torch: F.pad(x, flat, mode), 9)
        yield Case(f"pad-opset13-{mode}", node("Pad", "x pads", mode=mode), IMAGE, {"pads": ints(*pads)},
                   lambda x, mode=of_torch: F.pad(x, flat, mode), 13)
        yield Case(f"pad-over-time-{mode}", node("Pad", "x pads", mode=mode), SOUND, {"pads": ints(0, 0, 3, 0, 0, 2)},
                   lambda x, mode=of_torch: F.pad(x, (3, 2), mode))
    yield Case("pad-opset9-value", node("Pad", pads=[0, 1, 0, 0, 0, 2], value=-1.5), BATCH, {},
               lambda x: F.pad(x, (0, 2, 1, 0), value=-1.5), 9)
    yield Case("pad-opset13-value", node("Pad", "x pads value"), BATCH, {"pads": ints(0, 1, 0, 0, 0, 2), "value": scalar(-1.5)},
               lambda x: F.pad(x, (0, 2, 1, 0), value=-1.5), 13)
    yield Case("pad-opset9-negative", node("Pad", pads=[0, -1, 2, 0, 0, -3]), BATCH, {}, lambda x: F.pad(x, (2, -3, -1, 0)), 9)
    yield Case("pad-opset13-negative", node("Pad", "x pads"), BATCH, {"pads": ints(0, 0, -1, 0, -1, -1)},
               lambda x: x[:, :-1, 1:-1], 13)
    yield Case("pad-opset18-axes", node("Pad", "x pads - axes"), BATCH, {"pads": ints(1, 2), "axes": ints(-1)},
               lambda x: F.pad(x, (1, 2)), 18)
    # As PyTorch writes F.pad before its new exporter.
    yield Case("pad-of-torch", [
        constant("given", ints(1, 2, 0, 3)), constant("missing", ints(2)), constant("zero", ints(0)),
        node("ConstantOfShape", "missing", "zeros", value=helper.make_tensor("value", TensorProto.INT64, [1], [0])),
        node("Concat", "given zeros", "all", axis=0), constant("pairs", ints(-1, 2)), node("Reshape", "all pairs", "rows"),
        constant("start", ints(-1)), constant("end", ints(-LAST)), node("Slice", "rows start end zero start", "reversed"),
        node("Transpose", "reversed", "columns", perm=[1, 0]), constant("flat", ints(-1)), node("Reshape", "columns flat", "p"),
        node("Cast", "p", "pads", to=TensorProto.INT64), node("Pad", "x pads", mode="constant"),
    ], BATCH, {}, lambda x: F.pad(x, (1, 2, 0, 3)), 11)


def pieces():
    three = {"x": BATCH, "z": "N 1 5", "v": "N 2 5"}
    yield Case("concat", node("Concat", "x z v", axis=1), three, {}, lambda x, z, v: torch.cat([x, z, v], 1), 9)
    yield Case("concat-negative-axis", node("Concat", "x z v", axis=-2), three, {}, lambda x, z, v: torch.cat([x, z, v], 1))
    yield Case("concat-last-axis", node("Concat", "x z", axis=2), {"x": BATCH, "z": "N 3 2"}, {},
               lambda x, z: torch.cat([x, z], 2))
    yield Case("concat-constant", node("Concat", "w x x", axis=0), BATCH, {"w": "1 3 5"}, lambda x, w: torch.cat([w, x, x]))

    def second_half(x):
        return x[:, 3:], x[:, :3]

    yield Case("split-opset11", node("Split", "x", "a y", axis=1), "N 6 T", {}, second_half, 11, "y a")
    yield Case("split-opset9-default-axis", node("Split", "x", "a y"), "6 5", {}, lambda x: (x[3:], x[:3]), 9, "y a")
    yield Case("split-opset11-sizes", node("Split", "x", "y a b", axis=-1, split=[1, 3, 2]), "N 2 6", {},
               lambda x: x.split([1, 3, 2], -1), 11, "y a b")
    yield Case("split-opset13", node("Split", "x", "a y", axis=1), "N 6 T", {}, second_half, 13, "y a")
    yield Case("split-opset13-sizes", node("Split", "x sizes", "a y", axis=1), "N 6 T", {"sizes": ints(2, 4)},
               lambda x: (x[:, 2:], x[:, :2]), 13, "y a")
    yield Case("split-opset18", node("Split", "x", "a y", axis=1, num_outputs=2), "N 6 T", {}, second_half, 18, "y a")
    yield Case("split-opset18-uneven", node("Split", "x", "y a b", axis=1, num_outputs=3), "N 7 2", {},
               lambda x: x.split([3, 3, 1], 1), 18, "y a b")
    yield Case("split-opset18-sizes", node("Split", "x sizes", "y a b", axis=2), "N 2 6", {"sizes": ints(1, 3, 2)},
               lambda x: x.split([1, 3, 2], 2), 18, "y a b")
    yield Case("split-glu", [node("Split", "x", "a b", axis=1), node("Sigmoid", "b", "gate"), node("Mul", "a gate")], SOUND, {},
               lambda x: F.glu(x, 1), 13)

    yield Case("slice-opset9", node("Slice", starts=[1], ends=[LAST], axes=[2]), BATCH, {}, lambda x: x[..., 1:], 9)
    yield Case("slice-opset9-without-axes", node("Slice", starts=[0, -2, 1], ends=[100, 3, -1]), BATCH, {},
               lambda x: x[:, -2:, 1:-1], 9)
    for name, starts, ends, axes, steps, reference in [
        ("", [1], [3], [1], None, lambda x: x[:, 1:3]),
        ("-opset10", [0], [2], [1], [1], lambda x: x[:, :2]),
        ("-steps", [0, 1], [LAST, LAST], [1, 2], [2, 3], lambda x: x[:, ::2, 1::3]),
        ("-negative-steps", [-1], [-LAST], [2], [-1], lambda x: x.flip(2)),
        ("-negative-steps-of-two", [4], [0], [-2], [-2], lambda x: x[:, [4, 2]]),
        ("-negative-ends", [-4], [-1], [-1], None, lambda x: x[..., -4:-1]),
        ("-huge-ends", [-100], [2**31 - 1], [1], None, lambda x: x),
        ("-to-the-end", [2], [LAST], [1], None, lambda x: x[:, 2:]),
        ("-without-axes", [0, 2], [LAST, 4], None, None, lambda x: x[:, 2:4]),
    ]:
        given = {"starts": starts, "ends": ends, "axes": axes, "steps": steps}
        names = ["-" if given[name] is None else name for name in given]
        yield Case(f"slice{name}", node("Slice", " ".join(["x", *names]).rstrip(" -")), "N 5 7",
                   {name: ints(*values) for name, values in given.items() if values}, reference,
                   10 if "opset10" in name else 13)
    yield Case("slice-i32", node("Slice", "x starts ends axes"), BATCH,
               {name: ints(value, dtype=np.int32) for name, value in [("starts", 1), ("ends", 2**31 - 1), ("axes", -1)]},
               lambda x: x[..., 1:])
    yield Case("slice-first-half", [
        *length("x", 2, "t"), constant("two", ints(2)), node("Div", "t two", "half"), constant("start", ints(0)),
        constant("axis", ints(2)), node("Slice", "x start half axis"),
    ], SOUND, {}, lambda x: x[..., : x.shape[-1] // 2])
    yield Case("slice-remainder", [
        *length("x", 2, "t"), constant("divisor", ints(-5)), node("Mod", "t divisor", "rest"), constant("start", ints(0)),
        constant("axis", ints(2)), node("Slice", "x start rest axis"),
    ], SOUND, {}, lambda x: x[..., : x.shape[-1] % -5])

    yield Case("gather", node("Gather", "x i", axis=1), "N 4 T", {"i": ints(3, 0, 0)}, lambda x: x[:, [3, 0, 0]])
    yield Case("gather-first-axis", node("Gather", "x i"), "3 4 5", {"i": ints(2, 0)}, lambda x: x[[2, 0]], 9)
    yield Case("gather-scalar", node("Gather", "x i", axis=2), SOUND, {"i": scalar(0, np.int64)}, lambda x: x[..., 0])
    yield Case("gather-last", node("Gather", "x i", axis=-1), SOUND, {"i": scalar(-1, np.int64)}, lambda x: x[..., -1], 11)
    yield Case("gather-negative", node("Gather", "x i", axis=1), "N 4 T", {"i": ints(-1, 1, -4, dtype=np.int32)},
               lambda x: x[:, [-1, 1, -4]])
    yield Case("gather-indices-2d", node("Gather", "x i", axis=1), "N 4 3", {"i": ints([0, 1], [3, -2])},
               lambda x, i: x[:, i])
    yield Case("gather-embedding", node("Gather", "w x"), whole("N T", 0, 5), {"w": "5 3"}, lambda x, w: F.embedding(x, w))
    yield Case("gather-elements", node("GatherElements", "x i", axis=1), "3 4 5", {"i": whole("3 2 5", -4, 4)},
               lambda x, i: x.gather(1, i % 4))
    yield Case("gather-elements-last-axis", node("GatherElements", "x i", axis=-1), {"x": "2 3 5", "i": whole("2 3 4", 0, 5)},
               {}, lambda x, i: x.gather(2, i))
    # As PyTorch writes x.view(*x.shape[:1], -1, *x.shape[3:]).
    yield Case("slice-of-nothing", [
        node("Shape", "x", "shape"), *(constant(f"at{n}", ints(n)) for n in (0, 1, 3)), constant("end", ints(LAST)),
        constant("rest", ints(-1)), node("Slice", "shape at0 at1", "first"), node("Slice", "shape at3 end", "none"),
        node("Concat", "first rest none", "target", axis=0), node("Reshape", "x target"),
    ], SOUND, {}, lambda x: x.flatten(1), 11)
    at = {"at": ints([0, 2], [2, -1], [0, 0])}
    yield Case("gather-nd", node("GatherND", "x at"), {"x": normal("3 4 5")}, at, lambda x: x[[0, 2, 0], [2, -1, 0]])
    yield Case("gather-nd-batch", node("GatherND", "x at", batch_dims=1), "N 4 5", {"at": ints([[1], [3]], [[0], [-2]])},
               lambda x: torch.stack([x[0, [1, 3]], x[1, [0, -2]]]), 13)

    def put(x, v, *at):
        return x.index_put(tuple(torch.tensor(place) for place in at), v)

    yield Case("scatter-nd", node("ScatterND", "x at v"), {"x": normal("3 4 5"), "v": normal("3 5")}, at,
               lambda x, v: put(x, v, [0, 2, 0], [2, 3, 0]), 16)
    yield Case("scatter-elements", node("ScatterElements", "x at v", axis=1), {"x": normal("N 4 3"), "v": normal("N 2 3")},
               {"at": ints([[0, 1, 3], [2, -1, 0]], [[1, 1, 1], [0, 2, 2]])},
               lambda x, v, at: x.scatter(1, at % 4, v), 16)
    yield Case("scatter-elements-last", node("ScatterElements", "x at v"), {"x": normal("5"), "v": normal("2")},
               {"at": ints(1, 1)}, lambda x, v: torch.cat([x[:1], v[1:], x[2:]]), 13)
    for largest in (1, 0):
        yield Case(f"top-k-largest-{largest}", node("TopK", "x k", "y places", axis=1, largest=largest), "N 6 3", {"k": ints(2)},
                   lambda x, largest=largest: torch.topk(x, 2, 1, bool(largest)), 11, "y places")
    yield Case("pad-wrap", node("Pad", "x pads", mode="wrap"), "N 4 5", {"pads": ints(0, 2, 0, 0, 0, 3)},
               lambda x: F.pad(x[:, [2, 3, 0, 1, 2, 3]], (0, 3), mode="circular"), 19)
    yield Case("trilu", node("Trilu", "x k", upper=0), "N 4 5", {"k": scalar(1, np.int64)}, lambda x: x.tril(1))
    yield Case("trilu-upper", node("Trilu"), "N 4 5", {}, lambda x: x.triu())


def shapes():
    yield Case("reshape", node("Reshape", "x s"), "N 4 6", {"s": ints(0, -1, 3)}, lambda x: x.reshape(2, 8, 3), 9)
    yield Case("reshape-flat", node("Reshape", "x s"), IMAGE, {"s": ints(-1, 140)}, lambda x: x.flatten(1))
    yield Case("reshape-all-free", node("Reshape", "x s"), "N T 6", {"s": ints(0, 0, 2, 3)}, lambda x: x.reshape(2, -1, 2, 3))
    yield Case("reshape-constant", [constant("s", ints(0, 4, -1)), node("Reshape", "x s")], IMAGE, {}, lambda x: x.flatten(2))
    yield Case("reshape-allowzero", node("Reshape", "x s", allowzero=1), BATCH, {"s": ints(-1, 5)},
               lambda x: x.reshape(-1, 5), 14)
    yield Case("reshape-by-shape", [
        *length("x", 0, "n"), constant("rest", ints(-1)), node("Concat", "n rest", "s", axis=0), node("Reshape", "x s"),
    ], IMAGE, {}, lambda x: x.flatten(1))
    yield Case("reshape-by-shape-opset11", [
        node("Shape", "x", "shape"), constant("i", scalar(0, np.int64)), node("Gather", "shape i", "n"),
        node("Unsqueeze", "n", "first", axes=[0]), constant("rest", ints(-1)), node("Concat", "first rest", "s", axis=0),
        node("Reshape", "x s"),
    ], IMAGE, {}, lambda x: x.flatten(1), 11)
    yield Case("reshape-merge-batch-and-time", [
        *length("x", 0, "n"), *length("x", 1, "t"), node("Mul", "n t", "nt"), constant("c", ints(3)),
        node("Concat", "nt c", "s", axis=0), node("Reshape", "x s", "rows"), node("MatMul", "rows w", "p"),
        constant("d", ints(4)), node("Concat", "n t d", "back", axis=0), node("Reshape", "p back"),
    ], "N T 3", {"w": "3 4"}, lambda x, w: x @ w)
    yield Case("reshape-windows", [
        *length("x", 0, "n"), *length("x", 1, "t"), constant("two", ints(2)), node("Div", "t two", "half"),
        constant("c", ints(3)), node("Concat", "n half two c", "s", axis=0), node("Reshape", "x s"),
    ], "N T 3", {}, lambda x: x.unflatten(1, (-1, 2)))

    for axis, start in [(1, 1), (2, 2), (-1, 3), (0, 0)]:
        name = f"flatten-axis{axis}".replace("axis-", "axis-minus-")
        yield Case(name, node("Flatten", axis=axis), "N 2 3 4", {},
                   lambda x, start=start: x.reshape(math.prod(x.shape[:start]), -1), 11)
    yield Case("flatten", node("Flatten"), IMAGE, {}, lambda x: x.flatten(1), 9)

    yield Case("squeeze-opset11", node("Squeeze", axes=[1, -1]), "N 1 3 1", {}, lambda x: x[:, 0, :, 0], 11)
    yield Case("squeeze-opset11-without-axes", node("Squeeze"), "2 1 3 1", {}, lambda x: x.squeeze(), 11)
    yield Case("squeeze-opset13", node("Squeeze", "x axes"), "N 1 3 1", {"axes": ints(-1, 1)}, lambda x: x[:, 0, :, 0], 13)
    yield Case("squeeze-opset13-without-axes", node("Squeeze"), "2 1 3 1", {}, lambda x: x.squeeze(), 13)
    yield Case("unsqueeze-opset11", node("Unsqueeze", axes=[1, -1]), "N 3", {}, lambda x: x[:, None, :, None], 11)
    yield Case("unsqueeze-opset13", node("Unsqueeze", "x axes"), "N 3", {"axes": ints(-1, 1)},
               lambda x: x[:, None, :, None], 13)
    yield Case("unsqueeze-opset13-first", node("Unsqueeze", "x axes"), "N 3", {"axes": ints(0)}, lambda x: x[None], 13)
    yield Case("transpose", node("Transpose", perm=[0, 2, 3, 1]), "N 2 3 T", {}, lambda x: x.permute(0, 2, 3, 1), 9)
    yield Case("transpose-reversed", node("Transpose"), BATCH, {}, lambda x: x.permute(2, 1, 0))

    yield Case("expand", node("Expand", "x s"), "N 3 1", {"s": ints(1, 1, 4)}, lambda x: x.expand(-1, -1, 4))
    yield Case("expand-more-axes", node("Expand", "x s"), "N 1", {"s": ints(3, 1, 4)}, lambda x: x.expand(3, 2, 4))
    yield Case("expand-smaller-shape", node("Expand", "x s"), BATCH, {"s": ints(5)}, lambda x: 1 * x)
    yield Case("expand-as", [node("Shape", "x", "s"), node("Expand", "w s", "e"), node("Mul", "x e")], BATCH, {"w": "3 1"},
               lambda x, w: x * w)
    # As PyTorch writes x.expand: its -1 keeps a length.
    yield Case("expand-of-torch", [
        *length("x", 0, "n"), constant("rest", ints(-1, 4)), node("Concat", "n rest", "wanted", axis=0),
        constant("rank", ints(3)),
        node("ConstantOfShape", "rank", "ones", value=helper.make_tensor("value", TensorProto.INT64, [1], [1])),
        constant("minus", scalar(-1, np.int64)), node("Mul", "ones minus", "keep"), node("Equal", "wanted keep", "kept"),
        node("Where", "kept ones wanted", "s"), node("Expand", "x s"),
    ], "N 3 1", {}, lambda x: x.expand(-1, -1, 4))
    yield Case("tile", node("Tile", "x r"), BATCH, {"r": ints(1, 2, 3)}, lambda x: x.tile(1, 2, 3), 9)
    yield Case("tile-batch", node("Tile", "x r"), BATCH, {"r": ints(2, 1, 1)}, lambda x: x.tile(2, 1, 1))

    yield Case("shape", node("Shape"), "N 3 T", {}, lambda x: torch.tensor(x.shape), 9)
    for name, settings in [("start", {"start": 1}), ("end", {"end": -1}), ("start-end", {"start": -2, "end": 2})]:
        yield Case(f"shape-{name}", node("Shape", **settings), "N 3 T", {},
                   lambda x, s=settings: torch.tensor(x.shape)[s.get("start") : s.get("end")], 15)
    yield Case("size", node("Size"), "N 3 T", {}, lambda x: torch.tensor(x.numel()))


# --- resizing -----------------------------------------------------------------------------------------------------------------


COORDINATES = {
    "asymmetric": lambda i, scale, size, to: i / scale,
    "half_pixel": lambda i, scale, size, to: (i + 0.5) / scale - 0.5,
    "pytorch_half_pixel": lambda i, scale, size, to: (i + 0.5) / scale - 0.5 if to > 1 else 0 * i,
    "align_corners": lambda i, scale, size, to: i * (size - 1) / (to - 1) if to > 1 else 0 * i,
}
NEAREST = {
    "round_prefer_floor": lambda at: torch.ceil(at - 0.5), "round_prefer_ceil": lambda at: torch.floor(at + 0.5),
    "floor": torch.floor, "ceil": torch.ceil,
}


def resized(x, scales, sizes, mode, coordinates, nearest):
    """Axis by axis by a matrix [to, from]."""
    for axis in range(2, x.ndim):
        size = x.shape[axis]
        scale = scales[axis] if scales else sizes[axis] / size
        to = math.floor(size * scale) if scales else sizes[axis]
        at = COORDINATES[coordinates](torch.arange(to, dtype=torch.float64), scale, size, to)
        if mode == "nearest":
            matrix = F.one_hot(NEAREST[nearest](at).clamp(0, size - 1).long(), size).double()
        else:
            at = at.clamp(0, size - 1)
            matrix = (1 - (at[:, None] - torch.arange(size)).abs()).clamp(min=0)
        x = (x.movedim(axis, -1) @ matrix.T).movedim(-1, axis)
    return x


def resizing():
    sound, image = "N 3 5", "N 2 4 3"
    for name, opset, shape, scales, sizes, mode, coordinates, nearest in [
        ("nearest-1d", 11, sound, [1, 1, 2], None, "nearest", "asymmetric", "floor"),
        ("nearest-1d", 13, sound, [1, 1, 1.7], None, "nearest", "asymmetric", "floor"),
        ("nearest-1d-down", 13, sound, [1, 1, 0.6], None, "nearest", "asymmetric", "floor"),
        ("nearest-1d-sizes", 13, "2 3 5", None, [2, 3, 8], "nearest", "asymmetric", "floor"),
        ("nearest-2d", 11, image, [1, 1, 2, 3], None, "nearest", "asymmetric", "floor"),
        ("nearest-2d-sizes", 11, "2 2 4 3", None, [2, 2, 7, 5], "nearest", "asymmetric", "floor"),
        ("nearest-2d-half-pixel", 13, image, [1, 1, 1.5, 2], None, "nearest", "half_pixel", "round_prefer_floor"),
        ("nearest-2d-ceil", 13, image, [1, 1, 1.5, 2], None, "nearest", "asymmetric", "ceil"),
        ("nearest-2d-round-ceil", 13, image, [1, 1, 2, 2], None, "nearest", "asymmetric", "round_prefer_ceil"),
        ("linear-1d-half-pixel", 11, sound, [1, 1, 2], None, "linear", "half_pixel", None),
        ("linear-1d-pytorch-half-pixel", 13, sound, [1, 1, 1.7], None, "linear", "pytorch_half_pixel", None),
        ("linear-1d-align-corners", 13, sound, [1, 1, 2], None, "linear", "align_corners", None),
        ("linear-1d-asymmetric", 13, sound, [1, 1, 2], None, "linear", "asymmetric", None),
        ("linear-1d-sizes", 13, "2 3 5", None, [2, 3, 8], "linear", "half_pixel", None),
        ("linear-1d-down", 13, sound, [1, 1, 0.6], None, "linear", "half_pixel", None),
        ("linear-2d-half-pixel", 13, image, [1, 1, 2, 1.5], None, "linear", "half_pixel", None),
        ("linear-2d-pytorch-half-pixel", 11, image, [1, 1, 2, 0.5], None, "linear", "pytorch_half_pixel", None),
        ("linear-2d-align-corners", 11, image, [1, 1, 2, 3], None, "linear", "align_corners", None),
        ("linear-2d-asymmetric", 13, image, [1, 1, 2, 3], None, "linear", "asymmetric", None),
        ("linear-2d-sizes", 11, "2 2 4 3", None, [2, 2, 7, 5], "linear", "pytorch_half_pixel", None),
    ]:
        attributes = {"mode": mode, "coordinate_transformation_mode": coordinates}
        if nearest:
            attributes["nearest_mode"] = nearest
        weights = {"scales": floats(*scales)} if scales else {"sizes": ints(*sizes)}
        if opset == 11:  # the inputs that are not given are empty tensors
            weights = {"roi": floats()} | ({} if scales else {"scales": floats()}) | weights
            names = "x roi scales" if scales else "x roi scales sizes"
        else:
            names = "x - scales" if scales else "x - - sizes"
        yield Case(f"resize-opset{opset}-{name}", node("Resize", names, **attributes), shape, weights,
                   lambda x, settings=(scales, sizes, mode, coordinates, nearest): resized(x, *settings), opset)
    yield Case("resize-defaults", node("Resize", "x - scales"), image, {"scales": floats(1, 1, 1.5, 2)},
               lambda x: resized(x, [1, 1, 1.5, 2], None, "nearest", "half_pixel", "round_prefer_floor"), 13)
    yield Case("resize-opset18-axes", node("Resize", "x - scales", mode="linear", axes=[2, 3]), image,
               {"scales": floats(2, 1.5)}, lambda x: resized(x, [1, 1, 2, 1.5], None, "linear", "half_pixel", None), 18)
    yield Case("resize-sizes-by-shape", [
        node("Shape", "x", "shape"), constant("zero", ints(0)), constant("two", ints(2)),
        node("Slice", "shape zero two zero", "first"), constant("to", ints(8, 5)), node("Concat", "first to", "sizes", axis=0),
        node("Resize", "x - - sizes", mode="linear", coordinate_transformation_mode="half_pixel"),
    ], image, {}, lambda x: F.interpolate(x, (8, 5), mode="bilinear"), 13)

    for op, opset in [("Resize", 10), ("Upsample", 9)]:
        for mode in ("nearest", "linear"):
            yield Case(f"{op.lower()}-opset{opset}-{mode}", node(op, "x scales", mode=mode), image,
                       {"scales": floats(1, 1, 2, 1.5)},
                       lambda x, mode=mode: resized(x, [1, 1, 2, 1.5], None, mode, "asymmetric", "floor"), opset)
    yield Case("upsample-opset9-1d", node("Upsample", "x scales"), sound, {"scales": floats(1, 1, 3)},
               lambda x: x.repeat_interleave(3, 2), 9)


# --- constants and casts ------------------------------------------------------------------------------------------------------


def constants():
    FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
    yield Case("cast-to-i64-and-back", [node("Cast", "x", "i", to=INT64), node("Cast", "i", to=FLOAT)], wide("N 4 5"), {},
               lambda x: x.long().double())
    yield Case("cast-to-i32", node("Cast", to=TensorProto.INT32), wide("N 4 5"), {}, lambda x: x.long())
    yield Case("cast-from-i64", [node("Cast", "i", "f", to=FLOAT), node("Mul", "x f")], {"x": BATCH, "i": whole("3 1", -4, 4)},
               {}, lambda x, i: x * i, 9)
    yield Case("cast-from-bool", [node("Greater", "x zero", "p"), node("Cast", "p", "f", to=FLOAT), node("Mul", "x f")], BATCH,
               {"zero": scalar(0)}, lambda x: torch.relu(x))
    yield Case("cast-to-bool", node("Cast", to=BOOL), floats([0, -0.0, 0.3], [-2, np.inf, 1e-20]), {}, lambda x: x != 0)
    yield Case("cast-to-f64-and-back", [node("Cast", "x", "d", to=TensorProto.DOUBLE), node("Cast", "d", to=FLOAT)], BATCH, {},
               lambda x: 1 * x)

    yield Case("dropout-opset9", node("Dropout", ratio=0.4), BATCH, {}, lambda x: 1 * x, 9)
    yield Case("dropout-opset13", node("Dropout", "x ratio training"), BATCH,
               {"ratio": scalar(0.4), "training": scalar(False, bool)}, lambda x: 1 * x, 13)
    yield Case("dropout-opset13-one-input", node("Dropout"), BATCH, {}, lambda x: 1 * x, 13)

    yield Case("constant-value", [constant("k", floats([1.5], [-2], [3])), node("Mul", "x k")], BATCH, {},
               lambda x: x * torch.tensor([[1.5], [-2], [3]]), 9)
    yield Case("constant-value-float", [node("Constant", "", "k", value_float=2.5), node("Mul", "k x")], BATCH, {},
               lambda x: 2.5 * x, 13)
    yield Case("constant-value-floats", [node("Constant", "", "k", value_floats=[1.0, 2, 3, 4, 5]), node("Mul", "x k")], BATCH,
               {}, lambda x: x * torch.arange(1, 6), 13)
    yield Case("constant-value-int", [node("Constant", "", "k", value_int=-1), node("Gather", "x k", axis=1)], BATCH, {},
               lambda x: x[:, -1], 13)
    yield Case("constant-value-ints", [node("Constant", "", "k", value_ints=[0, -1]), node("Reshape", "x k")], BATCH, {},
               lambda x: x.flatten(1), 13)
    typed = helper.make_node("Constant", [], ["k"], value=helper.make_tensor("", FLOAT, [3, 1], [0.5, -1, 2]))
    yield Case("constant-typed-data", [typed, node("Add", "x k")], BATCH, {}, lambda x: x + torch.tensor([[0.5], [-1], [2]]))

    yield Case("constant-of-shape", [
        node("Shape", "x", "s"), node("ConstantOfShape", "s", "k", value=helper.make_tensor("", FLOAT, [1], [1.5])),
        node("Sub", "k x"),
    ], SOUND, {}, lambda x: 1.5 - x, 9)
    yield Case("constant-of-shape-default", [node("Shape", "x", "s"), node("ConstantOfShape", "s", "k"), node("Max", "k x")],
               SOUND, {}, lambda x: torch.relu(x))
    count = [node("Shape", "x", "shape"), node("Gather", "shape one", "t"), node("Range", "zero t one", "r")]
    yield Case("range-positions", [*count, node("Gather", "w r", "p"), node("Add", "x p")], "N T 3",
               {"zero": scalar(0, np.int64), "one": scalar(1, np.int64), "w": "10 3"}, lambda x, w: x + w[: x.shape[1]], 11)
    yield Case("range-of-floats", [node("Range", "start limit delta", "r"), node("Add", "x r")], BATCH,
               {"start": scalar(2), "limit": scalar(-0.4), "delta": scalar(-0.5)}, lambda x: x + 2 - torch.arange(5) / 2)
    yield Case("range-backwards", [node("Range", "start limit delta", "r"), node("Gather", "x r", axis=1)], "N 8 2",
               {"start": scalar(7, np.int64), "limit": scalar(0, np.int64), "delta": scalar(-3, np.int64)},
               lambda x: x[:, [7, 4, 1]])


# --- recurrent ----------------------------------------------------------------------------------------------------------------


def recurrence(kind, order, x, w, r, b=None, h=None, c=None, reverse=False, **settings):
    """By PyTorch's module; order: of its gates, where they are among ONNX's."""
    directions, hidden = r.shape[0], r.shape[-1]
    net = kind(x.shape[-1], hidden, bidirectional=directions == 2, **settings).double().requires_grad_(False)
    b = torch.zeros(directions, 2 * len(order) * hidden, dtype=torch.float64) if b is None else b

    def ordered(gates):
        return torch.cat([gates.chunk(len(order))[gate] for gate in order])

    for direction, suffix in enumerate(["", "_reverse"][:directions]):
        net.get_parameter(f"weight_ih_l0{suffix}").copy_(ordered(w[direction]))
        net.get_parameter(f"weight_hh_l0{suffix}").copy_(ordered(r[direction]))
        for name, bias in zip(["ih", "hh"], b[direction].chunk(2)):
            net.get_parameter(f"bias_{name}_l0{suffix}").copy_(ordered(bias))
    y, states = net(x.flip(0) if reverse else x, h if c is None else (h, c))
    y = y.unflatten(-1, (directions, hidden)).transpose(1, 2)
    return y.flip(0) if reverse else y, *(states if kind is torch.nn.LSTM else [states])


def lstm(**settings):
    return lambda x, w, r, b=None, h=None, c=None: recurrence(torch.nn.LSTM, [0, 2, 3, 1], x, w, r, b, h, c, **settings)


def gru(**settings):
    return lambda x, w, r, b=None, h=None: recurrence(torch.nn.GRU, [1, 0, 2], x, w, r, b, h, **settings)


def gru_reset_before(x, w, r, b, h):
    """Of linear_before_reset 0, which PyTorch has not."""
    outputs = []
    for direction in range(r.shape[0]):
        state, states = h[direction], []
        (wz, wr, wn), (rz, rr, rn), (z, s, n, zz, ss, nn) = w[direction].chunk(3), r[direction].chunk(3), b[direction].chunk(6)
        for step in x.flip(0) if direction else x:
            update = torch.sigmoid(step @ wz.T + state @ rz.T + z + zz)
            reset = torch.sigmoid(step @ wr.T + state @ rr.T + s + ss)
            state = (1 - update) * torch.tanh(step @ wn.T + (reset * state) @ rn.T + n + nn) + update * state
            states.append(state)
        outputs.append(torch.stack(states[::-1] if direction else states))
    return torch.stack(outputs, 1), torch.stack([outputs[0][-1], *(y[0] for y in outputs[1:])])


def recurrent():
    def weights(gates, directions=1, bias=True):
        shapes = {"w": f"{directions} {gates * 4} 3", "r": f"{directions} {gates * 4} 4", "b": f"{directions} {gates * 8}"}
        return shapes if bias else {name: shapes[name] for name in "wr"}

    x, h, c = {"x": "T N 3"}, {"h": "1 N 4"}, {"c": "1 N 4"}
    both = {"h": "2 N 4", "c": "2 N 4"}
    three = "y y_h y_c"
    for opset in (9, 14):
        yield Case(f"lstm-opset{opset}", node("LSTM", "x w r b", three, hidden_size=4), x, weights(4), lstm(), opset, three)
    yield Case("lstm-without-bias", node("LSTM", "x w r", three, hidden_size=4), x, weights(4, bias=False), lstm(), 14, three)
    yield Case("lstm-states", node("LSTM", "x w r b - h c", three, hidden_size=4, direction="forward"), x | h | c, weights(4),
               lstm(), 14, three)
    yield Case("lstm-reverse", node("LSTM", "x w r b - h c", three, hidden_size=4, direction="reverse"), x | h | c, weights(4),
               lstm(reverse=True), 14, three)
    yield Case("lstm-bidirectional", node("LSTM", "x w r b", three, hidden_size=4, direction="bidirectional"), x, weights(4, 2),
               lstm(), 14, three)
    yield Case("lstm-bidirectional-states-opset9",
               node("LSTM", "x w r b - h c", three, hidden_size=4, direction="bidirectional"),
               x | both, weights(4, 2), lstm(), 9, three)
    yield Case("lstm-bidirectional-without-bias",
               node("LSTM", "x w r - - h c", three, hidden_size=4, direction="bidirectional"),
               x | both, weights(4, 2, False), lstm(), 14, three)
    yield Case("lstm-last-state", node("LSTM", "x w r b", "- y", hidden_size=4), x, weights(4),
               lambda x, w, r, b: lstm()(x, w, r, b)[1], 14)

    pair = "y y_h"
    for opset in (9, 14):
        yield Case(f"gru-opset{opset}", node("GRU", "x w r b", pair, hidden_size=4, linear_before_reset=1), x, weights(3),
                   gru(), opset, pair)
    yield Case("gru-without-bias", node("GRU", "x w r - - h", pair, hidden_size=4, linear_before_reset=1), x | h,
               weights(3, bias=False), gru(), 14, pair)
    yield Case("gru-reverse", node("GRU", "x w r b - h", pair, hidden_size=4, linear_before_reset=1, direction="reverse"),
               x | h, weights(3), gru(reverse=True), 14, pair)
    yield Case("gru-bidirectional",
               node("GRU", "x w r b - h", pair, hidden_size=4, linear_before_reset=1, direction="bidirectional"),
               x | {"h": "2 N 4"}, weights(3, 2), gru(), 14, pair)
    yield Case("gru-reset-before", node("GRU", "x w r b - h", pair, hidden_size=4), x | h, weights(3),
               gru_reset_before, 14, pair)
    yield Case("gru-reset-before-bidirectional",
               node("GRU", "x w r b - h", pair, hidden_size=4, linear_before_reset=0, direction="bidirectional"),
               x | {"h": "2 N 4"}, weights(3, 2), gru_reset_before, 14, pair)

    def rnn(**settings):
        return lambda x, w, r, b=None, h=None: recurrence(torch.nn.RNN, [0], x, w, r, b, h, **settings)

    yield Case("rnn", node("RNN", "x w r b", pair, hidden_size=4), x, weights(1), rnn(), 14, pair)
    yield Case("rnn-tanh", node("RNN", "x w r b - h", pair, hidden_size=4, activations=["Tanh"]), x | h, weights(1),
               rnn(), 9, pair)
    yield Case("rnn-relu", node("RNN", "x w r b - h", pair, hidden_size=4, activations=["Relu"]), x | h, weights(1),
               rnn(nonlinearity="relu"), 14, pair)
    yield Case("rnn-reverse", node("RNN", "x w r", pair, hidden_size=4, direction="reverse"), x, weights(1, bias=False),
               rnn(reverse=True), 14, pair)
    yield Case("rnn-bidirectional",
               node("RNN", "x w r b - h", pair, hidden_size=4, direction="bidirectional", activations=["Tanh", "Tanh"]),
               x | {"h": "2 N 4"}, weights(1, 2), rnn(), 14, pair)

    # As PyTorch writes modules with batch_first: zeros of the batch's size as first states, and the directions side by side.
    states = [
        *length("x", 0, "n"), constant("two", ints(2)), constant("size", ints(4)), node("Concat", "two n size", "s", axis=0),
        node("ConstantOfShape", "s", "h"),
    ]
    yield Case("lstm-of-torch", [
        node("Transpose", "x", "steps", perm=[1, 0, 2]), *states,
        node("LSTM", "steps w r b - h h", "ys", hidden_size=4, direction="bidirectional"),
        node("Transpose", "ys", "sides", perm=[0, 2, 1, 3]), constant("side", ints(0, 0, -1)),
        node("Reshape", "sides side", "together"), node("Transpose", "together", perm=[1, 0, 2]),
    ], "N T 3", weights(4, 2), lambda x, w, r, b: lstm()(x.transpose(0, 1), w, r, b)[0].permute(2, 0, 1, 3).flatten(2), 14)
    yield Case("gru-of-torch", [
        node("Transpose", "x", "steps", perm=[1, 0, 2]),
        node("GRU", "steps w r b", "ys last", hidden_size=4, linear_before_reset=1),
        node("Squeeze", "ys", "only", axes=[1]), node("Transpose", "only", perm=[1, 0, 2]),
    ], "N T 3", weights(3), lambda x, w, r, b: gru()(x.transpose(0, 1), w, r, b)[0][:, 0].transpose(0, 1), 11)


# --- quantized ----------------------------------------------------------------------------------------------------------------


def quantized(x, scale, zero=0, low=-128, high=127):
    return (torch.round(x / scale) + zero).clamp(low, high).long().detach()


def by_channel(numbers, rank, axis=1):
    return numbers.reshape([-1 if i == axis else 1 for i in range(rank)])


def quantization():
    u8, i8 = {"scale": scalar(0.06), "zero": scalar(120, np.uint8)}, {"scale": scalar(0.04), "zero": scalar(-3, np.int8)}
    each = {"scale": floats(0.05, 0.02, 0.11), "zero": ints(3, 0, -7, dtype=np.int8)}
    quantize, dequantize = node("QuantizeLinear", "x scale zero", "q"), node("DequantizeLinear", "q scale zero")
    x = wide("N 3 6")
    yield Case("quantize-u8", node("QuantizeLinear", "x scale zero"), x, u8,
               lambda x, scale, zero: quantized(x, scale, zero, 0, 255), 10)
    yield Case("quantize-i8", node("QuantizeLinear", "x scale zero"), x, i8,
               lambda x, scale, zero: quantized(x, scale, zero), 13)
    yield Case("quantize-without-zero-point", node("QuantizeLinear", "x scale"), x, {"scale": scalar(0.03)},
               lambda x, scale: quantized(x, scale, 0, 0, 255), 13)
    yield Case("quantize-halves-to-even", node("QuantizeLinear", "x scale zero"),
               floats([-1.25, -0.75, -0.25], [0.25, 0.75, 1.25]), {"scale": scalar(0.5), "zero": scalar(1, np.int8)},
               lambda x, scale, zero: quantized(x, scale, zero), 13)
    yield Case("quantize-by-channel", node("QuantizeLinear", "x scale zero", axis=1), x, each,
               lambda x, scale, zero: quantized(x, by_channel(scale, 3), by_channel(zero, 3)), 13)
    for name, weights, limits in [("u8", u8, (0, 255)), ("i8", i8, (-128, 127))]:
        yield Case(f"quantize-dequantize-{name}", [quantize, dequantize], x, weights,
                   lambda x, scale, zero, limits=limits: (quantized(x, scale, zero, *limits) - zero) * scale, 13)
    yield Case("dequantize", [node("DequantizeLinear", "w scale zero", "d"), node("Mul", "x d")], "N 3 6",
               u8 | {"w": whole("3 6", 0, 256, np.uint8)}, lambda x, w, scale, zero: x * ((w.long() - zero.long()) * scale), 10)
    yield Case("dequantize-without-zero-point", [node("DequantizeLinear", "w scale", "d"), node("Mul", "x d")], "N 3 6",
               {"scale": scalar(0.03), "w": whole("3 6", -128, 128, np.int8)}, lambda x, w, scale: x * (w.long() * scale), 13)
    yield Case("dequantize-by-channel", [node("DequantizeLinear", "w scale zero", "d"), node("Mul", "x d")], "N 3 6",
               each | {"w": whole("1 3 6", -128, 128, np.int8)},
               lambda x, w, scale, zero: x * ((w.long() - by_channel(zero, 3).long()) * by_channel(scale, 3)), 13)

    first = {"scale": floats(0.05, 0.02, 0.11), "zero": ints(0, 0, 0, dtype=np.int8)}
    conv = [node("DequantizeLinear", "w scale zero", "d", axis=0), node("Conv", "x d b", kernel_shape=[3])]
    yield Case("dequantize-into-conv", conv, SOUND, first | {"w": whole("3 4 3", -128, 128, np.int8), "b": "3"},
               lambda x, w, b, scale: F.conv1d(x, w * by_channel(scale, 3, 0), b), 13)
    yield Case("dequantize-into-matmul", [node("DequantizeLinear", "w scale zero", "d", axis=-1), node("MatMul", "x d")],
               "N T 4", first | {"w": whole("4 3", -128, 128, np.int8)}, lambda x, w, scale: x @ (w * scale), 13)

    def static(x, scale, zero, w, w_scale, b, b_scale):
        return F.conv1d((quantized(x, scale, zero, 0, 255) - zero) * scale, w * by_channel(w_scale, 3, 0), b * b_scale)

    # As static quantization leaves it: the bias in 32 bits of the product of the scales.
    yield Case("dequantize-all-into-conv", [
        quantize, node("DequantizeLinear", "q scale zero", "xd"), node("DequantizeLinear", "w w_scale w_zero", "wd", axis=0),
        node("DequantizeLinear", "b b_scale", "bd", axis=0), node("Conv", "xd wd bd", kernel_shape=[3]),
    ], SOUND, u8 | {
        "w": whole("3 4 3", -128, 128, np.int8), "w_scale": floats(0.05, 0.02, 0.11), "w_zero": ints(0, 0, 0, dtype=np.int8),
        "b": whole("3", -999, 999, np.int32), "b_scale": floats(0.05, 0.02, 0.11) * np.float32(0.06),
    }, static, 13)

    def dynamic(x):
        low, high = x.min().clamp(max=0), x.max().clamp(min=0)
        scale = (high - low) / 255
        zero = torch.round(-low / scale).clamp(0, 255)
        return quantized(x, scale, zero, 0, 255), scale.detach(), zero.long()

    for name, shape in [("", normal("N 3 6")), ("-positive", positive("N 3 6"))]:
        yield Case(f"dynamic-quantize{name}", node("DynamicQuantizeLinear", "x", "y y_scale y_zero"), shape, {}, dynamic, 11,
                   "y y_scale y_zero")

    # As onnxruntime's quantize_dynamic leaves layers: whole numbers are multiplied, and scaled behind. Weights have 7 bits, since
    # onnxruntime's sums of two products are cut at 16 bits on processors with AVX2 alone.
    def dynamically(x, w, zero, scale, layer):
        low, high = x.min().clamp(max=0), x.max().clamp(min=0)
        step = ((high - low) / 255).detach()
        nought = torch.round(-low / step).clamp(0, 255).detach()
        return layer((quantized(x, step, nought, 0, 255) - nought) * step, (w - zero.double()) * scale)

    def integers(op, zero):
        return [
            node("DynamicQuantizeLinear", "x", "q step nought"), node(op, f"q w nought {zero}", "whole"),
            node("Cast", "whole", "real", to=TensorProto.FLOAT), node("Mul", "step scale", "scales"), node("Mul", "real scales"),
        ]

    for name, zero, scale in [("", scalar(3, np.int8), scalar(0.02)), ("-by-channel", ints(3, 0, -7, dtype=np.int8), floats(0.05, 0.02, 0.1))]:
        yield Case(f"matmul-integer{name}", integers("MatMulInteger", "zero"), "N T 4",
                   {"w": whole("4 3", -64, 64, np.int8), "zero": zero, "scale": scale},
                   lambda x, w, zero, scale: dynamically(x, w, zero, scale, torch.matmul), 13)
    yield Case("conv-integer", integers("ConvInteger", "zero"), SOUND,
               {"w": whole("3 4 3", 0, 256, np.uint8), "zero": scalar(130, np.uint8), "scale": scalar(0.02)},
               lambda x, w, zero, scale: dynamically(x, w, zero, scale, F.conv1d), 13)
    answer = {"y_scale": scalar(0.3), "y_zero": scalar(100, np.uint8)}

    def stepped(y, y_scale, y_zero):
        return (quantized(y, y_scale, y_zero, 0, 255) - y_zero) * y_scale

    answered = node("DequantizeLinear", "yq y_scale y_zero")
    yield Case("qlinear-matmul", [
        quantize, node("QLinearMatMul", "q scale zero w w_scale w_zero y_scale y_zero", "yq"), answered,
    ], "N T 4", u8 | answer | {"w": whole("4 3", -64, 64, np.int8), "w_scale": scalar(0.02), "w_zero": scalar(0, np.int8)},
        lambda x, w, w_scale, scale, zero, y_scale, y_zero: stepped(
            (quantized(x, scale, zero, 0, 255) - zero) * scale @ (w * w_scale), y_scale, y_zero), 13)
    yield Case("qlinear-conv", [
        quantize, node("QLinearConv", "q scale zero w w_scale w_zero y_scale y_zero b", "yq", kernel_shape=[3]), answered,
    ], SOUND, u8 | answer | {
        "w": whole("3 4 3", -64, 64, np.int8), "w_scale": floats(0.05, 0.02, 0.11), "w_zero": ints(0, 0, 0, dtype=np.int8),
        "b": whole("3", -999, 999, np.int32),
    }, lambda x, w, w_scale, b, scale, zero, y_scale, y_zero: stepped(
        F.conv1d((quantized(x, scale, zero, 0, 255) - zero) * scale, w * by_channel(w_scale, 3, 0), b * w_scale * scale),
        y_scale, y_zero), 13)


# --- branches and spectra -----------------------------------------------------------------------------------------------------


def branches():
    def branch(name, *nodes, rank=3):
        output = helper.make_tensor_value_info(f"{name}_y", TensorProto.FLOAT, [None] * rank)
        return helper.make_graph(list(nodes), name, [], [output])

    # As PyTorch writes x.squeeze(1).
    squeeze = {
        "then_branch": branch("then", node("Squeeze", "x", "then_y", axes=[1]), rank=2),
        "else_branch": branch("else", node("Identity", "x", "else_y")),
    }
    condition = [
        node("Shape", "x", "shape"), constant("axis", scalar(1, np.int64)), node("Gather", "shape axis", "size"),
        constant("one", scalar(1, np.int64)), node("Equal", "size one", "is_one"),
    ]
    yield Case("if-shape", [*condition, node("If", "is_one", **squeeze)], "N 1 5", {}, lambda x: x[:, 0], 11)
    other = {
        "then_branch": branch("then", node("Mul", "x w", "product"), node("Relu", "product", "then_y")),
        "else_branch": branch("else", constant("two", scalar(2)), node("Div", "x two", "else_y")),
    }
    yield Case("if-shape-else", [*condition, node("If", "is_one", **other)], BATCH, {"w": "5"}, lambda x: x / 2, 13)
    yield Case("if-constant", [constant("yes", scalar(True, bool)), node("If", "yes", **other)], BATCH, {"w": "5"},
               lambda x, w: torch.relu(x * w), 13)
    yield Case("if-initializer", [node("If", "no", "z", **other), node("Neg", "z")], BATCH, {"w": "5", "no": np.array([False])},
               lambda x: -x / 2, 13)


def mel_weights(bins, length, rate, low, high):
    """[length / 2 + 1, bins] of triangles between whole frequencies. Its step is a (bins + 2)th of the range."""

    def mel(hertz):
        return 2595 * math.log10(1 + hertz / 700)

    at = [mel(low) + i * (mel(high) - mel(low)) / (bins + 2) for i in range(bins + 2)]
    at = [math.floor((length + 1) * 700 * (10 ** (m / 2595) - 1) / rate) for m in at]
    weights = torch.zeros(length // 2 + 1, bins, dtype=torch.float64)
    for i, (left, centre, right) in enumerate(zip(at, at[1:], at[2:])):
        for j in range(left, right):
            weights[j, i] = (j - left) / (centre - left) if j < centre else (right - j) / (right - centre)
        weights[centre, i] = 1
    return weights


def spectra():
    def pair(z):
        return torch.view_as_real(z)

    x, frame = "N 20 1", {"step": scalar(3, np.int64), "length": scalar(8, np.int64)}
    window = np.hanning(9)[:8].astype(np.float32)

    def stft(x, window, onesided):
        z = torch.stft(x[..., 0], 8, 3, 8, window, center=False, onesided=onesided, return_complex=True)
        return pair(z).transpose(1, 2)

    yield Case("stft", node("STFT", "x step window length"), x, frame | {"window": window},
               lambda x, window: stft(x, window, True))
    yield Case("stft-two-sided", node("STFT", "x step window", onesided=0), x, {"step": frame["step"], "window": window},
               lambda x, window: stft(x, window, False))
    yield Case("stft-without-window", node("STFT", "x step - length", onesided=1), x, frame,
               lambda x: stft(x, torch.ones(8, dtype=torch.float64), True))
    yield Case("stft-power", [
        constant("axis", ints(2)), node("Unsqueeze", "x axis", "signal"), node("STFT", "signal step window length", "z"),
        constant("last", ints(-1)), node("Pow", "z two", "square"), node("ReduceSum", "square last", "power", keepdims=0),
        node("Transpose", "power", perm=[0, 2, 1]),
    ], "N 20", frame | {"window": window, "two": scalar(2)},
    lambda x, window: stft(x[..., None], window, True).square().sum(-1).transpose(1, 2))

    real, complex_, n = "N 6 1", "N 6 2", {"n": scalar(8, np.int64)}
    yield Case("dft-opset17", node("DFT", axis=1), real, {}, lambda x: pair(torch.fft.fft(x[..., 0])))
    yield Case("dft-opset17-one-sided", node("DFT", axis=1, onesided=1), real, {}, lambda x: pair(torch.fft.rfft(x[..., 0])))
    yield Case("dft-opset17-complex", node("DFT"), complex_, {}, lambda x: pair(torch.fft.fft(torch.view_as_complex(x))))
    yield Case("dft-opset17-inverse", node("DFT", inverse=1), complex_, {},
               lambda x: pair(torch.fft.ifft(torch.view_as_complex(x))))
    yield Case("dft-opset17-length", node("DFT", "x n", onesided=1), real, n, lambda x: pair(torch.fft.rfft(x[..., 0], 8)))
    yield Case("dft-opset17-other-axis", node("DFT", axis=2, onesided=1), "N 3 7 1", {},
               lambda x: pair(torch.fft.rfft(x[..., 0])))
    yield Case("dft-opset20", node("DFT"), real, {}, lambda x: pair(torch.fft.fft(x[..., 0])), 20)
    yield Case("dft-opset20-axis", node("DFT", "x - axis", onesided=1), "N 5 3 1", {"axis": scalar(1, np.int64)},
               lambda x: pair(torch.fft.rfft(x[..., 0], dim=1)), 20)
    yield Case("dft-opset20-length", node("DFT", "x n axis", onesided=1), real, n | {"axis": scalar(-2, np.int64)},
               lambda x: pair(torch.fft.rfft(x[..., 0], 8)), 20)
    yield Case("dft-opset20-inverse", node("DFT", inverse=1), complex_, {},
               lambda x: pair(torch.fft.ifft(torch.view_as_complex(x))), 20)

    settings = {name: scalar(value, np.int64) for name, value in [("bins", 4), ("length", 16), ("rate", 8000)]}
    settings |= {"low": scalar(100), "high": scalar(4000)}
    yield Case("mel-weight-matrix", [node("MelWeightMatrix", "bins length rate low high", "m"), node("MatMul", "x m")], "N T 9",
               settings, lambda x: x @ mel_weights(4, 16, 8000, 100, 4000))


# --- as exporters take things apart -------------------------------------------------------------------------------------------


def composites():
    yield Case("composite-layer-normalization", [
        node("ReduceMean", "x", "mean", axes=[-1]), node("Sub", "x mean", "d"), constant("two", scalar(2)),
        node("Pow", "d two", "square"), node("ReduceMean", "square", "var", axes=[-1]), constant("eps", scalar(1e-5)),
        node("Add", "var eps", "v"), node("Sqrt", "v", "std"), node("Div", "d std", "n"), node("Mul", "n w", "m"),
        node("Add", "m b"),
    ], "N T 5", {"w": "5", "b": "5"}, lambda x, w, b: F.layer_norm(x, (5,), w, b), 11)
    yield Case("composite-gelu", [
        constant("root", scalar(math.sqrt(2))), node("Div", "x root", "d"), node("Erf", "d", "e"), constant("one", scalar(1)),
        node("Add", "e one", "a"), node("Mul", "x a", "m"), constant("half", scalar(0.5)), node("Mul", "m half"),
    ], wide("N 4 5"), {}, lambda x: F.gelu(x))
    yield Case("composite-gelu-half-first", [
        constant("root", scalar(math.sqrt(0.5))), node("Mul", "root x", "d"), node("Erf", "d", "e"), constant("one", scalar(1)),
        node("Add", "one e", "a"), constant("half", scalar(0.5)), node("Mul", "half a", "m"), node("Mul", "x m"),
    ], wide("N 4 5"), {}, lambda x: F.gelu(x))
    to_tanh = [
        constant("scale", scalar(math.sqrt(2 / math.pi))), node("Mul", "inner scale", "scaled"), node("Tanh", "scaled", "t"),
        constant("one", scalar(1)), node("Add", "t one", "a"), constant("half", scalar(0.5)), node("Mul", "x half", "h"),
        node("Mul", "h a"),
    ]
    yield Case("composite-gelu-tanh", [
        constant("three", scalar(3)), node("Pow", "x three", "cube"), constant("c", scalar(0.044715)), node("Mul", "cube c", "bend"),
        node("Add", "x bend", "inner"), *to_tanh,
    ], wide("N 4 5"), {}, lambda x: F.gelu(x, approximate="tanh"))
    yield Case("composite-gelu-tanh-of-products", [
        constant("c", scalar(0.044715)), node("Mul", "x c", "cx"), node("Mul", "x cx", "cxx"), constant("1", scalar(1)),
        node("Add", "cxx 1", "bent"), node("Mul", "x bent", "inner"), *to_tanh,
    ], wide("N 4 5"), {}, lambda x: F.gelu(x, approximate="tanh"))
    yield Case("composite-silu", [node("Sigmoid", "x", "s"), node("Mul", "x s")], wide("N 4 5"), {}, lambda x: F.silu(x))
    # As Keras writes it, with the variance of tf.nn.moments.
    moments = [
        node("ReduceMean", "x", "mean", axes=[2]), node("Sub", "x mean", "d"), node("Mul", "d d", "square"),
        node("ReduceMean", "square", "var", axes=[2]), constant("eps", scalar(1e-3)), node("Add", "var eps", "v"),
        node("Sqrt", "v", "std"), node("Reciprocal", "std", "r"), node("Mul", "r w", "factor"), node("Mul", "x factor", "scaled"),
    ]
    for name, rest in {
        "keras": [node("Mul", "mean factor", "of_mean"), node("Sub", "b of_mean", "rest"), node("Add", "scaled rest")],
        "keras3": [
            node("Neg", "mean", "less"), node("Mul", "less factor", "of_mean"), node("Add", "of_mean b", "rest"),
            node("Add", "scaled rest"),
        ],
    }.items():
        yield Case(f"composite-layer-normalization-{name}", moments + rest, "N T 5", {"w": "5", "b": "5"},
                   lambda x, w, b: F.layer_norm(x, (5,), w, b, 1e-3), 11)
    yield Case("composite-instance-normalization", [
        node("ReduceMean", "x", "mean", axes=[2, 3]), node("Sub", "x mean", "d"), constant("two", scalar(2)),
        node("Pow", "d two", "square"), node("ReduceMean", "square", "var", axes=[2, 3]), constant("eps", scalar(1e-5)),
        node("Add", "var eps", "v"), constant("less", scalar(-0.5)), node("Pow", "v less", "r"), node("Mul", "d r"),
    ], IMAGE, {}, lambda x: F.instance_norm(x), 11)
    yield Case("composite-root-mean-square", [
        node("Mul", "x x", "square"), node("ReduceMean", "square", "mean", axes=[-1]), constant("eps", scalar(1e-6)),
        node("Add", "mean eps", "v"), node("Sqrt", "v", "root"), constant("one", scalar(1)), node("Div", "one root", "r"),
        node("Mul", "x r", "n"), node("Mul", "n w"),
    ], "N T 5", {"w": "5"}, lambda x, w: F.rms_norm(x, (5,), w, 1e-6), 11)

    def heads(of, perm):
        """[N, T, 6] -> 2 heads of 3"""
        return [
            node("MatMul", f"x w{of}", f"{of}_all"), *length(f"{of}_all", 0, f"{of}_n"), *length(f"{of}_all", 1, f"{of}_t"),
            constant(f"{of}_h", ints(2)), constant(f"{of}_d", ints(3)),
            node("Concat", f"{of}_n {of}_t {of}_h {of}_d", f"{of}_s", axis=0),
            node("Reshape", f"{of}_all {of}_s", f"{of}_heads"), node("Transpose", f"{of}_heads", of, perm=perm),
        ]

    joined = [
        node("MatMul", "weights v", "each"), node("Transpose", "each", "back", perm=[0, 2, 1, 3]), constant("wide", ints(6)),
        node("Concat", "q_n q_t wide", "together", axis=0), node("Reshape", "back together"),
    ]

    def attention(x, wq, wk, wv):
        q, k, v = ((x @ w).unflatten(-1, (2, 3)).transpose(1, 2) for w in (wq, wk, wv))
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)

    projections = {"wq": "6 6", "wk": "6 6", "wv": "6 6"}
    yield Case("composite-attention", [
        *heads("q", [0, 2, 1, 3]), *heads("k", [0, 2, 3, 1]), *heads("v", [0, 2, 1, 3]), node("MatMul", "q k", "scores"),
        constant("scale", scalar(3**-0.5)), node("Mul", "scores scale", "scaled"),
        node("Softmax", "scaled", "weights", axis=-1), *joined,
    ], "N T 6", projections, attention)
    # As PyTorch writes F.scaled_dot_product_attention: the scale is of the shape, and half of it is on either side.
    yield Case("composite-attention-of-torch", [
        *heads("q", [0, 2, 1, 3]), *heads("k", [0, 2, 1, 3]), *heads("v", [0, 2, 1, 3]),
        node("Shape", "q", "shape"), constant("start", ints(-1)), constant("end", ints(LAST)),
        node("Slice", "shape start end", "size"), node("Cast", "size", "float", to=TensorProto.FLOAT),
        node("Sqrt", "float", "root"), constant("one", floats(1)), node("Div", "one root", "scale"),
        node("Cast", "scale", "cast", to=TensorProto.FLOAT), node("Sqrt", "cast", "half"),
        node("Transpose", "k", "kt", perm=[0, 1, 3, 2]), node("Mul", "q half", "qs"), node("Mul", "kt half", "ks"),
        node("MatMul", "qs ks", "scores"), node("Softmax", "scores", "weights", axis=-1), *joined,
    ], "N T 6", projections, attention)

    yield Case("composite-l2-normalization", [
        node("ReduceL2", "x", "norm", axes=[1], keepdims=1), constant("low", scalar(1e-12)), node("Clip", "norm low", "n"),
        node("Shape", "x", "s"), node("Expand", "n s", "e"), node("Div", "x e"),
    ], "N 5", {}, lambda x: F.normalize(x), 11)
    yield Case("composite-l2-normalization-keras", [
        node("Mul", "x x", "square"), node("ReduceSum", "square", "sum", axes=[-1]), constant("low", scalar(1e-12)),
        node("Max", "sum low", "least"), node("Sqrt", "least", "root"), node("Reciprocal", "root", "r"), node("Mul", "x r"),
    ], "N T 5", {}, lambda x: F.normalize(x, dim=-1, eps=1e-6), 11)
    yield Case("composite-pad-average-pool", [
        node("Pad", "x", "padded", mode="constant", pads=[0, 0, 1, 1, 0, 0, 1, 1], value=0.0),
        node("AveragePool", "padded", kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 0, 0]),
    ], "N 2 7 6", {}, lambda x: F.avg_pool2d(x, 3, 2, 1), 9)
    yield Case("composite-pad-max-pool", [
        node("Pad", "x pads low", "padded"), node("MaxPool", "padded", kernel_shape=[3], strides=[2]),
    ], SOUND, {"pads": ints(0, 0, 1, 0, 0, 1), "low": scalar(-np.inf)}, lambda x: F.max_pool1d(x, 3, 2, 1), 13)

    def gated(x, w1, b1, w2, b2):
        narrow = F.conv2d(F.adaptive_avg_pool2d(x, 1), w1, b1)
        return x * torch.sigmoid(F.conv2d(torch.relu(narrow), w2, b2))

    yield Case("composite-squeeze-excite", [
        node("GlobalAveragePool", "x", "mean"), node("Conv", "mean w1 b1", "narrow", kernel_shape=[1, 1]),
        node("Relu", "narrow", "bent"), node("Conv", "bent w2 b2", "wide", kernel_shape=[1, 1]),
        node("Sigmoid", "wide", "gate"), node("Mul", "x gate"),
    ], IMAGE, {"w1": "2 4 1 1", "b1": "2", "w2": "4 2 1 1", "b2": "4"}, gated)
    yield Case("composite-statistics-pooling", [
        node("ReduceMean", "x", "mean", axes=[-1], keepdims=1), node("Sub", "x mean", "d"), node("Mul", "d d", "square"),
        node("ReduceMean", "square", "var", axes=[-1], keepdims=0), constant("eps", scalar(1e-5)), node("Add", "var eps", "v"),
        node("Sqrt", "v", "std"), node("Squeeze", "mean", "m", axes=[2]), node("Concat", "m std", axis=1),
    ], SOUND, {}, lambda x: torch.cat([x.mean(-1), (x.var(-1, correction=0) + 1e-5).sqrt()], 1), 11)
    # A relative length beside the sound, as SpeechBrain's networks read it.
    yield Case("input-of-lengths", [node("Unsqueeze", "lens", "each", axes=[1]), node("Mul", "x each")],
               {"x": normal("N T"), "lens": positive("N")}, {}, lambda x, lens: x * lens[:, None], 11)
    yield Case("input-of-gain", node("Mul", "x gain"), {"x": normal("N T"), "gain": positive("1")}, {}, lambda x, gain: x * gain)
    # A label before the numbers that it is of, and numbers that are none where x is negative.
    yield Case("label-and-score", [
        node("ArgMax", "x", "label", axis=1, keepdims=0), node("ReduceMean", "x", "mean", axes=[1], keepdims=0), node("Log", "mean", "score"),
    ], positive("N T"), {}, lambda x: (x.argmax(1), x.mean(1).log()), 13, "label score")
    yield Case("root-mean-square", node("RMSNormalization", "x w", epsilon=1e-6), "N T 5", {"w": "5"},
               lambda x, w: F.rms_norm(x, (5,), w, 1e-6), 23)

    def attended(q, k, v, **settings):
        q, k, v = (x if x.ndim == 4 else x.unflatten(-1, (2, -1)).transpose(1, 2) for x in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v, **settings)

    heads = {"q": normal("N 2 T 3"), "k": normal("N 2 5 3"), "v": normal("N 2 5 4")}
    square = heads | {"k": normal("N 2 T 3"), "v": normal("N 2 T 4")}
    yield Case("attention", node("Attention", "q k v"), heads, {}, attended, 23)
    yield Case("attention-scale", node("Attention", "q k v", scale=0.3), heads, {}, lambda q, k, v: attended(q, k, v, scale=0.3), 23)
    yield Case("attention-causal", node("Attention", "q k v", is_causal=1), square, {},
               lambda q, k, v: attended(q, k, v, is_causal=True), 23)
    yield Case("attention-mask", node("Attention", "q k v mask"), heads, {"mask": np.arange(40).reshape(8, 5) % 3 != 0},
               lambda q, k, v, mask: attended(q, k, v, attn_mask=mask), 23)
    yield Case("attention-bias", node("Attention", "q k v bias"), heads, {"bias": "8 5"},
               lambda q, k, v, bias: attended(q, k, v, attn_mask=bias), 23)
    yield Case("attention-of-joined-heads", node("Attention", "q k v", q_num_heads=2, kv_num_heads=2),
               {"q": normal("N T 6"), "k": normal("N 5 6"), "v": normal("N 5 8")}, {},
               lambda q, k, v: attended(q, k, v).transpose(1, 2).flatten(2), 23)


def cases():
    for group in (
        convolutions, transposed_convolutions, products, normalizations, functions, powers, arithmetic, logic, pooling,
        reductions, padding, pieces, shapes, resizing, constants, recurrent, quantization, branches, spectra, composites,
    ):
        yield from group()


# --- from a case to its tensors -----------------------------------------------------------------------------------------------


def drawn(tensors, rng):
    """The numbers, and the axes as the graph declares them."""
    given = {name: normal(tensor) if isinstance(tensor, str) else tensor for name, tensor in tensors.items()}
    arrays = {name: tensor.draw(rng) if isinstance(tensor, Drawn) else tensor for name, tensor in given.items()}
    return arrays, {name: tensor.axes() if isinstance(tensor, Drawn) else list(tensor.shape) for name, tensor in given.items()}


def model_of(case, inputs, axes, weights):
    listed = {name: list(weight.shape) for name, weight in weights.items()} if case.listed else {}
    graph = helper.make_graph(
        case.nodes,
        case.name,
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype((inputs | weights)[name].dtype), shape)
            for name, shape in (axes | listed).items()
        ],
        [helper.make_empty_tensor_value_info(name) for name in case.outputs.split()],
        [numpy_helper.from_array(weight, name) for name, weight in weights.items()],
    )
    opsets = [helper.make_opsetid("", case.opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=helper.find_min_ir_version_for(opsets))


def declare(model, outputs):
    """Of what they are, with axes of any length: onnx infers some shapes wrong, and others not at all."""
    for output in model.graph.output:
        y = outputs[output.name]
        output.CopyFrom(helper.make_tensor_value_info(output.name, helper.np_dtype_to_tensor_dtype(y.dtype), [None] * y.ndim))
    onnx.checker.check_model(model)


def outputs_of(case, model, inputs):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return dict(zip(case.outputs.split(), session.run(case.outputs.split(), inputs)))


def double(array):
    tensor = torch.from_numpy(np.array(array))
    return tensor.double() if tensor.is_floating_point() else tensor


def gradients(case, inputs, weights, outputs, rng):
    """The cotangent and the gradients of the reference, after a look at whether it gives the outputs."""
    leaves = {name: double(x).requires_grad_(x.dtype == np.float32) for name, x in inputs.items()}
    known = leaves | {name: double(weight) for name, weight in weights.items()}
    code = case.reference.__code__
    results = case.reference(**{name: known[name] for name in code.co_varnames[: code.co_argcount] if name in known})
    results = results if isinstance(results, tuple) else (results,)
    for (name, output), result in zip(outputs.items(), results, strict=True):
        expected = result.detach().numpy().astype(np.float64)
        assert expected.shape == output.shape, (case.name, name, expected.shape, output.shape)
        error = np.abs(expected - output).max(initial=0)
        assert error <= 1e-5 * np.abs(expected).max(initial=0), (case.name, name, error)
    if not results[0].requires_grad:
        return {}
    cotangent = torch.from_numpy(rng.standard_normal(results[0].shape))
    leaves = {name: leaf for name, leaf in leaves.items() if leaf.requires_grad}
    found = torch.autograd.grad((results[0] * cotangent).sum(), list(leaves.values()))
    return {"cotangent": cotangent.numpy()} | {f"gradient.{name}": gradient.numpy() for name, gradient in zip(leaves, found)}


def stored(array):
    if array.dtype == bool:
        return array.astype(np.uint8)
    return array.astype(np.int64) if np.issubdtype(array.dtype, np.integer) else array


def of_case(case):
    rng = np.random.default_rng(crc32(case.name.encode()))
    inputs, axes = drawn(case.inputs, rng)
    weights, _ = drawn(case.weights, rng)
    model = model_of(case, inputs, axes, weights)
    declare(model, outputs_of(case, model, inputs))
    outputs = outputs_of(case, model, inputs)
    tensors = {"model": np.frombuffer(model.SerializeToString(deterministic=True), np.uint8)}
    tensors |= {f"input.{name}": stored(x) for name, x in inputs.items()}
    tensors |= {f"output.{name}": stored(y) for name, y in outputs.items()}
    return tensors | gradients(case, inputs, weights, outputs, rng)


def main():
    tensors, names = {}, set()
    for case in cases():
        assert case.name not in names, case.name
        names.add(case.name)
        tensors |= {f"{case.name}/{key}": np.asarray(x, order="C") for key, x in of_case(case).items()}
    path = HERE / "onnx/ops.safetensors"
    path.parent.mkdir(exist_ok=True)
    save_file(tensors, path)
    print(len(names), "cases,", path.stat().st_size, "bytes")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
