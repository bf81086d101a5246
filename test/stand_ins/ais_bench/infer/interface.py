# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""InferSession of all ages, the class that other programs use. Needs aclruntime, as the real module does."""
import aclruntime
import numpy as np

from ais_bench.stand_in import path_check  # which sends the log of the process to standard output

AGE = aclruntime.AGE


class WrongMemory(RuntimeError):
    """The real client would give the model other bytes than those of the array, or read beyond it, without a word."""


class Session:
    """What all ages have."""

    def __init__(self, device_id: int, model_path: str, acl_json_path: str = None, debug: bool = False, loop: int = 1):
        if AGE >= 2025:
            path_check.check_model(model_path)
        options = aclruntime.session_options()
        options.log_level = 1 if debug else 2
        options.loop = loop
        self.session = aclruntime.InferenceSession(model_path, device_id, options)
        self.outputs_names = [desc.name for desc in self.session.get_outputs()]

    def get_inputs(self):
        return self.session.get_inputs()

    def get_outputs(self):
        return self.session.get_outputs()

    def run(self, arrays):
        """The outputs, as arrays. ARRAYS: of any type that has the bytes."""
        feeds = [aclruntime.BaseTensor(array.ctypes.data, array.nbytes) for array in arrays]
        tensors = self.session.run(self.outputs_names, feeds)
        for tensor in tensors:
            tensor.to_host()
        return [np.array(tensor) for tensor in tensors]

    def infer(self, feeds, mode='static', custom_sizes=100000):
        """The outputs of a batch, as arrays in the order of get_outputs(). FEEDS: a list, an array for each input.

        In 2023 the class of an array must be np.ndarray itself, so np.memmap is refused. Since 2024 an array that is
        not contiguous is copied.
        """
        if AGE >= 2025 and not (feeds and isinstance(feeds, list)):
            raise ValueError('feeds must be a list of arrays')
        for feed in feeds:
            if type(feed) is not np.ndarray and (AGE == 2023 or not isinstance(feed, np.ndarray)):
                raise RuntimeError(f'type:{type(feed)} invalid')
        arrays = feeds if AGE == 2023 else [np.ascontiguousarray(feed) for feed in feeds]
        for array, desc in zip(arrays, self.get_inputs()):
            if not array.flags.c_contiguous:
                raise WrongMemory('a feed is not C-contiguous')
            if array.nbytes == desc.realsize and array.dtype != desc.numpy_type:
                raise WrongMemory(f'a feed is {array.dtype}, the model takes {desc.datatype.name}')
        return self.run(arrays)


class OlderSession(Session):
    """Of 2023."""

    def sumary(self):
        return self.session.sumary()


class NewerSession(Session):
    """Of 2024 and later."""

    def summary(self):
        return self.session.sumary()

    def free_resource(self):
        self.session.free_resource()


InferSession = OlderSession if AGE == 2023 else NewerSession
