#!/usr/bin/env bash
# checkpoint -> ONNX -> simplified ONNX -> one .om for each batch size (where ATC is installed)
#
#     bash test/pth2om.sh --checkpoint best_top1_acc_epoch_35.pth --batch_sizes "1 16"
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

config=$root/mmaction2/configs/recognition/r2plus1d/r2plus1d_r34_8x8x1_180e_ucf101_rgb2.py
checkpoint=best_top1_acc_epoch_35.pth
batch_sizes="1 16"
shape="3 3 8 256 256" # crops, RGB, frames, height, width
work_dir=.
soc_version=
parse_options "config checkpoint batch_sizes shape work_dir soc_version" "$@"

need_file --config "$config"
need_file --checkpoint "$checkpoint"
mkdir -p "$work_dir"
onnx=$work_dir/r2plus1d.onnx
sim=$work_dir/r2plus1d_sim.onnx

# shellcheck disable=SC2086 # $shape is a list
step "export to $onnx" python "$root/mmaction2/tools/deployment/pytorch2onnx.py" "$config" "$checkpoint" \
    --verify --output-file="$onnx" --shape 1 $shape

if python -c 'import onnxsim' 2>/dev/null; then
    step "simplify to $sim" python -m onnxsim --test-input-shape="1,${shape// /,}" "$onnx" "$sim.part.onnx"
    mv "$sim.part.onnx" "$sim"
else
    say "onnxsim is not installed (no wheel for this Python and machine): $sim is a copy of $onnx"
    cp "$onnx" "$sim.part" && mv "$sim.part" "$sim"
fi

use_cann
if command -v atc >/dev/null; then
    if [ -z "$soc_version" ]; then
        soc_version=Ascend$(chip_name)
    fi
    for bs in $batch_sizes; do
        om=$work_dir/r2plus1d_bs$bs
        rm -f "$om.om"
        step "convert to $om.om for $soc_version" atc --framework=5 --model="$sim" --output="$om" \
            --input_format=NCHW --input_shape="0:$bs,${shape// /,}" --log=error --soc_version="$soc_version"
        [ -f "$om.om" ] || fail "atc made no $om.om"
    done
else
    say "no atc on this machine: $sim is the model to run here; convert it where CANN is installed"
fi
echo success
