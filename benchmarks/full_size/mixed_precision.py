# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""A recognizer of mmaction2 that trains in bf16 on a CPU. r2plus1d_r34_made_train.py imports it."""
import torch

from mmaction.models import RECOGNIZERS, Recognizer3D


def compute_in_float32(convolution):
    """Let a convolution compute in float32 under autocast."""
    forward = convolution.forward

    def forward_in_float32(x):
        with torch.autocast('cpu', enabled=False):
            return forward(x.float())

    convolution.forward = forward_in_float32


@RECOGNIZERS.register_module()
class MixedPrecisionRecognizer3D(Recognizer3D):
    """Recognizer3D whose backbone computes in bf16 in training: weights, head and loss stay in float32.

    The weights lie in memory with the channels last, which PyTorch's convolutions on a CPU are quickest with.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.to(memory_format=torch.channels_last_3d)
        # PyTorch 2.13 gives NaN and 1e35 as gradients of a 3 x 1 x 1 kernel in bf16 where the input has two frames.
        for name, module in self.backbone.layer3.named_modules():
            if name.endswith('conv_t'):
                compute_in_float32(module)

    def forward_train(self, imgs, labels, **kwargs):
        """imgs: batch x clips x 3 x frames x height x width, float32; labels: batch x 1. A dict of losses."""
        clips = imgs.reshape((-1, *imgs.shape[2:])).to(memory_format=torch.channels_last_3d)
        with torch.autocast('cpu', torch.bfloat16):
            features = self.extract_feat(clips)
        return self.cls_head.loss(self.cls_head(features.float()), labels.squeeze(), **kwargs)
