"""Makes networks/: what ONNX Runtime, PyTorch and zennit compute on pretrained audio networks, which are too large to keep here.

    pip install -r requirements.txt
    python make_real_networks.py [--models ../../../shared/models] [--only NAME]

networks/NAME.safetensors    of the network NAME.onnx, for each batch 0, 1, …:
    BATCH/input.INPUT        f64: seed, scale and shift of `numbers`, then the shape, of what is given
    BATCH/output.OUTPUT      f32: what ONNX Runtime gives, without its rewriting of graphs, which changes quantized networks
    BATCH/exact.OUTPUT       f64: the same by PyTorch
    BATCH/gradient.INPUT     f64: of <first output, noise(COTANGENT)> by the input, at PLACES places
    BATCH/whole.INPUT        f64: the whole gradient's norm, its largest absolute value, and its product with noise(PROBE)
    BATCH/inner.NODE         f32: of a quantized network what both give on the way as long as they agree, at PLACES places
    BATCH/relevance.RULES    f64, of crepe-tiny alone: relevance of the strongest pitch's logit by zennit, and BATCH/target

PyTorch runs each file node by node in f64 by `OPS`, its own functions, so that its autograd knows nothing of ours. Rounding to few
steps has the gradient of no rounding everywhere (straight through, also where a value is cut off).

In a quantized network a sum that lies between two steps in f64 may be rounded up in f32 and down in another order of adding: one in
a million of the first attention's values, and from layer to layer it grows, so that ONNX Runtime and PyTorch part for good. Before
that they agree: hence `INNER`.
"""

import argparse
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import helper, numpy_helper
from torch import nn
from torch.nn import functional as F
from zennit.attribution import Gradient
from zennit.composites import Composite
from zennit.rules import Epsilon, Gamma, Pass, ZPlus

from make_networks import write

HERE = Path(__file__).parent
PLACES, COTANGENT, PROBE = 400, 7, 8

# For each batch, of every input its shape, scale and shift.
NETWORKS = {
    "crepe-tiny": [{"frames": ((1, 1024), 2.4, 0)}, {"frames": ((3, 1024), 2.4, 0)}],
    "campplus": [{"fbank": ((2, 120, 80), 6, 0)}, {"fbank": ((1, 250, 80), 6, 0)}],
    "dnsmos": [{"input_1": ((1, 144160), 0.3, 0)}, {"input_1": ((2, 144160), 0.05, 0)}],
    "ge2e-lstm": [{"mel": ((1, 160, 40), 0.05, 0.05)}, {"mel": ((3, 80, 40), 0.5, 0.5)}],
    "silero-vad": [
        {"input": ((3, 576), 0.3, 0), "h": ((1, 1, 128), 0, 0), "c": ((1, 1, 128), 0, 0)},
        {"input": ((9, 576), 0.3, 0), "h": ((1, 1, 128), 0.5, 0), "c": ((1, 1, 128), 1, 0)},
    ],
    "smart-turn-int8": [{"input_features": ((1, 80, 800), 1, 0)}, {"input_features": ((2, 80, 800), 0.5, 0.2)}],
}

# Values of quantized networks that stand before the first one that is rounded another way.
INNER = {"smart-turn-int8": ["conv1d_1", "val_68"]}


def noise(shape, seed):
    """Numbers in [-1, 1] that any language makes, in an order that looks random."""
    place = np.arange(np.prod(shape, dtype=np.int64))
    return ((place * (place + seed) * 7919) % 20011 / 10005 - 1).reshape(shape)


def numbers(shape, seed, scale, shift):
    """Half noise, half a sawtooth of 89 samples, which at 16 kHz is a voice of 180 Hz."""
    sawtooth = (np.arange(np.prod(shape, dtype=np.int64)) % 89 / 44 - 1).reshape(shape)
    return (shift + scale * (noise(shape, seed) + sawtooth) / 2).astype(np.float32)


def places(count):
    return torch.arange(min(PLACES, count)) * 7919 % count


# What each op computes, of its inputs (None where one is left out) and its attributes.


