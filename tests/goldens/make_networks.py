"""Makes training/ and residual/: what PyTorch computes on small networks of AlexNet's and ResNet34's kinds of layers.

    pip install -r requirements.txt
    python make_networks.py
    python make_networks.py --resnet34 FOLDER [--models ../../../shared/peers/models.py]

training/training.safetensors    f32: start/NAME, input [batches, N, 1, H, W], label [batches, N], and of each optimizer
                                 OPTIMIZER/loss [steps] (f64) and OPTIMIZER/NAME, the weights after the last step
residual/residual.safetensors    f32: start/NAME, trained/NAME, input [batches, N, 1, H, W], label [batches, N]; f64: loss
                                 [steps] by SGD on cross entropy, logits of the first batch by the trained net

`--resnet34` writes ResNet34 at full size to FOLDER/resnet34.safetensors, for SPEECHLENS_PEER_RESNET34=FOLDER.
"""

import argparse
import importlib.util
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

HERE = Path(__file__).parent
STEPS, BATCHES, SIZE = 20, 4, 8


class Net(nn.Module):
    """[N, 1, 19, 23] -> [N, 3]: overlapping max pooling, and both kinds of average pooling."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 6, 5, stride=2, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2, 1),
        )
        self.avgpool = nn.AdaptiveAvgPool2d((2, 3))
        self.classifier = nn.Sequential(nn.Linear(48, 16), nn.ReLU(), nn.Linear(16, 3))

    def forward(self, x):
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


class AudioNet(nn.Module):
    """[N, 1, 8000] -> [N, classes], Becker et al. (2018)"""

    def __init__(self, classes):
        super().__init__()
        channels = [1, 100, 64, 128, 128, 128, 128]
        layers = []
        for inputs, outputs in zip(channels, channels[1:]):
            layers += [nn.Conv1d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool1d(2)]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Linear(128 * 125, 1024), nn.ReLU(), nn.Dropout(),
            nn.Linear(1024, 512), nn.ReLU(), nn.Dropout(),
            nn.Linear(512, classes),
        )

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


def by_formula(shape, seed):
    """Numbers that any language makes, evenly spread in an order that looks random: of weights over +-sqrt(6 / inputs), of
    biases over +-0.1."""
    shape = torch.Size(shape)
    numbers = (torch.arange(shape.numel()) * 7919 + seed * 104729) % 20011
    bound = (6 / shape[1:].numel()) ** 0.5 if len(shape) > 1 else 0.1
    return ((numbers.double() / 10005 - 1) * bound).float().reshape(shape)


def weights(net, prefix=""):
    return {prefix + name: tensor.detach().clone() for name, tensor in net.state_dict().items()}


def train(start, optimizer, inputs, labels):
    """20 steps over the batches in turn; the losses before each step, and the net after the last."""
    net = Net()
    net.load_state_dict(start)
    optimizer, losses = optimizer(net.parameters()), []
    for step in range(STEPS):
        x, y = inputs[step % BATCHES], labels[step % BATCHES]
        loss = nn.functional.binary_cross_entropy_with_logits(net(x), nn.functional.one_hot(y, 3).float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.double().detach())
    return torch.stack(losses), net


def make_training():
    torch.manual_seed(1)
    start = weights(Net())
    labels = torch.randint(0, 3, (BATCHES, SIZE))
    inputs = torch.randn(BATCHES, SIZE, 1, 19, 23)
    for label in range(3):
        inputs[labels == label, :, :, label * 7 : label * 7 + 7] += 1.0
    tensors = {"start/" + name: tensor for name, tensor in start.items()}
    tensors |= {"input": inputs, "label": labels.to(torch.int64)}
    for name, optimizer in {
        "sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
        "adamw": lambda p: torch.optim.AdamW(p, lr=1e-3, weight_decay=0.01),
    }.items():
        losses, net = train(start, optimizer, inputs, labels)
        print(name, "loss", [f"{loss:.4f}" for loss in losses.tolist()])
        tensors |= {f"{name}/loss": losses} | weights(net, f"{name}/")
    write(tensors, HERE / "training/training.safetensors")


def decibels(count, height, width):
    return (-40 + 20 * torch.randn(count, 1, height, width, dtype=torch.float64)).clamp(-80, 0)


class Residual(nn.Module):
    """[N, 1, 16, 12] -> [N, 3]: ResNet34's kinds of layers, one block of each kind."""

    def __init__(self):
        super().__init__()
        norm = nn.BatchNorm2d
        self.conv1, self.bn1 = nn.Conv2d(1, 4, 3, 1, 1, bias=False), norm(4)
        self.conv2, self.bn2 = nn.Conv2d(4, 4, 3, 1, 1, bias=False), norm(4)
        self.conv3, self.bn3 = nn.Conv2d(4, 6, 3, 2, 1, bias=False), norm(6)
        self.shortcut = nn.Sequential(nn.Conv2d(4, 6, 1, 2, bias=False), norm(6))
        self.embedding, self.embedding_bn = nn.Linear(2 * 6 * 8, 5), nn.BatchNorm1d(5)
        self.classifier = nn.Linear(5, 3)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.conv2(x)) + x)
        x = torch.relu(self.bn3(self.conv3(x)) + self.shortcut(x))
        mean = x.mean(-1)
        std = torch.sqrt(((x - mean.unsqueeze(-1)) ** 2).mean(-1) + 1e-10)
        pooled = torch.cat([mean.flatten(1), std.flatten(1)], 1)
        return self.classifier(self.embedding_bn(self.embedding(pooled)))


def make_residual():
    """residual/: the losses of STEPS steps, all that they leave behind, and the logits of the trained net (f64)."""
    torch.manual_seed(4)
    net = Residual()
    tensors = weights(net, "start/")
    labels = torch.randint(0, 3, (BATCHES, SIZE))
    inputs = torch.randn(BATCHES, SIZE, 1, 16, 12) + labels[..., None, None, None] * torch.linspace(-1, 1, 12)
    optimizer, losses = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9), []
    for step in range(STEPS):
        loss = nn.functional.cross_entropy(net(inputs[step % BATCHES]), labels[step % BATCHES])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.double().detach())
    print("residual loss", [f"{loss:.4f}" for loss in losses])
    tensors |= weights(net, "trained/") | {"input": inputs, "label": labels, "loss": torch.stack(losses)}
    tensors["logits"] = net.double().eval()(inputs[0].double()).detach()
    write({name: tensor for name, tensor in tensors.items() if "batches_tracked" not in name}, HERE / "residual/residual.safetensors")


def make_resnet34(folder, models):
    spec = importlib.util.spec_from_file_location("models", models)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    torch.manual_seed(5)
    net = module.ResNet34(10)
    for name, tensor in net.state_dict().items():
        if name.endswith("running_mean"):
            tensor.normal_(0, 0.2)
        elif name.endswith("running_var"):
            tensor.uniform_(0.5, 2)
    x = torch.randn(3, 1, 64, 200)
    tensors = weights(net)
    x64 = x.double()
    tensors |= {"input": x, "logits": net.eval()(x).detach(), "logits-f64": net.double()(x64).detach()}
    write({name: tensor for name, tensor in tensors.items() if "batches_tracked" not in name}, folder / "resnet34.safetensors")


def write(tensors, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    print(path.name, path.stat().st_size, "bytes")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--resnet34", type=Path)
    parser.add_argument("--models", type=Path, default=HERE / "../../../shared/peers/models.py")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.resnet34:
        make_resnet34(given.resnet34, given.models)
    else:
        make_training()
        make_residual()
