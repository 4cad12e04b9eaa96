#!/bin/sh
# Fills corpus/ with what the targets begin from: good files of every kind.
set -e
cd "$(dirname "$0")"
for target in checkpoint model composite audiomnist voxceleb npy onnx recording; do mkdir -p "corpus/$target"; done
cp ../tests/goldens/checkpoints/* corpus/checkpoint
cp ../tests/goldens/checkpoints/*.safetensors corpus/model
header='{"__metadata__":{"arch":"audionet","classes":"[\"a\",\"b\"]","features":"waveform","training":"{\"loss\":\"cross-entropy\"}"},"features.0.bias":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
printf "\\$(printf %o ${#header})\0\0\0\0\0\0\0%s\0\0\0\0\0\0\0\0" "$header" > corpus/model/named
header='{"__metadata__":{"graph":"{\"nodes\":[{\"name\":\"input\",\"op\":\"input\",\"attributes\":{\"shape\":[null,1,4,3],\"state\":false}},{\"name\":\"flat\",\"op\":\"flatten\",\"inputs\":[\"input\"]},{\"name\":\"head\",\"op\":\"linear\",\"attributes\":{\"inputs\":12,\"outputs\":2},\"inputs\":[\"flat\"]}],\"outputs\":[\"head\"]}","frontend":"rate = 16000\nlength = { frames = 3 }\n[[stage]]\nop = \"fbank\"\nbands = 4\n","task":"{\"kind\":\"classes\",\"probability\":\"softmax\",\"classes\":[\"a\",\"b\"]}"},"head.bias":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
printf "\\$(printf %o $((${#header} % 256)))\\$(printf %o $((${#header} / 256)))\0\0\0\0\0\0%s\0\0\0\0\0\0\0\0" "$header" > corpus/model/graph
cp ../crates/lrp/presets/*.toml corpus/composite
printf '{"01": {"gender": "male"}, "02": {"gender": "female"}}\0%s\0%s' 01/3_01_10.wav 02/0_02_0.wav > corpus/audiomnist/good
printf 'VoxCeleb1 ID\tGender\nid10001\tm\nid10002\tf\n\0%s\0%s' wav/id10001/a/1.wav wav/id10002/b/2.m4a > corpus/voxceleb/good
for array in "'<f4' (2,)" "'>f8' (1, 1)" "'<f8' ()"; do
    text="{'descr': ${array%% *}, 'fortran_order': False, 'shape': ${array#* }, }"
    printf "\\223NUMPY\1\0\\$(printf %o ${#text})\0%s\0\0\0\0\0\0\0\0" "$text" > "corpus/npy/${#text}"
done
python3 - <<'EOF'
# The networks of one op that the goldens hold, a file each.
import json
data = open("../tests/goldens/onnx/ops.safetensors", "rb").read()
size = int.from_bytes(data[:8], "little")
for name, told in json.loads(data[8 : 8 + size]).items():
    if name.endswith("/model"):
        start, end = (8 + size + place for place in told["data_offsets"])
        open("corpus/onnx/" + name.split("/")[0], "wb").write(data[start:end])
EOF
cp ../crates/audio/tests/data/* ../tests/goldens/recordings/* corpus/recording
cp ../tests/goldens/compressed/* corpus/recording
rm corpus/recording/expected.json
