# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The summary: what is printed and what stands in <output>/<name>_summary.json."""
import json
import os
import sys

import aclruntime_device
import numpy as np

from ais_bench.stand_in.log import logger

AGE = aclruntime_device.age()
if AGE >= 2025:
    from ais_bench.stand_in import path_check

PERCENTILE = 'P99' if AGE == 2026 else 'percentile(99%)'
FORK = os.environ.get('STAND_IN_SUMMARY')


def figures(times):
    """Those of a list of ms; of an empty list they are 0."""
    values = dict.fromkeys(['min', 'max', 'mean', 'median', PERCENTILE], 0.0)
    if times:
        values['min'] = float(np.min(times))
        values['max'] = float(np.max(times))
        values['mean'] = float(np.mean(times))
        values['median'] = float(np.median(times))
        values[PERCENTILE] = float(np.percentile(times, 99))
    values['count'] = len(times)
    if FORK == 'no_median':
        del values['median']
    elif FORK == 'other_percentile':
        values['percentile_99'] = values.pop(PERCENTILE)
    return values


def mean_of_intervals(intervals):
    """The ms during which at least one of several threads was busy, by the number of (sorted) executions."""
    busy = 0
    end = None
    for interval in intervals:
        start = interval[0] if end is None else max(end, interval[0])
        busy += max(0, interval[1] - start)
        end = interval[1] if end is None else max(end, interval[1])
    return busy / len(intervals)


class Summary:
    """What a process notes while it runs, and writes at its end."""

    def __init__(self):
        self.filesinfo = {}

    def add(self, number, infile, outfile):
        info = self.filesinfo.setdefault(number, {'infiles': [infile], 'outfiles': []})
        info['outfiles'].append(outfile)

    def finish(self, batch_size, compute, h2d, d2h, threads):
        """The summary as a dict. COMPUTE: ms, or pairs of ms if several THREADS computed."""
        values = {'filesinfo': self.filesinfo, 'args': sys.argv}
        if threads > 1:
            compute = sorted(compute)
            values['NPU_compute_time'] = {'mean': mean_of_intervals(compute), 'count': len(compute)}
            values['H2D_latency'] = {'mean': figures(h2d)['mean'], 'count': len(h2d)}
            values['D2H_latency'] = {'mean': figures(d2h)['mean'], 'count': len(d2h)}
        else:
            values['NPU_compute_time'] = figures(compute)
            values['H2D_latency'] = figures(h2d)
            values['D2H_latency'] = figures(d2h)
        mean = values['NPU_compute_time']['mean']
        throughput = 1000 * batch_size / mean if mean else 0
        if AGE == 2023:
            values['throughput'] = throughput
            values['npu_compute_time_list'] = compute
        else:
            values['npu_compute_time_list'] = compute
            values['throughput'] = throughput
        values['pid'] = os.getpid()
        return values


def report(values, batch_size, display_all):
    names = ['H2D_latency', 'NPU_compute_time', 'D2H_latency'] if display_all else ['NPU_compute_time']
    logger.info('-----------------Performance Summary------------------')
    for name in names:
        text = ', '.join(f'{key} = {value}' for key, value in values[name].items() if key != 'count')
        logger.info(f'{name} (ms): {text}')
    mean = values['NPU_compute_time']['mean']
    logger.info(f'throughput 1000*batchsize.mean({batch_size})/NPU_compute_time.mean({mean}): {values["throughput"]}')
    logger.info('------------------------------------------------------')


def write(values, folder):
    path = folder + '_summary.json'
    with open(path, 'wb') if AGE == 2023 else path_check.create_file(path) as f:
        f.write(json.dumps(values).encode())
