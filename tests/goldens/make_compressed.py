"""Makes compressed/: small recordings by lossy and lossless coders, and what others decode from them.

    pip install -r requirements.txt        # and ffmpeg, with libmp3lame, libshine, libvorbis and libopus
    python make_compressed.py
    python make_compressed.py --full FOLDER

compressed/NAME           a file; its name begins with its coding and tells rate, channels, container and what was done to it
compressed/expected.json  of each file its rate, how many samples it has, and every so manieth of them, channels mixed by their mean;
                          null for a coding that is to be named, not read

What is expected is what ffmpeg decodes, except that
- ffmpeg 5 leaves at the end what a coder added to MP4; the length is that of what was put in, wherever the container tells it (the tag that ffmpeg
  writes into MP3 is up to a frame from that);
- Vorbis and Opus in Ogg, and MP3 of 24 kHz, are read by libsndfile: ffmpeg 5 keeps more of Vorbis than its last page counts and decodes Opus at 48 kHz
  alone, and has 330 where a scale factor band of 24 kHz begins, for 332 (LAME, mpg123); where libsndfile estimates a length,
  ffmpeg's is taken;
- Opus elsewhere is decoded by libopus: ffmpeg's own decoder brings speech to 48 kHz by a filter of its own;
- of a file with iTunes' gapless tag (`smpb`), of which ffmpeg 5 heeds the start alone and in MP3 nothing, that part of the untagged file is expected
  which holds what was put in.

`--full` writes some hundreds to FOLDER, with all their samples; `SPEECHLENS_COMPRESSED=FOLDER cargo test -p speechlens-audio --test compressed --
--ignored` reads them. The same versions give the same bytes, but for the serial number that libsndfile draws for Ogg.
"""

import argparse
import itertools
import json
import struct
import subprocess
import tempfile
import zlib
from pathlib import Path

import numpy as np
import soundfile

HERE = Path(__file__).parent / "compressed"

# Valid, known, and not read.
UNREAD = ["aac-48000-6ch-m4a.m4a", "vorbis-16000-6ch-q0-ogg.ogg", "vorbis-48000-6ch-q6-webm.webm", "alac-16000-1ch-s16p.mov", "ac3-48000-2ch.mp4"]

BITEXACT = ["-fflags", "+bitexact", "-flags:a", "+bitexact", "-map_metadata", "-1"]


def sound(rng, frames, channels, rate):
    """A chirp over noise that comes and goes, another in each channel: a shift by one sample shows."""
    t = np.arange(frames)[:, None] / rate
    tone = 0.3 * np.sin(2 * np.pi * (rng.uniform(100, 600, channels) * t + rng.uniform(300, 900, channels) * t**2))
    noise = 0.05 * rng.standard_normal((frames, channels)) * (1 + np.sin(2 * np.pi * rng.uniform(2, 9) * t))
    return tone + noise


def ffmpeg(*arguments):
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", *map(str, arguments)], check=True)


class Writer:
    def __init__(self, folder, every, wanted=None):
        self.folder, self.every, self.wanted = folder, every, wanted
        self.expected = {}
        self.temporary = tempfile.TemporaryDirectory()
        folder.mkdir(parents=True, exist_ok=True)

    def skips(self, name):
        return self.wanted is not None and name not in self.wanted

    def frames(self, rate):
        # The length of MP3 without a tag is guessed from its first 17 frames: some have more.
        seconds = 0.9 if self.wanted is None else 0.45 if rate > 32000 else 0.12
        return int(rate * seconds) + 17

    def sound(self, name, channels, rate):
        return sound(np.random.default_rng(zlib.crc32(name.encode())), self.frames(rate), channels, rate)

    def decoded(self, name, *decoder):
        """By ffmpeg: samples [frames, channels], rate."""
        out = Path(self.temporary.name) / "decoded.wav"
        ffmpeg(*decoder, "-i", self.folder / name, "-map", "0:a:0", "-c:a", "pcm_f32le", out)
        return soundfile.read(out, always_2d=True)

    def expect(self, name, samples, rate, frames=None):
        mean = samples[:frames].mean(1)
        values = [float(f"{value:.9g}") for value in mean[:: self.every]]
        self.expected[name] = {"rate": rate, "samples": frames or len(mean), "every": self.every, "values": values}

    def encode(self, name, channels, rate, *options, told=True, by=()):
        """Encodes by ffmpeg. `told`: whether the container tells where its sound ends. `by`: what decodes it; libsndfile if None."""
        if self.skips(name):
            return
        source = Path(self.temporary.name) / "source.wav"
        soundfile.write(source, self.sound(name, channels, rate), rate, subtype="FLOAT")
        ffmpeg("-i", source, *options, *BITEXACT, self.folder / name)
        if name in UNREAD:
            self.expected[name] = None
            return
        found = self.decoded(name, *(by or []))
        frames = self.frames(rate) if told else len(found[0])
        if by is None:
            found = soundfile.read(self.folder / name, always_2d=True)
        self.expect(name, *found, frames)

    def write(self, name, channels, rate, by, **options):
        """Encodes by libsndfile."""
        if self.skips(name):
            return
        soundfile.write(self.folder / name, self.sound(name, channels, rate), rate, **options)
        self.expect(name, *by(name), self.frames(rate))

    def changed(self, name, source, change, expected=None):
        """What a change makes of another file, and of its samples, if ffmpeg is not to tell."""
        if self.skips(name):
            return
        (self.folder / name).write_bytes(change((self.folder / source).read_bytes()))
        samples, rate = self.decoded(source if expected else name)
        self.expect(name, expected(samples) if expected else samples, rate)


