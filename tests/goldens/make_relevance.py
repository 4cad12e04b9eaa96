"""Makes relevance/: what zennit computes on small networks with AlexNet's and ResNet34's kinds of layers.

    pip install -r requirements.txt
    python make_relevance.py
    python make_relevance.py --full FOLDER [--models ../../../shared/peers/models.py]

relevance/plain.safetensors      f64: NAME, input [N, 1, H, W], target [N], logits, and relevance/COMPOSITE by zennit
relevance/residual.safetensors   the same of a residual network; batch-norm statistics off their defaults

relevance/audionet.safetensors   f32: logits [1, 3] of AudioNet at full size with weights and input by `by_formula`, the input times
                                 40, the shapes of its weights, shape/NAME, and relevance/COMPOSITE of class 2 under a few of them

`--full` writes AlexNet and ResNet34 at full size, too large to keep, to FOLDER/alexnet.safetensors and FOLDER/resnet34.safetensors:
as above, but for the weights and the input, f32, and apart-f32/COMPOSITE, how far zennit's relevance in f32 is from its own in
f64 (relative L2). `SPEECHLENS_PEER_NETWORKS=FOLDER cargo test --release -p speechlens-tests --test relevance -- --nocapture` reads them.
"""

import argparse
import copy
import importlib.util
import types
from pathlib import Path

import torch
from torch import nn
from zennit.attribution import Gradient
from zennit.canonizers import SequentialMergeBatchNorm
from zennit.composites import Composite
from zennit.layer import Sum
from zennit.rules import AlphaBeta, Epsilon, Flat, Gamma, Pass, WSquare, ZBox, ZPlus

from make_networks import AudioNet, Net, Residual, by_formula, decibels, weights, write

HERE = Path(__file__).parent
REFERENCE = -80.0
BATCH_NORM = (nn.BatchNorm1d, nn.BatchNorm2d)
POOL = (nn.AvgPool2d, nn.AdaptiveAvgPool2d)


class Shifted(nn.Module):
    """The first convolution against a reference r: it reads x - r, and its bias is the map b + conv(r)."""

    def __init__(self, conv, shape):
        super().__init__()
        self.weight = conv.weight
        self.stride, self.padding = conv.stride, conv.padding
        with torch.no_grad():
            self.bias = nn.Parameter(conv(torch.full((1, *shape), REFERENCE, dtype=conv.weight.dtype)))

    def forward(self, x):
        return nn.functional.conv2d(x, self.weight, None, self.stride, self.padding) + self.bias


CONV = (nn.Conv1d, nn.Conv2d, Shifted)


class TimeMean(nn.Module):
    def forward(self, x):
        return x.mean(-1)


class TimeDeviation(nn.Module):
    def forward(self, x):
        return torch.sqrt(((x - x.mean(-1, keepdim=True)) ** 2).mean(-1) + 1e-10)


# Residual networks whose activations, sums and statistics are modules, one for each use, so that zennit can give them rules.

def add(sum_, *branches):
    return sum_(torch.stack(branches, -1))


def head(self, x):
    pooled = torch.cat([self.mean(x).flatten(1), self.deviation(x).flatten(1)], 1)
    return self.classifier(self.embedding_bn(self.embedding(pooled)))


def small_forward(self, x):
    x = self.relu1(self.bn1(self.conv1(x)))
    x = self.relu2(add(self.sum1, self.bn2(self.conv2(x)), x))
    x = self.relu3(add(self.sum2, self.bn3(self.conv3(x)), self.shortcut(x)))
    return head(self, x)


def block_forward(self, x):
    out = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
    return self.relu2(add(self.sum1, out, self.shortcut(x)))


def full_forward(self, x):
    x = self.relu1(self.bn1(self.conv1(x)))
    return head(self, self.layer4(self.layer3(self.layer2(self.layer1(x)))))


def in_modules(net, forward):
    net = copy.deepcopy(net)
    blocks = [block for block in net.modules() if type(block).__name__ == "BasicBlock"]
    for part, of_part in [(net, forward), *((block, block_forward) for block in blocks)]:
        part.relu1, part.relu2, part.relu3, part.sum1, part.sum2 = nn.ReLU(), nn.ReLU(), nn.ReLU(), Sum(), Sum()
        part.forward = types.MethodType(of_part, part)
    net.mean, net.deviation = TimeMean(), TimeDeviation()
    return net


# What a composite is: the rule of a layer by its module and its place, 0 for the first, among dense layers and convolutions.

