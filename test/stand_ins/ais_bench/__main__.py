"""A stand-in of ais_bench: its documented flags, files and summary, on an .om of the stand-in of ATC.

Written from the documentation in Ascend/tools, independently of r2plus1d_infer.py, with which the tests
compare it. Strict: what the documentation does not allow is an error.
"""
import argparse
import json
import os
import re
import sys
import time

import numpy as np
import onnxruntime

parser = argparse.ArgumentParser(prog='ais_bench', allow_abbrev=False)
parser.add_argument('--model', '-m', required=True)
parser.add_argument('--input', '-i')
parser.add_argument('--output', '-o')
parser.add_argument('--output_dirname')
parser.add_argument('--outfmt', default='BIN', choices=['NPY', 'BIN', 'TXT'])
parser.add_argument('--loop', '-l', type=int, default=1)
parser.add_argument('--device', '-d', type=int, default=0)
parser.add_argument('--batchsize', type=int)
args = parser.parse_args()
if not args.model.endswith('.om'):
    sys.exit(f'ais_bench (stand-in): {args.model} is no .om')

with open(args.model) as f:
    om = json.load(f)
session = onnxruntime.InferenceSession(om['onnx'], providers=['CPUExecutionProvider'])
model_input = session.get_inputs()[0]
dtype = {'tensor(float)': np.float32, 'tensor(uint8)': np.uint8}[model_input.type]
model_bytes = int(np.prod(om['shape'])) * np.dtype(dtype).itemsize
if args.batchsize not in (None, om['shape'][0]):
    sys.exit(f'ais_bench (stand-in): --batchsize {args.batchsize}, and the model has {om["shape"][0]}')

files = [f for f in os.listdir(args.input) if f.endswith(('.bin', '.BIN', '.npy', '.NPY'))]
files.sort(key=lambda name: [int(t) if t.isdigit() else t.lower() for t in re.split('([0-9]+)', name)])
size = os.path.getsize(os.path.join(args.input, files[0]))
if model_bytes % size:
    sys.exit(f'ais_bench (stand-in): {size} bytes do not divide the {model_bytes} of the model')
per_batch = model_bytes // size

folder = os.path.join(args.output, args.output_dirname or time.strftime('%Y_%m_%d-%H_%M_%S'))
os.makedirs(folder, exist_ok=True)
filesinfo, times = {}, []
for first in range(0, len(files), per_batch):
    names = files[first:first + per_batch]
    padded = names + names[:1] * (per_batch - len(names))
    data = b''.join(open(os.path.join(args.input, name), 'rb').read() for name in padded)
    batch = np.frombuffer(data, dtype).reshape(om['shape'])
    start = time.time()
    result, = session.run(None, {model_input.name: batch})
    times.append(1000 * (time.time() - start))
    for j, (name, rows) in enumerate(zip(names, np.split(result, per_batch))):
        out = os.path.join(folder, f'{name.split(".")[0]}_0.{args.outfmt.lower()}')
        if args.outfmt == 'NPY':
            np.save(out, rows)
        elif args.outfmt == 'BIN':
            rows.tofile(out)
        else:
            with open(out, 'w') as f:
                for row in rows:
                    f.write(''.join('%f ' % x for x in row) + '\n')
        filesinfo[str(first + j)] = {'infiles': [os.path.join(args.input, name)], 'outfiles': [out]}

figures = {'min': min(times), 'max': max(times), 'mean': float(np.mean(times)), 'median': float(np.median(times)),
           'percentile(99%)': float(np.percentile(times, 99)), 'count': len(times)}
with open(folder + '_summary.json', 'w') as f:
    json.dump({
        'filesinfo': filesinfo, 'args': sys.argv, 'NPU_compute_time': figures, 'H2D_latency': figures,
        'D2H_latency': figures, 'throughput': 1000 * om['shape'][0] / figures['mean'], 'npu_compute_time_list': times,
        'pid': os.getpid()
    }, f)
