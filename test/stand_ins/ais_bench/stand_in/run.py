# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""A run of the client: one process for each device, a warm-up, all batches, the outputs and the summary."""
import copy
import importlib.util
import math
import multiprocessing
import os
import time
from importlib import metadata

import aclruntime_device

from ais_bench.infer.interface import InferSession, MemorySummary
from ais_bench.stand_in import files
from ais_bench.stand_in import summary as summaries
from ais_bench.stand_in.log import failure, logger

AGE = aclruntime_device.age()
if AGE >= 2025:
    from ais_bench.stand_in import path_check

NAME_OF_NOW = '%Y_%m_%d-%H_%M_%S'
# The real client waits 10 s for the other devices before it starts without them.
WAIT_FOR_OTHERS = 1


def run(args):
    """Run the client; the exit status."""
    check_version(args)
    if isinstance(args.device, list):
        return run_devices(args)
    run_device(args)
    return 0


def check_version(args):
    """Take the slower run mode of old modules unless setuptools tells that aclruntime 0.0.2 is installed."""
    args.run_mode = 'array'
    version = None
    if importlib.util.find_spec('pkg_resources'):
        try:
            version = metadata.version('aclruntime')
        except metadata.PackageNotFoundError:
            version = None
    if version != '0.0.2':
        logger.warning(f'aclruntime {version} is not 0.0.2')
        args.run_mode = 'tensor'


def run_devices(args):
    """A process for each device; 1 if one of them failed, else 0."""
    devices = args.device
    logger.info(f'multidevice:{devices} run begin')
    pool = multiprocessing.Pool(len(devices))
    queue = multiprocessing.Manager().Queue()
    inputs = [args.input] * len(devices)
    if args.input is not None and args.divide_input:
        inputs = [','.join(part) for part in divide_inputs(args, len(devices))]
    for i, device in enumerate(devices):
        own = copy.deepcopy(args)
        own.device = device
        own.input = inputs[i]
        if AGE == 2023:
            name = time.strftime(NAME_OF_NOW) if args.output_dirname is None else args.output_dirname
            own.output_dirname = os.path.join(name, f'device{device}')
        pool.apply_async(run_device, (own, i, queue, devices), error_callback=report_failure)
    pool.close()
    pool.join()
    return collect(queue, devices)


def report_failure(error):
    logger.error(f'subprocess run failed error_callback:{error}')


def collect(queue, devices):
    """Print the throughput of the devices and their sum; 1 if one of them failed, else 0."""
    status = 0 if queue.qsize() == 2 * len(devices) else 1
    rates = []
    while queue.qsize():
        entry = queue.get()
        if isinstance(entry, list):
            i, rate, start, end = entry
            logger.info(f'i:{i} device_{devices[i]} throughput:{rate} start_time:{start} end_time:{end}')
            rates.append(rate)
    logger.info(f'summary throughput:{sum(rates)}')
    return status


def divide_inputs(args, count):
    """The files for each device. The model is loaded on device 0 for it, whichever devices are asked for."""
    paths = args.input.split(',')
    if os.path.isdir(paths[0]):
        paths = [path for folder in paths for path in files.list_folder(folder)]
    elif not os.path.isfile(paths[0]):
        raise failure(f'--input: {paths[0]} is neither a file nor a folder')
    args.device = 0
    open_session(args)
    return divide_2023(paths, count) if AGE == 2023 else divide_2025(paths, count)


def divide_2023(paths, count):
    """Parts of equal length, rounded up. The last devices may get less or nothing, and fail with nothing."""
    length = math.ceil(len(paths) / count)
    return [paths[i * length:(i + 1) * length] for i in range(count)]


def divide_2025(paths, count):
    """Parts whose lengths differ by 1 at most. Fewer files than devices are an error."""
    if len(paths) < count:
        raise OverflowError('get list part failed')
    length, left = divmod(len(paths), count)
    starts = [i * length + min(i, left) for i in range(count + 1)]
    return [paths[start:end] for start, end in zip(starts, starts[1:])]


