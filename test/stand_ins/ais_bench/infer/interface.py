# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""InferSession of both ages, the class that other programs use. Needs aclruntime, as the real module does."""
import aclruntime
import numpy as np

AGE = aclruntime.AGE
if AGE >= 2025:
    # The newer client sends the log of the process to standard output as soon as this module is imported.
    from ais_bench.stand_in import path_check


class WrongMemory(RuntimeError):
    """The real client would give the model other bytes than those of the array, or read beyond it, without a word."""


class Session:
    """What both ages have."""

    def __init__(self, device_id: int, model_path: str, acl_json_path: str = None, debug: bool = False, loop: int = 1):
        self.device_id = device_id
        self.model_path = model_path
        self.loop = loop
        options = aclruntime.session_options()
        if acl_json_path is not None:
            options.acl_json_path = acl_json_path
        options.log_level = 1 if debug else 2
        options.loop = loop
        self.session = aclruntime.InferenceSession(model_path, device_id, options)
        self.outputs_names = [desc.name for desc in self.session.get_outputs()]

    def get_inputs(self):
        return self.session.get_inputs()

    def get_outputs(self):
        return self.session.get_outputs()

    def set_loop_count(self, loop):
        self.session.options().loop = loop

    def set_staticbatch(self):
        self.session.set_staticbatch()

    def create_tensor_from_arrays_to_device(self, array):
        tensor = aclruntime.Tensor(array)
        tensor.to_device(self.device_id)
        return tensor

    def convert_tensors_to_host(self, tensors):
        for tensor in tensors:
            tensor.to_host()

    def convert_tensors_to_arrays(self, tensors):
        return [np.array(tensor) for tensor in tensors]

    def run(self, feeds, out_array=False):
        """The outputs, as arrays or as tensors on the device. FEEDS: arrays of any type that have the bytes."""
        pieces = feeds
        if len(feeds) and isinstance(feeds[0], np.ndarray):
            check_contiguous(feeds)
            pieces = [aclruntime.BaseTensor(array.ctypes.data, array.nbytes) for array in feeds]
        tensors = self.session.run(self.outputs_names, pieces)
        if not out_array:
            return tensors
        self.convert_tensors_to_host(tensors)
        return self.convert_tensors_to_arrays(tensors)

    def check_types(self, inputs):
        """Raise where the real client would read the bytes of an array as numbers of another type."""
        for i, (array, desc) in enumerate(zip(inputs, self.get_inputs())):
            if isinstance(array, aclruntime.Tensor) or array.nbytes != desc.realsize:
                continue
            name = {'float64': 'double'}.get(array.dtype.name, array.dtype.name)
            if name != desc.datatype.name or not array.dtype.isnative:
                raise WrongMemory(f'feed {i} is {array.dtype}, the model takes {desc.datatype.name}')


class OlderSession(Session):
    """The session of 2023. It takes arrays by their address."""

    def reset_sumaryinfo(self):
        self.session.reset_sumaryinfo()

    def sumary(self):
        return self.session.sumary()

    def finalize(self):
        self.session.finalize()

    def infer(self, feeds, mode='static', custom_sizes=100000):
        """The outputs of a batch, as arrays in the order of get_outputs(). FEEDS: one array for each input.

        The class of an array must be np.ndarray itself: np.memmap is refused.
        """
        inputs = []
        for feed in feeds:
            if type(feed) not in (np.ndarray, aclruntime.Tensor):
                raise RuntimeError(f'type:{type(feed)} invalid')
            inputs.append(feed)
        self.check_types(inputs)
        return self.run(inputs, out_array=True)


class NewerSession(Session):
    """The session of 2024 and later. It checks its arguments and copies arrays that are not contiguous."""

    def __init__(self, device_id: int, model_path: str, acl_json_path: str = None, debug: bool = False, loop: int = 1):
        if not model_path:
            raise RuntimeError('empty model path!')
        path_check.check_model(model_path)
        super().__init__(device_id, model_path, acl_json_path, debug, loop)

    def reset_summaryinfo(self):
        self.session.reset_sumaryinfo()

    def summary(self):
        return self.session.sumary()

    def free_resource(self):
        self.session.free_resource()

    @staticmethod
    def finalize():
        aclruntime.InferenceSession.finalize()

    def infer(self, feeds, mode='static', custom_sizes=100000, out_array=True):
        """As the older session's, of a list only. OUT_ARRAY false: tensors on the device."""
        if not isinstance(feeds, list) or not feeds:
            raise ValueError('feeds must be a list of arrays')
        inputs = []
        for feed in feeds:
            if not isinstance(feed, (np.ndarray, aclruntime.Tensor)):
                raise RuntimeError(f'type:{type(feed)} invalid')
            inputs.append(np.ascontiguousarray(feed) if isinstance(feed, np.ndarray) else feed)
        self.check_types(inputs)
        return self.run(inputs, out_array)


def check_contiguous(arrays):
    for i, array in enumerate(arrays):
        if not array.flags.c_contiguous:
            raise WrongMemory(f'feed {i} is not C-contiguous')


class MemorySummary:
    """The times of the copies between host and device. The two ages differ in the case of the names."""

    @staticmethod
    def get_H2D_time_list():
        return aclruntime.MemorySummary().H2D_time_list

    @staticmethod
    def get_D2H_time_list():
        return aclruntime.MemorySummary().D2H_time_list

    @staticmethod
    def reset():
        aclruntime.MemorySummary().reset()

    if AGE >= 2025:
        get_h2d_time_list = get_H2D_time_list
        get_d2h_time_list = get_D2H_time_list
        del get_H2D_time_list, get_D2H_time_list


InferSession = OlderSession if AGE == 2023 else NewerSession
