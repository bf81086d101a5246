#!/usr/bin/env bash
# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
#
# dataset -> .bin files -> inference at each batch size -> accuracy, performance and a verdict
#
#     bash test/eval_acc_perf.sh --batch_sizes "1 16" --reference 0.8892 --tolerance 0.01
#     bash test/eval_acc_perf.sh --device 0,1 --direct      # two NPUs, and no .bin files
#
# With an .om of test/pth2om.sh, ais_bench and aclruntime the inference runs on the NPU, else r2plus1d_infer.py runs the
# simplified ONNX model. Paths, those in the config too, are relative to the folder it is started in. --direct decodes
# the videos while the model runs, by r2plus1d_infer.py on the NPU too, and takes none of the disk space of .bin files.
#
# Interrupted, it ends what it has started; the same command goes on with the .bin files that are done.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

config=$root/mmaction2/configs/recognition/r2plus1d/r2plus1d_r34_8x8x1_180e_ucf101_rgb2.py
batch_sizes="1 16"
work_dir=.
average_clips=score
reference=0.8892 # top-1 of the original guide on a 310
tolerance=0.01
device=0
direct=
parse_options "config batch_sizes work_dir average_clips reference tolerance device direct+" "$@"

for name in config work_dir; do
    [[ ${!name} != -* ]] || printf -v "$name" %s "./${!name}" # a file name for every command, not an option
done
need_file --config "$config"
[[ $device =~ ^[0-9]+(,[0-9]+)*$ ]] || usage "--device $device: a number, or numbers with commas between"
fraction='^(0(\.[0-9]*)?|\.[0-9]+|1(\.0*)?)$'
[[ $reference =~ $fraction ]] || usage "--reference $reference: a top-1 accuracy, from 0 to 1"
[[ $tolerance =~ $fraction ]] || usage "--tolerance $tolerance: a difference of accuracies, from 0 to 1"
case $average_clips in
score | prob) ;;
*) usage "--average_clips $average_clips: score or prob" ;;
esac
need_folder --work_dir "$work_dir"
use_cann
bins=$work_dir/predata_bts1
sim=$work_dir/r2plus1d_sim.onnx

export R2PLUS1D_SHELL=$$ # the Python scripts end with this one at once, even if it is killed

# ---- steps -------------------------------------------------------------------------------------------

# Prints the model to run at a batch size: the .om where it can be run here, else the ONNX model.
model_of() {
    local om=$work_dir/r2plus1d_bs$1.om
    if [ -f "$om" ] && [ -z "$missing" ]; then
        printf %s "$om"
    else
        printf %s "$sim"
    fi
}

# infer MODEL BATCH_SIZE OUTPUT
infer() {
    local script=r2plus1d_infer.py source=(--input "$bins") devices=0 where="without an NPU"
    if [ -n "$direct" ]; then
        source=(--config "$config")
    fi
    if [[ $1 == *.om ]]; then
        devices=$device where="on NPU $device"
        [ -n "$direct" ] || script=test/run_ais_bench.py
    fi
    step "inference of $1 $where, batch size $2" python "$root/$script" --model "$1" "${source[@]}" --batchsize "$2" \
        --output "$3" --outfmt TXT --device "$devices"
}

# ---- the script --------------------------------------------------------------------------------------

take_work_dir
end_together

# What the run will need is looked for before hours of work begin.
missing=$(missing_packages)
models=()
for bs in $batch_sizes; do
    om=$work_dir/r2plus1d_bs$bs.om
    model=$(model_of "$bs")
    [ -f "$model" ] || fail "neither $om nor $sim exists: run test/pth2om.sh first"
    [ "$model" = "$om" ] || check_onnx "$model" "$bs"
    if [ "$model" = "$sim" ] && [ -f "$om" ]; then
        say "$om needs $missing: $sim is run instead"
    fi
    models+=("$model")
done

if [ -z "$direct" ]; then
    step "preprocess to $bins" python "$root/r2plus1d_preprocess.py" --config="$config" --bts=1 \
        --output_path="$bins/" --models "${models[@]}"
fi
run python "$root/test/parse.py" --record --work_dir="$work_dir" --batch_sizes="$batch_sizes" --config="$config" \
    --reference="$reference" --tolerance="$tolerance" --average_clips="$average_clips" --device="$device" \
    --models "${models[@]}" || fail "failed: the note of what is evaluated"
for bs in $batch_sizes; do
    out=$work_dir/predata_bts1_bs${bs}_out
    rm -rf "$out" "$work_dir/result_bs$bs.json"
    infer "$(model_of "$bs")" "$bs" "$out"
    say "accuracy at batch size $bs"
    run python "$root/r2plus1d_postprocess.py" --result_path="$out" --average_clips="$average_clips" \
        >"$work_dir/result_bs$bs.json.part" || fail "failed: accuracy at batch size $bs"
    mv "$work_dir/result_bs$bs.json.part" "$work_dir/result_bs$bs.json"
done
run python "$root/test/parse.py" --work_dir="$work_dir" --batch_sizes="$batch_sizes" --reference="$reference" \
    --tolerance="$tolerance" || fail "see the verdict above"
echo success
