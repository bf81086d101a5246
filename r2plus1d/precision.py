# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The precisions in which a model can be computed, one row each. A new precision is a new row.

    PRECISIONS['bf16'].bound                      # how far its scores may be from PyTorch's
    [precision.name for precision in announced(core.get_property('CPU', 'OPTIMIZATION_CAPABILITIES'))]

--precision auto: the fastest precision for a model on this CPU, measured once and kept in a file beside the model.

    fastest = Timings('r2plus1d_sim.onnx', 'OpenVINO 2026.4.1, a CPU').fastest(['f32', 'bf16'], make)

A CPU that announces bf16 or f16 may be twice as fast in it as in f32, or take twice as long: only a measurement tells.
"""
from __future__ import annotations

import contextlib
import math
import mmap
import os
import time
from dataclasses import dataclass
from typing import Callable, Collection, Dict, List, Optional, Sequence, Tuple

import xxhash

from r2plus1d.json_forms import Check, Form, field, one_of, write_json
from r2plus1d.run import InputError, log


@dataclass(frozen=True)
class Precision:
    """A precision of the arithmetic, and how far from PyTorch a model may be that is computed in it.

    bound, least_cosine: see compare_scores() in r2plus1d/metrics.py. The other words are OpenVINO's: hint, for what the
    model does not say itself (a quantized one says where it is int8); capability, of a CPU that has instructions for
    it; runs_in, of the operations that were then computed in it. A precision without hint is one of .om files only.
    """

    name: str
    bound: float  # of max_rel_difference
    least_cosine: float
    hint: Optional[str] = None
    capability: Optional[str] = None
    runs_in: Tuple[str, ...] = ()
    needs_quantized: bool = False


# f32 has the same sums in another order, and the same bound as pytorch2onnx.py --verify. bf16 has 8 bits of precision:
# 6e-3 was seen with the demo's trained model. fp16 and f16 have 11: 6e-4 was seen with that model by fp16, and 1.5e-3
# in a simulation at full size. f16 of a CPU was not seen, and some CPUs add up in f16, so its bound is wider. int8 is
# judged by its cosine above all, since single scores may differ much where the best class is the same: 0.27 and a
# cosine of 0.988 were seen, with no best class changed.
_ROWS = [
    Precision('f32', 1e-4, 0.99999, 'f32', 'FP32', ('f32',)),
    Precision('bf16', 3e-2, 0.999, 'bf16', 'BF16', ('bf16',)),
    Precision('f16', 1e-2, 0.999, 'f16', 'FP16', ('f16',)),
    Precision('int8', 0.5, 0.95, 'f32', 'INT8', ('u8', 'i8'), needs_quantized=True),
    Precision('fp16', 5e-3, 0.999),  # of ATC
]
PRECISIONS = {precision.name: precision for precision in _ROWS}
CPU_PRECISIONS = [precision.name for precision in _ROWS if precision.hint]  # what --precision takes
FLOAT_PRECISIONS = [name for name in CPU_PRECISIONS if not PRECISIONS[name].needs_quantized]  # of a model as exported
AUTO = 'auto'  # of --precision: the fastest on this CPU


def announced(capabilities: Collection[str]) -> List[Precision]:
    """The precisions for which a CPU with these CAPABILITIES, in OpenVINO's words, has instructions."""
    return [precision for precision in _ROWS if precision.capability in capabilities]


def computed_in(model: str, asked: str, quantized: bool) -> str:
    """What a MODEL is computed in where the precision ASKED for was given. Raises InputError where it cannot be."""
    if not quantized:
        if PRECISIONS[asked].needs_quantized:
            raise InputError(f'--precision {asked}: {model} is not quantized, and would be computed in f32; '
                             'make a model for it by r2plus1d_optimize.py --int8')
        return asked
    return 'int8' if PRECISIONS[asked].hint == 'f32' else f'int8, the rest {asked}'


# ---- the fastest ---------------------------------------------------------------------------------------

BATCHES = 3  # of one sample each
LEAST_GAIN = 0.03  # another precision than f32 changes the scores, so it is taken only if it is faster by this part
SECONDS = Check(lambda value: isinstance(value, (int, float)) and value > 0, 'seconds')

Seconds = Dict[str, float]  # by precision


@dataclass(frozen=True)
class Kept(Form):
    """The file beside a model. seconds: by the digest of the model, what computes it, and the precision."""

    KIND = 'seconds a batch, measured by r2plus1d --precision auto'

    kind: str = field(one_of(KIND))
    seconds: Dict[str, Seconds] = field(SECONDS.for_each_name().for_each_name())


class Timings:
    """The timings of a model file by an ENGINE on this machine, as text."""

    def __init__(self, model: str, engine: str) -> None:
        self.model = model
        self.path = f'{model}.speed.json'
        self.engine = engine

    def fastest(self, names: Sequence[str], make: Callable[[str], Callable[[], object]]) -> str:
        """The fastest of the precisions NAMES, the first of which is f32. MAKE(name) gives what runs one batch in it.

        It is measured where no file beside the model has it. Says what is taken and why.
        """
        if len(names) == 1:
            return names[0]
        digest, kept = self.digest(), self.read()
        key = f'{digest}, {self.engine}'
        seconds = (kept or {}).get(key, {})
        if not set(names) <= set(seconds):
            seconds = measure({name: make(name) for name in names})
            of_this_model = {other: value for other, value in (kept or {}).items() if other.startswith(digest)}
            with contextlib.suppress(OSError, InputError):  # else the next start measures again
                if kept is not None:
                    write_json(self.path, Kept(Kept.KIND, {**of_this_model, key: seconds}).to_json())
        best = min(names, key=lambda name: seconds[name])
        if seconds[best] > (1 - LEAST_GAIN) * seconds[names[0]]:
            best = names[0]
        figures = ', '.join(f'{name} {seconds[name]:.3g} s' for name in names)
        log(f'--precision auto: {best} ({figures} a batch of one sample)')
        return best

    def warn_if_slower(self, name: str) -> None:
        """Say it where the precision NAME was measured here, and is slower than f32."""
        if not os.path.exists(self.path):
            return
        seconds = (self.read() or {}).get(f'{self.digest()}, {self.engine}', {})
        if seconds.get(name, 0) > seconds.get('f32', math.inf):
            log(f'--precision {name}: takes {seconds[name]:.3g} s a batch on this CPU, and f32 takes '
                f'{seconds["f32"]:.3g} s ({self.path}); --precision auto takes the faster one')

    def read(self) -> Optional[Dict[str, Seconds]]:
        """What the kept file says: {} where there is none. None where a file of its name is not ours."""
        if not os.path.lexists(self.path):
            return {}
        with contextlib.suppress(InputError, OSError):
            return None if os.path.islink(self.path) else Kept.read(self.path).seconds
        return None

    def digest(self) -> str:
        """Of the model file. It takes a tenth of the time of a SHA-256: each start waits for it."""
        with open(self.model, 'rb') as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return xxhash.xxh3_128_hexdigest(content)


def measure(runs: Dict[str, Callable[[], object]]) -> Seconds:
    """{name: seconds that a run takes}: the shortest of BATCHES. The runs take turns, so that other work on the
    machine meets all of them.
    """
    times: Dict[str, List[float]] = {name: [] for name in runs}
    for _ in range(1 + BATCHES):  # the first one is slower
        for name, run in runs.items():
            before = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - before)
    return {name: min(seconds) for name, seconds in times.items()}
