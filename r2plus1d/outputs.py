# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""What inference hands on: outputs and the summary of a run.

    r2plus1d_infer.py or ais_bench -> outputs, summary -> r2plus1d_postprocess.py, r2plus1d_report.py

The forms are those of ais_bench (Ascend/tools, ais-bench_workload/tool/ais_bench): <output>/<name>/ has one file
for each input file and output of the model, and <output>/<name>_summary.json says which belong together, how long
each batch took, and the throughput. With several devices these are <output>/<name>/device<n>/ and
<output>/<name>/device<n>_summary.json. Each name and each form stands here once, its writer beside its reader.
"""
import contextlib
import glob
import hashlib
import io
import os
import re
import sys
import time

import numpy as np

from r2plus1d.bins import INFO, count_views, is_shape, list_inputs, read_bin_name, read_info
from r2plus1d.environment import describe_environment
from r2plus1d.run import InputError, log, one_line
from r2plus1d.store import (
    OLD_ENDING,
    PART_ENDING,
    file_digest,
    is_count,
    locked,
    naming,
    read_json,
    remove_leftovers,
    remove_tree,
    replace_folder,
    write_all,
    write_json_object,
)

SUMMARY_ENDING = '_summary.json'
TIME_OF_DAY = '%Y_%m_%d-%H_%M_%S'  # the name of a run that is given none
TIMES_OF_DAY = '????_??_??-??_??_??'  # as a pattern
NEW_SUMMARY_ENDING = SUMMARY_ENDING + '.new'  # which is no summary yet
LEFTOVERS = (PART_ENDING, OLD_ENDING, NEW_SUMMARY_ENDING, NEW_SUMMARY_ENDING + '.part')  # of a run that was killed
OUTPUT_NAME = re.compile(r'.+_\d+\.(npy|bin|txt)')


def output_name(input_path, index, extension):
    """Name of the file with output INDEX of an input file."""
    return f'{os.path.basename(input_path).split(".")[0]}_{index}.{extension}'


DIGEST_BYTES = hashlib.sha256().digest_size


def save_output(path, array):
    """Save an array by the ending of the name: .npy, .bin (its bytes) or .txt (six decimals, a line a row).

    Returns the SHA-256 of the file, as bytes. An OSError names the file.
    """
    if path.endswith('.npy'):
        npy = io.BytesIO()
        np.save(npy, array)
        data = npy.getvalue()
    elif path.endswith('.bin'):
        data = array.tobytes()
    else:
        rows = array.reshape(-1, array.shape[-1])
        data = ''.join(''.join('%f ' % value for value in row) + '\n' for row in rows).encode()
    with naming(path), open(path, 'wb', buffering=0) as f:
        write_all(f, data)
    return hashlib.sha256(data).digest()


def read_output(path, crops, num_classes):
    """The scores that save_output() or ais_bench saved: float32, videos x CROPS x classes.

    NUM_CLASSES is that of a .bin file, which does not say its shape. Raises InputError.
    """
    try:
        if path.endswith('.npy'):
            scores = np.load(path)
        elif path.endswith('.txt'):
            scores = read_text_output(path)
        else:
            scores = np.fromfile(path, np.float32)
            if scores.size % num_classes:
                raise InputError(f'{path}: {scores.size} values are not rows of {num_classes}; give --num_classes')
            scores = scores.reshape(-1, num_classes)
    except InputError:
        raise
    except Exception as e:  # the header of a .npy file is Python text: a damaged one can raise anything
        raise InputError(f'{path}: cannot be read: {one_line(e)}')
    if not isinstance(scores, np.ndarray) or scores.dtype.kind != 'f':
        raise InputError(f'{path}: cannot be read: holds {getattr(scores, "dtype", "several arrays")}, '
                         'expected floating-point scores')
    if scores.ndim != 2 or not scores.size or len(scores) % crops:
        raise InputError(f'{path}: found an array of {"x".join(map(str, scores.shape))}, expected {crops} rows for '
                         f'each video, whose .bin file has {crops} views; were bins and model of one kind?')
    if not np.isfinite(scores).all():
        raise InputError(f'{path}: holds values that are not finite')
    return scores.astype(np.float32).reshape(-1, crops, scores.shape[1])


# A row of a TXT output: numbers as %f writes them, each followed by a space. Another row was not written whole.
TEXT_ROW = re.compile(r'(?:(?:-?\d+\.\d{6}|-?nan|-?inf) )+')


def read_text_output(path):
    """The scores of a TXT output: float32, rows x classes. Raises ValueError where the text was not written whole."""
    with open(path, encoding='ascii') as f:
        lines = f.read().split('\n')
    if lines == ['']:
        raise ValueError('it is empty; was the inference interrupted?')
    if lines.pop():
        raise ValueError('its last line has no end; was the inference interrupted?')
    for number, line in enumerate(lines, 1):
        if not TEXT_ROW.fullmatch(line):
            raise ValueError(f'line {number} is not a row of numbers with six decimals, each followed by a space')
    rows = [np.array(line.split(), np.float32) for line in lines]
    if len({len(row) for row in rows}) > 1:
        raise ValueError('its lines do not have the same number of scores')
    return np.array(rows, np.float32).reshape(len(rows), -1)


class OutputWriter:
    """The folder of outputs of one run and the summary beside it. Both appear when finish() is called.

    Used as a context manager, which takes the folder for this run alone and removes what an unfinished run has written.
    Without a folder (OUTPUT is None) nothing is written.
    """

    def __init__(self, output, dirname, outfmt):
        self.output = output
        self.dirname = dirname
        self.folder = None
        self.lock = contextlib.ExitStack()
        self.extension = outfmt.lower()
        self.written = []  # of each input file: (its number, its name, the SHA-256 of its outputs, without their names)
        self.stopped = False  # set by whoever wants the threads that add outputs to end

    def __enter__(self):
        if self.output:
            os.makedirs(self.output, exist_ok=True)
            remove_leftovers(self.output, TIMES_OF_DAY, LEFTOVERS)
            self.folder = self.take_folder()
            self.part = self.folder + PART_ENDING
            with contextlib.ExitStack() as on_error:
                on_error.callback(self.lock.close)
                check_outputs_folder(self.folder)
                for ending in LEFTOVERS:
                    remove_tree(self.folder + ending)
                os.mkdir(self.part)
                on_error.pop_all()
        return self

    def __exit__(self, *_):
        if self.folder:
            remove_tree(self.part)
        self.lock.close()

    def take_folder(self):
        """The path of the folder of this run, locked. Without a name, it is the time, another one for each run."""
        if self.dirname:
            folder = os.path.normpath(os.path.join(self.output, self.dirname))
            self.lock.enter_context(locked(folder))
            return folder
        while True:
            folder = os.path.join(self.output, time.strftime(TIME_OF_DAY))
            with contextlib.suppress(InputError):
                self.lock.enter_context(locked(folder))
                if not os.path.lexists(folder):
                    return folder
                self.lock.close()
            time.sleep(0.1)

    def add(self, first_id, names, outputs):
        """Save what belongs to each input file of a batch.

        FIRST_ID is the number of the first of the NAMES among all input files; a name of None is padding.
        Each array of OUTPUTS is split along its first axis among the names.
        """
        if not self.folder:
            return
        shares = [np.array_split(output, len(names)) for output in outputs]  # of each output: its rows by input file
        for j, name in enumerate(names):
            if name is None:
                continue
            digests = b''
            for index, rows in enumerate(share[j] for share in shares):
                path = os.path.join(self.part, output_name(name, index, self.extension))
                digests += save_output(path, rows)
            self.written.append((first_id + j, name, digests))

    def finish(self, summary):
        """Put the outputs in their place and write the summary.

        The old summary goes first and the new one comes last, so a summary never stands beside outputs of another run.
        """
        if not self.folder:
            return
        self.written.sort()  # several devices take turns
        summary_path = self.folder + SUMMARY_ENDING
        new_summary = self.folder + NEW_SUMMARY_ENDING
        try:
            write_json_object(new_summary, [('filesinfo', self.describe_files()), *summary.items(),
                                            ('outputs_sha256', self.describe_digests())])
            with contextlib.suppress(FileNotFoundError):
                os.unlink(summary_path)
            replace_folder(self.part, self.folder)
            os.replace(new_summary, summary_path)
        finally:
            remove_tree(new_summary)
        log(f'outputs: {self.folder}, {self.folder}{SUMMARY_ENDING}')

    def output_names(self, name, digests):
        """The names of the outputs of the input file NAME, which have these DIGESTS, one after the other."""
        return [output_name(name, index, self.extension) for index in range(len(digests) // DIGEST_BYTES)]

    def describe_files(self):
        """The entries of filesinfo, in the order of the input files."""
        for number, name, digests in self.written:
            outfiles = [os.path.join(self.folder, file_name) for file_name in self.output_names(name, digests)]
            yield str(number), {'infiles': [name], 'outfiles': outfiles}

    def describe_digests(self):
        """The SHA-256 of each output, in hexadecimal digits, by its file name."""
        for _, name, digests in self.written:
            for index, file_name in enumerate(self.output_names(name, digests)):
                yield file_name, digests[index * DIGEST_BYTES:(index + 1) * DIGEST_BYTES].hex()


def check_outputs_folder(folder):
    """Raise InputError unless FOLDER is new or holds only outputs, which a run of the same name replaces."""
    if not os.path.lexists(folder):
        return
    if not os.path.isdir(folder) or os.path.islink(folder):
        raise InputError(f'{folder}: exists and is no folder; choose another --output_dirname')
    other = [name for name in os.listdir(folder) if not OUTPUT_NAME.fullmatch(name)]
    if other:
        raise InputError(f'{folder}: holds other files than outputs ({other[0]}); choose another --output_dirname')


def latency_statistics(times):
    """ais_bench's figures of a list of times in ms."""
    if not len(times):
        return {'min': 0.0, 'max': 0.0, 'mean': 0.0, 'median': 0.0, 'percentile(99%)': 0.0, 'count': 0}
    return {
        'min': float(np.min(times)),
        'max': float(np.max(times)),
        'mean': float(np.mean(times)),
        'median': float(np.median(times)),
        'percentile(99%)': float(np.percentile(times, 99)),
        'count': len(times),
    }


