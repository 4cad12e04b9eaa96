"""The peers of `cargo xtask bench`, measured as `speechlens bench` measures itself.

One JSON object a line on standard input, one answer each on standard output:

{"what": "versions", "packages": ["torch", …]}                {NAME: version or null, …}
{"what": "forward", "arch": "alexnet", "batch": 50, "device": "cpu", "threads": 2, "seconds": 3}    {"per_second": …}
    likewise train, and lrp with "rules": "epsilon" or "gamma"; resnet34; cuda:0
{"what": "spectrogram", "length": 28800, "rate": 48000, "seconds": 3}              {"per_second": …}
    likewise filterbank
{"what": "onnx", "model": "FILE.onnx", "length": 300, "batch": 8, "threads": 2, "seconds": 3}      {"per_second": …}
    in onnxruntime; or "model": "alexnet" or "resnet34", which are exported
{"what": "memory"}                                            {"peak": bytes or null}
{"what": "packages"}       loads those of LRP, then likewise  {"peak": bytes or null}

What fails answers {"error": "…"}.
"""

import importlib.metadata
import json
import platform
import sys
import time

CLASSES = 10


def versions(packages):
    """Of Python and of these packages; null for those that are not installed."""
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def memory():
    """The most this process ever held in memory, in bytes. Not `ru_maxrss`, which begins with the parent's memory."""
    try:
        with open("/proc/self/status") as status:
            peak = next(line for line in status if line.startswith("VmHWM:"))
        return {"peak": int(peak.split()[1]) * 1024}
    except (OSError, StopIteration):
        return {"peak": None}


def alexnet():
    """[N, 1, 227, 227] to [N, CLASSES]."""
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.AdaptiveAvgPool2d((6, 6)), nn.Flatten(),
        nn.Dropout(), nn.Linear(256 * 6 * 6, 4096), nn.ReLU(),
        nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, CLASSES),
    )  # fmt: skip


def resnet34(explained):
    """[N, 1, 64, 200] to [N, CLASSES]. To be explained, its sums are modules of zennit's, for a rule to hold on to."""
    import torch
    from torch import nn
    from zennit.layer import Sum

    class Add(nn.Module):
        def __init__(self):
            super().__init__()
            self.sum = Sum()

        def forward(self, a, b):
            return self.sum(torch.stack([a, b], -1)) if explained else a + b

    class Mean(nn.Module):
        def forward(self, x):
            return x.mean(-1)

    class Deviation(nn.Module):
        def forward(self, x):
            return torch.sqrt(((x - x.mean(-1, keepdim=True)) ** 2).mean(-1) + 1e-10)

    def convolution(inputs, outputs, kernel, stride):
        conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        return [conv, nn.BatchNorm2d(outputs)]

    class Block(nn.Module):
        def __init__(self, inputs, outputs, stride):
            super().__init__()
            first, second = convolution(inputs, outputs, 3, stride), convolution(outputs, outputs, 3, 1)
            self.branch = nn.Sequential(*first, nn.ReLU(), *second)
            same = stride == 1 and inputs == outputs
            self.shortcut = nn.Sequential(*([] if same else convolution(inputs, outputs, 1, stride)))
            self.add, self.relu = Add(), nn.ReLU()

        def forward(self, x):
            return self.relu(self.add(self.branch(x), self.shortcut(x)))

    class ResNet34(nn.Module):
        def __init__(self):
            super().__init__()
            layers, width = [*convolution(1, 32, 3, 1), nn.ReLU()], 32
            for blocks, channels in [(3, 32), (4, 64), (6, 128), (3, 256)]:
                for block in range(blocks):
                    layers.append(Block(width, channels, 2 if block == 0 and channels > 32 else 1))
                    width = channels
            self.layers, self.mean, self.deviation = nn.Sequential(*layers), Mean(), Deviation()
            self.head = nn.Sequential(nn.Linear(2 * width * 8, 256), nn.BatchNorm1d(256), nn.Linear(256, CLASSES))

        def forward(self, x):
            x = self.layers(x)
            return self.head(torch.cat([self.mean(x).flatten(1), self.deviation(x).flatten(1)], 1))

    return ResNet34()


def forward(net, x, labels):
    import torch

    net.eval()

    def step():
        with torch.inference_mode():
            net(x)

    return step


def train(net, x, labels):
    import torch

    net.train()
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-4, momentum=0.9)

    def step():
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(x), labels).backward()
        optimizer.step()

    return step


def lrp(net, x, labels, rules):
    """The epsilon rule with 1e-6 on every layer that is linear for a given input, sums and statistics among them; or gamma = 0.25
    on convolutions and dense layers, with batch normalization merged into them, and that epsilon on the others."""
    import torch
    from torch import nn
    from zennit.attribution import Gradient
    from zennit.composites import Composite
    from zennit.canonizers import SequentialMergeBatchNorm
    from zennit.rules import Epsilon, Gamma, Pass

    net.eval().requires_grad_(False)

    def rule(_, name, module):
        if isinstance(module, (nn.ReLU, nn.Dropout)):
            return Pass()
        if rules == "gamma":
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                return Gamma(0.25)
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
                return None
        linear = (nn.Conv2d, nn.Linear, nn.AdaptiveAvgPool2d, nn.BatchNorm1d, nn.BatchNorm2d)
        if isinstance(module, linear) or type(module).__name__ in ["Sum", "Mean", "Deviation"]:
            return Epsilon(1e-6)
        return None

    one = nn.functional.one_hot(labels, CLASSES).float()
    canonizers = [SequentialMergeBatchNorm()] if rules == "gamma" else []
    attributor = Gradient(net, Composite(module_map=rule, canonizers=canonizers))
    attributor.__enter__()
    return lambda: attributor(x, lambda logits: logits * one)


