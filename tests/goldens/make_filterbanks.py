"""Makes filterbank/: short recordings, and their filterbanks by kaldi-native-fbank.

    pip install -r requirements.txt
    python make_filterbanks.py

NAME.wav    a sound at 16 kHz, or 44.1 kHz, 16-bit PCM
NAME.npy    its filterbank [band, frame], f32
Beside each it prints how far Kaldi, which computes in single precision, is from the same in double precision. The same
versions give the same bytes.
"""

from pathlib import Path

import kaldi_native_fbank
import numpy as np
import scipy.signal
import soundfile

FOLDER = Path(__file__).parent / "filterbank"
RATE = 16000


def noise(length, rng):
    return 0.1 * rng.standard_normal(length)


def faint(length, rng):
    """Noise of a step or two of 16 bits on a constant."""
    return 0.01 + 3e-5 * rng.standard_normal(length)


def voice(length, rng):
    """Syllables: a gliding harmonic tone under three formants, a hiss after it, and a pause of digital silence."""
    t = np.arange(length) / RATE
    f0 = rng.uniform(90, 220) * (1 + 0.15 * np.sin(2 * np.pi * 1.7 * t))
    phase = 2 * np.pi * np.cumsum(f0) / rate
    tone = np.zeros(length)
    for k in range(1, 40):
        formants = sum(1 / (1 + ((k * f0 - c) / w) ** 2) for c, w in [(600, 80), (1300, 100), (2500, 150)])
        tone += formants * np.sin(k * phase)
    hiss = np.diff(rng.standard_normal(length + 1))
    place = (t * 4) % 1
    sound = tone * np.interp(place, [0, 0.1, 0.5, 0.6], [0, 1, 0.7, 0]) / np.abs(tone).max()
    sound += 0.05 * hiss * np.interp(place, [0.5, 0.6, 0.7, 0.8], [0, 1, 1, 0])
    return 0.8 * sound / np.abs(sound).max()


# The shortest, the longest of one frame, and lengths drawn by lot.
drawn = np.random.default_rng(0).integers(2000, 14000, 4)
RECORDINGS = {
    "shortest": (noise, 400, RATE),
    "one-frame": (noise, 559, RATE),
    "noise": (noise, drawn[0], RATE),
    "faint": (faint, drawn[1], RATE),
    "voice": (voice, drawn[2], RATE),
    "noise-44100": (noise, drawn[3], 44100),
}


def kaldi(samples):
    """compute-fbank-feats --dither=0 --num-mel-bins=64; samples as 16-bit integers."""
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.samp_freq = RATE
    options.frame_opts.dither = 0
    options.mel_opts.num_bins = 64
    fbank = kaldi_native_fbank.OnlineFbank(options)
    fbank.accept_waveform(RATE, samples)
    fbank.input_finished()
    return np.stack([fbank.get_frame(i) for i in range(fbank.num_frames_ready)], 1)


def double(samples):
    """The same by its definition."""
    mel = lambda hertz: 1127 * np.log(1 + hertz / 700)
    edges = np.linspace(mel(20), mel(RATE / 2), 66)[:, None]
    points = mel(np.arange(256) * RATE / 512)
    rising, falling = (points - edges[:-2]) / np.diff(edges[:-1], axis=0), (edges[2:] - points) / np.diff(edges[1:], axis=0)
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(float), 400)[::160]
    frames = frames - frames.mean(1, keepdims=True)
    frames = np.diff(frames, axis=1) + 0.03 * frames[:, :-1]
    frames = frames * (np.hanning(400) ** 0.85)[1:]
    power = np.abs(np.fft.rfft(frames, 512)[:, :256]) ** 2
    energy = np.maximum(np.minimum(rising, falling), 0) @ power.T
    return np.log(np.maximum(energy, np.finfo(np.float32).eps))


FOLDER.mkdir(exist_ok=True)
for seed, (name, (sound, length, rate)) in enumerate(RECORDINGS.items()):
    wav = FOLDER / f"{name}.wav"
    soundfile.write(wav, sound(length, np.random.default_rng(seed)), rate, subtype="PCM_16")
    samples, _ = soundfile.read(wav)
    resampled = scipy.signal.resample(samples, int(np.ceil(length * RATE / rate))) if rate != RATE else samples
    integers = (resampled * 32768).astype(np.float32)
    features = kaldi(integers)
    difference = np.abs(features - double(integers)).max()
    print(f"{name}: {length} samples, {features.shape[1]} frames, {difference:.1e} from double precision")
    np.save(FOLDER / f"{name}.npy", features)
