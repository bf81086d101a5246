#!/usr/bin/env bash
# dataset -> .bin files -> inference at each batch size -> accuracy, performance and a verdict
#
#     bash test/eval_acc_perf.sh --batch_sizes "1 16" --reference 0.8892 --tolerance 0.01
#
# With an .om of test/pth2om.sh and ais_bench the inference runs on the NPU, else r2plus1d_infer.py runs
# the simplified ONNX model. Paths, those in the config too, are relative to the folder it is started in.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

config=$root/mmaction2/configs/recognition/r2plus1d/r2plus1d_r34_8x8x1_180e_ucf101_rgb2.py
batch_sizes="1 16"
work_dir=.
average_clips=score
reference=0.8892 # top-1 of the original guide on a 310
tolerance=0.01
device=0
parse_options "config batch_sizes work_dir average_clips reference tolerance device" "$@"

need_file --config "$config"
use_cann
bins=$work_dir/predata_bts1

step "preprocess to $bins" python "$root/r2plus1d_preprocess.py" --config="$config" --bts=1 --output_path="$bins/"
for bs in $batch_sizes; do
    om=$work_dir/r2plus1d_bs$bs.om
    out=$work_dir/predata_bts1_bs${bs}_out
    rm -rf "$out" "$work_dir/result_bs$bs.json"
    if [ -f "$om" ] && python -c 'import ais_bench' 2>/dev/null; then
        step "inference of $om on NPU $device" python -m ais_bench --model "$om" --input "$bins" \
            --batchsize "$bs" --output "$out" --outfmt TXT --device "$device"
    else
        sim=$work_dir/r2plus1d_sim.onnx
        [ -f "$om" ] && say "$om needs ais_bench, which is not installed: $sim is run instead"
        [ -f "$sim" ] || fail "neither $om nor $sim exists: run test/pth2om.sh first"
        step "inference of $sim without an NPU, batch size $bs" python "$root/r2plus1d_infer.py" --model "$sim" \
            --input "$bins" --batchsize "$bs" --output "$out" --outfmt TXT --device "$device"
    fi
    say "accuracy at batch size $bs"
    python "$root/r2plus1d_postprocess.py" --result_path="$out" --average_clips="$average_clips" \
        >"$work_dir/result_bs$bs.json.part" || fail "failed: accuracy at batch size $bs"
    mv "$work_dir/result_bs$bs.json.part" "$work_dir/result_bs$bs.json"
done
python "$root/test/parse.py" --work_dir="$work_dir" --batch_sizes="$batch_sizes" --reference="$reference" \
    --tolerance="$tolerance" || fail "see the verdict above"
echo success