def to_slice(x, starts, ends, axes=None, steps=None):
    axes = range(len(starts)) if axes is None else axes.tolist()
    steps = [1] * len(starts) if steps is None else steps.tolist()
    for axis, start, end, step in zip(axes, starts.tolist(), ends.tolist(), steps):
        size = x.shape[axis]
        places = range(size)[slice(max(start, -size), max(end, -size - 1), step)]
        x = x.index_select(axis, torch.tensor(places))
    return x


def reshape(x, shape, allowzero=0):
    return x.reshape([x.shape[i] if n == 0 and not allowzero else n for i, n in enumerate(shape.tolist())])


def pad(x, pads, value=None, mode=b"constant"):
    half = len(pads) // 2
    ends = [int(n) for axis in reversed(range(half)) for n in (pads[axis], pads[axis + half])]
    if mode == b"constant":
        return F.pad(x, ends, value=0.0 if value is None else value.item())
    while ends[-2:] == [0, 0]:
        ends = ends[:-2]
    return F.pad(x, ends, mode=mode.decode())


def conv(x, w, b=None, strides=(1,), pads=(0,), dilations=(1,), group=1, **_):
    half = (len(pads) + 1) // 2
    assert list(pads[:half]) == list(pads[half:] or pads)
    return [F.conv1d, F.conv2d][x.dim() - 3](x, w, b, tuple(strides), tuple(pads[:half]), tuple(dilations), group)


def average_pool(x, kernel_shape, strides, pads, ceil_mode, count_include_pad):
    return F.avg_pool1d(x, kernel_shape, strides, pads[:1], bool(ceil_mode), bool(count_include_pad))