def make_summary(times, batch_size, engine, num_videos, provenance):
    """The summary of a run, without the filesinfo that OutputWriter adds.

    ais_bench's keys, and more. TIMES: {name of a device: ms of each of its batches}; in npu_compute_time_list they
    stand one device after the other. ENGINE: a dict of name, version, precision, cpu and threads, see
    r2plus1d/engines.py. NUM_VIDEOS: how many videos there are to infer, None where nothing says so. PROVENANCE: what
    note_provenance() gave, and sample_shape, the shape of a sample that the model takes. The throughput, in samples/s,
    is the sum over the devices.
    """
    all_times = [ms for device in times.values() for ms in device]
    summary = {
        'args': sys.argv,
        'NPU_compute_time': latency_statistics(all_times),
        'H2D_latency': latency_statistics([]),
        'D2H_latency': latency_statistics([]),
        'throughput': sum(1000 * batch_size / float(np.mean(device)) for device in times.values()),
        'npu_compute_time_list': all_times,
        'pid': os.getpid(),
        'engine': engine,
        'batchsize': batch_size,
        'num_videos': num_videos,
        'environment': describe_environment(),
        **provenance,
    }
    if len(times) > 1:
        summary['batches_by_device'] = {name: len(device) for name, device in times.items()}
    return summary


