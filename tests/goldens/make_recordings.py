"""Makes recordings/: small sound files of the kinds that are read, and what libsndfile reads from them.

    pip install -r requirements.txt
    python make_recordings.py
    python make_recordings.py --full FOLDER

recordings/NAME           a file; its name tells format, coding, channels and what was done to it
recordings/expected.json  of each file its rate and the mean of its channels, or null for a coding that is to be named, not read

`--full` writes some hundreds to FOLDER, of more lengths and rates; `SPEECHLENS_RECORDINGS=FOLDER cargo test -p speechlens-audio --test
recordings -- --ignored` reads them. FLAC of other depths than 8, 16 and 24 bits, which libsndfile does not read, is expected to hold what was put
in. The same versions give the same bytes.
"""

import argparse
import itertools
import json
import shutil
import struct
import tempfile
from pathlib import Path

import numpy as np
import soundfile

HERE = Path(__file__).parent / "recordings"

INTEGERS, FLOATS, LAWS = ["PCM_16", "PCM_24", "PCM_32"], ["FLOAT", "DOUBLE"], ["ULAW", "ALAW"]
# Ending, format, codings, orders of bytes.
FORMATS = [
    ("wav", "WAV", ["PCM_U8", *INTEGERS, *FLOATS, *LAWS], ["LITTLE", "BIG"]),
    ("wav", "WAV", ["IMA_ADPCM", "MS_ADPCM"], ["LITTLE"]),
    ("ext.wav", "WAVEX", ["PCM_U8", *INTEGERS, *FLOATS, *LAWS], ["FILE"]),
    ("rf64", "RF64", ["PCM_U8", *INTEGERS, *FLOATS, *LAWS], ["FILE"]),
    ("w64", "W64", ["PCM_U8", *INTEGERS, *FLOATS, *LAWS], ["FILE"]),
    ("aiff", "AIFF", ["PCM_S8", "PCM_U8", *FLOATS, *LAWS], ["FILE"]),
    ("aiff", "AIFF", INTEGERS, ["BIG", "LITTLE"]),
    ("au", "AU", ["PCM_S8", *INTEGERS, *FLOATS, *LAWS], ["BIG", "LITTLE"]),
    ("caf", "CAF", ["PCM_S8", *INTEGERS, *FLOATS, *LAWS], ["BIG", "LITTLE"]),
    # libsndfile's ALAC of other depths ffmpeg cannot read either.
    ("alac.caf", "CAF", ["ALAC_16"], ["FILE"]),
    ("flac", "FLAC", ["PCM_S8", "PCM_16", "PCM_24"], ["FILE"]),
    ("sph", "NIST", ["PCM_S8", *INTEGERS, *LAWS], ["BIG", "LITTLE"]),
]
# Valid, known, and not read.
UNREAD = [
    ("wav", "WAV", ["GSM610", "G721_32"]),
    ("aiff", "AIFF", ["IMA_ADPCM", "GSM610", "DWVW_16", "DWVW_24"]),
    ("au", "AU", ["G721_32", "G723_24", "G723_40"]),
    ("w64", "W64", ["GSM610", "IMA_ADPCM", "MS_ADPCM"]),
]
CHANNELS = {"IMA_ADPCM": 2, "MS_ADPCM": 2}
RATES = [8000, 11025, 12345, 16000, 22050, 24000, 32000, 44100, 48000, 96000]


def sound(rng, frames, channels):
    """Tones and noise, another in each channel, with full scale in it."""
    t = np.arange(frames)[:, None]
    tone = 0.5 * np.sin(t * rng.uniform(0.01, 1, channels) + rng.uniform(0, 6, channels))
    tone += 0.1 * rng.standard_normal((frames, channels))
    if frames:
        tone[rng.integers(frames)] = -1
    return np.clip(tone, -1, 1 - 2.0**-15)


def chunk(name, body, order="<", pad=2):
    return name + struct.pack(order + "I", len(body)) + body + bytes(-len(body) % pad)


