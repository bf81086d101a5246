# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Measure the limit of the machine: the fastest of several matrix products and convolutions, at each precision.

    python benchmarks/limit.py --seconds 0.5

prints a list of {"precision", "operation", "gflops", "runs_in"} as JSON: GFLOP/s, and OpenVINO's word for the number
format in which it ran the operation. A precision that the CPU does not announce has no entries.
"""
import argparse
import json
import sys
import time

import numpy as np
from common import ROOT, run
from onnx import TensorProto, helper, numpy_helper

from r2plus1d.engines import OpenVINO
from r2plus1d.models import no_telemetry
from r2plus1d.precision import PRECISIONS, announced

CROPS = 3
PRODUCTS = [1024, 2048]  # rows and columns
# channels, frames, height and width of the feature maps of the model's four stages
STAGES = [(64, 8, 64), (128, 4, 32), (256, 2, 16), (512, 1, 8)]
KERNELS = [(1, 3, 3), (3, 1, 1)]
DEPTH = 4  # operations in a row, so that the conversion of the first input and of the last output weighs little


def count_gflop(shape, kernel):
    """GFLOP of make_chain(): a multiplication and an addition are two.

    Multiplications by the zeros around the input of a convolution are left out, because no engine needs to do them.
    """
    products = shape[0] * shape[1]**2
    for length, side in zip(shape[2:], kernel):
        products *= sum(min(i + side // 2, length - 1) - max(i - side // 2, 0) + 1 for i in range(length))
    return DEPTH * 2 * products / 1e9


def make_chain(shape, kernel, int8):
    """An ONNX model of DEPTH equal operations in a row, with random weights. int8: with Quantize- and DequantizeLinear.

    With a kernel they are convolutions that keep the shape of their input, without one matrix products. Weights are
    such that the values stay about as large as they are; int8 ones have steps of 1 / 40 of that.
    """
    rng = np.random.default_rng(0)
    nodes = []
    weights = []

    def add(kind, *inputs, **attributes):
        """Add a node; inputs are names of tensors, or arrays. Returns the name of its output."""
        names = list(inputs)
        for i, tensor in enumerate(inputs):
            if not isinstance(tensor, str):
                names[i] = f'constant{len(weights)}'
                weights.append(numpy_helper.from_array(np.asarray(tensor), names[i]))
        output = f'{kind}{len(nodes)}'
        nodes.append(helper.make_node(kind, names, [output], output, **attributes))
        return output

    name = 'x'
    scale = np.float32(1 / np.sqrt(shape[1] * np.prod(kernel)))
    for _ in range(DEPTH):
        weight = rng.standard_normal((shape[1], shape[1], *kernel), dtype=np.float32)
        if int8:
            # As uint8, which is how NNCF quantizes what follows a Relu. A step is 4 / 255: values are about 1.
            step, zero = np.float32(4 / 255), np.uint8(0)
            name = add('DequantizeLinear', add('QuantizeLinear', name, step, zero), step, zero)
            rounded = np.clip(np.round(weight * 40), -127, 127).astype(np.int8)
            weight = add('DequantizeLinear', rounded, scale / np.float32(40), np.int8(0))
        else:
            weight = weight * scale
        if kernel:
            name = add('Conv', name, weight, kernel_shape=kernel, pads=[length // 2 for length in kernel] * 2)
        else:
            name = add('MatMul', name, weight)
    source, result = (helper.make_tensor_value_info(end, TensorProto.FLOAT, shape) for end in ('x', name))
    graph = helper.make_graph(nodes, 'chain', [source], [result], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=7)


def measure(precision, shape, kernel, seconds):
    """(GFLOP/s in the fastest of several runs, number format in which it ran) of a chain, by the project's engine."""
    no_telemetry()
    import openvino
    model = make_chain(shape, kernel, precision == 'int8')
    core = openvino.Core()
    network = core.read_model(model.SerializeToString())
    compiled = OpenVINO.compile(core, network, precision)
    request = compiled.create_infer_request()
    batch = np.random.default_rng(1).standard_normal(shape, dtype=np.float32)
    request.infer([batch], share_inputs=True)
    times = []
    while len(times) < 3 or sum(times) < seconds:
        before = time.perf_counter()
        request.infer([batch], share_inputs=True)
        times.append(time.perf_counter() - before)
    return count_gflop(shape, kernel) / min(times), runtime_precision(compiled)


def runtime_precision(compiled):
    """OpenVINO's word for the number format in which it runs the operations of a chain; several with commas between."""
    found = set()
    for node in compiled.get_runtime_model().get_ops():
        info = node.get_rt_info()
        if info['layerType'].astype(str) in ('Convolution', 'FullyConnected', 'MatMul'):
            found.add(info['runtimePrecision'].astype(str))
    return ','.join(sorted(found))


def measure_all(seconds):
    no_telemetry()
    import openvino
    operations = {f'MatMul of {n} x {n}': ([n, n], ()) for n in PRODUCTS}
    for channels, frames, side in STAGES:
        for kernel in KERNELS:
            name = f'Conv {"x".join(map(str, kernel))} of {channels} x {frames} x {side} x {side}'
            operations[name] = ([CROPS, channels, frames, side, side], kernel)
    found = []
    capabilities = openvino.Core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES')
    for precision in announced(capabilities):
        for name, (shape, kernel) in operations.items():
            gflops, runs_in = measure(precision.name, shape, kernel, seconds)
            found.append({'precision': precision.name, 'operation': name, 'gflops': gflops, 'runs_in': runs_in})
    return found


# ---- for benchmark.py ------------------------------------------------------------------------------


def measure_in_process(seconds):
    """What this script prints, as a list."""
    return json.loads(run(sys.executable, f'{ROOT}/benchmarks/limit.py', '--seconds', seconds).stdout)


def fastest(found):
    """The fastest entry at each precision, as a list. An entry that did not run at its precision does not count."""
    best = {}
    for entry in found:
        precision = entry['precision']
        if entry['runs_in'] in PRECISIONS[precision].runs_in:
            best[precision] = max(best.get(precision, entry), entry, key=lambda entry: entry['gflops'])
    return list(best.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--seconds', type=float, default=0.5, help='least time of an operation (default: 0.5)')
    print(json.dumps(measure_all(parser.parse_args().seconds), indent=1))


if __name__ == '__main__':
    main()