# ---- provenance: of which model and of which bins the outputs are -------------------------------------


def note_provenance(model, bins):
    """{model_sha256: digest of the model file, info_sha256: digest of the info.json of its bins}, for the summary.

    BINS: the folder, or files, that are inferred. info_sha256 is None where there are none or no info.json beside them.
    """
    info_digest = None
    if bins:
        info = os.path.join(os.path.dirname(list_inputs(bins)[0]), INFO)
        info_digest = file_digest(info) if os.path.isfile(info) else None
    return {'model_sha256': file_digest(model), 'info_sha256': info_digest}


def check_provenance(summaries):
    """Raise InputError where the bins are not those of the inference any more. Log what cannot be checked."""
    infos = find_info_file(summaries)
    for path in summaries:
        summary = read_json(path)
        check_bins(path, summary, infos)
        check_model(path, summary)
        if not isinstance(summary.get('outputs_sha256'), dict):
            log(f'{path}: not checked: whether the outputs were changed since the inference; it notes no digests of '
                'them')


def check_bins(path, summary, info):
    """Compare the bins that a summary lists with INFO, the path of their info.json, or None."""
    if info is None:
        log(f'{path}: not checked: whether its .bin files were changed since the inference; no {INFO} is found')
        return
    remedy = f'the .bin files of {os.path.dirname(info)} were made anew since the inference; run it again'
    bins = read_info(os.path.dirname(info)).get('bins')
    if isinstance(bins, dict):
        other = [bin_path for bin_path, _ in read_filesinfo(path) if os.path.basename(bin_path) not in bins]
        if other:
            raise InputError(f'{path}: {os.path.basename(other[0])} is not in {info}; {remedy}')
    noted = summary.get('info_sha256')
    if noted and noted != file_digest(info):
        raise InputError(f'{path}: was written for another {info}; {remedy}')
    if not noted:
        log(f'{path}: not checked: whether the .bin files of {os.path.dirname(info)} were changed since the inference, '
            'beyond their names; it notes no digest of their info.json')