def network(request):
    """A pass of the network that is asked for."""
    import torch

    torch.set_num_threads(request["threads"])
    torch.manual_seed(1)
    # In single precision, as ours; the fastest algorithm for each shape.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    device = torch.device(request["device"])
    if request["arch"] == "alexnet":
        net, shape = alexnet(), (1, 227, 227)
    else:
        net, shape = resnet34(request["what"] == "lrp"), (1, 64, 200)
    net = net.to(device)
    x = torch.randn(request["batch"], *shape).to(device)
    labels = (torch.arange(request["batch"]) % CLASSES).to(device)
    if request["what"] == "lrp":
        step = lrp(net, x, labels, request["rules"])
    else:
        step = {"forward": forward, "train": train}[request["what"]](net, x, labels)
    if device.type == "cpu":
        return step

    def done():
        step()
        torch.cuda.synchronize(device)

    return done


def exported(name):
    """An ONNX file, of any batch, of a network of PyTorch's."""
    import logging
    import tempfile

    import torch

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    torch.manual_seed(1)
    net, shape = (alexnet(), (1, 227, 227)) if name == "alexnet" else (resnet34(False), (1, 64, 200))
    path = f"{tempfile.mkdtemp()}/{name}.onnx"
    batch = ({0: torch.export.Dim("N")},)
    torch.onnx.export(net.eval(), (torch.randn(2, *shape),), path, dynamo=True, dynamic_shapes=batch, external_data=False)
    return path


def onnx(request):
    """A forward pass in onnxruntime, of noise; states begin at 0."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = request["threads"], 1
    model = request["model"]
    path = model if model.endswith(".onnx") else exported(model)
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    first, *states = session.get_inputs()
    shape = [request["batch"], *(n if isinstance(n, int) else request["length"] for n in first.shape[1:])]
    given = {first.name: np.random.default_rng(1).uniform(-1, 1, shape).astype(np.float32)}
    for state in states:
        given[state.name] = np.zeros(state.shape, np.float32)
    return lambda: session.run(None, given)


def spectrogram(request):
    """The decibel spectrogram of one recording, as tests/goldens/make_spectrograms.py has it, in single precision."""
    import librosa
    import numpy as np
    import scipy.signal

    recording = np.random.default_rng(1).uniform(-0.5, 0.5, request["length"]).astype(np.float32)

    def step():
        samples = librosa.resample(recording, orig_sr=request["rate"], target_sr=8000, res_type="scipy")
        second = np.zeros(8000, np.float32)
        second[: len(samples)] = samples
        _, _, z = scipy.signal.stft(second, 8000, nperseg=455, noverlap=420, window="hann")
        librosa.amplitude_to_db(np.abs(z[:227, :227]), ref=np.max)

    return step


def filterbank(request):
    """The mel filterbank of one recording, as tests/goldens/make_filterbanks.py has it."""
    import kaldi_native_fbank
    import numpy as np

    recording = np.random.default_rng(1).uniform(-16384, 16384, request["length"]).astype(np.float32)
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.samp_freq = request["rate"]
    options.frame_opts.dither = 0
    options.mel_opts.num_bins = 64

    def step():
        fbank = kaldi_native_fbank.OnlineFbank(options)
        fbank.accept_waveform(request["rate"], recording)
        fbank.input_finished()
        np.stack([fbank.get_frame(i) for i in range(fbank.num_frames_ready)], 1)

    return step


def measure(step, batch, seconds):
    """One pass warms up; then the median rate of the passes that fit in the time, at least one."""
    step()
    start, times = time.perf_counter(), []
    while not times or time.perf_counter() - start < seconds:
        before = time.perf_counter()
        step()
        times.append(time.perf_counter() - before)
    return {"per_second": batch / sorted(times)[len(times) // 2]}


def main():
    answers, sys.stdout = sys.stdout, sys.stderr
    prepared, step = None, None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["what"] == "versions":
                answer = versions(request["packages"])
            elif request["what"] == "memory":
                answer = memory()
            elif request["what"] == "packages":
                import torch, zennit.attribution, zennit.composites, zennit.rules  # noqa: E401, F401

                answer = memory()
            else:
                # Only the last one is kept: networks are large.
                if request != prepared:
                    step = None
                    others = {"spectrogram": spectrogram, "filterbank": filterbank, "onnx": onnx}
                    step = others.get(request["what"], network)(request)
                    prepared = request
                answer = measure(step, request.get("batch", 1), request["seconds"])
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