def split(data, order):
    """The chunks of RIFF or FORM as (name, body)."""
    at, chunks = 12, []
    while at + 8 <= len(data):
        size = struct.unpack(order + "I", data[at + 4 : at + 8])[0]
        chunks.append((data[at : at + 4], data[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2
    return chunks


def join(data, chunks, order):
    body = b"".join(chunk(name, body, order) for name, body in chunks)
    return data[:4] + struct.pack(order + "I", 4 + len(body)) + data[8:12] + body


def sized(data, size, whole):
    """A WAV or AU with another size of its samples, and of itself."""
    at = data.index(b"data") + 4
    data = data[:at] + struct.pack("<I", size) + data[at + 4 :]
    return data[:4] + struct.pack("<I", whole) + data[8:]


def wav_variants(data):
    chunks = split(data, "<")
    chunks = [c for c in chunks if c[0] in (b"fmt ", b"fact", b"data")]
    yield "bare", join(data, chunks, "<")
    # A pipe's writer ends with its samples.
    bare = join(data, chunks, "<")[: -1 if len(chunks[-1][1]) % 2 else None]
    yield "ffffffff", sized(bare, 0xFFFFFFFF, 0xFFFFFFFF)
    yield "7ffff000", sized(bare, 0x7FFFF000, 0x7FFFF024)
    yield "zero", sized(bare, 0, 0)
    odd = (b"LIST", b"INFOISFT\x05\0\0\0Lavf")
    odd = (odd[0], odd[1] + b"5")
    fmt = [c for c in chunks if c[0] == b"fmt "]
    rest = [c for c in chunks if c[0] != b"fmt "]
    yield "garbage", join(data, chunks, "<") + b"\0not a chunk"
    yield "odd-before", join(data, [(b"junk", b"abc"), *fmt, odd, *rest], "<")
    yield "odd-after", join(data, [*fmt, *rest, odd, (b"id3 ", b"ID3")], "<")
    body = fmt[0][1]
    if len(body) == 16:
        for extra in [b"\0\0", b"\2\0ab", b"\0\0" + bytes(10), bytes(24)]:
            yield f"fmt{16 + len(extra)}", join(data, [(b"fmt ", body + extra), *rest], "<")


def valid_bits(data, bits):
    """WAVE_FORMAT_EXTENSIBLE with fewer valid bits than the container has, the others zero."""
    at = data.index(b"fmt ") + 8
    return data[: at + 18] + struct.pack("<H", bits) + data[at + 20 :]


def aiff_variants(data, bits):
    chunks = split(data, ">")
    chunks = [c for c in chunks if c[0] in (b"FVER", b"COMM", b"SSND")]
    sound = [c for c in chunks if c[0] == b"SSND"]
    rest = [c for c in chunks if c[0] != b"SSND"]
    yield "odd-chunks", join(data, [(b"NAME", b"odd"), *rest, (b"ANNO", b"an odd one!"), *sound, (b"AUTH", b"x")], ">")
    yield "garbage", join(data, chunks, ">") + b"\0not a chunk"
    samples = sound[0][1][8:]
    yield "offset", join(data, [*rest, (b"SSND", struct.pack(">II", 6, 0) + b"sixsix" + samples)], ">")
    if bits:
        common = dict(chunks)[b"COMM"]
        common = common[:6] + struct.pack(">H", bits) + common[8:]
        yield f"{bits}-bits", join(data, [(n, common if n == b"COMM" else b) for n, b in chunks], ">")


def au_variants(data):
    start = struct.unpack(">I", data[4:8])[0]
    yield "ffffffff", data[:8] + b"\xff" * 4 + data[12:]
    yield "annotated", data[:4] + struct.pack(">I", start + 9) + data[8:start] + b"annotated" + data[start:]


def caf_variants(data):
    at = data.index(b"data")
    size = struct.unpack(">q", data[at + 4 : at + 12])[0]
    yield "open", data[: at + 4] + b"\xff" * 8 + data[at + 12 : at + 12 + size]
    free = b"free" + struct.pack(">q", 7) + bytes(7)
    yield "free", data[:at] + free + data[at:]


def flac_variants(data):
    v1 = b"TAG" + b"A title".ljust(125, b"\0")
    v2 = b"ID3\4\0\0\0\0\0\x15" + b"TIT2\0\0\0\x05\0\0\3Name" + bytes(6)
    yield "id3v1", data + v1
    yield "id3v2", v2 + data
    yield "id3v1-id3v2", v2 + data + v1


def crc(data, polynomial, bits):
    value = 0
    for byte in data:
        value ^= byte << (bits - 8)
        for _ in range(8):
            value = (value << 1) ^ (polynomial if value >> (bits - 1) & 1 else 0)
            value &= (1 << bits) - 1
    return value.to_bytes(bits // 8, "big")


def verbatim_flac(samples, rate, bits):
    """FLAC (RFC 9639) of one frame without prediction, for depths that libFLAC's callers seldom write. samples [frames, channels]"""
    frames, channels = samples.shape
    field = lambda value, width: format(int(value) & (1 << width) - 1, f"0{width}b")
    to_bytes = lambda text: int(text + "0" * (-len(text) % 8), 2).to_bytes(-(-len(text) // 8), "big")
    info = field(frames, 16) * 2 + field(0, 48) + field(rate, 20) + field(channels - 1, 3) + field(bits - 1, 5) + field(frames, 36)
    # No checksum of the sound.
    head = b"fLaC\x80\0\0\x22" + to_bytes(info) + bytes(16)
    sizes = {8: 1, 12: 2, 16: 4, 20: 5, 24: 6, 32: 7}
    frame = to_bytes(
        field(0x3FFE, 14) + "00" + field(7, 4) + field(0, 4) + field(channels - 1, 4) + field(sizes.get(bits, 0), 3) + "0"
    )
    frame += bytes([0]) + struct.pack(">H", frames - 1)
    frame += crc(frame, 0x07, 8)
    frame += to_bytes("".join("00000010" + "".join(field(s, bits) for s in samples[:, c]) for c in range(channels)))
    return head + frame + crc(frame, 0x8005, 16)


class Writer:
    def __init__(self, folder):
        self.folder, self.expected, self.otherwise = folder, {}, []
        folder.mkdir(parents=True, exist_ok=True)

    def expect(self, name, source=None):
        """What libsndfile reads from a file, or from another."""
        samples, rate = soundfile.read(self.folder / (source or name), always_2d=True)
        self.expected[name] = {"rate": rate, "mean": samples.mean(1).tolist()}

    def write(self, name, samples, rate, form, coding, endian="FILE"):
        soundfile.write(self.folder / name, samples, rate, subtype=coding, format=form, endian=endian)

    def variant(self, name, source, data):
        (self.folder / name).write_bytes(data)
        try:
            self.expect(name)
        except soundfile.LibsndfileError:
            self.expected[name] = None
        if self.expected[name] != self.expected[source]:
            self.otherwise.append(name)
            self.expect(name, source)


def variants(writer, name, ending, form, coding):
    """Files as other programs write them, from one that libsndfile wrote."""
    data = (writer.folder / name).read_bytes()
    made = []
    if form == "WAV" and "ADPCM" not in coding and data[:4] == b"RIFF":
        made = wav_variants(data)
    elif form == "WAVEX" and coding in INTEGERS:
        made = [(f"{bits}-bits", valid_bits(data, bits)) for bits in [int(coding[4:]) - 4]]
    elif form == "AIFF" and "ADPCM" not in coding:
        made = aiff_variants(data, int(coding[4:]) - 4 if coding in INTEGERS else None)
    elif form == "AU" and data[:4] == b".snd":
        made = au_variants(data)
    elif form == "CAF" and "ALAC" not in coding:
        made = caf_variants(data)
    elif form == "FLAC":
        made = flac_variants(data)
    stem = name.removesuffix("." + ending)
    for what, changed in made:
        writer.variant(f"{stem}-{what}.{ending}", name, changed)


def full(folder, longest=3000):
    rng, writer = np.random.default_rng(15), Writer(folder)
    for ending, form, codings, orders in FORMATS:
        for coding, order in itertools.product(codings, orders):
            most = CHANNELS.get(coding, 8)
            if not soundfile.check_format(form, coding, order):
                continue
            for at, channels in enumerate(dict.fromkeys([1, min(2, most), int(rng.integers(1, most + 1)), most])):
                frames = 1 if at == 3 else int(rng.integers(2, longest))
                name = f"{form}-{coding}-{order}-{channels}ch.{ending}".lower()
                writer.write(name, sound(rng, frames, channels), int(rng.choice(RATES)), form, coding, order)
                writer.expect(name)
                if at == 0 or (at == 1 and coding == "PCM_24"):
                    variants(writer, name, ending, form, coding)
        # Of nothing libsndfile writes no FLAC, and coders write no block.
        for frames in [0, 1] if "PCM_" in codings[0] and form != "FLAC" and "ADPCM" not in codings[0] else [1]:
            name = f"{form}-{codings[0]}-{frames}-frames.{ending}".lower()
            writer.write(name, sound(rng, frames, 1), 16000, form, codings[0])
            writer.expect(name)
    for ending, form, codings in UNREAD:
        for coding in codings:
            name = f"unread-{coding}.{ending}".lower()
            writer.write(name, sound(rng, longest, 1), 8000, form, coding)
            writer.expected[name] = None
    for bits in [4, 5, 8, 11, 12, 13, 16, 20, 23, 24]:
        channels, frames = int(rng.integers(1, 4)), int(rng.integers(16, longest // 5 + 17))
        samples = np.round(sound(rng, frames, channels) * 2.0 ** (bits - 1)).clip(max=2 ** (bits - 1) - 1)
        name = f"flac-{bits}-bits-{channels}ch.flac"
        (folder / name).write_bytes(verbatim_flac(samples, 16000, bits))
        mean = (samples / 2.0 ** (bits - 1)).mean(1)
        if bits in (8, 16, 24):
            assert np.array_equal(soundfile.read(folder / name, always_2d=True)[0].mean(1), mean)
        writer.expected[name] = {"rate": 16000, "mean": mean.tolist()}
    return writer


# Which of these are committed, shorter.
SMALL = [
    "wav-pcm_u8-little-1ch-odd-after.wav",
    "wav-pcm_16-little-1ch-ffffffff.wav",
    "wav-pcm_16-little-1ch-fmt40.wav",
    "wav-pcm_24-little-1ch-7ffff000.wav",
    "wav-float-little-1ch-zero.wav",
    "wav-double-big-2ch.wav",
    "wav-alaw-little-1ch-garbage.wav",
    "wav-pcm_u8-0-frames.wav",
    "wavex-pcm_32-file-1ch-28-bits.ext.wav",
    "rf64-pcm_16-file-1ch.rf64",
    "w64-pcm_24-file-2ch.w64",
    "aiff-pcm_16-big-1ch-offset.aiff",
    "aiff-pcm_24-little-1ch.aiff",
    "aiff-float-file-1ch-odd-chunks.aiff",
    "au-ulaw-big-1ch.au",
    "au-pcm_24-little-1ch.au",
    "caf-pcm_s8-little-1ch-open.caf",
    "caf-alaw-big-1ch-free.caf",
    "caf-alac_16-file-1ch.alac.caf",
    "flac-pcm_24-file-1ch-id3v1-id3v2.flac",
    "nist-ulaw-big-1ch.sph",
    "unread-gsm610.wav",
    "unread-ima_adpcm.w64",
]


def small(folder):
    with tempfile.TemporaryDirectory() as made:
        writer = full(Path(made), 24)
        writer.expected = {name: writer.expected[name] for name in SMALL}
        folder.mkdir(exist_ok=True)
        for name in SMALL:
            shutil.copyfile(Path(made) / name, folder / name)
    return writer


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", type=Path, metavar="FOLDER")
    folder = parser.parse_args().full
    writer = full(folder) if folder else small(HERE)
    ((folder or HERE) / "expected.json").write_text(json.dumps(writer.expected, indent=None if folder else 0) + "\n")
    print(f"{len(writer.expected)} files")
    print("libsndfile does not read these as what they were made from:", *writer.otherwise)


main()
