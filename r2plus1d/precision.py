# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The precisions in which a model can be computed, one row each. A new precision is a new row.

    PRECISIONS['bf16'].bound                      # how far its scores may be from PyTorch's
    [precision.name for precision in announced(core.get_property('CPU', 'OPTIMIZATION_CAPABILITIES'))]
"""
from dataclasses import dataclass
from typing import Collection, List, Optional, Tuple


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
AUTO = 'auto'  # of --precision: the fastest on this CPU, see r2plus1d/fastest.py


def announced(capabilities: Collection[str]) -> List[Precision]:
    """The precisions for which a CPU with these CAPABILITIES, in OpenVINO's words, has instructions."""
    return [precision for precision in _ROWS if precision.capability in capabilities]
