# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Files of outputs: one of them, written and read; all of one run, which appear together with their summary.

    with OutputWriter('out', 'run', 'TXT') as outputs:
        outputs.expect(names)                          # of all input files; refused where two outputs have one name
        outputs.add(0, names[:2], [scores])            # of a batch
        outputs.finish(make_summary(facts))            # out/run/ and out/run_summary.json
    scores = read_output('out/run/bin0-0_7_0.txt', rows=3)

The names and forms are those of ais_bench: <output>/<name>/ has one file for each input file and output of the model,
.npy, .bin or .txt. A folder that is there already is replaced only where the summary beside it lists all that is in it.
"""
from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import time
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Set, Tuple

import numpy as np

from r2plus1d.json_forms import write_json_object
from r2plus1d.run import InputError, log, one_line
from r2plus1d.store import (
    OLD_ENDING,
    PART_ENDING,
    check_place,
    claim,
    naming,
    remove_leftovers,
    remove_tree,
    replace_folder,
    write_all,
)
from r2plus1d.summary import SUMMARY_ENDING, Summary, output_name, summaries_in

TIME_OF_DAY = '%Y_%m_%d-%H_%M_%S'  # the name of a run that is given none
TIMES_OF_DAY = '????_??_??-??_??_??'  # as a pattern
NEW_SUMMARY_ENDING = SUMMARY_ENDING + '.new'  # which is no summary yet
LEFTOVERS = (PART_ENDING, OLD_ENDING, NEW_SUMMARY_ENDING, NEW_SUMMARY_ENDING + PART_ENDING)
DIGEST_BYTES = hashlib.sha256().digest_size
# A row of a TXT output: numbers as %f writes them, each followed by a space. Another row was not written whole.
TEXT_ROW = re.compile(r'(?:(?:-?\d+\.\d{6}|-?nan|-?inf) )+')


# ---- one file --------------------------------------------------------------------------------------


def save_output(path: str, array: np.ndarray) -> bytes:
    """Save an array by the ending of the name: .npy, .bin (its bytes) or .txt (six decimals, a line a row).

    Returns the SHA-256 of the file. An OSError names the file.
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


def read_output(path: str, rows: int) -> np.ndarray:
    """The scores in an output of ais_bench or OutputWriter: float32, rows x classes. Raises InputError.

    ROWS is how many a .bin file has, which does not say it.
    """
    try:
        if path.endswith('.npy'):
            scores = np.load(path)
        elif path.endswith('.txt'):
            scores = read_text_output(path)
        else:
            scores = np.fromfile(path, np.float32).reshape(rows, -1)
    except Exception as e:  # the header of a .npy file is Python text: a damaged one can raise anything
        raise InputError(f'{path}: cannot be read: {one_line(e)}')
    if not isinstance(scores, np.ndarray) or scores.dtype.kind != 'f':
        raise InputError(f'{path}: cannot be read: holds {getattr(scores, "dtype", "several arrays")}, '
                         'expected floating-point scores')
    if scores.ndim != 2 or not scores.size:
        raise InputError(f'{path}: found an array of {"x".join(map(str, scores.shape))}, expected rows of scores')
    if not np.isfinite(scores).all():
        raise InputError(f'{path}: holds values that are not finite')
    return scores.astype(np.float32)


def read_text_output(path: str) -> np.ndarray:
    """The scores of a TXT output: float32, rows x classes. Raises ValueError where the text was not written whole."""
    with open(path, encoding='ascii') as f:
        *lines, end = f.read().split('\n')
    if end or not lines:
        raise ValueError('its last line has no end, or it is empty; was the inference interrupted?')
    for number, line in enumerate(lines, 1):
        if not TEXT_ROW.fullmatch(line):
            raise ValueError(f'line {number} is not a row of numbers with six decimals, each followed by a space')
    return np.array([line.split() for line in lines], np.float32)


# ---- all files of a run ----------------------------------------------------------------------------


