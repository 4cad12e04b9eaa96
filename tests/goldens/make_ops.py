"""Makes ops/: what PyTorch's modules give and what their gradients are, one case an op or a setting of it.

    pip install -r requirements.txt
    python make_ops.py

ops/ops.safetensors    f64: CASE/input (or CASE/input.0, …), CASE/NAME for every parameter, CASE/output, CASE/cotangent c, and
                       the gradients of ⟨output, c⟩ CASE/gradient/input, CASE/gradient/NAME
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

HERE = Path(__file__).parent


class TimeMean(nn.Module):
    def forward(self, x):
        return x.mean(-1)


class TimeDeviation(nn.Module):
    def forward(self, x):
        return torch.sqrt(x.var(-1, correction=0) + 1e-10)


class Sum(nn.Module):
    def forward(self, *xs):
        return sum(xs[1:], xs[0])


class Product(nn.Module):
    def forward(self, a, b):
        return a * b


class Concat(nn.Module):
    def forward(self, *xs):
        return torch.cat(xs, 1)


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def ties(*shape):
    """Few different values, so that windows have several largest ones."""
    return normal(*shape).round()


def wide():
    """Where functions bend, and far out."""
    return torch.cat([torch.linspace(-40, 40, 23, dtype=torch.float64), normal(17)]).reshape(2, 4, 5)


def statistics(norm):
    norm.weight.data.normal_()
    norm.bias.data.normal_()
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.01, 2)
    return norm


def cases():
    """(name, module, inputs)."""
    image, sound = normal(2, 4, 6, 7), normal(2, 4, 13)
    return [
        ("linear", nn.Linear(7, 5), [normal(3, 7)]),
        ("linear-without-bias", nn.Linear(7, 5, bias=False), [normal(3, 7)]),
        ("conv2d", nn.Conv2d(4, 3, 3, stride=2, padding=1), [image]),
        ("conv2d-without-bias", nn.Conv2d(4, 3, 2, bias=False), [image]),
        ("conv2d-rectangular", nn.Conv2d(4, 3, (3, 4), stride=(1, 2), padding=(2, 1)), [image]),
        ("conv2d-dilated", nn.Conv2d(4, 3, 3, padding=2, dilation=2), [image]),
        ("conv2d-dilated-on-one-axis", nn.Conv2d(4, 3, (2, 3), stride=(2, 3), padding=(0, 3), dilation=(1, 3)), [image]),
        ("conv2d-grouped", nn.Conv2d(4, 6, 3, padding=1, groups=2), [image]),
        ("conv2d-depthwise", nn.Conv2d(4, 8, (3, 2), stride=2, padding=1, dilation=(2, 1), groups=4, bias=False), [image]),
        # In f32 by Winograd's filtering, group by group.
        ("conv2d-wide-groups", nn.Conv2d(16, 24, 3, padding=1, groups=2), [normal(1, 16, 5, 6)]),
        ("conv1d", nn.Conv1d(4, 3, 5, stride=3, padding=2), [sound]),
        ("conv1d-without-bias", nn.Conv1d(4, 3, 4, bias=False), [sound]),
        ("conv1d-dilated", nn.Conv1d(4, 3, 3, padding=4, dilation=4), [sound]),
        ("conv1d-grouped", nn.Conv1d(4, 6, 3, stride=2, padding=1, dilation=2, groups=2), [sound]),
        ("conv1d-depthwise", nn.Conv1d(4, 4, 3, padding=1, groups=4), [sound]),
        ("max-pool2d", nn.MaxPool2d(3, 2), [image]),
        ("max-pool2d-padded", nn.MaxPool2d(3, 2, padding=1), [image]),
        ("max-pool2d-padded-on-one-axis", nn.MaxPool2d(4, 3, padding=(0, 2)), [image]),
        ("max-pool2d-ties", nn.MaxPool2d(3, 1, padding=1), [ties(2, 3, 7, 8)]),
        ("max-pool1d", nn.MaxPool1d(3, 3), [sound]),
        ("max-pool1d-padded", nn.MaxPool1d(5, 2, padding=2), [sound]),
        ("max-pool1d-ties", nn.MaxPool1d(4, 1, padding=1), [ties(2, 3, 17)]),
        ("avg-pool2d", nn.AvgPool2d(3, 2), [image]),
        ("avg-pool2d-padded", nn.AvgPool2d(3, 2, padding=1), [image]),
        ("avg-pool2d-padded-on-one-axis", nn.AvgPool2d(4, 3, padding=(2, 0)), [image]),
        ("avg-pool1d", nn.AvgPool1d(3, 2), [sound]),
        ("avg-pool1d-padded", nn.AvgPool1d(4, 3, padding=2), [sound]),
        ("adaptive-avg-pool2d", nn.AdaptiveAvgPool2d((2, 4)), [image]),
        ("adaptive-avg-pool1d", nn.AdaptiveAvgPool1d(5), [sound]),
        ("relu", nn.ReLU(), [wide()]),
        ("leaky-relu", nn.LeakyReLU(0.2), [wide()]),
        ("prelu", nn.PReLU(), [image]),
        ("prelu-by-channel", nn.PReLU(4), [image]),
        ("prelu-by-channel-over-time", nn.PReLU(4), [sound]),
        ("sigmoid", nn.Sigmoid(), [wide()]),
        ("tanh", nn.Tanh(), [wide()]),
        ("batch-norm", statistics(nn.BatchNorm1d(4)).eval(), [normal(5, 4)]),
        ("batch-norm-over-time", statistics(nn.BatchNorm1d(4)).eval(), [sound]),
        ("batch-norm-epsilon", statistics(nn.BatchNorm2d(4, eps=1e-2)).eval(), [image]),
        ("batch-norm-epsilon-over-time", statistics(nn.BatchNorm1d(4, eps=1e-2)).eval(), [sound]),
        ("batch-norm-training-over-time", statistics(nn.BatchNorm1d(4)), [sound]),
        ("batch-norm-training-epsilon", statistics(nn.BatchNorm1d(4, eps=1e-2)), [0.1 * sound]),
        ("flatten", nn.Flatten(), [image]),
        ("sum-of-3", Sum(), [normal(2, 3, 4) for _ in range(3)]),
        ("concat-of-3", Concat(), [normal(2, channels, 4) for channels in (3, 1, 2)]),
        ("time-mean", TimeMean(), [image]),
        ("time-mean-over-time", TimeMean(), [sound]),
        ("time-deviation", TimeDeviation(), [image]),
        ("time-deviation-over-time", TimeDeviation(), [sound]),
        ("product", Product(), [normal(2, 3, 4) for _ in range(2)]),
    ]


def of_case(module, inputs):
    module = module.double()
    names = ["input"] if len(inputs) == 1 else [f"input.{i}" for i in range(len(inputs))]
    inputs = [x.clone().requires_grad_() for x in inputs]
    tensors = dict(zip(names, inputs))
    state = {name: x.clone() for name, x in module.state_dict().items() if x.is_floating_point()}
    output = module(*inputs)
    cotangent = normal(*output.shape)
    (output * cotangent).sum().backward()
    gradients = {f"gradient/{name}": x.grad for name, x in [*tensors.items(), *module.named_parameters()]}
    return tensors | state | {"output": output, "cotangent": cotangent} | gradients


def main():
    torch.manual_seed(6)
    tensors = {}
    for name, module, inputs in cases():
        tensors |= {f"{name}/{key}": x.detach().clone().contiguous() for key, x in of_case(module, inputs).items()}
    path = HERE / "ops/ops.safetensors"
    path.parent.mkdir(exist_ok=True)
    save_file(tensors, path)
    print(len(cases()), "cases,", path.stat().st_size, "bytes")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
