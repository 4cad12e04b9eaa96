"""Makes checkpoints/: one small network, saved in the ways that PyTorch users save networks.

    pip install -r requirements.txt
    python make_checkpoints.py
    python make_checkpoints.py --full FOLDER [--models ../../../shared/peers/models.py]

checkpoints/expected.safetensors  PLACE/NAME: what the tensors of a file are, in f32, input [N, 1, 4, 5], logits [N, 3]
checkpoints/FILE                  state dicts, and files that hold none (whole*.pt, script.pt)

`--full` saves AlexNet, AudioNet and ResNet34 with random weights in every way to FOLDER, too large to keep, and the logits for a random
input to FOLDER/expected.safetensors; `SPEECHLENS_PEER_CHECKPOINTS=FOLDER cargo test --test checkpoints` imports them.
"""

import argparse
import importlib.util
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from make_networks import AudioNet

HERE = Path(__file__).parent


class Tiny(nn.Module):
    """[N, 1, 4, 5] -> [N, 3]"""

    def __init__(self):
        super().__init__()
        self.conv, self.bn, self.classifier = nn.Conv2d(1, 2, 3, bias=False), nn.BatchNorm2d(2), nn.Linear(12, 3)

    def forward(self, x):
        return self.classifier(torch.relu(self.bn(self.conv(x))).flatten(1))


def legacy(value, path, **options):
    torch.save(value, path, _use_new_zipfile_serialization=False, **options)


def prefixed(state, prefix):
    return OrderedDict((prefix + name, tensor) for name, tensor in state.items())


def wrapped(net, state):
    """As training scripts keep it: the optimizer has tensors of the same shapes."""
    before = {name: tensor.clone() for name, tensor in state.items()}
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    net.train()(torch.randn(4, *net.shape)).sum().backward()
    optimizer.step()
    net.eval().load_state_dict(before)
    return {
        "epoch": 3, "model_state_dict": net.state_dict(), "optimizer_state_dict": optimizer.state_dict(),
        "loss": 0.25, "seed": 2**40, "history": [0.5, 0.25], "arguments": {"lr": 1e-3, "cuda": False, "note": None},
    }


def strided(state):
    """The same tensors, of which none lies in memory in its own order."""
    def spread(tensor):
        if tensor.ndim > 1:
            return tensor.transpose(0, -1).contiguous().transpose(0, -1)
        return torch.stack([tensor, -tensor], -1)[..., 0] if tensor.ndim else tensor
    return OrderedDict((name, spread(tensor)) for name, tensor in state.items())


def shared(state):
    """The same tensors as slices of one storage, which starts with numbers that none of them reads."""
    floats = {name: tensor for name, tensor in state.items() if tensor.is_floating_point()}
    flat = torch.cat([torch.full((7,), torch.nan), *(tensor.flatten() for tensor in floats.values())])
    start, slices = 7, OrderedDict(state)
    for name, tensor in floats.items():
        slices[name] = flat[start : start + tensor.numel()].view(tensor.shape)
        start += tensor.numel()
    # Tied: two names of one tensor.
    slices["bn.bias"] = slices["bn.weight"]
    return slices


def with_others(state):
    """The same tensors beside some that belong to no layer, of every kind of number."""
    others = {
        "loss.centers": torch.ones(3, 2), "metric.confusion": torch.ones(3, 3, dtype=torch.int64), "steps": torch.tensor(7),
        "seen": torch.tensor([True, False]), "spectrum": torch.ones(2, dtype=torch.complex64), "ema.decay": torch.tensor(0.9),
        "mask": torch.eye(3).to_sparse(), "small": torch.zeros(2, dtype=torch.float8_e4m3fn),
    }
    return OrderedDict(prefixed(state, "net.") | others)


def cast(state, dtype):
    return OrderedDict((name, tensor.to(dtype) if tensor.is_floating_point() else tensor) for name, tensor in state.items())


