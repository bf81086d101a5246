# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Two ways to classify the same videos: is the second one as accurate as the first, and do the videos prove it?

    judgement = judge_pair(labels, first, second, max_drop=0.005)    # predicted classes of the same videos

Used for int8 beside float (r2plus1d_optimize.py) and for one view of the whole frame beside three crops
(r2plus1d_compare.py). The same rules hold for both:

    rejected          top-1 falls by more than max_drop
    proves nothing    there are too few videos, or the first way knows nothing; rejected, unless that is allowed
    accepted          else

Too few videos: even if the second way lost none of them, up to max_drop of all videos could be lost, at 95% confidence
(see loss_bound()). For a max_drop of 0.005 that is fewer than 598 videos. Knows nothing: the first way is not better,
at 95% confidence, than to give the most frequent class to every video.

What a difference looks like, between the scores of two models or between two samples, for r2plus1d_compare.py.

Each function tries the faults that are common in such chains and answers with one line of text, or with None where the
difference looks like none of them.
"""
import collections
import itertools
import json
import math
import os
import sys

import numpy as np
from tqdm import tqdm

from r2plus1d.bins import check_same_shape, count_views
from r2plus1d.classes import class_name, read_classes
from r2plus1d.data import Samples, read_config
from r2plus1d.engines import make_engine
from r2plus1d.inference import score_videos
from r2plus1d.metrics import choose_videos, mcnemar_p_value
from r2plus1d.outputs import find_info, find_summaries, read_run, views_of_run
from r2plus1d.results import read_performance
from r2plus1d.run import InputError, signals_wait

CONFIDENCE = 0.95
NUM_CLASSES = 400  # of outputs in .bin files, which have no shape


# ---- statistics --------------------------------------------------------------------------------------


def binomial_tail(least, trials, probability):
    """The probability of LEAST or more successes in so many TRIALS."""
    if least <= 0 or probability >= 1:
        return 1.0
    if probability <= 0:
        return 0.0
    total = 0.0
    for k in range(least, trials + 1):
        ways = math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1)  # its logarithm
        total += math.exp(ways + k * math.log(probability) + (trials - k) * math.log1p(-probability))
    return min(1.0, total)


def loss_bound(lost, videos):
    """The share of all videos of this kind that may be lost, at CONFIDENCE, where LOST of these VIDEOS are.

    It is the upper bound of Clopper and Pearson (Biometrika 26, 1934), on one side; for no loss about 3 / VIDEOS. What
    the second way wins is not counted, so top-1 falls by no more than that.
    """
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        if binomial_tail(lost + 1, videos, middle) < CONFIDENCE:
            low = middle
        else:
            high = middle
    return high


def least_videos(max_drop):
    """The number of videos from which on a run without a loss proves that top-1 falls by MAX_DROP at most.

    math.inf for a MAX_DROP of 0, which no number of videos proves.
    """
    if max_drop <= 0:
        return math.inf
    if max_drop >= 1:
        return 1
    return math.ceil(math.log(1 - CONFIDENCE) / math.log1p(-max_drop))


# ---- the judgement -----------------------------------------------------------------------------------


def predicted_classes(scores):
    """The best class of each video, an int array, of its scores averaged over the views (videos x views x classes)."""
    return np.argsort(scores.mean(axis=1), axis=1)[:, -1]  # of equal scores the one that mmaction2's accuracy takes


def judge_pair(labels, first, second, max_drop, allow_unproven=False):
    """What is known of two ways, as a dict. LABELS, FIRST, SECOND: the true class and both predictions of each video.

    proves_nothing: why, as text; None where the videos do prove something. rejected: why, as text; None where the
    second way is accepted.
    """
    labels = np.asarray(labels)
    right_first = np.asarray(first) == labels
    right_second = np.asarray(second) == labels
    only_first = int((right_first & ~right_second).sum())
    only_second = int((right_second & ~right_first).sum())
    drop = (only_first - only_second) / len(labels)
    doubt = too_few(len(labels), max_drop) or knows_nothing(labels, right_first)
    rejected = None
    if drop > max_drop + 1e-9:  # the drop is a quotient
        rejected = f'top-1 fell from {right_first.mean():.4f} to {right_second.mean():.4f}, by more than {max_drop:g}'
    elif doubt and not allow_unproven:
        rejected = f'nothing is proven: {doubt}; --allow_unproven accepts it all the same'
    return {
        'top1_acc_first': float(right_first.mean()),
        'top1_acc_second': float(right_second.mean()),
        'top1_drop': drop,
        'only_first_right': only_first,
        'only_second_right': only_second,
        'p_value': mcnemar_p_value(only_first, only_second),
        'loss_bound': loss_bound(only_first, len(labels)),
        'num_videos': len(labels),
        'max_drop': max_drop,
        'proves_nothing': doubt,
        'rejected': rejected,
    }


def too_few(num_videos, max_drop):
    """Why so many videos prove nothing, as text; None where they may."""
    needed = least_videos(max_drop)
    if num_videos >= needed:
        return None
    if math.isinf(needed):
        return 'no number of videos proves that top-1 does not fall at all; give a --max_drop above 0'
    return (f'{num_videos} videos are too few for a drop of {max_drop:g}: even if none of them is lost, {needed} are '
            f'needed to exclude a larger one at {CONFIDENCE:.0%} confidence')


def knows_nothing(labels, right):
    """Why a model with these RIGHT answers proves nothing, as text; None where it is better than a guess."""
    frequent = collections.Counter(labels.tolist()).most_common(1)[0][1] / len(labels)
    if binomial_tail(int(right.sum()), len(labels), frequent) < 1 - CONFIDENCE:
        return None
    return (f'the model to compare with is no better than a guess: its top-1 is {right.mean():.4f}, and the most '
            f'frequent class alone gives {frequent:.4f}')


def check_enough(num_videos, max_drop, allow_unproven):
    """Raise InputError, before any work, where so many videos will prove nothing."""
    doubt = too_few(num_videos, max_drop)
    if doubt and not allow_unproven:
        raise InputError(f'nothing would be proven: {doubt}; take more videos, a larger --max_drop or '
                         '--allow_unproven')


def list_differences(names, labels, first, second, titles):
    """[{video, label, first, second}] of the videos that the two ways give different classes.

    NAMES of the videos. TITLES: a function from the number of a class to its name.
    """
    return [{'video': names[i], 'label': titles(labels[i]), 'first': titles(first[i]), 'second': titles(second[i])}
            for i in range(len(labels)) if first[i] != second[i]]


# ---- two runs or two models, as the options of a script give them -------------------------------------


def add_gate_options(parser):
    parser.add_argument('--max_drop', type=float, default=0.005, help='By how much top-1, a fraction from 0 to 1, may '
                        'fall.')
    parser.add_argument('--allow_unproven', action='store_true', help='Accept although the videos prove nothing, '
                        'because they are too few or the model to compare with is no better than a guess.')


def check_gate_options(parser, args):
    if not 0 <= args.max_drop <= 1:
        parser.error(f'--max_drop {args.max_drop}: is 0 to 1')


def read_runs(paths, num_videos):
    """(labels, [scores of each run], [samples/s of each run]) of the runs at two PATHS on the same NUM_VIDEOS videos.

    Raises InputError.
    """
    found = []
    rates = []
    for path in paths:
        summaries = find_summaries(path)
        scores, labels = read_run(summaries, views_of_run(summaries), NUM_CLASSES, num_videos)
        found.append((labels, scores, (find_info(summaries) or {}).get('list_sha256')))
        rates.append(read_performance(summaries).rate)
    (labels, first, first_list), (other_labels, second, second_list) = found
    if labels != other_labels or (first_list and second_list and first_list != second_list):
        raise InputError(f'{paths[0]} and {paths[1]}: are of different lists of videos; infer the same list twice')
    return labels, [first, second], rates


def score_models(args):
    """(names, labels, [scores of each model]) of two models, each with its own config, on the same videos."""
    samples = []
    scores = []
    for config, model in zip(args.config, args.models):
        engine = make_engine(model, args.backend if model.endswith('.onnx') else 'auto', args.precision,
                             args.device)
        samples.append(Samples(read_config(config, args.cfg_options), str(engine.dtype)))
        if samples[-1].labels != samples[0].labels:
            raise InputError(f'{args.config[0]} and {config}: list different videos; give configs of the same list')
        if not len(samples[0]):
            raise InputError(f'{samples[0].list_file}: lists no video')
        chosen = choose_videos(len(samples[0]), args.videos, args.seed)
        check_enough(len(chosen), args.max_drop, args.allow_unproven)
        check_same_shape(config, samples[-1][chosen[0]][1].shape, model, engine.sample_shape)
        engine.prepare(engine.batch_size or 1)
        labels, rows = score_videos([engine], samples[-1], tqdm(chosen, unit='video', desc=model))
        scores.append(rows[0])
    return [samples[0].names[i] for i in chosen], labels, scores


def compare_accuracies(args):
    """Judge the second of two --runs or --models; print the report as JSON, and what matters of it on standard error.

    Raises InputError where the second one is rejected.
    """
    if args.runs:
        ways = args.runs
        samples = Samples(read_config(args.config[0], args.cfg_options))
        names = samples.names
        labels, scores, rates = read_runs(ways, len(names))
        if labels != samples.labels:
            raise InputError(f'{samples.list_file}: its labels are not those of {ways[0]}; give the '
                             '--config of that run')
    else:
        ways = args.models
        names, labels, scores = score_models(args)
        rates = None
    classes = read_classes(args.classes) if args.classes else []
    first, second = (predicted_classes(rows) for rows in scores)
    report = {'first': ways[0], 'second': ways[1], 'views': [rows.shape[1] for rows in scores],
              'samples_per_second': rates}
    report.update(judge_pair(labels, first, second, args.max_drop, args.allow_unproven))
    report['differences'] = list_differences(names, labels, first, second, lambda c: class_name(classes, c))
    print(json.dumps(report))
    print_report(report)
    if report['rejected']:
        raise InputError(f'{ways[1]}: is not accepted in the place of {ways[0]}: {report["rejected"]}')


def short_path(path):
    """The path of a video as it is from here, where that is shorter."""
    return min(path, os.path.relpath(path), key=len)


def print_report(report):
    """What matters of a report of compare_accuracies(), as text on standard error."""
    lines = ['']
    for number, way in enumerate(('first', 'second')):
        rates = report['samples_per_second']
        speed = f', {rates[number]:.4g} samples/s' if rates else ''
        lines.append(f'{report[way]}: {count_views(report["views"][number])} a video, '
                     f'top-1 {report[f"top1_acc_{way}"]:.4f}{speed}')
    lines.append(f'different answers: {len(report["differences"])} of {report["num_videos"]} videos')
    for row in report['differences']:
        lines.append(f'    {short_path(row["video"])}, {row["label"]}: {row["first"]}, then {row["second"]}')
    lines.append(f'right in the first way only: {report["only_first_right"]}, in the second only: '
                 f'{report["only_second_right"]}; McNemar\'s exact p-value is {report["p_value"]:.3g}')
    change = 'rises' if report['top1_drop'] < 0 else 'falls'
    lines.append(f'top-1 {change} by {abs(report["top1_drop"]):.4f}; at {CONFIDENCE:.0%} confidence at most '
                 f'{report["loss_bound"]:.4f} of all such videos are lost')
    if report['proves_nothing'] and not report['rejected']:
        lines.append(f'accepted, and proves nothing: {report["proves_nothing"]}')
    elif not report['rejected']:
        lines.append(f'accepted: a drop of {report["max_drop"]:g} is allowed')
    print('\n'.join(lines), file=sys.stderr)


def orders(count):
    """All orders of COUNT crops but the usual one."""
    return [list(order) for order in itertools.permutations(range(count)) if list(order) != sorted(order)]


def explain_scores(expected, found, swapped, agree):
    """Of scores, videos x crops x classes.

    SWAPPED: the scores of the same model for the same videos with red and blue swapped. AGREE(expected, found) says
    whether two such arrays are near enough to each other.
    """
    if not np.isfinite(found).all():
        return 'scores that are not finite'
    for order in orders(found.shape[1]):
        if agree(expected, found[:, order]):
            return f'crops in another order: {", ".join(map(str, order))}'
    if agree(expected, swapped):
        return 'BGR for RGB: with red and blue swapped the model agrees'
    centred = [scores - scores.mean(axis=-1, keepdims=True) for scores in (expected, found)]
    lengths = np.linalg.norm(centred[0]) * np.linalg.norm(centred[1])
    if (centred[0] * centred[1]).sum() < 0.5 * lengths:
        return 'another checkpoint: the scores are not alike'
    return None


def explain_normalization(path, cfg):
    """Of an ONNX file into which r2plus1d_optimize.py --uint8_input has put the Normalize step of a config."""
    if not path.endswith('.onnx'):
        return None
    steps = [step for step in cfg.data.test.pipeline if step['type'] == 'Normalize']
    for name, found in normalization_of(path).items():
        expected = steps[0][name]
        if not np.allclose(found, expected, rtol=1e-4):
            return f'another {name}: {found.astype(float).round(3).tolist()}, and the config has {list(expected)}'
    return None


def normalization_of(path):
    """{'mean': three values, 'std': three values} in an ONNX file with uint8 input; {} in another one."""
    with signals_wait():
        import onnx
    constants = {}
    for weight in onnx.load(path).graph.initializer:
        if weight.name.startswith('normalize.'):
            constants[weight.name] = onnx.numpy_helper.to_array(weight).ravel()
    if 'normalize.mean' not in constants:
        return {}
    return {'mean': constants['normalize.mean'], 'std': 1 / constants['normalize.inverse_std']}


def explain_bin(found, expected, bound):
    """Of two samples, crops x 3 x frames x height x width. They agree where no value differs by more than BOUND."""
    for order in orders(len(found)):
        if np.allclose(found[order], expected, rtol=0, atol=bound):
            return f'crops in another order: {", ".join(map(str, order))}'
    if np.allclose(found[:, ::-1], expected, rtol=0, atol=bound):
        return 'BGR for RGB'
    shift = (found.astype(np.float32) - expected).mean(axis=(0, 2, 3, 4))
    return f'another mean, or other videos: the channels differ by {np.round(shift, 3).tolist()} on the average'
