"""Makes relevance/attnlrp.safetensors: what LXT computes by its functional rules of AttnLRP, in f64.

    pip install -r requirements.txt
    python make_attnlrp.py

Of each network NAME/input [N, T, C], NAME/target [N], NAME/logits, NAME/relevance, and NAME/weights/…; of some NAME/held too: the relevance
where gates and attention are detached, as CP-LRP has it (Ali et al. 2022).

LXT stabilizes by z + ε whatever the sign of z, the product of two matrices by 2 z + ε, products and normalizations by root mean square or
norm not at all (the identity rule), and a layer normalization once for the deviation, the scale and the shift together. All of them mean
the same where ε is small against every z: ε = 1e-12 here, and none of the denominators is near it.
"""

import math
from pathlib import Path

import torch
from lxt.explicit import functional as lf
from lxt.explicit.rules import epsilon_lrp, identity
from torch import nn
from torch.nn import functional as F

from make_networks import weights, write

HERE = Path(__file__).parent
EPSILON = 1e-12
BATCH, STEPS, CHANNELS, CLASSES, HEADS = 2, 5, 8, 3, 2


def linear(layer, x):
    return lf.linear_epsilon(x, layer.weight, layer.bias, EPSILON)


class Net(nn.Module):
    """[N, T, C] -> [N, 3]: what a subclass does, and a dense layer of all its values."""

    def __init__(self, values=STEPS * CHANNELS, **layers):
        super().__init__()
        for name, layer in layers.items():
            setattr(self, name, layer)
        self.head = nn.Linear(values, CLASSES)

    def forward(self, x, held=False):
        return linear(self.head, self.body(x, held).flatten(1))


def dense(outputs=CHANNELS, inputs=CHANNELS):
    return nn.Linear(inputs, outputs)


class Softmax(Net):
    def body(self, x, held):
        return lf.softmax(x, -1)


class MatMul(Net):
    def __init__(self):
        super().__init__(STEPS * STEPS, a=dense(), b=dense())

    def body(self, x, held):
        return lf.matmul(linear(self.a, x), linear(self.b, x).transpose(1, 2), False, EPSILON)


class Gate(Net):
    def __init__(self):
        super().__init__(value=dense(), gate=dense())

    def body(self, x, held):
        gate = identity(torch.sigmoid, linear(self.gate, x))
        return lf.mul2(linear(self.value, x), gate.detach() if held else gate)


def norm(layer, x):
    return lf.layer_norm_grad_fn.apply(x, layer.weight, layer.bias, layer.eps, EPSILON)


class LayerNorm(Net):
    def __init__(self):
        super().__init__(norm=nn.LayerNorm(CHANNELS))

    def body(self, x, held):
        return norm(self.norm, x)


class RmsNorm(Net):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(CHANNELS))

    def body(self, x, held):
        return lf.rms_norm_identity(x, self.scale, 1e-6)


class UnitNorm(Net):
    def body(self, x, held):
        return lf.normalize(x, dim=-1)


class Gelu(Net):
    def __init__(self):
        super().__init__(up=dense(2 * CHANNELS), down=dense(inputs=2 * CHANNELS))

    def body(self, x, held):
        return linear(self.down, identity(F.gelu, linear(self.up, x)))


class Mean(Net):
    def __init__(self):
        super().__init__(CHANNELS)

    def body(self, x, held):
        return lf.mean(x, 1, True, EPSILON)


class Block(Net):
    """A transformer's: attention over what came before and a perceptron, each behind a layer normalization and beside a sum."""

    def __init__(self):
        super().__init__(
            norm1=nn.LayerNorm(CHANNELS), query=dense(), key=dense(), value=dense(), out=dense(),
            norm2=nn.LayerNorm(CHANNELS), up=dense(2 * CHANNELS), down=dense(inputs=2 * CHANNELS),
        )

    def attention(self, x, held):
        def heads(layer):
            return linear(layer, x).unflatten(-1, (HEADS, -1)).transpose(1, 2)

        query, key, value = heads(self.query), heads(self.key), heads(self.value)
        scores = lf.matmul(query, key.transpose(2, 3), False, EPSILON)
        scores = lf.mul2(scores, torch.tensor(1 / math.sqrt(CHANNELS / HEADS)))
        mask = torch.full((STEPS, STEPS), -torch.inf, dtype=x.dtype).triu(1)
        attention = lf.softmax(lf.add2(scores, mask, False, EPSILON), -1)
        if held:
            mixed = epsilon_lrp(torch.matmul, EPSILON, attention.detach(), value)
        else:
            mixed = lf.matmul(attention, value, False, EPSILON)
        return linear(self.out, mixed.transpose(1, 2).flatten(2))

    def body(self, x, held):
        x = lf.add2(x, self.attention(norm(self.norm1, x), held), False, EPSILON)
        y = linear(self.down, identity(F.gelu, linear(self.up, norm(self.norm2, x))))
        return lf.add2(x, y, False, EPSILON)


def relevance(net, x, target, held):
    x = x.clone().requires_grad_()
    logits = net(x, held)
    one = F.one_hot(target, CLASSES).to(x.dtype)
    (found,) = torch.autograd.grad(logits, x, logits.detach() * one)
    return found


def main():
    torch.manual_seed(5)
    nets = {
        "softmax": Softmax(), "matmul": MatMul(), "gate": Gate(), "layer-norm": LayerNorm(), "rms-norm": RmsNorm(),
        "unit-norm": UnitNorm(), "gelu": Gelu(), "mean": Mean(), "block": Block(),
    }
    tensors = {}
    for name, net in nets.items():
        net = net.double()
        for part, tensor in net.state_dict().items():
            if part.startswith("norm") or part == "scale":
                tensor.uniform_(0.5, 1.5) if tensor.mean() > 0.5 else tensor.normal_(0, 0.3)
        x = torch.randn(BATCH, STEPS, CHANNELS, dtype=torch.float64)
        target = torch.tensor([1, 2])
        found = {"input": x, "target": target, "logits": net(x).detach(), "relevance": relevance(net, x, target, False)}
        if name in ("gate", "block"):
            found["held"] = relevance(net, x, target, True)
        tensors |= {f"{name}/{part}": tensor for part, tensor in (found | weights(net, "weights/")).items()}
    write(tensors, HERE / "relevance/attnlrp.safetensors")


if __name__ == "__main__":
    main()
