# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""--precision auto: the fastest precision for a model on this CPU, measured once and kept in a file beside the model.

    fastest = Timings('r2plus1d_sim.onnx', 'OpenVINO 2026.4.1').fastest(['f32', 'bf16'], make)

A CPU that announces bf16 or f16 may be twice as fast in it as in f32, or take twice as long: only a measurement tells.
"""
from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import time
from typing import Any, Callable, Dict, List, Optional, Sequence

from r2plus1d.engine_base import cpu_count, cpu_name
from r2plus1d.run import InputError, log
from r2plus1d.store import file_digest, read_json, write_json

ENDING = '.speed.json'  # of the kept file, behind the name of the model
KIND = 'seconds a batch, measured by r2plus1d --precision auto'  # what the kept file says of itself
VERSION = 1
BATCHES = 3  # of one sample each
LEAST_GAIN = 0.03  # another precision than f32 changes the scores, so it is taken only if it is faster by this part


@dataclasses.dataclass(frozen=True)
class Timing:
    """What one machine took for one batch of one model. model: the digest of the file."""

    model: str
    engine: str
    cpu: str
    cores: int
    seconds: Dict[str, float]

    @classmethod
    def from_json(cls, entry: Dict[str, Any]) -> Timing:
        """Raises ValueError or TypeError for another form."""
        timing = cls(**entry)
        if not all(isinstance(value, (int, float)) and 0 < value < math.inf for value in timing.seconds.values()):
            raise ValueError('seconds of another kind')
        return timing

    def is_of(self, other: Timing) -> bool:
        """Whether both are of the same model, engine and machine."""
        return dataclasses.replace(self, seconds={}) == dataclasses.replace(other, seconds={})


class Timings:
    """The timings of a model file on the CPU, by an engine (its name and version)."""

    def __init__(self, model: str, engine: str) -> None:
        self.model = model
        self.engine = engine
        self.path = model + ENDING

    def fastest(self, names: Sequence[str], make: Callable[[str], Callable[[], object]]) -> str:
        """The fastest of the precisions NAMES, the first of which is f32. MAKE(name) gives what runs one batch in it.

        It is measured where no file beside the model has it. Says what is taken and why.
        """
        if len(names) == 1:
            return names[0]
        wanted = self.of_this_machine()
        timings = self.read()
        kept = next((timing for timing in timings or () if timing.is_of(wanted)), None)
        if kept is None or not set(names) <= set(kept.seconds):
            kept = dataclasses.replace(wanted, seconds=measure({name: make(name) for name in names}))
            if timings is not None:
                self.keep([*(timing for timing in timings
                             if timing.model == kept.model and not timing.is_of(kept)), kept])
        seconds = {name: kept.seconds[name] for name in names}
        best = min(seconds, key=lambda name: seconds[name])
        if seconds[best] > (1 - LEAST_GAIN) * seconds[names[0]]:
            best = names[0]
        figures = ', '.join(f'{name} {value:.3g} s' for name, value in seconds.items())
        log(f'--precision auto: {best} ({figures} a batch of one sample)')
        return best

    def warn_if_slower(self, name: str) -> None:
        """Say it where the precision NAME was measured here, and is slower than f32."""
        if not os.path.exists(self.path):
            return
        wanted = self.of_this_machine()
        for timing in self.read() or ():
            mine, f32 = timing.seconds.get(name, 0.0), timing.seconds.get('f32', math.inf)
            if timing.is_of(wanted) and mine > f32:
                log(f'--precision {name}: takes {mine:.3g} s a batch on this CPU, and f32 takes {f32:.3g} s '
                    f'({self.path}); --precision auto takes the faster one')

    def of_this_machine(self) -> Timing:
        return Timing(file_digest(self.model), self.engine, cpu_name(), cpu_count(), {})

    def read(self) -> Optional[List[Timing]]:
        """What the kept file says: [] where there is none. None where a file of its name is not ours."""
        if not os.path.lexists(self.path):
            return []
        if os.path.islink(self.path) or not os.path.isfile(self.path):
            return None
        try:
            content = read_json(self.path)
            if content['kind'] != KIND or content['version'] != VERSION:
                return None
            return [Timing.from_json(entry) for entry in content['timings']]
        except (InputError, OSError, KeyError, TypeError, ValueError, AttributeError):
            return None

    def keep(self, timings: List[Timing]) -> None:
        """Write the file. A folder in which nothing can be written keeps nothing: the next start measures again."""
        with contextlib.suppress(OSError):
            write_json(self.path, {'kind': KIND, 'version': VERSION,
                                   'timings': [dataclasses.asdict(timing) for timing in timings]})


def measure(runs: Dict[str, Callable[[], object]]) -> Dict[str, float]:
    """{name: seconds that a run takes}: the shortest of BATCHES. The runs take turns, so that other work on the
    machine meets all of them.
    """
    times: Dict[str, List[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(BATCHES):
        for name, run in runs.items():
            before = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - before)
    return {name: min(seconds) for name, seconds in times.items()}