def conv_else_epsilon(rule, first=None):
    def rules(module, place):
        if isinstance(module, (*CONV, nn.Linear)) and place == 0 and first:
            return first()
        return rule() if isinstance(module, CONV) else Epsilon(1e-6)

    return rules


def first_else_epsilon(rule):
    return lambda module, place: rule() if isinstance(module, CONV) and place == 0 else Epsilon(1e-6)


def weighted_else_epsilon(rule):
    return lambda module, place: rule() if isinstance(module, (*CONV, nn.Linear)) else Epsilon(1e-6)


def thesis_speaker(third):
    def rules(module, place):
        if isinstance(module, CONV) and place < third:
            return Gamma(5.0)
        return Epsilon(0.5 if isinstance(module, (*CONV, nn.BatchNorm2d)) else 1e-6)

    return rules


def composites(low, high, third):
    """By name: the rules, and whether batch normalization is merged into the layer before."""
    merged = {
        "lrp-0": lambda module, place: Epsilon(1e-6),
        "lrp-0-bias-zero": lambda module, place: Epsilon(1e-6, zero_params="bias"),
        "epsilon": lambda module, place: Epsilon(0.25),
        "thesis-gender": lambda module, place: Epsilon(1e-6 if isinstance(module, nn.Linear) else 0.8),
        "gamma-generalized": weighted_else_epsilon(lambda: Gamma(0.25)),
        "alpha2-beta1": weighted_else_epsilon(lambda: AlphaBeta(2.0, 1.0)),
        "z-plus": weighted_else_epsilon(ZPlus),
        "w-square": first_else_epsilon(WSquare),
        "flat": first_else_epsilon(Flat),
        "z-box": first_else_epsilon(lambda: ZBox(low, high)),
        "epsilon-plus": conv_else_epsilon(ZPlus),
        "epsilon-plus-flat": conv_else_epsilon(ZPlus, Flat),
        "epsilon-gamma-box": conv_else_epsilon(lambda: Gamma(0.25), lambda: ZBox(low, high)),
        "epsilon-alpha2-beta1": conv_else_epsilon(lambda: AlphaBeta(2.0, 1.0)),
        "epsilon-alpha2-beta1-flat": conv_else_epsilon(lambda: AlphaBeta(2.0, 1.0), Flat),
    }
    apart = {
        "thesis-speaker-zero": lambda module, place: Epsilon(1e-6),
        "thesis-speaker-epsilon": thesis_speaker(0),
        "thesis-speaker-epsilon-gamma": thesis_speaker(third),
    }
    return {name: (rules, True) for name, rules in merged.items()} | {name: (rules, False) for name, rules in apart.items()}


def relevance(net, rules, merge, x, targets):
    """Of the targets' logits, by zennit."""
    if merge:
        net = copy.deepcopy(net)
        SequentialMergeBatchNorm().apply(net)
        # zennit 0.5.1 leaves 1e-5 in the merged normalization, which so is no identity but divides by sqrt(1 + 1e-5).
        for module in net.modules():
            if isinstance(module, BATCH_NORM):
                module.eps = 0.0
    weighted = [module for module in net.modules() if isinstance(module, (*CONV, nn.Linear))]

    def rule(_, name, module):
        if isinstance(module, (nn.ReLU, nn.Dropout)):
            return Pass()
        if isinstance(module, Sum):
            return Epsilon(1e-6)
        # Max pooling has no rule: its gradient sends all to the winner. Merged batch normalization is the identity.
        linear = (*CONV, nn.Linear, TimeMean, TimeDeviation, *POOL) + (() if merge else BATCH_NORM)
        if not isinstance(module, linear):
            return None
        return rules(module, next((place for place, other in enumerate(weighted) if other is module), -1))

    one = nn.functional.one_hot(targets, net(x[:1]).shape[1]).to(x.dtype)
    with Gradient(net, Composite(module_map=rule)) as attributor:
        _, found = attributor(x, lambda logits: logits * one)
    return found.detach()