def make_small():
    folder = HERE / "checkpoints"
    folder.mkdir(exist_ok=True)
    torch.manual_seed(7)
    net = Tiny().eval()
    net.shape = (1, 4, 5)
    for tensor in net.bn.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.5, 2)
    state = net.state_dict()
    half, brain = cast(state, torch.float16), cast(state, torch.bfloat16)
    ties = shared(state)
    for name, save in {"zip": torch.save, "legacy": legacy}.items():
        save(state, folder / f"plain.{name}.pt")
        save(strided(state), folder / f"strided.{name}.pt")
        save(ties, folder / f"shared.{name}.pt")
        save(half, folder / f"f16.{name}.pt")
        save(wrapped(net, state), folder / f"wrapped.{name}.pth")
    torch.save(brain, folder / "bf16.pt")
    torch.save(cast(state, torch.float64), folder / "f64.pt")
    torch.save(prefixed(state, "module."), folder / "module.pth")
    legacy({"state_dict": prefixed(state, "model.module.")}, folder / "nested.pth")
    torch.save(dict(net.named_parameters()) | dict(net.named_buffers()), folder / "parameters.pt")
    torch.save({"model": state, "best": state}, folder / "twice.pt")
    torch.save({"model": state, "model_ema": cast(state, torch.float64)}, folder / "two.pt")
    torch.save(cast(state, torch.int8), folder / "int8.pt")
    for protocol in (4, 5):
        torch.save(wrapped(net, state), folder / f"protocol-{protocol}.zip.pt", pickle_protocol=protocol)
        legacy(state, folder / f"protocol-{protocol}.legacy.pt", pickle_protocol=protocol)
    torch.save(with_others(state), folder / "others.pt")
    # An entry of the archive's directory is as long as what PyTorch writes behind it: 46 bytes and a name of 30.
    torch.save(state, folder / "checkpoint_epoch_0100.pt")
    torch.save(net, folder / "whole.zip.pt")
    legacy(net, folder / "whole.legacy.pt")
    torch.save({"epoch": 3, "model": net}, folder / "whole.wrapped.pt")
    torch.jit.script(net).save(folder / "script.pt")
    save_file(state, folder / "plain.safetensors")
    save_file({name: tensor.contiguous() for name, tensor in half.items()}, folder / "f16.safetensors")

    x = torch.randn(2, *net.shape)
    tensors = {"input": x, "logits": net(x).detach()}
    for place, tensors_of in {"plain": state, "shared": ties, "f16": half, "bf16": brain}.items():
        for name, tensor in tensors_of.items():
            if tensor.is_floating_point():
                tensors[f"{place}/{name}"] = tensor.float().clone().contiguous()
    save_file(tensors, folder / "expected.safetensors")
    for path in sorted(folder.iterdir()):
        print(path.name, path.stat().st_size, "bytes")


def make_full(folder, models):
    folder.mkdir(parents=True, exist_ok=True)
    spec = importlib.util.spec_from_file_location("models", models)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    torch.manual_seed(8)
    tensors = {}
    for name, net, shape in [
        ("alexnet", module.AlexNet(2), (1, 227, 227)), ("resnet34", module.ResNet34(5994), (1, 64, 200)),
        ("audionet", AudioNet(2), (1, 8000)),
    ]:
        net.shape = shape
        for key, tensor in net.state_dict().items():
            if key.endswith("running_mean"):
                tensor.normal_(0, 0.2)
            elif key.endswith("running_var"):
                tensor.uniform_(0.5, 2)
        net.eval()
        state = net.state_dict()
        torch.save(state, folder / f"{name}.zip.pt")
        legacy(state, folder / f"{name}.legacy.pt")
        torch.save(prefixed(state, "module."), folder / f"{name}.module.pth")
        legacy({"state_dict": prefixed(state, "model.")}, folder / f"{name}.nested.pth")
        torch.save(wrapped(net, state), folder / f"{name}.wrapped.pth")
        torch.save(cast(state, torch.float64), folder / f"{name}.f64.pt")
        torch.save(strided(state), folder / f"{name}.strided.pt")
        save_file(state, folder / f"{name}.safetensors")
        x = torch.randn(2, *shape)
        tensors |= {f"{name}/input": x, f"{name}/logits": net(x).detach()}
    save_file(tensors, folder / "expected.safetensors")


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
