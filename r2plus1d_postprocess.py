# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Turn the outputs of ais_bench or r2plus1d_infer.py into an accuracy JSON on standard output.

    python r2plus1d_postprocess.py --result_path=./predata_bts1_om_out > result_bs16.json
    python r2plus1d_postprocess.py --result_path=./predata_bts1_onnx_out > result_bs1.json

Labels come from the names of the .bin files (see r2plus1d_preprocess.py), which the summary JSON lists; metrics come
from mmaction2. Nothing is printed unless every video of the data set was found exactly once (or --allow_missing is
given, which lets videos be missing).
"""
from __future__ import annotations

import argparse
import json

from r2plus1d.run import make_parser, packages_needed, positive_int, script_main

with packages_needed():
    from r2plus1d.metrics import accuracy_of_scores
    from r2plus1d.outputs import Run


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument('--result_path', required=True, help='The --output of the inference, of which the newest run '
                        'is taken, or the folder of one run, or its _summary.json.')
    parser.add_argument('--average_clips', choices=['score', 'prob'], default='score',
                        help='What is averaged over the crops of a video: scores, as in the original guide, or '
                        'probabilities, as in mmaction2.')
    parser.add_argument('--crops', type=positive_int, help='The number of views of a video, where neither the summary '
                        'nor the info.json beside the .bin files tells it.')
    parser.add_argument('--num_classes', type=positive_int, help='The number of classes that the outputs have to have. '
                        '(default: as many as they have)')
    parser.add_argument('--num_videos', type=positive_int, help='The number of videos of the data set, where neither '
                        'the summary nor the info.json beside the .bin files tells it.')
    parser.add_argument('--allow_missing', action='store_true', help='Print the accuracy of the videos that are there, '
                        'if some are missing. test/parse.py judges it as failed all the same.')
    return parser.parse_args()


@script_main
def main() -> None:
    args = parse_args()
    run = Run.open(args.result_path)
    num_videos = run.num_videos(args.num_videos)
    run.check_unchanged()
    views = run.views(args.crops)
    scores, labels = run.scores(views, num_videos, args.num_classes, args.allow_missing)
    accuracy = accuracy_of_scores(scores, labels, args.average_clips)
    print(json.dumps(dict(accuracy, num_expected=num_videos, views=views)))


if __name__ == '__main__':
    main()
