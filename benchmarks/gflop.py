# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Count the arithmetic of an ONNX model.

Multiplications by the zeros around the input of a convolution are left out, because no engine needs to do them: the
full-size model takes 98 GFLOP a crop, where a count with them gives 106.
"""
import numpy as np
import onnx


def count_gflop(model, batch_size):
    """GFLOP of the convolutions and matrix products of an onnx.ModelProto for one batch.

    A multiplication and an addition are two. The last layer of R(2+1)D, a Gemm of 0.0004 GFLOP a crop, is not counted.
    """
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = batch_size
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {weight.name: list(weight.dims) for weight in graph.initializer}
    for value in [*graph.input, *graph.value_info, *graph.output]:
        shapes[value.name] = [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
    total = 0
    for node in graph.node:
        if node.op_type in ('Conv', 'MatMul'):
            source, weight = node.input[:2]
            output = shapes[node.output[0]]
            if node.op_type == 'Conv':
                total += 2 * count_products(node, shapes[source], shapes[weight], output)
            else:
                total += 2 * shapes[source][-1] * int(np.prod(output))
    return total / 1e9


def count_products(node, source, weight, output):
    """The multiplications of a Conv node without dilation, by the shapes of its input, weight and output."""
    attributes = {attribute.name: list(attribute.ints) for attribute in node.attribute}
    axes = len(weight) - 2
    strides = attributes.get('strides', [1] * axes)
    pads = attributes.get('pads', [0] * 2 * axes)
    count = output[0] * weight[0] * weight[1]
    for axis in range(axes):
        kernel = weight[2 + axis]
        length = source[2 + axis]
        starts = [position * strides[axis] - pads[axis] for position in range(output[2 + axis])]
        count *= sum(min(start + kernel, length) - max(start, 0) for start in starts)
    return count
