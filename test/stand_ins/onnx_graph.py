# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The parts of an ONNX file that ATC and AMCT check, read with the standard library alone.

The stand-ins of CANN's programs run in the Python that the caller gives them, which has no onnx package. The numbers
of the fields are those of onnx.proto; the encoding is that of Protocol Buffers.
"""
import collections

Graph = collections.namedtuple('Graph', 'opset inputs op_types external_weights metadata has_3d_convolution')
VARINT, LENGTH = 0, 2
FIXED = {1: 8, 5: 4}  # bytes
EXTERNAL = [1]  # TensorProto.DataLocation


def read_varint(data, position):
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, position


def parse(data):
    """{number of a field: its values} of a message; a value is an int or a memoryview."""
    found = collections.defaultdict(list)
    position = 0
    while position < len(data):
        key, position = read_varint(data, position)
        kind = key & 7
        if kind == VARINT:
            value, position = read_varint(data, position)
        else:
            length, position = read_varint(data, position) if kind == LENGTH else (FIXED[kind], position)
            value = data[position:position + length]
            if len(value) != length:
                raise ValueError('the file ends within a field')
            position += length
        found[key >> 3].append(value)
    return found


def text(values):
    return bytes(values[0]).decode() if values else ''


def shape_of(value_info):
    """A number for each dimension, 0 for one that is not fixed."""
    tensor_type = parse(parse(value_info[2][0])[1][0])
    return [(parse(dimension)[1] or [0])[0] for dimension in parse(tensor_type[2][0])[1]]


def rank(tensor):
    """How many dimensions a TensorProto has, which may be packed into one field."""
    return sum(1 if isinstance(value, int) else sum(byte < 128 for byte in value) for value in tensor[1])


def read_graph(path):
    """Raises ValueError if the file is not an ONNX model."""
    with open(path, 'rb') as f:
        data = memoryview(f.read())
    try:
        model = parse(data)
        opset = next(entry[2][0] for entry in map(parse, model[8]) if not text(entry[1]))
        metadata = {text(entry[1]) for entry in map(parse, model[14])}
        graph = parse(model[7][0])
        nodes, weights, inputs = ([parse(value) for value in graph[number]] for number in (1, 5, 11))
        ranks = {text(weight[8]): rank(weight) for weight in weights}
        has_3d = any(ranks.get(text([name])) == 5 for node in nodes if text(node[4]) == 'Conv' for name in node[1])
        return Graph(opset, {text(value[1]): shape_of(value) for value in inputs}, [text(node[4]) for node in nodes],
                     any(weight[14] == EXTERNAL for weight in weights), metadata, has_3d)
    except (IndexError, KeyError, TypeError, StopIteration, UnicodeDecodeError) as e:
        raise ValueError(f'not an ONNX model: {e!r}')


def metadata_bytes(key, value):
    """What appended to an ONNX file adds an entry to its metadata_props."""
    def field(number, content):
        assert len(content) < 128
        return bytes([number << 3 | LENGTH, len(content)]) + content
    return field(14, field(1, key.encode()) + field(2, value.encode()))