class OutputWriter:
    """Used as a context manager, which takes the folder for this run alone and removes what an unfinished run has left.

    Without a folder (OUTPUT is None) nothing is written.
    """

    def __init__(self, output: Optional[str], dirname: Optional[str], outfmt: str, inputs: Sequence[str] = ()) -> None:
        """INPUTS: files or folders which the outputs may not lie in, nor around."""
        self.output = output
        self.dirname = dirname
        self.inputs = inputs
        self.folder: Optional[str] = None
        self.lock = contextlib.ExitStack()
        self.extension = outfmt.lower()
        self.began = time.localtime()
        self.num_classes: Optional[int] = None
        self.written: List[Tuple[int, str, bytes]] = []  # of each input file: number, name, SHA-256 of its outputs
        self.stopped = False  # set by whoever wants the threads that add outputs to end

    def __enter__(self) -> OutputWriter:
        if self.output:
            os.makedirs(self.output, mode=0o750, exist_ok=True)  # since 2024 ais_bench takes no wider one
            remove_leftovers(self.output, TIMES_OF_DAY, LEFTOVERS)
            self.folder = self.take_folder(self.output)
            self.part = self.folder + PART_ENDING
            with contextlib.ExitStack() as on_error:
                on_error.callback(self.lock.close)
                check_ours(self.folder)
                for ending in LEFTOVERS:
                    remove_tree(self.folder + ending)
                os.mkdir(self.part, mode=0o750)
                on_error.pop_all()
        return self

    def __exit__(self, *_: Any) -> None:
        if self.folder:
            remove_tree(self.part)
        self.lock.close()

    def take_folder(self, output: str) -> str:
        """The path of the folder of this run, locked. Without a name, it is the time, another one for each run."""
        if self.dirname:
            folder = os.path.normpath(os.path.join(output, self.dirname))
            if os.path.islink(folder):
                raise InputError(f'{folder}: exists and is no folder; choose another --output_dirname')
            self.lock.enter_context(claim(folder, inputs=self.inputs, endings=LEFTOVERS))
            return folder
        check_place(os.path.join(output, time.strftime(TIME_OF_DAY, self.began)), self.inputs)
        while True:
            self.began = time.localtime()
            folder = os.path.join(output, time.strftime(TIME_OF_DAY, self.began))
            with contextlib.suppress(InputError):
                self.lock.enter_context(claim(folder, endings=LEFTOVERS))
                if not os.path.lexists(folder):
                    return folder
                self.lock.close()
            time.sleep(0.1)

    def expect(self, names: Iterable[str]) -> None:
        """Raise InputError where two of the input files would have outputs of one name."""
        sources: Dict[str, str] = {}
        for name in names if self.folder else ():
            output = output_name(name, 0, self.extension)
            if output in sources:
                raise InputError(f'{name}: its output would be {output}, as that of {sources[output]}: an output has '
                                 'the name of its file up to the first dot; rename one of them')
            sources[output] = name

    def add(self, first_id: int, names: Sequence[Optional[str]], outputs: Sequence[np.ndarray]) -> None:
        """Save what belongs to each input file of a batch.

        FIRST_ID is the number of the first of the NAMES among all input files; a name of None is padding.
        Each array of OUTPUTS is split along its first axis among the names.
        """
        if not self.folder:
            return
        self.num_classes = outputs[0].shape[-1]
        shares = zip(*(np.array_split(output, len(names)) for output in outputs))  # of each name: its rows by output
        for number, (name, rows) in enumerate(zip(names, shares), first_id):
            if name is not None:
                paths = [os.path.join(self.part, output_name(name, i, self.extension)) for i in range(len(rows))]
                self.written.append((number, name, b''.join(map(save_output, paths, rows))))

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Put the outputs in their place and write the summary.

        The old outputs go first, then the old summary, and the new summary comes last: no summary ever stands beside
        outputs of another run, and outputs always have a summary, if a new one, that says that they are ours.
        """
        if not self.folder:
            return
        self.written.sort()  # several devices take turns
        new_summary = self.folder + NEW_SUMMARY_ENDING
        try:
            write_json_object(new_summary, [('filesinfo', self.describe_files()), *summary.items(),
                                            ('time', time.strftime(TIME_OF_DAY + '%z', self.began)),
                                            ('num_classes', self.num_classes),
                                            ('outputs_sha256', self.describe_digests())])
            if os.path.lexists(self.folder):
                os.rename(self.folder, self.folder + OLD_ENDING)
            remove_tree(self.folder + SUMMARY_ENDING)
            replace_folder(self.part, self.folder)
            os.replace(new_summary, self.folder + SUMMARY_ENDING)
        finally:
            remove_tree(new_summary)
        log(f'outputs: {self.folder}, {self.folder}{SUMMARY_ENDING}')

    def output_names(self, name: str, digests: bytes) -> List[str]:
        """The names of the outputs of the input file NAME, which have these DIGESTS, one after the other."""
        return [output_name(name, index, self.extension) for index in range(len(digests) // DIGEST_BYTES)]

    def describe_files(self) -> Iterator[Tuple[str, Dict[str, List[str]]]]:
        """The entries of filesinfo, in the order of the input files."""
        for number, name, digests in self.written:
            outfiles = [os.path.join(str(self.folder), output) for output in self.output_names(name, digests)]
            yield str(number), {'infiles': [name], 'outfiles': outfiles}

    def describe_digests(self) -> Iterator[Tuple[str, str]]:
        """The SHA-256 of each output, in hexadecimal digits, by its file name."""
        for _, name, digests in self.written:
            for index, output in enumerate(self.output_names(name, digests)):
                yield output, digests[index * DIGEST_BYTES:(index + 1) * DIGEST_BYTES].hex()


# ---- whose files they are --------------------------------------------------------------------------


def check_ours(folder: str, remedy: str = 'choose another --output_dirname') -> None:
    """Raise InputError unless FOLDER is new or a run's, and a summary beside it is one: a run may replace these."""
    listed: Set[str] = set()
    for path in filter(os.path.lexists, (folder + SUMMARY_ENDING, folder + NEW_SUMMARY_ENDING)):
        filesinfo = None
        with contextlib.suppress(InputError):
            filesinfo = Summary.read(path).filesinfo
        if filesinfo is None or os.path.islink(path):
            raise InputError(f'{path}: exists and is no summary of a run; {remedy}')
        listed |= {os.path.basename(output) for info in filesinfo.values() for output in info['outfiles']}
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise InputError(f'{folder}: exists and is no folder; {remedy}')
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        if name not in listed:
            raise InputError(f'{folder}: holds {name}, which no summary beside it lists as an output; {remedy}')


def check_runs(folder: str) -> List[str]:
    """The summaries of all runs in FOLDER. Raises InputError where a summary or an output is not ours."""
    paths = summaries_in(folder)
    for path in paths:
        check_ours(path[:-len(SUMMARY_ENDING)], 'move it away')
    return paths


def remove_runs(folder: str) -> None:
    """Remove all runs in FOLDER, and what is empty then. Raises InputError as check_runs() does, before that."""
    paths = check_runs(folder)
    for path in paths:
        remove_tree(path[:-len(SUMMARY_ENDING)])
        os.unlink(path)
    for empty in [*map(os.path.dirname, paths), folder]:
        with contextlib.suppress(OSError):
            os.rmdir(empty)
