"""Makes attribution/: what Captum computes on the networks of relevance/, whose weights, inputs and targets it reads.

    pip install -r requirements.txt
    python make_attributions.py
    python make_attributions.py --full FOLDER [--models ../../../shared/peers/models.py]

attribution/plain.safetensors      METHOD: the attribution of every input [N, 1, H, W] for its target, f64
attribution/residual.safetensors   the same of the residual network

`--full` reads FOLDER/alexnet.safetensors and FOLDER/resnet34.safetensors of `make_relevance.py --full` and writes
FOLDER/attribution-alexnet.safetensors and FOLDER/attribution-resnet34.safetensors, and with each method apart-f32/METHOD, how far
Captum's attribution in f32 is from its own in f64 (relative L2).
"""

import argparse
import importlib.util
from pathlib import Path

import torch
from captum.attr import InputXGradient, IntegratedGradients, Occlusion, Saliency
from safetensors.torch import load_file

from make_networks import Net, Residual, write

HERE = Path(__file__).parent


def attributions(net, x, targets, patch, stride, steps):
    """By method. A reference of -80 stands beside that of 0; patches are covered with -20."""
    sigmoid, softmax = (lambda x: torch.sigmoid(net(x))), (lambda x: torch.softmax(net(x), 1))
    window = dict(sliding_window_shapes=(1, *patch), strides=(1, *stride), baselines=-20.0, perturbations_per_eval=16)
    found = {
        "gradient": Saliency(net).attribute(x, targets, abs=False),
        "sensitivity": Saliency(net).attribute(x, targets),
        "gradient-times-input": InputXGradient(net).attribute(x, targets),
        "occlusion": Occlusion(net).attribute(x, target=targets, **window),
        "occlusion-sigmoid": Occlusion(sigmoid).attribute(x, target=targets, **window),
        "occlusion-softmax": Occlusion(softmax).attribute(x, target=targets, **window),
    }
    for reference in [0.0, -80.0]:
        integral = IntegratedGradients(net).attribute(
            x, reference, targets, n_steps=steps, return_convergence_delta=True)
        found[f"integrated-gradients{reference:g}"] = integral[0]
        # Captum's delta is the sum less the difference of the logits.
        found[f"gap{reference:g}"] = -integral[1]
    return {name: tensor.detach() for name, tensor in found.items()}


def make(net, golden, path, patch, stride, steps, single=False):
    weights = {name: tensor for name, tensor in golden.items() if name in net.state_dict()}
    missing, surplus = net.double().load_state_dict(weights, strict=False)
    assert not surplus and all("batches_tracked" in name for name in missing), (missing, surplus)
    print(path.stem, flush=True)
    rest = golden["target"], patch, stride, steps
    found = attributions(net.eval(), golden["input"].double(), *rest)
    if single:
        apart = attributions(net.float(), golden["input"], *rest)
        found |= {f"apart-f32/{name}": (apart[name].double() - of).norm() / of.norm() for name, of in found.items()}
    write(found, path)


def make_small():
    for name, net, patch, stride in [("plain", Net(), (5, 4), (3, 4)), ("residual", Residual(), (4, 12), (4, 1))]:
        golden = load_file(HERE / f"relevance/{name}.safetensors")
        make(net, golden, HERE / f"attribution/{name}.safetensors", patch, stride, 20)


def make_full(folder, models):
    spec = importlib.util.spec_from_file_location("models", models)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, net, patch in [("alexnet", module.AlexNet(), (57, 57)), ("resnet34", module.ResNet34(10), (16, 50))]:
        golden = load_file(folder / f"{name}.safetensors")
        make(net, golden, folder / f"attribution-{name}.safetensors", patch, patch, 8, single=True)


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
