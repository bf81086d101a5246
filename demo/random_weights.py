"""Save a checkpoint of random weights for a config's model: for speed, which does not depend on them.

    python demo/random_weights.py r2plus1d_r34_8x8x1_180e_ucf101_rgb2.py random.pth
"""
import argparse

import mmcv
import torch
from mmaction.models import build_model

if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('config')
    parser.add_argument('output', help='the .pth to write')
    args = parser.parse_args()
    torch.manual_seed(0)
    model = build_model(mmcv.Config.fromfile(args.config).model)
    for name, buffer in model.named_buffers():  # equal ones would be one in the ONNX file
        if 'running_' in name:
            buffer.add_(torch.randn_like(buffer), alpha=0.05)
    torch.save({'state_dict': model.state_dict()}, args.output)
