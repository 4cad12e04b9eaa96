"""One-cycle learning rates and a training under one, by PyTorch: training/one-cycle.safetensors.

The training starts from the weights, and takes the batches, of training/training.safetensors (make_networks.py).
"""

import torch
from make_networks import HERE, STEPS, train, weights, write
from safetensors.torch import load_file

PEAK = 2e-3


class OneCycleAdamW(torch.optim.AdamW):
    """Changes its learning rate after each step."""

    def __init__(self, parameters, steps):
        super().__init__(parameters, lr=PEAK, weight_decay=0.01)
        self.cycle = torch.optim.lr_scheduler.OneCycleLR(self, PEAK, total_steps=steps, cycle_momentum=False)

    def step(self, closure=None):
        super().step(closure)
        if self.cycle.last_epoch < self.cycle.total_steps - 1:
            self.cycle.step()


def rates(steps):
    optimizer = OneCycleAdamW([torch.nn.Parameter(torch.zeros(1))], steps)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
    return torch.tensor(found, dtype=torch.float64)


def main():
    torch.set_num_threads(1)
    given = load_file(HERE / "training/training.safetensors")
    start = {name.removeprefix("start/"): tensor for name, tensor in given.items() if name.startswith("start/")}
    losses, net = train(start, lambda p: OneCycleAdamW(p, STEPS), given["input"], given["label"])
    tensors = {f"lr/{steps}": rates(steps) for steps in (1, 2, 3, 10, 60, 333)}
    write(tensors | {"one-cycle/loss": losses} | weights(net, "one-cycle/"), HERE / "training/one-cycle.safetensors")


if __name__ == "__main__":
    main()
