#!/usr/bin/env bash
# The whole documented chain with no NPU, no data set and no checkpoint at hand:
#
#     bash demo/run.sh            # --clean starts over; everything is in work_dirs/demo
#
# 14 clips of two motions are made (demo/make_dataset.py) and the full-size R(2+1)D-34 is given random weights. So
# the speed is real, every step and file is what it would be, and the accuracy means nothing.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$root/work_dirs/demo
case ${1:-} in
--clean) rm -rf "$work" ;;
'') ;;
*)
    echo "run.sh: $1: unknown; the option is --clean" >&2
    exit 2
    ;;
esac

bash "$root/setup.sh"
. "$root/test/common.sh"
mkdir -p "$work"
cd "$work"
config=$root/r2plus1d_r34_8x8x1_180e_ucf101_rgb2.py
tools=$root/mmaction2/tools

# once NAME WHAT COMMAND…: a step that is not done again, with its output in NAME.log.
once() {
    if [ -e "$1.done" ]; then
        say "done before: $2"
        return
    fi
    say "$2"
    local start=$SECONDS
    "${@:3}" >"$1.log" 2>&1 || {
        tail -n 20 "$1.log" >&2
        fail "failed: $2; see $work/$1.log"
    }
    echo "    $((SECONDS - start)) s"
    touch "$1.done"
}

random_weights() {
    python - "$config" <<'EOF'
import sys

import mmcv
import torch
from mmaction.models import build_model

torch.manual_seed(0)
torch.save({'state_dict': build_model(mmcv.Config.fromfile(sys.argv[1]).model).state_dict()}, 'random.pth')
EOF
}

once dataset "make 14 clips of two motions" python "$root/demo/make_dataset.py" --out data/ucf101 --split test \
    --classes 2 --clips 1
once frames "extract their frames" python "$tools/data/build_rawframes.py" data/ucf101/videos/ \
    data/ucf101/rawframes/ --task rgb --level 2 --ext avi --use-opencv --num-worker "$(nproc)"
once list "list them" python "$tools/data/build_file_list.py" ucf101 data/ucf101/rawframes/ --level 2 \
    --format rawframes --shuffle --seed 0
once weights "random weights for the full-size R(2+1)D-34" random_weights
once model "checkpoint -> ONNX -> simplified ONNX" bash "$root/test/pth2om.sh" --config "$config" \
    --checkpoint random.pth --batch_sizes "1 4"
once evaluation "preprocess, infer at batch sizes 1 and 4, judge" bash "$root/test/eval_acc_perf.sh" \
    --config "$config" --batch_sizes "1 4" --reference 0
once report "write the report" python "$root/r2plus1d_report.py" --config "$config" --batch_sizes "1 4" --reference 0 \
    --classes data/ucf101/annotations/classInd.txt

python "$root/test/parse.py" --batch_sizes "1 4" --reference 0
cat <<EOF

The weights are random: the speed above is real, the accuracy means nothing. For weights see the README.
report: $work/report/index.html
EOF
