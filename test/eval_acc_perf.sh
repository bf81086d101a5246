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
# simplified ONNX model. Paths, those in the config too, are relative to the folder it is started in.
#
# Videos other than the 3,783 of UCF-101's test split 1 have no verdict without --reference: the accuracy is printed with
# its 95% interval, and the last line is success. Interrupted, it ends what it has started; the same command goes on with
# the .bin files that are done.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/shell.sh"
use_environment

config=$root/r2plus1d_r34_8x8x1_180e_ucf101_rgb2.py
batch_sizes="1 16"
work_dir=. # folder of the models and of all that is made
average_clips=score # or prob
reference= # top-1 to reach; for UCF-101's test split 1 that of the original guide on a 310, 0.8892
tolerance=0.01 # how far below it the top-1 may be
device=0 # number of the NPU, or numbers with commas between
precision=f32 # of an ONNX model; see r2plus1d_infer.py --help
direct= # decode the videos while the model runs, without the disk space of .bin files
overwrite= # make .bin files again that are there already
[[ " $*" != *" --datasets_path"* ]] || usage "--datasets_path: leave it out; the test videos are those of --config, by \
default in ./data/ucf101"
parse_options "config batch_sizes work_dir average_clips reference tolerance device precision direct+ overwrite+" "$@"
need_file --config "$config"
check_batch_sizes
[[ $device =~ ^[0-9]+(,[0-9]+)*$ ]] || usage "--device $device: a number, or numbers with commas between"
[ -z "$direct" ] || [ -z "$overwrite" ] || usage "--overwrite: with --direct there are no .bin files"
take_work_dir
end_together
use_cann

# What the run will need is looked for before hours of work begin.
judged=(--work_dir="$work_dir" --batch_sizes="$batch_sizes" ${reference:+--reference="$reference"} --tolerance="$tolerance")
python "$root/test/parse.py" --check "${judged[@]}" --average_clips="$average_clips" --precision="$precision" || give_up $?
bins=$work_dir/predata_bts1 sim=$work_dir/r2plus1d_sim.onnx models=()
for bs in $batch_sizes; do
    om=$work_dir/r2plus1d_bs$bs.om
    if [ -f "$om" ] && [ -z "$missing" ]; then
        [ "$precision" = f32 ] || usage "--precision $precision: is for an ONNX model, and $om has its own; move it away"
        models+=("$om")
        continue
    fi
    [ -f "$sim" ] || fail "neither $om nor $sim exists: run test/pth2om.sh first"
    [ ! -f "$om" ] || say "$om needs $missing: $sim is run instead"
    python "$root/test/sample_shape.py" "$sim" --batchsize "$bs" >/dev/null || give_up $?
    models+=("$sim")
done
[ -n "$direct" ] || step "preprocess to $bins" python "$root/r2plus1d_preprocess.py" --config="$config" --bts=1 \
    --output_path="$bins/" ${overwrite:+--overwrite} --models "${models[@]}"
run python "$root/test/parse.py" --record "${judged[@]}" --config="$config" --average_clips="$average_clips" \
    --device="$device" --models "${models[@]}" || fail "failed: the note of what is evaluated"
i=0
for bs in $batch_sizes; do
    model=${models[i++]} out=$work_dir/predata_bts1_bs${bs}_out
    infer=("$root/r2plus1d_infer.py") source=(--input "$bins") on=0 where="without an NPU"
    if [ -n "$direct" ]; then
        source=(--config "$config")
    elif [[ $model == *.om ]]; then
        infer=("$root/test/run_ais_bench.py") # python3 -m ais_bench with the flags that the installed one has
    fi
    if [[ $model == *.om ]]; then on=$device where="on NPU $device"; else source+=(--precision "$precision"); fi
    step "inference of $model $where, batch size $bs" python "${infer[@]}" --model "$model" "${source[@]}" \
        --batchsize "$bs" --output "$out" --outfmt TXT --device "$on"
    step_to "$work_dir/result_bs$bs.json" "accuracy at batch size $bs" python "$root/r2plus1d_postprocess.py" \
        --result_path="$out" --average_clips="$average_clips"
done
run python "$root/test/parse.py" "${judged[@]}" || fail "see the verdict above"
echo success