def itunes(added, kept, found):
    """iTunes' gapless tag."""
    numbers = f" 00000000 {added:08X} {found - added - kept:08X} {kept:016X}"
    return (numbers + " 00000000" * 8).encode()


def atom(name, *body):
    body = b"".join(body)
    return struct.pack(">I", 8 + len(body)) + name + body


def atoms(data):
    at = 0
    while at < len(data):
        length = struct.unpack(">I", data[at : at + 4])[0]
        yield data[at + 4 : at + 8], data[at : at + length]
        at += length


def with_tag(data, tag):
    """MP4, its index behind its samples, with iTunes' tag and no other."""
    free = atom(b"----", atom(b"mean", bytes(4), b"com.apple.iTunes"), atom(b"name", bytes(4), b"iTunSMPB"), atom(b"data", b"\0\0\0\1", bytes(4), tag))
    handler = atom(b"hdlr", bytes(8), b"mdirappl", bytes(9))
    tagged = atom(b"udta", atom(b"meta", bytes(4), handler, atom(b"ilst", free)))
    movie = [body for name, body in atoms(dict(atoms(data))[b"moov"][8:]) if name != b"udta"]
    return b"".join(body for name, body in atoms(data) if name != b"moov") + atom(b"moov", *movie, tagged)


def with_comment(data, tag):
    """MP3 with iTunes' tag in ID3 (2.3)."""
    body = b"\0engiTunSMPB\0" + tag
    frame = b"COMM" + struct.pack(">IH", len(body), 0) + body
    length = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\3\0\0" + length + frame + data