def lstm(x, w, r, b, _, h, c, hidden_size):
    """Gates i, o, f, c; the biases of what is read and of the state one behind the other."""
    w, r, (of_input, of_state) = w[0], r[0], b[0].chunk(2)
    h, c, given = h[0], c[0], []
    for step in x:
        i, o, f, g = (step @ w.T + of_input + h @ r.T + of_state).chunk(4, -1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        given.append(h)
    return torch.stack(given)[:, None], h[None], c[None]


def along(part, x, axis):
    return part.reshape([-1 if part.dim() and i == axis % x.dim() else 1 for i in range(x.dim())])


def quantize(x, scale, zero, axis=1):
    low, high = torch.iinfo(zero.dtype).min, torch.iinfo(zero.dtype).max
    steps = x / along(scale, x, axis)
    rounded = (steps.detach().round() + along(zero, x, axis)).clamp(low, high)
    return steps + (rounded - steps).detach()


def dequantize(x, scale, zero, axis=1):
    if not x.is_floating_point():
        # Weights are f32, as in ONNX Runtime: the product has more digits.
        return ((x.float() - along(zero, x, axis).float()) * along(scale, x, axis).float()).double()
    return (x - along(zero, x, axis)) * along(scale, x, axis)


def reduced(function):
    def reduce(x, given=None, axes=None, keepdims=1, noop_with_empty_axes=0):
        axes = axes if given is None else given.tolist()
        return function(x, tuple(range(x.dim()) if axes is None else axes), bool(keepdims))

    return reduce


def squeeze(x, axes):
    return x.squeeze(tuple(axes.tolist()))


def unsqueeze(x, given=None, axes=None):
    for axis in sorted(axes if given is None else given.tolist()):
        x = x.unsqueeze(axis)
    return x


def gemm(a, b, c, alpha=1.0, beta=1.0, transA=0, transB=0):
    return alpha * (a.T if transA else a) @ (b.T if transB else b) + beta * c


def batch_normalization(x, scale, shift, mean, variance, epsilon, **_):
    return F.batch_norm(x, mean, variance, scale, shift, eps=epsilon)


OPS = {
    "Add": torch.add,
    "AveragePool": average_pool,
    "BatchNormalization": batch_normalization,
    "Cast": lambda x, to: x.double() if to == onnx.TensorProto.FLOAT else x.long(),
    "Concat": lambda *all, axis: torch.cat(all, axis),
    "ConstantOfShape": lambda shape, value: tensor(numpy_helper.to_array(value)).expand(shape.tolist()),
    "Conv": conv,
    "DequantizeLinear": dequantize,
    "Div": torch.div,
    "Equal": torch.eq,
    "Erf": torch.erf,
    "Expand": lambda x, shape: x.expand(torch.broadcast_shapes(x.shape, shape.tolist())),
    "Gather": lambda x, places, axis=0: x.index_select(axis, places.flatten() % x.shape[axis]).reshape(
        x.shape[:axis] + places.shape + x.shape[axis + 1 :]
    ),
    "Gemm": gemm,
    "LSTM": lstm,
    "LayerNormalization": lambda x, w, b, axis, epsilon, stash_type: F.layer_norm(x, x.shape[axis:], w, b, epsilon),
    "Log": torch.log,
    "MatMul": torch.matmul,
    "Max": torch.maximum,
    "MaxPool": lambda x, kernel_shape, strides, **_: F.max_pool2d(x, kernel_shape, strides),
    "Mul": torch.mul,
    "Pad": pad,
    "Pow": torch.pow,
    "QuantizeLinear": quantize,
    "ReduceL2": reduced(lambda x, axes, keep: x.square().sum(axes, keep).sqrt()),
    "ReduceMax": reduced(torch.amax),
    "ReduceMean": reduced(torch.mean),
    "ReduceProd": lambda x, keepdims: x.prod(),
    "ReduceSum": reduced(torch.sum),
    "Relu": torch.relu,
    "Reshape": reshape,
    "Shape": lambda x, start=0, end=None: torch.tensor(x.shape[start:end]),
    "Sigmoid": torch.sigmoid,
    "Slice": to_slice,
    "Softmax": lambda x, axis: x.softmax(axis),
    "Sqrt": torch.sqrt,
    "Squeeze": squeeze,
    "Sub": torch.sub,
    "Tanh": torch.tanh,
    "Transpose": lambda x, perm: x.permute(perm),
    "Unsqueeze": unsqueeze,
    "Where": torch.where,
}


def tensor(array):
    found = torch.from_numpy(np.array(array))
    return found.double() if found.is_floating_point() else found


def run(graph, given):
    """What the graph gives, by name, in f64."""
    values = {"": None} | {constant.name: tensor(numpy_helper.to_array(constant)) for constant in graph.initializer} | given
    for node in graph.node:
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        if node.op_type == "Constant":
            values[node.output[0]] = tensor(numpy_helper.to_array(attributes["value"]))
            continue
        found = OPS[node.op_type](*(values[name] for name in node.input), **attributes)
        values |= zip(node.output, found if isinstance(found, tuple) else (found,))
    return {output.name: values[output.name] for output in graph.output}


def golden(path, batch, given):
    model = onnx.load(path)
    graph, inner = model.graph, INNER.get(path.stem, [])
    names = [output.name for output in graph.output]
    nodes = {name: node.name for node in graph.node for name in node.output}
    graph.output.extend(helper.make_empty_tensor_value_info(name) for name in inner)
    tensors, arrays = {}, {}
    for place, (name, (shape, scale, shift)) in enumerate(given.items()):
        seed = 1 + 10 * batch + place
        tensors[f"input.{name}"] = torch.tensor([seed, scale, shift, *shape], dtype=torch.float64)
        arrays[name] = numbers(shape, seed, scale, shift)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found = {name: torch.from_numpy(of) for name, of in zip(names + inner, session.run(names + inner, arrays))}
    inputs = {name: tensor(array).requires_grad_() for name, array in arrays.items()}
    outputs = run(graph, inputs)
    for name, exact in outputs.items():
        apart = (found[name] - exact).abs().max() / exact.abs().max()
        print(f"  {name} {list(exact.shape)}: ONNX Runtime is {apart:.1e} from PyTorch; largest {exact.abs().max():.3g}")
        assert exact.shape == found[name].shape and (apart < 1e-5 or inner)
        if name in names:
            tensors |= {f"output.{name}": found[name], f"exact.{name}": exact.detach()}
        elif apart < 1e-5:
            tensors[f"inner.{nodes[name]}"] = found[name].flatten()[places(found[name].numel())]
    first = outputs[names[0]]
    (first * tensor(noise(first.shape, COTANGENT))).sum().backward()
    for name, value in inputs.items():
        gradient = value.grad.flatten()
        tensors[f"gradient.{name}"] = gradient[places(len(gradient))]
        product = gradient @ tensor(noise(gradient.shape, PROBE))
        tensors[f"whole.{name}"] = torch.stack([gradient.norm(), gradient.abs().max(), product])
    return tensors, arrays


class Crepe(nn.Module):
    """[N, 1024] to the logits of pitches [N, 360], of modules that zennit can give rules to."""

    def __init__(self, constants):
        super().__init__()
        self.layers = nn.Sequential()
        for layer in range(1, 7):
            weight = constants[f"conv{layer}.weight"]
            conv = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2:], stride=(4 if layer == 1 else 1, 1))
            norm = nn.BatchNorm2d(weight.shape[0], eps=float(np.float32(1e-3)))
            edges = nn.ZeroPad2d((0, 0, 254, 254) if layer == 1 else (0, 0, 31, 32))
            for part, name in [(conv, f"conv{layer}."), (norm, f"conv{layer}_BN.")]:
                own = {key.removeprefix(name): of for key, of in constants.items() if key.startswith(name)}
                part.load_state_dict(own, strict=False)
            self.layers.extend([edges, conv, nn.ReLU(), norm, nn.MaxPool2d((2, 1), (2, 1))])
        self.classifier = nn.Linear(*constants["classifier.weight"].T.shape)
        self.classifier.load_state_dict({"weight": constants["classifier.weight"], "bias": constants["classifier.bias"]})

    def forward(self, x):
        x = self.layers(x[:, None, :, None])
        return self.classifier(x.permute(0, 2, 1, 3).flatten(1))


