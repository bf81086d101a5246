"""Write one HTML page about a run of test/eval_acc_perf.sh: accuracy, performance, confusions, mistakes.

    python r2plus1d_report.py --work_dir=. --batch_sizes="1 16" --classes=data/ucf101/annotations/classInd.txt \
--config=./mmaction2/configs/recognition/r2plus1d/r2plus1d_r34_8x8x1_180e_ucf101_rgb2.py

It reads result_bs<N>.json and predata_bts1_bs<N>_out of each batch size; classes and mistakes are those of
the first one. The page holds its figures and opens without a network; they are also PNG files beside it.
"""
import argparse
import base64
import glob
import os
import re
import shlex
import sys
import time
import warnings

import cv2
import jinja2
import numpy as np
from PIL import Image

warnings.filterwarnings('ignore', module='mmcv')  # its announcements of mmcv 2
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'test'))
import mmcv  # noqa: E402
from mmaction.datasets import build_dataset  # noqa: E402
from parse import GUIDE, read_batch_size, read_json  # noqa: E402

import r2plus1d_figures as figures  # noqa: E402
from r2plus1d_engines import InputError, cpu_name  # noqa: E402
from r2plus1d_postprocess import average, find_summaries, read_classes, read_run  # noqa: E402

GUIDE_ACCURACY = {'310': (0.8892, 0.9741), '310P': (0.8923, 0.9745)}  # top-1, top-5 on UCF-101, split 1
TILE = 128  # height in pixels of a frame on the page


# ---- what the chain left ---------------------------------------------------------------------------


def open_dataset(config):
    """(data.test of a config, its pipeline cut off after the decoder; type, depth and width of the backbone)."""
    try:
        cfg = mmcv.Config.fromfile(config)
        steps = cfg.data.test.pipeline
        decoder = max(i for i, step in enumerate(steps) if step['type'].endswith('Decode'))
        cfg.data.test.pipeline = steps[:decoder + 1]
        dataset = build_dataset(cfg.data.test, dict(test_mode=True))
    except Exception as e:
        raise InputError(f'{config}: its data.test cannot be read: {type(e).__name__}: {" ".join(str(e).split())}')
    backbone = cfg.get('model', {}).get('backbone', {})
    return dataset, (backbone.get('type'), backbone.get('depth'), backbone.get('base_channels', 64))


def read_predictions(out, bs, accuracy, crops):
    """(labels, predicted classes, probabilities: videos x classes), averaged as the accuracy JSON says."""
    scores, labels = read_run(find_summaries(out), crops, 400)
    scores, labels = average(scores, accuracy['average_clips']), np.array(labels)
    predicted = np.argsort(scores, axis=1)[:, -1]  # as mmaction2 takes it
    top1 = float(np.mean(predicted == labels))
    if len(labels) != accuracy['num_videos'] or abs(top1 - accuracy['top1_acc']) > 1e-6:
        raise InputError(f'{out}: top-1 {top1:.4f} of {len(labels)} videos, and result_bs{bs}.json says '
                         f'{accuracy["top1_acc"]:.4f} of {accuracy["num_videos"]}; run test/eval_acc_perf.sh again')
    if accuracy['average_clips'] == 'score':
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    return labels, predicted, scores / scores.sum(axis=1, keepdims=True)


def argument(args, flag, default):
    """The value of a flag in the command line that a summary holds."""
    for arg, value in zip(args, args[1:] + ['']):
        if arg.split('=')[0] == flag:
            return arg.split('=', 1)[1] if '=' in arg else value
    return default


def performance(source, summary, path):
    """A summary as one row of the tables. Its throughput is 1000 * batch size / mean ms."""
    try:
        ms, rate, args = summary['NPU_compute_time'], float(summary['throughput']), [str(a) for a in summary['args']]
        times = np.array(summary.get('npu_compute_time_list') or [ms['median']], float)
        if not (rate > 0 and np.isfinite(rate) and (times > 0).all()):
            raise ValueError
        guide = [(v, rate / v) for v in GUIDE.get(round(rate * ms['mean'] / 1000), ())]
        return dict(source=source, bs=round(rate * ms['mean'] / 1000), rate=rate, count=ms['count'], args=args,
                    median=float(ms['median']), p99=float(ms['percentile(99%)']), times=times, guide=guide,
                    model=argument(args, '--model', argument(args, '-m', 'unknown model')))
    except (KeyError, TypeError, ValueError):
        raise InputError(f'{path}: not a summary of ais_bench or r2plus1d_infer.py')


def read_extra(name, folder):
    """The rows of the summaries in a folder and in its folders: the newest of each batch size."""
    paths = [p for level in ('', '*/', '*/*/') for p in glob.glob(f'{glob.escape(folder)}/{level}*_summary.json')]
    if not paths:
        raise InputError(f'--extra {name}={folder}: no *_summary.json in it')
    rows = [performance(name, read_json(path), path) for path in sorted(paths, key=os.path.getmtime)]
    return [row for _, row in sorted({row['bs']: row for row in rows}.items())]


