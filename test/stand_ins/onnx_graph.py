# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The parts of an ONNX file that ATC and AMCT check, read with the standard library alone.

The stand-ins of CANN's programs run in the Python that the caller gives them, which has no onnx package. The numbers
of the fields are those of onnx.proto; the encoding is that of Protocol Buffers.
"""
import collections

Graph = collections.namedtuple('Graph', 'opset inputs op_types external_weights metadata has_3d_convolution')
VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES = 0, 1, 2, 5
EXTERNAL = 1  # TensorProto.DataLocation


def read_varint(data, position):
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, position


def fields(data):
    """Yield (number, value) for each field of a message; value is an int or a memoryview."""
    position = 0
    while position < len(data):
        key, position = read_varint(data, position)
        kind = key & 7
        if kind == VARINT:
            value, position = read_varint(data, position)
        else:
            if kind == LENGTH:
                length, position = read_varint(data, position)
            else:
                length = {EIGHT_BYTES: 8, FOUR_BYTES: 4}[kind]
            value = data[position:position + length]
            if len(value) != length:
                raise ValueError('the file ends within a field')
            position += length
        yield key >> 3, value


def first(data, number, default=None):
    return next((value for n, value in fields(data) if n == number), default)


def text(data):
    return bytes(data).decode()


def read_dimension(data):
    """An int, or 0 for a dimension that is not fixed."""
    return first(data, 1, 0)


def read_input(value_info):
    name = text(first(value_info, 1))
    tensor_type = first(first(value_info, 2), 1)
    shape = [read_dimension(value) for n, value in fields(first(tensor_type, 2)) if n == 1]
    return name, shape


def rank(tensor):
    """How many dimensions a TensorProto has."""
    return sum(1 if isinstance(value, int) else sum(byte < 128 for byte in value)
               for number, value in fields(tensor) if number == 1)


def read_graph(path):
    """Raises ValueError if the file is not an ONNX model."""
    with open(path, 'rb') as f:
        data = memoryview(f.read())
    opset = 0
    metadata = {}
    graph = None
    try:
        for number, value in fields(data):
            if number == 7:
                graph = value
            elif number == 8 and not first(value, 1, b''):
                opset = first(value, 2)
            elif number == 14:
                metadata[text(first(value, 1))] = text(first(value, 2))
        inputs = dict(read_input(value) for n, value in fields(graph) if n == 11)
        op_types = [text(first(value, 4)) for n, value in fields(graph) if n == 1]
        weights = {text(first(value, 8, b'')): rank(value) for n, value in fields(graph) if n == 5}
        has_3d = any(weights.get(text(name)) == 5 for n, node in fields(graph) if n == 1 and first(node, 4) == b'Conv'
                     for number, name in fields(node) if number == 1)
        external = any(first(value, 14) == EXTERNAL for n, value in fields(graph) if n == 5)
    except (IndexError, KeyError, TypeError, UnicodeDecodeError) as e:
        raise ValueError(f'not an ONNX model: {e!r}')
    return Graph(opset, inputs, op_types, external, metadata, has_3d)


def metadata_bytes(key, value):
    """What appended to an ONNX file adds an entry to its metadata_props."""
    def field(number, content):
        assert len(content) < 128
        return bytes([number << 3 | LENGTH, len(content)]) + content
    return field(14, field(1, key.encode()) + field(2, value.encode()))
