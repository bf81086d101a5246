# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""A run of the client: one process for each device, a warm-up, all batches, the outputs and the summary."""
import copy
import json
import math
import multiprocessing
import os
import sys
import time

import numpy as np
from aclruntime import AGE, MemorySummary

from ais_bench.infer.interface import InferSession
from ais_bench.stand_in import files, path_check
from ais_bench.stand_in.path_check import logger

PERCENTILE = 'P99' if AGE == 2026 else 'percentile(99%)'


def run(args):
    """Run the client; the exit status."""
    if isinstance(args.device, list):
        return run_devices(args)
    run_device(args)
    return 0


# ---- several devices ---------------------------------------------------------------------------------


def run_devices(args):
    """A process for each device; 1 if one of them failed, else 0. Prints the throughput of the devices and their sum.

    Where the processes of the newer client make the folder of the run at the same time, the one that finds it made
    between its look and its mkdir() fails. The real client does so now and then; here all but the first fail.
    """
    logger.info(f'multidevice:{args.device} run begin')
    pool = multiprocessing.Pool(len(args.device))
    inputs = [args.input] * len(args.device)
    if args.input is not None and args.divide_input:
        inputs = [','.join(part) for part in divide_inputs(args, len(args.device))]
    name = args.output_dirname or time.strftime('%Y_%m_%d-%H_%M_%S')
    is_there = args.output is not None and os.path.isdir(os.path.join(args.output, name))
    results = []
    for i, device in enumerate(args.device):
        own = copy.deepcopy(args)
        own.device, own.input = device, inputs[i]
        own.output_dirname = os.path.join(name, f'device{device}' if AGE == 2023 else f'device{device}_{i}')
        own.loses_race = AGE >= 2025 and i > 0 and not is_there
        results.append(pool.apply_async(run_device, [own], error_callback=report_failure))
    pool.close()
    pool.join()
    rates = [result.get() for result in results if result.successful()]
    for device, rate in zip(args.device, rates):
        logger.info(f'device_{device} throughput:{rate}')
    logger.info(f'summary throughput:{sum(rates)}')
    return int(len(rates) < len(results))


def report_failure(error):
    logger.error(f'subprocess run failed error_callback:{error}')


def divide_inputs(args, count):
    """The files for each device. The model is loaded on device 0 for it, whichever devices are asked for.

    In 2023: parts of equal length, rounded up; the last devices may get less or nothing, and fail with nothing. Since
    2024: parts whose lengths differ by 1 at most; fewer files than devices are an error.
    """
    paths = files.list_inputs(args.input)
    InferSession(0, args.model)
    if AGE == 2023:
        length = math.ceil(len(paths) / count)
        return [paths[i * length:(i + 1) * length] for i in range(count)]
    if len(paths) < count:
        raise OverflowError('get list part failed')
    return [list(part) for part in np.array_split(paths, count)]


# ---- one device --------------------------------------------------------------------------------------


def run_device(args):
    """All that one device does; its throughput."""
    session = InferSession(args.device, args.model, None, args.debug)
    size = session.get_inputs()[0].realsize
    folder = make_output_folder(args)
    batches = [[files.PURE]] if args.input is None else files.group(files.list_inputs(args.input), size)
    for _ in range(args.warmup_count):
        session.run([files.read_batch(batches[0], size)])
    session.session.options().loop = args.loop
    session.session.reset_sumaryinfo()
    MemorySummary().reset()
    filesinfo = {}
    for number, paths in enumerate(batches):
        outputs = session.run([files.read_batch(paths, size)])
        if folder is not None:
            files.save_batch(outputs, folder, paths, number, args, filesinfo)
    times = session.session.sumary().exec_time_list
    values = make_summary(filesinfo, times if AGE == 2023 else [end - start for start, end in times],
                          args.batchsize or session.get_inputs()[0].shape[0])
    if folder is not None:
        with files.create_file(folder + '_summary.json') as f:
            f.write(json.dumps(values).encode())
    return values['throughput']


def make_output_folder(args):
    """The folder for the outputs of this process; None without --output."""
    if args.output is None:
        return None
    folder = os.path.join(args.output, args.output_dirname or time.strftime('%Y_%m_%d-%H_%M_%S'))
    if getattr(args, 'loses_race', False):
        raise RuntimeError(f'can not make dir: {os.path.dirname(folder)}')
    if AGE == 2023:
        os.makedirs(folder, 0o755, exist_ok=True)
    elif os.path.exists(folder):
        if not path_check.is_allowed(folder, 'read'):
            raise ValueError(f'The path:{folder} is illegal. Please check the error log for more detail.')
    else:
        path_check.make_folders(folder)
    logger.info(f'output path:{folder}')
    return folder


# ---- the summary -------------------------------------------------------------------------------------


def figures(times):
    """Those of a list of ms; of an empty list they are 0."""
    found = {'min': np.min, 'max': np.max, 'mean': np.mean, 'median': np.median,
             PERCENTILE: lambda values: np.percentile(values, 99)}
    return {**{name: float(function(times)) if times else 0.0 for name, function in found.items()},
            'count': len(times)}


def make_summary(filesinfo, times, batch_size):
    """What is printed, and what stands in <output>/<name>_summary.json. TIMES: ms of each batch."""
    found = figures(times)
    throughput = 1000 * batch_size / found['mean'] if found['mean'] else 0
    rate = [('throughput', throughput), ('npu_compute_time_list', times)]
    text = ', '.join(f'{key} = {value}' for key, value in found.items() if key != 'count')
    logger.info('-----------------Performance Summary------------------')
    logger.info(f'NPU_compute_time (ms): {text}')
    logger.info(f'throughput 1000*batchsize.mean({batch_size})/NPU_compute_time.mean({found["mean"]}): {throughput}')
    logger.info('------------------------------------------------------')
    return {'filesinfo': filesinfo, 'args': sys.argv, 'NPU_compute_time': found,
            'H2D_latency': figures(MemorySummary.H2D_time_list), 'D2H_latency': figures(MemorySummary.D2H_time_list),
            **dict(rate if AGE == 2023 else rate[::-1]), 'pid': os.getpid()}