def what_was_run(args, row, summary, accuracy, dataset):
    named = re.search(r'(\d{4})_(\d\d)_(\d\d)-(\d\d)_(\d\d)', os.path.basename(summary))
    engine = 'ais_bench, on an NPU'
    if 'r2plus1d_infer' in ''.join(row['args'][:1]):
        engine = (f'r2plus1d_infer.py, backend {argument(row["args"], "--backend", "auto")}, '
                  f'precision {argument(row["args"], "--precision", "f32")}')
    return {
        'Model': row['model'], 'Inference by': engine, 'Its command': ' '.join(map(shlex.quote, row['args'])),
        'Date': '{}-{}-{} {}:{}'.format(*named.groups()) if named else time.strftime(
            '%Y-%m-%d %H:%M', time.localtime(os.path.getmtime(summary))),
        'Videos': f'{accuracy["num_videos"]} videos of {dataset.ann_file}', 'Config': args.config,
        'Crops': f'{args.crops} a video, averaged by {accuracy["average_clips"]} (average_clips)',
        'CPU': f'{cpu_name()}, {os.cpu_count()} cores: the machine that wrote this page',
    }


def data_uri(kind, data):
    return f'data:image/{kind};base64,' + base64.b64encode(data).decode()


def sampled_frames(dataset, index):
    """(name of the video, [(frame number, RGB frame TILE high), …] of the clip that the model saw)."""
    info = dataset.video_infos[index]
    name = info.get('frame_dir', info.get('filename'))
    try:
        clip = dataset[index]
    except Exception as e:
        raise InputError(f'{name}: its frames cannot be read ({" ".join(str(e).split())[:200]}); '
                         '--examples 0 makes the report without frames')
    images = [cv2.resize(image, (round(TILE * image.shape[1] / image.shape[0]), TILE), interpolation=cv2.INTER_AREA)
              for image in map(np.asarray, clip['imgs'][:clip['clip_len']])]
    return os.path.basename(name), list(zip(clip['frame_inds'].tolist(), images))


# ---- the page --------------------------------------------------------------------------------------


def choose_examples(args, labels, predicted, probabilities, dataset, name):
    """(examples for the page, the PNG of their strips): confident mistakes, or else unconfident right ones."""
    confidence = probabilities[np.arange(len(labels)), predicted]
    wrong = np.flatnonzero(predicted != labels)
    chosen = np.argsort(confidence, kind='stable')
    if len(wrong):
        chosen = wrong[np.argsort(-confidence[wrong], kind='stable')]
    examples, sheet = [], None
    for i in chosen[:args.examples]:
        video, frames = sampled_frames(dataset, i)
        strip = Image.fromarray(np.hstack([image for _, image in frames]))
        sheet = sheet or Image.new('RGB', (strip.width, 0), 'white')
        sheet = sheet.crop((0, 0, max(sheet.width, strip.width), sheet.height + TILE + 4))
        sheet.paste(strip, (0, sheet.height - TILE))
        frames = [(number, data_uri('jpeg', figures.image_bytes(Image.fromarray(image), 'JPEG', quality=80)),
                   image.shape[1]) for number, image in frames]
        top5 = np.argsort(-probabilities[i], kind='stable')[:5]
        examples.append(dict(video=video, true=name(labels[i]), predicted=name(predicted[i]), frames=frames,
                             top5=[(name(c), probabilities[i, c]) for c in top5]))
    return examples, sheet and figures.image_bytes(sheet.quantize(256), 'PNG')