def explain(net, x, targets, bounds):
    third = -(-sum(isinstance(module, (*CONV, nn.Linear)) for module in net.modules()) // 3)
    found = {}
    for name, (rules, merge) in composites(*bounds, third).items():
        print(" ", name, flush=True)
        found[name] = relevance(net, rules, merge, x, targets)
    if hasattr(net, "features"):
        # The same network, whose first layer has the reference in its bias.
        net = copy.deepcopy(net)
        net.features[0] = Shifted(net.features[0], x.shape[1:])
        from_silence = {
            "gender-silence": composites(*bounds, third)["thesis-gender"][0],
            "epsilon-plus-silence": conv_else_epsilon(ZPlus),
            "epsilon-gamma-silence": conv_else_epsilon(lambda: Gamma(0.25)),
            "epsilon-gamma1-silence": conv_else_epsilon(lambda: Gamma(1.0)),
        }
        for name, rules in from_silence.items():
            found[name] = relevance(net, rules, False, x - REFERENCE, targets)
    return found


def unkind(net):
    """Biases everywhere, and batch-norm parameters off their defaults."""
    for name, tensor in net.state_dict().items():
        if name.endswith("running_mean"):
            tensor.normal_(0, 0.2)
        elif name.endswith("running_var"):
            tensor.uniform_(0.5, 2)
        elif "bn" in name or name.startswith("shortcut.1") or ".shortcut.1" in name:
            if name.endswith("weight"):
                tensor.uniform_(0.5, 1.5)
            elif name.endswith("bias"):
                tensor.normal_(0, 0.3)
    return net.eval()


def trimmed(tensors):
    return {name: tensor for name, tensor in tensors.items() if "batches_tracked" not in name}


def make_small():
    torch.manual_seed(2)
    net = Net().double().eval()
    # Biases large enough to matter on decibels.
    for name, parameter in net.named_parameters():
        if name.endswith("bias"):
            parameter.data.normal_()
    golden(net, net, decibels(3, 19, 23), torch.tensor([0, 2, 1]), (-80.0, 0.0), "plain")
    net = unkind(Residual().double())
    x = torch.randn(3, 1, 16, 12, dtype=torch.float64)
    golden(net, in_modules(net, small_forward), x, torch.tensor([0, 2, 1]), (-4.0, 5.0), "residual")


def golden(net, explained, x, targets, bounds, name):
    print(name)
    tensors = weights(net) | {"input": x, "target": targets, "logits": net(x).detach()}
    found = explain(explained, x, targets, bounds)
    write(trimmed(tensors | {f"relevance/{name}": of for name, of in found.items()}), HERE / f"relevance/{name}.safetensors")


def make_audionet():
    print("audionet")
    net = AudioNet(3).double().eval()
    state = {name: by_formula(tensor.shape, seed) for seed, (name, tensor) in enumerate(sorted(net.state_dict().items()))}
    net.load_state_dict(state)
    x = (40 * by_formula((1, 8000), 99)).double().reshape(1, 1, 8000)
    tensors = {"logits": net(x).detach().float()}
    tensors |= {f"shape/{name}": torch.tensor(tensor.shape) for name, tensor in state.items()}
    for name in ["lrp-0", "thesis-gender", "epsilon-plus-flat", "epsilon-alpha2-beta1"]:
        print(" ", name, flush=True)
        rules, merge = composites(0, 0, 0)[name]
        tensors[f"relevance/{name}"] = relevance(net, rules, merge, x, torch.tensor([2])).float()
    write(tensors, HERE / "relevance/audionet.safetensors")


def make_full(folder, models):
    spec = importlib.util.spec_from_file_location("models", models)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    torch.manual_seed(3)
    alexnet = module.AlexNet().eval()
    full(alexnet, alexnet, decibels(2, 227, 227).float(), torch.tensor([0, 1]), (-80.0, 0.0), folder / "alexnet.safetensors")
    resnet34 = unkind(module.ResNet34(10))
    x = torch.randn(2, 1, 64, 200)
    explained = in_modules(resnet34, full_forward)
    full(resnet34, explained, x, torch.tensor([3, 8]), (-4.0, 5.0), folder / "resnet34.safetensors")


def full(net, explained, x, targets, bounds, path):
    print(path.stem)
    with torch.no_grad():
        tensors = weights(net) | {"input": x, "target": targets, "logits-f32": net(x)}
    single = explain(explained, x, targets, bounds)
    double = explain(explained.double(), x.double(), targets, bounds)
    tensors["logits"] = explained(x.double()).detach()
    for name, of in double.items():
        tensors[f"relevance/{name}"] = of
        tensors[f"apart-f32/{name}"] = (single[name].double() - of).norm() / of.norm()
    write(trimmed(tensors), path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--full", type=Path)
    parser.add_argument("--models", type=Path, default=HERE / "../../../shared/peers/models.py")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.full:
        make_full(given.full, given.models)
    else:
        make_small()
        make_audionet()