def mp3(writer):
    rates = [44100, 48000, 32000, 22050, 24000, 16000, 8000, 11025, 12000]
    for rate, channels, how, xing in itertools.product(rates, [1, 2], ["cbr", "vbr", "abr"], [0, 1]):
        bits = ["-b:a", "64k" if rate >= 16000 else "32k"]
        options = {"cbr": bits, "vbr": ["-q:a", 5], "abr": ["-abr", 1, *bits]}[how]
        name = f"mp3-{rate}-{channels}ch-{how}-{'xing' if xing else 'bare'}.mp3"
        tags = ["-write_xing", xing, "-id3v2_version", [0, 3, 4][channels + xing - 1], "-write_id3v1", xing]
        by = None if rate == 24000 else ()
        writer.encode(name, channels, rate, "-c:a", "libmp3lame", *options, *tags, told=False, by=by)
    for rate, xing in itertools.product([44100, 48000], [0, 1]):
        name = f"mp3-{rate}-2ch-shine-{'xing' if xing else 'bare'}.mp3"
        writer.encode(name, 2, rate, "-c:a", "libshine", "-b:a", "128k", "-id3v2_version", 0, "-write_xing", xing, told=False)
    # By LAME itself, with its own checksum of its tag.
    for rate, mode in itertools.product([16000, 44100], ["CONSTANT", "AVERAGE", "VARIABLE"]):
        name = f"mp3-{rate}-1ch-lame-{mode.lower()}.mp3"
        writer.write(name, 1, rate, writer.decoded, format="MP3", bitrate_mode=mode, compression_level=0.6)

    tagged, bare = "mp3-16000-1ch-cbr-xing.mp3", "mp3-44100-2ch-vbr-bare.mp3"
    # An encoder whose delay is not told.
    unknown = lambda data: data.replace(b"Lavf", b"Coder", 1).replace(b"Lavc", b"Coder", 1)
    writer.changed("mp3-16000-1ch-cbr-other.mp3", tagged, unknown)
    writer.changed("mp3-44100-2ch-vbr-bare-zeros.mp3", bare, lambda data: data + bytes(3000))
    ape = b"APETAGEX" + struct.pack("<IIII8x", 2000, 32, 0, 1 << 31)
    writer.changed("mp3-44100-2ch-vbr-bare-ape.mp3", bare, lambda data: data + ape)
    # A recording of a stream begins anywhere: its first frames need what came before.
    writer.changed("mp3-16000-1ch-vbr-bare-cut.mp3", "mp3-16000-1ch-vbr-bare.mp3", lambda data: data[data.index(b"\xff\xf3", 300) :])
    # Two files in one: the tag of the first does not count the second.
    writer.changed("mp3-16000-1ch-cbr-twice.mp3", tagged, lambda data: data + data[data.index(b"\xff\xf3", 500) :])
    # LAME adds 576 samples, a decoder 529.
    for rate, channels in [(44100, 2), (16000, 1)]:
        kept, source = writer.frames(rate), f"mp3-{rate}-{channels}ch-vbr-bare.mp3"
        tag = lambda data: with_comment(data, itunes(576, kept, len(writer.decoded(source)[0])))
        writer.changed(f"mp3-{rate}-{channels}ch-vbr-smpb.mp3", source, tag, lambda found: found[576 + 529 :][:kept])


def aac(writer):
    containers = {
        "m4a": ("m4a", []),
        "faststart": ("m4a", ["-movflags", "+faststart"]),
        "fragments": ("mp4", ["-movflags", "+frag_keyframe+empty_moov+default_base_moof", "-frag_duration", 200000]),
        "mov": ("mov", []),
        "no-edits": ("m4a", ["-use_editlist", 0]),
        "adts": ("aac", ["-f", "adts"]),
        "mkv": ("mka", []),
    }
    for rate, channels, (container, (ending, options)) in itertools.product(
        [8000, 16000, 22050, 44100, 48000, 96000], [1, 2], containers.items()
    ):
        # Noise that a decoder makes up is another from each.
        coder = ["-c:a", "aac", "-aac_pns", 0, "-b:a", "64k" if rate > 12000 else "24k"]
        name = f"aac-{rate}-{channels}ch-{container}.{ending}"
        writer.encode(name, channels, rate, *coder, *options, told=container in ["m4a", "faststart", "mov"])
    for rate, channels in itertools.product([16000, 44100], [1, 2]):
        kept, source = writer.frames(rate), f"aac-{rate}-{channels}ch-no-edits.m4a"
        tag = lambda data: with_tag(data, itunes(1024, kept, len(writer.decoded(source)[0])))
        writer.changed(f"aac-{rate}-{channels}ch-smpb.m4a", source, tag, lambda found: found[1024:][:kept])
    writer.encode("aac-48000-6ch-m4a.m4a", 6, 48000, "-c:a", "aac", "-b:a", "256k")
    writer.encode("ac3-48000-2ch.mp4", 2, 48000, "-c:a", "ac3")
    writer.encode("noise-44100-1ch-m4a.m4a", 1, 44100, "-c:a", "aac", "-b:a", "32k")


def vorbis(writer):
    for rate, channels, quality in itertools.product([8000, 16000, 22050, 44100, 48000], [1, 2], [0, 6]):
        coder = ["-c:a", "libvorbis", "-q:a", quality]
        name = f"vorbis-{rate}-{channels}ch-q{quality}"
        writer.encode(f"{name}-ogg.ogg", channels, rate, *coder, by=None)
        writer.encode(f"{name}-webm.webm", channels, rate, *coder, told=False)
    writer.encode("vorbis-16000-6ch-q0-ogg.ogg", 6, 16000, "-c:a", "libvorbis", "-q:a", 0)
    writer.encode("vorbis-48000-6ch-q6-webm.webm", 6, 48000, "-c:a", "libvorbis", "-q:a", 6)


