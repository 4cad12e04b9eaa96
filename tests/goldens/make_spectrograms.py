"""Makes spectrogram/: short recordings, and their decibel spectrograms and waveforms by numpy, scipy and librosa.

    pip install -r requirements.txt
    python make_spectrograms.py

RATE.wav        a voice-like sound of less than a second at RATE Hz, 16-bit PCM
RATE.CROP.npy   its spectrogram [frequency, time], in 1/400 dB as 16-bit integers (so exact to 0.00125 dB, a fortieth
                of the tolerance)
RATE.waveform.npy  the second itself as AudioMNIST's preprocessing scales it, in 1/4000 as 16-bit integers
The recording starts at sample OFFSET (at 8 kHz) of the second. The same versions give the same bytes.
"""

from pathlib import Path

import librosa
import numpy as np
import scipy.signal
import soundfile

FOLDER = Path(__file__).parent / "spectrogram"
OFFSET = 700
# Rate in Hz, length in samples (even, prime, odd), harmonics, peak, crops. In the quiet one the floor is not at -80 dB but
# where an amplitude of 1e-5 is.
RECORDINGS = [
    (8000, 5000, 15, 0.9, ["thesis", "audiomnist"]),
    (16000, 9973, 1, 0.9, ["thesis"]),
    (44100, 27562, 80, 0.03, ["thesis"]),
    (48000, 31001, 2, 0.9, ["thesis"]),
]


def voice(rate, length, harmonics, peak, seed):
    """A gliding harmonic tone with a spectral tilt under three formants, and noise 60 dB below its peak."""
    rng = np.random.default_rng(seed)
    t = np.arange(length) / rate
    f0 = 120 + 20 * seed + 25 * np.sin(2 * np.pi * 1.7 * t)
    phase = 2 * np.pi * np.cumsum(f0) / rate
    sound = np.zeros(length)
    for k in range(1, harmonics + 1):
        f = k * f0
        formants = sum(1 / (1 + ((f - c) / w) ** 2) for c, w in [(600, 80), (1300, 100), (2500, 150)])
        sound += formants / k**0.5 * np.sin(k * phase)
    envelope = np.sin(np.pi * t / t[-1]) ** 0.5
    sound = sound / np.abs(sound).max() * envelope + 1e-3 * rng.standard_normal(length)
    return peak * sound / np.abs(sound).max()


def in_a_second(samples, rate):
    samples = librosa.resample(samples, orig_sr=rate, target_sr=8000, res_type="scipy")
    second = np.zeros(8000)
    second[OFFSET : OFFSET + len(samples)] = samples
    return second


def waveform(samples, rate):
    second = in_a_second(32768 * samples, rate)
    return second / (np.percentile(second, 95) + 0.001)


def spectrogram(samples, rate, crop):
    second = in_a_second(samples, rate)
    _, _, z = scipy.signal.stft(second, 8000, nperseg=455, noverlap=420, window="hann")
    assert z.shape == (228, 230)
    z = z[:227, :227] if crop == "thesis" else z[:227, 2:-1]
    return librosa.amplitude_to_db(np.abs(z), ref=np.max)


FOLDER.mkdir(exist_ok=True)
for seed, (rate, length, harmonics, peak, crops) in enumerate(RECORDINGS):
    wav = FOLDER / f"{rate}.wav"
    soundfile.write(wav, voice(rate, length, harmonics, peak, seed), rate, subtype="PCM_16")
    samples, _ = soundfile.read(wav)
    for crop in crops:
        decibel = spectrogram(samples, rate, crop)
        single = spectrogram(samples.astype(np.float32), rate, crop)
        print(
            f"{rate} {crop}: {np.mean(decibel > decibel.min()):.0%} above the floor of {decibel.min():.1f} dB, "
            f"single precision differs by {np.abs(decibel - single).max():.1e} dB"
        )
        np.save(FOLDER / f"{rate}.{crop}.npy", np.round(decibel * 400).astype(np.int16))
    scaled = np.round(waveform(samples, rate) * 4000)
    assert np.abs(scaled).max() < 32768
    np.save(FOLDER / f"{rate}.waveform.npy", scaled.astype(np.int16))
