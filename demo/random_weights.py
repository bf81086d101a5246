# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Save a checkpoint of random weights for a config's model: for speed, which does not depend on them.

    python demo/random_weights.py r2plus1d_r34_8x8x1_180e_ucf101_rgb2.py random.pth
"""
import argparse

import torch

import mmcv
from mmaction.models import build_model


def random_model(config):
    """The model of a config file with random weights, always the same ones.

    All BatchNorm statistics differ from one another, because equal ones would become one tensor in the ONNX file. The
    last layer's weights are large enough that the scores of the classes differ.
    """
    torch.manual_seed(0)
    model = build_model(mmcv.Config.fromfile(str(config)).model)
    for name, buffer in model.named_buffers():
        if name.endswith('running_mean'):
            buffer.normal_(0, 0.1)
        elif name.endswith('running_var'):
            buffer.uniform_(0.7, 1.3)
    torch.nn.init.normal_(model.cls_head.fc_cls.weight, 0, 0.3)
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('config')
    parser.add_argument('output', help='the .pth to write')
    args = parser.parse_args()
    torch.save({'state_dict': random_model(args.config).state_dict()}, args.output)


if __name__ == '__main__':
    main()