def open_session(args):
    session = InferSession(args.device, args.model, None, args.debug, args.loop)
    session.set_staticbatch()
    if args.batchsize is None:
        args.batchsize = session.get_inputs()[0].shape[0]
        logger.info(f'try get model batchsize:{args.batchsize}')
    return session


def make_output_folder(args, device_folder):
    """The folder for the outputs of this process; None without --output."""
    if args.output is None:
        return None
    name = time.strftime(NAME_OF_NOW) if args.output_dirname is None else args.output_dirname
    folder = os.path.join(args.output, name)
    if device_folder:
        folder = os.path.join(folder, device_folder)
    if AGE == 2023:
        os.makedirs(folder, 0o755, exist_ok=True)
    elif os.path.exists(folder):
        path_check.check_output_folder(folder)
    else:
        path_check.make_folders(folder)
    logger.info(f'output path:{folder}')
    return folder


def run_device(args, index=0, queue=None, devices=()):
    """All that one device does. INDEX, QUEUE, DEVICES: its place among several devices, and their common queue."""
    session = open_session(args)
    size = session.get_inputs()[0].realsize
    name = f'device{devices[index]}_{index}' if AGE >= 2025 and len(devices) > 1 else ''
    folder = make_output_folder(args, name)
    batches = list_batches(args, size)
    warm_up(session, args, batches[0], size)
    wait_for_others(queue, index, len(devices))
    start = time.time()
    summary = summaries.Summary()
    run_batches(session, args, batches, size, folder, summary)
    end = time.time()
    values = finish(session, args, summary)
    summaries.report(values, args.batchsize)
    if folder is not None:
        summaries.write(values, folder)
    if queue is not None:
        queue.put([index, values['throughput'], start, end])
    if AGE >= 2025:
        session.free_resource()
    session.finalize()


def list_batches(args, size):
    if args.input is None:
        return [[files.PURE]]
    return files.group(files.list_inputs(args.input), size)


def warm_up(session, args, paths, size):
    """Run the first batch a few times, of which nothing is kept."""
    batch = files.read_batch(paths, size, args.pure_data_type)
    session.set_loop_count(1)
    for _ in range(args.warmup_count):
        infer(session, args, batch)
    session.set_loop_count(args.loop)
    if AGE == 2023:
        session.reset_sumaryinfo()
    else:
        session.reset_summaryinfo()
    MemorySummary.reset()
    logger.info(f'warm up {args.warmup_count} done')


def infer(session, args, batch):
    """The outputs on the host."""
    feed = session.create_tensor_from_arrays_to_device(batch) if args.run_mode == 'tensor' else batch
    outputs = session.run([feed])
    session.convert_tensors_to_host(outputs)
    return outputs


def wait_for_others(queue, index, count):
    """Start together with the other devices, unless one of them never comes so far."""
    if queue is None:
        return
    queue.put(index)
    deadline = time.time() + WAIT_FOR_OTHERS
    while queue.qsize() < count and time.time() < deadline:
        time.sleep(0.02)


def run_batches(session, args, batches, size, folder, summary):
    for number, paths in enumerate(batches):
        outputs = infer(session, args, files.read_batch(paths, size, args.pure_data_type))
        if folder is not None:
            files.save_batch(outputs, folder, paths, number, args, summary)


def finish(session, args, summary):
    """The summary of what the session did."""
    if AGE == 2023:
        return summary.finish(args.batchsize, session.sumary().exec_time_list, MemorySummary.get_H2D_time_list(),
                              MemorySummary.get_D2H_time_list())
    times = [end - start for start, end in session.summary().exec_time_list]
    return summary.finish(args.batchsize, times, MemorySummary.get_h2d_time_list(), MemorySummary.get_d2h_time_list())