def opus(writer):
    modes = [("voip", "12k"), ("voip", "24k"), ("audio", "64k"), ("lowdelay", "96k")]
    endings = {"ogg": "opus", "webm": "webm", "mkv": "mka", "mp4": "mp4"}
    for channels, (mode, bits), length, (container, ending) in itertools.product([1, 2], modes, [2.5, 20, 60], endings.items()):
        name = f"opus-48000-{channels}ch-{mode}-{bits}-{length}ms-{container}.{ending}"
        coder = ["-c:a", "libopus", "-application", mode, "-b:a", bits, "-frame_duration", length]
        by = ["-c:a", "libopus", "-request_sample_fmt", "flt"]
        writer.encode(name, channels, 48000, *coder, by=by)
    for rate, channels in itertools.product([8000, 12000, 16000, 24000], [1, 2]):
        by = lambda name: soundfile.read(writer.folder / name, always_2d=True)
        writer.write(f"opus-{rate}-{channels}ch-ogg.opus", channels, rate, by, format="OGG", subtype="OPUS")


def lossless(writer):
    for rate, channels, depth in itertools.product([16000, 44100, 48000], [1, 2], ["s16p", "s32p"]):
        kind = f"{rate}-{channels}ch-{depth}"
        for ending in ["m4a", "caf", "mka"]:
            writer.encode(f"alac-{kind}.{ending}", channels, rate, "-c:a", "alac", "-sample_fmt", depth)
        for ending in ["mp4", "mka", "ogg"]:
            coder = ["-c:a", "flac", "-sample_fmt", depth[:-1], "-strict", -2]
            writer.encode(f"flac-{kind}.{ending}", channels, rate, *coder)
    writer.encode("alac-16000-1ch-s16p.mov", 1, 16000, "-c:a", "alac", "-sample_fmt", "s16p")
    codings = ["pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_f32le"]
    for rate, channels, coding, ending in itertools.product([16000, 44100], [1, 2], codings, ["mov", "mka"]):
        writer.encode(f"pcm-{rate}-{channels}ch-{coding}.{ending}", channels, rate, "-c:a", coding)


# Which of these are committed, shorter.
SMALL = [
    "aac-16000-1ch-m4a.m4a",
    "aac-44100-2ch-faststart.m4a",
    "aac-16000-1ch-fragments.mp4",
    "aac-16000-1ch-no-edits.m4a",
    "aac-16000-1ch-smpb.m4a",
    "aac-22050-1ch-adts.aac",
    "noise-44100-1ch-m4a.m4a",
    "mp3-44100-2ch-vbr-bare.mp3",
    "mp3-48000-1ch-cbr-bare.mp3",
    "mp3-24000-1ch-cbr-bare.mp3",
    "mp3-16000-1ch-cbr-xing.mp3",
    "mp3-16000-1ch-cbr-other.mp3",
    "mp3-16000-1ch-cbr-twice.mp3",
    "mp3-16000-1ch-lame-variable.mp3",
    "mp3-16000-1ch-vbr-bare.mp3",
    "mp3-16000-1ch-vbr-bare-cut.mp3",
    "mp3-16000-1ch-vbr-smpb.mp3",
    "mp3-8000-1ch-abr-bare.mp3",
    "vorbis-16000-1ch-q0-ogg.ogg",
    "vorbis-16000-1ch-q0-webm.webm",
    "opus-16000-1ch-ogg.opus",
    "opus-48000-1ch-voip-24k-20ms-ogg.opus",
    "opus-48000-2ch-audio-64k-20ms-webm.webm",
    "opus-48000-1ch-voip-24k-20ms-mp4.mp4",
    "alac-16000-1ch-s16p.m4a",
    "alac-16000-2ch-s32p.caf",
    "flac-16000-1ch-s16p.ogg",
    "vorbis-16000-6ch-q0-ogg.ogg",
    "ac3-48000-2ch.mp4",
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", type=Path, metavar="FOLDER")
    folder = parser.parse_args().full
    writer = Writer(folder, 1) if folder else Writer(HERE, 31, SMALL)
    for make in [mp3, aac, vorbis, opus, lossless]:
        make(writer)
    ((folder or HERE) / "expected.json").write_text(json.dumps(writer.expected) + "\n")
    print(f"{len(writer.expected)} files")


main()