def check_model(path, summary):
    """Log where the model file of a summary is not that of the inference any more, or cannot be compared."""
    args = summary.get('args')
    model = option_of(args, ('--model', '-m'), '') if isinstance(args, list) else ''
    noted = summary.get('model_sha256')
    found = next(filter(os.path.isfile, places_of(path, model)), None) if isinstance(model, str) and model else None
    if not noted:
        log(f'{path}: not checked: which model file it is of; it notes no digest')
    elif found is None:
        log(f'{path}: not checked: whether {model} is still the model of the inference; it is not found')
    elif file_digest(found) != noted:
        log(f'{path}: {found} was changed since the inference; the accuracy is that of the model that was there before')


def find_summaries(path):
    """The summary files of one run: of the newest run in a folder, of a run's folder, or the file itself.

    Several devices leave several summaries. Raises InputError where there is none.
    """
    if os.path.isfile(path):
        return [path]
    if not os.path.isdir(path):
        raise InputError(f'{path}: no such file or folder')
    path = path.rstrip('/') or '/'
    escaped = glob.escape(path)
    for pattern in (escaped + SUMMARY_ENDING, escaped + '/device*' + SUMMARY_ENDING):
        found = glob.glob(pattern)
        if found:
            return sorted(found)
    runs = glob.glob(f'{escaped}/*{SUMMARY_ENDING}') + glob.glob(f'{escaped}/*/device*{SUMMARY_ENDING}')
    if not runs:
        raise InputError(f'{path}: no *{SUMMARY_ENDING} in it; did the inference finish?')
    newest = max(runs, key=lambda run: (os.path.getmtime(run), run))
    if os.path.basename(newest).startswith('device'):
        return sorted(glob.glob(glob.escape(os.path.dirname(newest)) + '/device*' + SUMMARY_ENDING))
    return [newest]


def read_filesinfo(summary_path):
    """[(input file, output file)] of a run, from its summary, for the model's first output.

    The outputs lie beside the summary, wherever the two were moved together since they were written.
    """
    summary = read_json(summary_path)
    folder = summary_path[:-len(SUMMARY_ENDING)]
    pairs = []
    try:
        for info in summary['filesinfo'].values():
            bin_path = os.fspath(info['infiles'][0])
            output = os.path.basename(info['outfiles'][0])
            if output != output_name(bin_path, 0, output.rpartition('.')[2]):
                raise InputError(f'{summary_path}: was changed: {one_line(output, 100)} is not the name of an output '
                                 f'of {one_line(bin_path, 100)}; run the inference again')
            pairs.append((bin_path, os.path.join(folder, output)))
    except (KeyError, TypeError, AttributeError, IndexError):
        raise InputError(f'{summary_path}: not a summary of ais_bench: its filesinfo has another form')
    if not pairs:
        raise InputError(f'{summary_path}: lists no file')
    return pairs


def read_run(summaries, crops, num_classes, num_videos, allow_missing=False):
    """(scores: float32, videos x CROPS x classes; labels: list of int) of a run, in the order of the data set.

    SUMMARIES are the files of find_summaries(). Raises InputError unless each of NUM_VIDEOS videos is there once; with
    ALLOW_MISSING, unless none is there twice.
    """
    files = []  # (first video, labels, path of the bin, path of the output), one for each bin
    for summary in summaries:
        for bin_path, output in read_filesinfo(summary):
            first, labels = read_bin_name(bin_path)
            files.append((first, labels, bin_path, output))
    check_complete(summaries[0], files, num_videos, allow_missing)
    samples = samples_of_a_file(summaries, files)
    scores = []
    labels = []
    digests = read_output_digests(summaries)
    for _, file_labels, bin_path, output in sorted(files):
        file_scores = read_output(output, crops, num_classes)
        if len(file_scores) != samples:
            raise InputError(f'{output}: {len(file_scores) * crops} rows, expected {samples * crops} rows: {bin_path} '
                             f'holds {samples} videos with {crops} views each; were bins and model of one kind?')
        if max(file_labels) >= file_scores.shape[2]:
            raise InputError(f'{bin_path}: label {max(file_labels)}, '
                             f'and the model has {file_scores.shape[2]} classes')
        if scores and file_scores.shape[1:] != scores[0].shape[1:]:
            raise InputError(f'{output}: {file_scores.shape[2]} scores in a row, others have {scores[0].shape[2]}')
        if digests and digests.get(os.path.abspath(output)) != file_digest(output):
            raise InputError(f'{output}: was changed since the inference: the summary notes another digest; '
                             'run the inference again')
        scores.append(file_scores[:len(file_labels)])  # what follows is of samples that fill up the last file
        labels += file_labels
    return np.concatenate(scores), labels