def of_crepe(path, arrays, pitches):
    """zennit's relevance: batch normalization, which no rule but epsilon is for, is a layer of its own under that."""
    net = Crepe({constant.name: tensor(numpy_helper.to_array(constant)) for constant in onnx.load(path).graph.initializer})
    net, x = net.double().eval(), tensor(arrays["frames"])
    logits = net(x).detach()
    print(f"  the modules are {(logits.sigmoid() - pitches).abs().max():.1e} from the file")
    target = logits.argmax(1)
    tensors = {"target": target}
    for name, rule in {"epsilon": lambda: Epsilon(1e-6), "gamma": lambda: Gamma(0.25), "z-plus": ZPlus}.items():

        def chosen(_, __, module):
            if isinstance(module, nn.ReLU):
                return Pass()
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                return rule()
            return Epsilon(1e-6) if isinstance(module, nn.BatchNorm2d) else None

        with Gradient(net, Composite(module_map=chosen)) as attributor:
            _, relevance = attributor(x, lambda logits: logits * F.one_hot(target, logits.shape[1]))
        tensors[f"relevance.{name}"] = relevance.detach()
        print(f"  {name}: {relevance.sum():.4f} of {logits.gather(1, target[:, None]).sum():.4f}")
    return tensors


def make(name, path):
    print(name, flush=True)
    all_tensors = {}
    for batch, given in enumerate(NETWORKS[name]):
        tensors, arrays = golden(path, batch, given)
        if name == "crepe-tiny":
            tensors |= of_crepe(path, arrays, tensors["exact.pitch_prob"])
        all_tensors |= {f"{batch}/{key}": of for key, of in tensors.items()}
    write(all_tensors, HERE / f"networks/{name}.safetensors")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", type=Path, default=HERE / "../../../shared/models")
    parser.add_argument("--only", choices=NETWORKS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for network in [arguments.only] if arguments.only else NETWORKS:
        make(network, arguments.models / f"{network}.onnx")
