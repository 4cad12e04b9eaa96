"""Makes front_ends/: a sound, and what other front ends make of it.

    pip install -r requirements.txt
    python make_front_ends.py

sound-RATE.wav          a sound of 1.3 s, 16-bit PCM
whisper-log-mel.npy     transformers' WhisperFeatureExtractor, [band, frame], f32; of 30 s the first 140 frames
librosa-mel.npy         librosa's melspectrogram with its defaults, in dB below the loudest, [band, frame], f32
smart-turn.npy          the same of the last 8 s, zeros before the sound, with do_normalize, [band, frame], f32; the last 140 frames
ge2e-mel.npy            librosa's melspectrogram as Resemblyzer calls it, of the sound at -30 dB of full scale, [band, frame], f32
kaldi-fbank-80.npy      kaldi-native-fbank, the mean of each band taken off, [band, frame], f32
The same versions give the same bytes.
"""

from pathlib import Path

import kaldi_native_fbank
import librosa
import numpy as np
import soundfile
from transformers import WhisperFeatureExtractor

FOLDER = Path(__file__).parent / "front_ends"
FOLDER.mkdir(exist_ok=True)


def sound(rate):
    """A gliding harmonic tone under a rising and falling level, and a hiss."""
    rng = np.random.default_rng(5)
    t = np.arange(int(1.3 * rate)) / rate
    phase = 2 * np.pi * np.cumsum(140 * (1 + 0.3 * np.sin(2 * np.pi * 1.3 * t))) / rate
    tone = sum(np.sin(k * phase) / k for k in range(1, 30))
    level = np.interp(t, [0, 0.1, 0.5, 0.8, 1.0, 1.3], [0, 1, 0.6, 0.05, 0.8, 0])
    return 0.3 * (tone * level + 0.02 * rng.standard_normal(len(t)))


def recorded(rate):
    path = FOLDER / f"sound-{rate}.wav"
    soundfile.write(path, sound(rate), rate, subtype="PCM_16")
    return soundfile.read(path, dtype="float32")[0]


def kaldi(samples):
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.samp_freq = 16000
    options.frame_opts.dither = 0
    options.mel_opts.num_bins = 80
    fbank = kaldi_native_fbank.OnlineFbank(options)
    fbank.accept_waveform(16000, samples * 32768)
    fbank.input_finished()
    features = np.stack([fbank.get_frame(i) for i in range(fbank.num_frames_ready)], 1)
    return features - features.mean(1, keepdims=True)


samples = recorded(16000)
np.save(FOLDER / "kaldi-fbank-80.npy", kaldi(samples).astype(np.float32))
whisper = WhisperFeatureExtractor()(samples, sampling_rate=16000, return_tensors="np").input_features[0]
np.save(FOLDER / "whisper-log-mel.npy", whisper[:, :140].astype(np.float32))
last = np.pad(samples, (8 * 16000 - len(samples), 0))
extract = WhisperFeatureExtractor(chunk_length=8)
turn = extract(last, sampling_rate=16000, return_tensors="np", padding="max_length", max_length=8 * 16000, do_normalize=True)
np.save(FOLDER / "smart-turn.npy", turn.input_features[0][:, -140:].astype(np.float32))
# Resemblyzer's normalize_volume and wav_to_mel_spectrogram.
level = 20 * np.log10(np.sqrt(np.mean(samples.astype(np.float64) ** 2)))
louder = samples * 10 ** (max(-30 - level, 0) / 20)
mel = librosa.feature.melspectrogram(y=louder, sr=16000, n_fft=400, hop_length=160, n_mels=40)
np.save(FOLDER / "ge2e-mel.npy", mel.astype(np.float32))
samples = recorded(22050)
mel = librosa.power_to_db(librosa.feature.melspectrogram(y=samples, sr=22050), ref=np.max)
np.save(FOLDER / "librosa-mel.npy", mel.astype(np.float32))
for path in sorted(FOLDER.glob("*.npy")):
    print(path.name, np.load(path).shape)