def report(args):
    """The files of the report: {name: bytes}, the page last."""
    runs = {bs: read_batch_size(args.work_dir, bs) for bs in args.batch_sizes}
    accuracies = {bs: accuracy for bs, (accuracy, _) in runs.items()}
    for bs, accuracy in accuracies.items():
        for key in {'mean_class_accuracy', 'average_clips'} - set(accuracy):
            raise InputError(f'{args.work_dir}/result_bs{bs}.json: has no {key}; run test/eval_acc_perf.sh again')
    outs = [os.path.join(args.work_dir, f'predata_bts1_bs{bs}_out') for bs in runs]
    rows = [performance('this run', summary, out) for out, (_, summary) in zip(outs, runs.values())]
    best = max(rows, key=lambda row: row['rate'])
    rows += [row for name, folder in args.extra for row in read_extra(name, folder)]
    sources = list(dict.fromkeys(row['source'] for row in rows))
    rows = [dict(row, order=sources.index(row['source'])) for row in rows]
    names = read_classes(args.classes)
    dataset, backbone = open_dataset(args.config)
    first = args.batch_sizes[0]
    labels, predicted, probabilities = read_predictions(outs[0], first, accuracies[first], args.crops)
    if [int(info['label']) for info in dataset.video_infos] != labels.tolist():
        raise InputError(f'{dataset.ann_file}: its {len(dataset)} videos and labels are not those of {outs[0]} '
                         f'({len(labels)} videos); give the --config of that run')
    if labels.max() >= len(names):
        raise InputError(f'{args.classes}: {len(names)} classes, and a video has label {labels.max()} (from 0)')

    def name(c):
        return f'{c + 1} {names[c]}' if c < len(names) else f'{c + 1}, not in the list of classes'

    matrix = np.zeros((len(names), len(names) + 1), int)  # the last column: any class that has no name
    np.add.at(matrix, (labels, np.minimum(predicted, len(names))), 1)
    other, totals, hits = matrix[:, -1].sum(), matrix.sum(axis=1), matrix.diagonal()
    classes = sorted(np.flatnonzero(totals), key=lambda c: (hits[c] / totals[c], c))
    pairs = sorted((-matrix[i, j], i, j) for i, j in zip(*np.nonzero(matrix)) if i != j)[:10]

    label = figures.choose_font(''.join(names + sources))
    files, drawn = {}, {}
    for title, figure in (
            ('confusion_matrix.png', figures.confusion_figure(matrix if other else matrix[:, :-1], names, label)),
            ('performance.png', figures.performance_figure(rows, label)),
            ('latency.png', figures.latency_figure(rows, label))):
        files[title] = figures.draw(figure)
        drawn[title] = dict(uri=data_uri('png', files[title]), width=round(figure.get_figwidth(), 1))
    examples, strips = choose_examples(args, labels, predicted, probabilities, dataset, name)
    if strips:
        files['examples.png'] = strips
    top1 = min(accuracy['top1_acc'] for accuracy in accuracies.values())
    with open(os.path.splitext(os.path.abspath(__file__))[0] + '.html', encoding='utf-8') as f:
        template = f.read()
    page = jinja2.Environment(autoescape=True).from_string(template).render(
        args=args, accuracies=accuracies, top1=top1, reached=top1 >= args.reference - args.tolerance,
        guide_accuracy=GUIDE_ACCURACY, best=best, rows=rows, backbone=backbone, figures=drawn, names=names,
        speeds='Videos/s by batch size: ' + '; '.join(f'{r["source"]}, {r["bs"]}: {r["rate"]:.4g}' for r in rows),
        classes=[(name(c), hits[c], totals[c]) for c in classes], other=other,
        pairs=[(name(i), name(j) if j < len(names) else 'other', -count, totals[i]) for count, i, j in pairs],
        mistakes=int((predicted != labels).sum()), examples=examples, tile=TILE,
        run=what_was_run(args, rows[0], find_summaries(outs[0])[0], accuracies[first], dataset))
    return dict(files, **{os.path.basename(args.output): page.encode()})


def write(folder, files):
    os.makedirs(folder, exist_ok=True)
    for name, data in files.items():
        path = os.path.join(folder, name)
        with open(path + '.part', 'wb') as f:
            f.write(data)
        os.replace(path + '.part', path)


def parse_args():
    def extra(text):
        name, _, folder = text.partition('=')
        if not name or not os.path.isdir(folder):
            raise argparse.ArgumentTypeError(f'"{text}" is not NAME=DIR with a folder that exists')
        return name, folder

    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--work_dir', default='.', help='that of test/eval_acc_perf.sh (default: .)')
    parser.add_argument('--batch_sizes', default='1 16', help='(default: "1 16")')
    parser.add_argument('--config', required=True, help='config file of mmaction2, for its data.test')
    parser.add_argument('--classes', required=True, help='lines like "1 ApplyEyeMakeup", UTF-8')
    parser.add_argument('--output', help='the HTML file (default: <work_dir>/report/index.html)')
    parser.add_argument('--reference', type=float, default=0.8892, help='top-1 to reach (default: 0.8892)')
    parser.add_argument('--tolerance', type=float, default=0.01, help='how much less will do (default: 0.01)')
    parser.add_argument('--extra', type=extra, action='append', default=[], metavar='NAME=DIR',
                        help='performance of other runs, such as pure inference: a folder with their summaries')
    parser.add_argument('--examples', type=int, default=8, help='mistakes to show (default: 8)')
    parser.add_argument('--crops', type=int, default=3, help='crops of a video (default: 3)')
    args = parser.parse_args()
    if not re.fullmatch(r'\s*[1-9]\d*(\s+[1-9]\d*)*\s*', args.batch_sizes):
        parser.error(f'--batch_sizes "{args.batch_sizes}": numbers with spaces')
    args.batch_sizes = list(dict.fromkeys(int(bs) for bs in args.batch_sizes.split()))
    for name in ('config', 'classes'):
        if not os.path.isfile(getattr(args, name)):
            parser.error(f'--{name} {getattr(args, name)}: no such file')
    if args.examples < 0 or args.crops < 1:
        parser.error('--examples is 0 or more, --crops 1 or more')
    args.output = args.output or os.path.join(args.work_dir, 'report', 'index.html')
    return args


def main():
    args = parse_args()
    try:
        files = report(args)
        write(os.path.dirname(os.path.abspath(args.output)), files)
    except (InputError, OSError) as e:
        sys.exit(f'r2plus1d_report.py: {e}')
    print(f'{args.output}: {sum(map(len, list(files.values())[-1:])) / 1e6:.2f} MB', file=sys.stderr)


if __name__ == '__main__':
    main()
