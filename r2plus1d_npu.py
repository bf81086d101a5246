"""The engine for an .om model on an Ascend NPU: ais_bench's InferSession, in a process of its own.

    engine = AisBench('r2plus1d_bs1.om', precision=None, device=0)
    outputs = engine(batch)

The interface of InferSession that is used here is the same in ais_bench of 2023 and of 2025: InferSession(device_id,
model_path), get_inputs(), infer(feeds). aclruntime, below it, holds Python's global lock while the NPU computes. So the
session lives in a process of its own; the process that uses the engine decodes videos in the meantime. Batches pass
through memory that both processes share.
"""
import importlib.util
import mmap
import multiprocessing
import os
import signal

import numpy as np

from r2plus1d_files import InputError, one_line

# aclDataType of CANN's acl_base.h; InferSession.get_inputs() gives it as datatype.
ACL_DTYPES = {0: np.float32, 1: np.float16, 2: np.int8, 3: np.int32, 4: np.uint8}


def missing_packages():
    """Which of the Python packages that run an .om are not installed: a list of names."""
    return [name for name in ('ais_bench', 'aclruntime') if importlib.util.find_spec(name) is None]


class AisBench:
    """An .om on one NPU. The interface is that of r2plus1d_engines.Engine; the batch size is that of the model."""

    name = 'ais_bench InferSession'

    def __init__(self, model, precision, device):
        missing = missing_packages()
        if missing:
            raise InputError(f'{model} needs {" and ".join(missing)}, which this Python does not find; install the '
                             'wheels of ais_bench and aclruntime into this environment, or run the ONNX model')
        self.model = model
        self.precision = 'as converted'
        self.device = device
        self.memory = os.memfd_create('r2plus1d_batch')
        fork = multiprocessing.get_context('fork')  # the memory and the open file descriptor are inherited
        self.connection, other = fork.Pipe()
        self.process = fork.Process(target=serve, args=(other, self.memory, model, device), daemon=True)
        self.process.start()
        other.close()
        self.version, shape, code = self.receive()
        if code not in ACL_DTYPES:
            raise InputError(f'{model}: its input has the data type {code} of acl_base.h, '
                             f'expected one of {sorted(ACL_DTYPES)}')
        self.dtype = np.dtype(ACL_DTYPES[code])
        self.batch_size = shape[0]
        self.sample_shape = list(shape[1:])
        self.offsets = {}

    def prepare(self, batch_size):
        if batch_size != self.batch_size:
            raise InputError(f'{self.model}: was converted for batch size {self.batch_size}, '
                             f'and {batch_size} is asked for')

    def allocate(self, count, batch_size):
        """COUNT arrays for batches, in the shared memory: a batch in one of them reaches the session without a copy."""
        shape = [batch_size, *self.sample_shape]
        size = int(np.prod(shape)) * self.dtype.itemsize
        step = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        os.ftruncate(self.memory, count * step)
        arrays = [shared_array(self.memory, i * step, shape, self.dtype) for i in range(count)]
        self.offsets = {array.ctypes.data: i * step for i, array in enumerate(arrays)}
        return arrays

    def __call__(self, batch):
        """Outputs of a batch, a list of float32 arrays. An array that allocate() has not given is copied."""
        if batch.ctypes.data not in self.offsets:
            own, = self.allocate(1, len(batch))
            np.copyto(own, batch, casting='no')
            batch = own
        self.connection.send(self.offsets[batch.ctypes.data])
        return self.receive()

    def receive(self):
        """What the process sends. Raises InputError where it sends an exception or has ended."""
        try:
            answer = self.connection.recv()
        except (EOFError, ConnectionError):
            self.process.join(10)
            raise InputError(f'{self.model}: the process that runs it on NPU {self.device} has ended '
                             f'(status {self.process.exitcode}); its messages are above')
        if isinstance(answer, str):
            raise InputError(f'{self.model}: NPU {self.device}: {answer}')
        return answer

    def describe(self):
        """What runs, for the summary of a run."""
        return {'name': self.name, 'version': self.version, 'precision': self.precision, 'cpu': f'NPU {self.device}'}


def shared_array(memory, offset, shape, dtype):
    """The array that lies OFFSET bytes (a multiple of the page size) behind the begin of a memory file."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer(mmap.mmap(memory, size, offset=offset), dtype).reshape(shape)


def serve(connection, memory, model, device):
    """What the process does: open the session, say what it takes, then answer each request with the outputs.

    An answer that is a text is the message of an error. A request is the offset of a batch in MEMORY.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks; this one ends after it
    parent = os.getppid()
    try:
        session, description = open_session(model, device)
        connection.send(description)
        _, shape, code = description
        while True:
            while not connection.poll(1):
                if os.getppid() != parent:
                    return
            batch = shared_array(memory, connection.recv(), shape, ACL_DTYPES[code])
            connection.send([np.array(output, np.float32) for output in session.infer([batch])])
    except (EOFError, ConnectionError):
        pass  # the process that asks has ended
    except Exception as e:  # InferSession raises RuntimeError, often without a word
        connection.send(f'ais_bench fails: {type(e).__name__}: {one_line(e) or "see its messages above"}')


def open_session(model, device):
    """(InferSession, (version, shape of a batch, aclDataType))."""
    import importlib.metadata

    from ais_bench.infer.interface import InferSession
    session = InferSession(device, model)
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise InputError(f'{model}: has {len(inputs)} inputs, expected one')
    try:
        version = importlib.metadata.version('ais_bench')
    except importlib.metadata.PackageNotFoundError:
        version = 'of unknown version'
    return session, (version, list(inputs[0].shape), int(inputs[0].datatype))
