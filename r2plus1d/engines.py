# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The inference engines: one interface for all that run a model file.

    engine = make_engine('r2plus1d_sim.onnx')
    engine.prepare(1)
    outputs = engine(batch)    # batch: 1 x crops x 3 x frames x height x width; outputs: list of float32 arrays

An engine says what it takes (sample_shape, dtype, batch_size) and what it is (describe()).
"""
from __future__ import annotations

import argparse
import contextlib
import glob
import importlib.util
import os
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from r2plus1d.engine_base import Engine, check_memory, no_telemetry
from r2plus1d.forms import read_json
from r2plus1d.npu import AisBench
from r2plus1d.onnx_engines import OnnxRuntime, OpenVINO
from r2plus1d.onnx_files import ModelInput, check_input_type, check_weights, name_content, read_onnx_input
from r2plus1d.precision import AUTO, CPU_PRECISIONS
from r2plus1d.run import InputError, log, one_line
from r2plus1d.store import check_regular_file


class PyTorch(Engine):
    """The model of a config with a checkpoint, in PyTorch on the CPU: what all other engines are compared with."""

    name = 'PyTorch'

    def __init__(self, cfg: Any, checkpoint: str, sample_shape: List[int]) -> None:
        import torch

        from mmaction.models import build_model
        from mmcv.runner import load_checkpoint
        self.version = torch.__version__
        check_regular_file(checkpoint)
        self.sample_shape = sample_shape
        super().__init__(checkpoint, 'f32')
        try:
            self.network = build_model(cfg.model, train_cfg=None, test_cfg=None).eval()
            load_checkpoint(self.network, checkpoint, map_location='cpu', strict=True, logger='silent')
        except Exception as e:  # a damaged checkpoint raises many kinds
            raise InputError(f'{checkpoint}: not a checkpoint of the model of {cfg.filename}: '
                             f'{name_content(checkpoint) or one_line(e)}')
        for name, values in self.network.state_dict().items():
            check_weights(checkpoint, name, values.numpy())

    def read_input(self, model: str) -> ModelInput:
        return ModelInput(self.sample_shape, np.dtype(np.float32))

    def __call__(self, batch: np.ndarray) -> List[np.ndarray]:
        import torch
        with torch.no_grad():
            return [self.network.forward_dummy(torch.from_numpy(batch))[0].numpy()]


ENGINES: Dict[str, Any] = {'openvino': OpenVINO, 'onnxruntime': OnnxRuntime, 'ais_bench': AisBench}


def has_accelerator() -> bool:
    """Whether ONNX Runtime is there and has an accelerator.

    Its wheels have a library for each of these. Where there is none, its import is saved.
    """
    found = importlib.util.find_spec('onnxruntime')
    if not found or not glob.glob(f'{os.path.dirname(found.origin or "")}/capi/*onnxruntime_providers_c*'):
        return False
    with contextlib.suppress(ImportError):
        import onnxruntime
        return bool(set(OnnxRuntime.ACCELERATORS) & set(onnxruntime.get_available_providers()))
    return False


def default_backend(model: str) -> str:
    """ais_bench for an .om; for ONNX: ONNX Runtime where it has an accelerator, else OpenVINO, else ONNX Runtime."""
    if model.endswith('.om'):
        return 'ais_bench'
    if has_accelerator():
        return 'onnxruntime'
    no_telemetry()
    try:
        import openvino  # noqa: F401
        return 'openvino'
    except ImportError:
        return 'onnxruntime'


def backend_of(args: argparse.Namespace) -> str:
    """The name of the engine that the options --model and --backend ask for."""
    return default_backend(args.model) if args.backend == 'auto' else str(args.backend)


def make_engines(args: argparse.Namespace) -> List[Engine]:
    """One engine for each number in --device, by the options of add_engine_options(). Raises InputError."""
    backend = backend_of(args)
    if len(args.device) > 1 and backend == 'openvino':
        raise InputError('--device: OpenVINO runs on the CPU, which is one device')
    return [make_engine(args.model, backend, args.precision, device) for device in args.device]


def start_engines(args: argparse.Namespace, many_batches: bool = False) -> Future[List[Engine]]:
    """Begin make_engines(), and prepare the engines for batches of --batchsize, in a thread of its own.

    MANY_BATCHES: whether there will be so many that side_by_side() pays. That is for single samples only: each of the
    engines side by side has the memory of a batch, and with many cores there are many engines.

    The engines load and compile the model while this thread imports mmaction2 and PyTorch.

    Those of NPUs are made before this function returns. Each is a forked process, and must not inherit the locks that
    another thread holds while it imports.
    """

    def make() -> List[Engine]:
        engines = make_engines(args)
        for engine in engines:
            batch_size = args.batchsize or engine.batch_size or 1
            check_memory(batch_size, engine.sample_shape, engine.dtype)
            engine.for_throughput = many_batches and batch_size == 1
            engine.prepare(batch_size)
        return engines

    is_om: bool = args.model.endswith('.om')  # backend_of() would import OpenVINO, which the other thread can do
    if args.backend == 'ais_bench' or (is_om and args.backend == 'auto'):
        engines: Future[List[Engine]] = Future()
        engines.set_result(make())
        return engines
    with_one_thread = ThreadPoolExecutor(1)
    engines = with_one_thread.submit(make)
    with_one_thread.shutdown(wait=False)
    return engines


def make_engine(model: str, backend: str = 'auto', precision: str = 'f32', device: int = 0) -> Engine:
    """The engine for a model file; call prepare() before the first batch. Logs which it is. Raises InputError.

    BACKEND: auto or a key of ENGINES. PRECISION: auto or one of CPU_PRECISIONS. DEVICE: number of the accelerator.
    """
    if backend == 'auto':
        backend = default_backend(model)
    try:
        engine: Engine = ENGINES[backend](model, precision, device)
        check_input_type(model, engine.dtype)
    except InputError:
        raise
    except ImportError as e:
        raise InputError(f'--backend {backend}: {e}; install it or choose another')
    except Exception as e:
        raise InputError(f'{model}: {backend} cannot load it: {one_line(e)}')
    log(str(engine.describe()))
    return engine


# ---- options -------------------------------------------------------------------------------------------


def device_numbers(text: str) -> List[int]:
    """Type of --device: the numbers in 0 or 0,1. A device that is there twice runs two engines."""
    devices = [int(number) for number in text.split(',')]
    if min(devices) < 0:
        raise argparse.ArgumentTypeError(f'{text}: numbers of 0 or more, with commas between')
    return devices


def device_list(text: str) -> List[int]:
    """The same, with each device once: ais_bench names its folders by them."""
    devices = device_numbers(text)
    if len(set(devices)) < len(devices):
        raise argparse.ArgumentTypeError(f'{text}: numbers of 0 or more, each once, with commas between')
    return devices


def add_engine_options(parser: argparse.ArgumentParser, precision: str = 'f32') -> None:
    """PRECISION: the default of --precision."""
    parser.add_argument('--device', '-d', type=device_numbers, default=[0],
                        help='The number of the accelerator, or numbers with commas between. (default: 0)')
    parser.add_argument('--backend', default='auto', choices=['auto', *ENGINES],
                        help='The engine. auto takes ais_bench for an .om. For an ONNX file it takes ONNX Runtime '
                        'where that has CANN or CUDA, else OpenVINO, else ONNX Runtime on the CPU.')
    parser.add_argument('--precision', default=precision, choices=[AUTO, *CPU_PRECISIONS],
                        help='The precision of the arithmetic. auto measures once for each model which one is the '
                        'fastest on this CPU. int8 needs a model of r2plus1d_optimize.py --int8.')


# ---- what a model takes, without an engine -------------------------------------------------------------


def shape_of_om(path: str) -> Optional[List[int]]:
    """The shape of the samples that an .om takes, by the note that test/pth2om.sh leaves beside it; None without it."""
    if not os.path.isfile(path + '.json'):
        return None
    try:
        _, _, text = read_json(path + '.json')['input_shape'].rpartition(':')
        return [int(number) for number in text.split(',')][1:]
    except (KeyError, TypeError, AttributeError, ValueError):
        return None


def input_of_model(path: str) -> Tuple[Optional[List[int]], Optional[np.dtype]]:
    """(shape, dtype) of the samples that a model file takes. Each is None where an .om says it only when it runs."""
    return (shape_of_om(path), None) if path.endswith('.om') else read_onnx_input(path)