def read_output_digests(summaries):
    """{path of an output: its SHA-256} by the summaries of a run; {} where they note none, as those of ais_bench."""
    digests = {}
    for path in summaries:
        noted = read_json(path).get('outputs_sha256')
        if isinstance(noted, dict):
            folder = os.path.abspath(path[:-len(SUMMARY_ENDING)])
            digests.update({os.path.join(folder, name): digest for name, digest in noted.items()})
    return digests


def check_complete(summary, files, num_videos, allow_missing):
    """Raise InputError unless the FILES of a run hold each video from 0 to NUM_VIDEOS - 1 once."""
    found = set()
    for first, labels, bin_path, _ in files:
        numbers = set(range(first, first + len(labels)))
        if numbers & found:
            raise InputError(f'{summary}: video {min(numbers & found)} is there twice; '
                             f'was {os.path.dirname(bin_path)} made anew between two runs?')
        found |= numbers
    if max(found) >= num_videos:
        raise InputError(f'{summary}: has video {max(found)}, and the data set has {num_videos} videos, from 0 on; '
                         'are there files of another list among the bins?')
    if len(found) < num_videos and not allow_missing:
        missing = next(number for number in range(num_videos) if number not in found)
        raise InputError(f'{summary}: {num_videos - len(found)} of {num_videos} videos are missing, the first is '
                         f'number {missing}; run the inference on all files')


def samples_of_a_file(summaries, files):
    """How many samples each .bin file of a run holds: all hold as many, and only the last one has fewer labels."""
    most_labels = max(len(labels) for _, labels, _, _ in files)
    info = find_info(summaries)
    return max(most_labels, info.get('bts', 1)) if info else most_labels


def expected_videos(summaries):
    """How many videos a run should have, by its summary or by the info.json of its bins; None where neither tells."""
    summary = read_json(summaries[0])
    noted = summary.get('num_videos') if isinstance(summary, dict) else None
    if is_count(noted):
        return noted
    info = find_info(summaries)
    return info.get('num_videos') if info else None


def find_info(summaries):
    """The info.json of the bins of a run, as a dict; None where it is not found.

    ais_bench notes its input as it was given, relative to the folder in which it was started. So the bins are looked
    for from each folder above the summary, the nearest first, and from the folder of today.
    """
    path = find_info_file(summaries)
    return read_info(os.path.dirname(path)) if path else None


def find_info_file(summaries):
    """The path of that info.json, or None."""
    input_path, _ = read_filesinfo(summaries[0])[0]
    info = os.path.join(os.path.dirname(input_path), INFO)
    return next(filter(os.path.isfile, places_of(summaries[0], info)), None)


def places_of(summary, path):
    """The paths where the file PATH, as a run was given it, may lie."""
    above = os.path.dirname(os.path.abspath(summary))
    places = [above]
    while os.path.dirname(above) != above:
        above = os.path.dirname(above)
        places.append(above)
    return [os.path.join(place, path) for place in [*places, os.getcwd()]]


def option_of(args, names, default):
    """The value of the option that has one of the NAMES, in a command line: a list of texts, if nothing damaged it."""
    args = [str(arg) for arg in args]
    for arg, value in zip(args, [*args[1:], '']):
        name, equals, attached = arg.partition('=')
        if name in names:
            return attached if equals else value
    return default


# ---- runs --------------------------------------------------------------------------------------------


def views_of_run(summaries, crops=None, config_shape=None):
    """How many views of a video the outputs of a run have, by its summary and by the info.json of its bins.

    CROPS: what --crops, or the accuracy JSON, says; None where neither does. CONFIG_SHAPE: of a sample by the config
    that the run is said to be of, asked where nothing else tells. Raises InputError where these contradict one
    another, or where none tells.
    """
    told = {}
    summary = read_json(summaries[0])
    noted = summary.get('sample_shape') if isinstance(summary, dict) else None
    if is_shape(noted):
        told[f'the model of {summaries[0]} takes'] = noted[0]
    info = find_info(summaries)
    if info and 'shape' in info:
        told[f'{find_info_file(summaries)} has bins of'] = info['shape'][0]
    if crops is not None:
        told['--crops, or the accuracy JSON, says'] = crops
    if not told and config_shape:
        return config_shape[0]
    if not told:
        raise InputError(f'{summaries[0]}: how many views of a video the outputs have cannot be told, because the '
                         'info.json of its .bin files is not found; give --crops, such as --crops 3')
    if len(set(told.values())) > 1:
        (first, one), (second, other) = list(told.items())[-2:]
        raise InputError(f'{first} {count_views(one)} a video, and {second} {count_views(other)}; '
                         f'the bins and the model must be of one kind')
    return next(iter(told.values()))
