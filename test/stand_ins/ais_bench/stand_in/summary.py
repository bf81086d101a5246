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


class Summary:
    """What a process notes while it runs, and writes at its end."""

    def __init__(self):
        self.filesinfo = {}

    def add(self, number, infile, outfile):
        info = self.filesinfo.setdefault(number, {'infiles': [infile], 'outfiles': []})
        info['outfiles'].append(outfile)

    def finish(self, batch_size, compute, h2d, d2h):
        """The summary as a dict. COMPUTE, H2D, D2H: lists of ms."""
        values = {'filesinfo': self.filesinfo, 'args': sys.argv, 'NPU_compute_time': figures(compute),
                  'H2D_latency': figures(h2d), 'D2H_latency': figures(d2h)}
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


def report(values, batch_size):
    figures_of_npu = values['NPU_compute_time']
    text = ', '.join(f'{key} = {value}' for key, value in figures_of_npu.items() if key != 'count')
    logger.info('-----------------Performance Summary------------------')
    logger.info(f'NPU_compute_time (ms): {text}')
    logger.info(f'throughput 1000*batchsize.mean({batch_size})/NPU_compute_time.mean({figures_of_npu["mean"]}): '
                f'{values["throughput"]}')
    logger.info('------------------------------------------------------')


def write(values, folder):
    path = folder + '_summary.json'
    with open(path, 'wb') if AGE == 2023 else path_check.create_file(path) as f:
        f.write(json.dumps(values).encode())
