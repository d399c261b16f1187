"""Writes a model as a TensorFlow.js graph model, as its converter would: channels last, normalisation folded into
convolutions, activations fused with what they follow, in operations of TensorFlow.

The graph is torch.export's. A value of rank 4 that is an image, [N, C, H, W] in torch, is kept as [N, H, W, C].
"""
import base64
import json
import operator
from collections import ChainMap

import numpy as np
import torch

aten = torch.ops.aten


def text(value):
    return base64.b64encode(value.encode()).decode()


def integers(*values):
    return {"list": {"i": [str(value) for value in values]}}


FLOATS = {"T": {"type": "DT_FLOAT"}}
CHANNELS_LAST = {"data_format": {"s": text("NHWC")}}
LOWEST = float(np.finfo(np.float32).min)


class Graph:
    """Nodes of TensorFlow and the constants among them."""

    def __init__(self):
        self.nodes = []
        self.constants = {}

    def node(self, name, op, inputs=(), **attributes):
        self.nodes.append({"name": name, "op": op, "input": list(inputs), "attr": {**FLOATS, **attributes}})
        return name

    def constant(self, name, value):
        if name not in self.constants:
            value = np.ascontiguousarray(value)
            self.constants[name] = value
            kind = "DT_INT32" if value.dtype == np.int32 else "DT_FLOAT"
            shape = {"dim": [{"size": str(size)} for size in value.shape]}
            tensor = {"tensor": {"dtype": kind, "tensorShape": shape}}
            self.nodes.append({"name": name, "op": "Const", "attr": {"dtype": {"type": kind}, "value": tensor}})
        return name

    def scalar(self, value):
        return self.constant(f"scalar_{value}", np.float32(value))

    def shape(self, *sizes):
        return self.constant("sizes_" + "_".join(map(str, sizes)), np.array(sizes, np.int32))

    def write(self, path, output):
        data = b"".join(value.tobytes() for value in self.constants.values())
        weights = [
            {"name": name, "shape": list(value.shape), "dtype": str(value.dtype)}
            for name, value in self.constants.items()
        ]
        model = {
            "format": "graph-model",
            "modelTopology": {"node": self.nodes, "versions": {"producer": 1882}},
            "signature": {"outputs": {"logits": {"name": f"{output}:0"}}},
            "weightsManifest": [{"weights": weights}],
        }
        path.with_suffix(".tfjs.json").write_text(json.dumps(model))
        path.with_suffix(".tfjs.bin").write_bytes(data)


class Writer:
    """Turns the nodes of torch.export's graph into nodes of TensorFlow, one after the other."""

    def __init__(self, program):
        self.graph = Graph()
        self.names = {}  # of torch's nodes: the value in TensorFlow's graph
        self.images = set()  # torch's nodes whose values are channels last
        signature = program.graph_signature
        self.parameters = {
            name: program.state_dict[target].detach().numpy()
            for name, target in ChainMap(signature.inputs_to_parameters, signature.inputs_to_buffers).items()
            if target in program.state_dict
        }
        for node in program.graph.nodes:
            if node.op == "placeholder" and node.name in signature.user_inputs:
                self.names[node] = self.graph.node(node.name, "Placeholder", dtype={"type": "DT_FLOAT"})
                self.images.add(node)
            elif node.op == "call_function" and node not in self.names:
                self.emit(node)
            elif node.op == "output":
                self.output = self.names[node.args[0][0]]

    def value(self, node):
        if isinstance(node, (int, float)):
            return self.graph.scalar(node)
        if node not in self.names and node.name in self.parameters:
            self.names[node] = self.graph.constant(node.name, self.parameters[node.name])
        return self.names[node]

    def emit(self, node):
        source = node.args[0][0] if isinstance(node.args[0], (list, tuple)) else node.args[0]
        name = self.emitters[node.target](self, node, *node.args, **node.kwargs)
        self.names[node] = name
        if source in self.images and (node.target in self.to_image or node.target not in self.from_image):
            self.images.add(node)

    # Convolutions, with what follows them.

    def follow(self, node, *targets):
        """The only user of a value, if it is one of these operations."""
        users = list(node.users)
        return users[0] if len(users) == 1 and users[0].target in targets else None

    def activation(self, node):
        """The activation after a node, fused: its torch node, TensorFlow's name, and its slope."""
        user = self.follow(node, *self.fused)
        if user is None:
            return node, [], 0.0
        slope = user.args[1] if len(user.args) > 1 and user.target == aten.leaky_relu.default else 0.01
        return user, [self.fused[user.target]], slope

    def fold_normalisation(self, node, weight, bias):
        """Weights [O, …] and biases with the batch normalisation after a node, and the node that then has the value."""
        user = self.follow(node, aten._native_batch_norm_legit_no_training.default)
        if user is None:
            return node, weight, bias
        scale, shift = self.normalisation(user)
        weight = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
        return next(iter(user.users)), weight, bias * scale + shift

    def normalisation(self, node):
        weight, bias, mean, variance = (self.parameters[arg.name].astype(np.float64) for arg in node.args[1:5])
        scale = weight / np.sqrt(variance + node.args[6])
        return scale, bias - mean * scale

    def conv2d(self, node, x, weight, bias=None, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1):
        pads = [padding[0], padding[0], padding[-1], padding[-1]]
        if x.op == "call_function" and x.target == aten.pad.default and len(x.users) == 1:
            left, right, top, bottom = x.args[1]
            pads = [pad + more for pad, more in zip(pads, (top, bottom, left, right))]
            x = x.args[0]
        weights = self.parameters[weight.name].astype(np.float64)
        biases = self.parameters[bias.name].astype(np.float64) if bias else np.zeros(weights.shape[0])
        last, weights, biases = self.fold_normalisation(node, weights, biases)
        last, activation, slope = self.activation(last)
        depthwise = groups > 1
        if depthwise and not (groups == weights.shape[0] and weights.shape[1] == 1):
            raise NotImplementedError(f"{node}: {groups} groups")
        weights = weights.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))
        name = self.graph.node(
            last.name,
            "FusedDepthwiseConv2dNative" if depthwise else "_FusedConv2D",
            [
                self.value(x),
                self.graph.constant(weight.name, weights.astype(np.float32)),
                self.graph.constant(f"{node.name}_bias", biases.astype(np.float32)),
            ],
            strides=integers(1, *stride, 1),
            dilations=integers(1, *dilation, 1),
            padding={"s": text("EXPLICIT" if any(pads) else "VALID")},
            explicit_paddings=integers(0, 0, *pads, 0, 0),
            fused_ops={"list": {"s": [text(op) for op in ["BiasAdd", *activation]]}},
            num_args={"i": "1"},
            leakyrelu_alpha={"f": slope},
            **CHANNELS_LAST,
        )
        self.names[last] = name
        self.images.add(last)
        for between in self.between(node, last):
            self.names[between] = name
        return name

    def between(self, node, last):
        while node is not last:
            yield node
            node = next(iter(node.users))

    def linear(self, node, x, weight, bias=None):
        rows = x.meta["val"].shape[:-1].numel()
        weights = self.parameters[weight.name]
        biases = self.parameters[bias.name] if bias else np.zeros(weights.shape[0], np.float32)
        flat = self.reshaped(f"{node.name}_flat", x, (rows, weights.shape[1]))
        product = self.graph.node(
            f"{node.name}_product",
            "_FusedMatMul",
            [flat, self.graph.constant(weight.name, weights.T), self.graph.constant(f"{node.name}_bias", biases)],
            fused_ops={"list": {"s": [text("BiasAdd")]}},
            num_args={"i": "1"},
        )
        return self.graph.node(node.name, "Reshape", [product, self.graph.shape(*node.meta["val"].shape)])

    # Of images.

    def batch_norm(self, node, x, weight, bias, mean, variance, momentum, epsilon):
        inputs = [self.value(value) for value in (x, weight, bias, mean, variance)]
        return self.graph.node(node.name, "FusedBatchNormV3", inputs, epsilon={"f": epsilon}, **CHANNELS_LAST)

    def padded(self, node, x, top, bottom, left, right, value):
        if not (top or bottom or left or right):
            return self.value(x)
        sizes = np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
        name = self.graph.constant(f"{node.name}_padding", sizes)
        return self.graph.node(f"{node.name}_padded", "PadV2", [self.value(x), name, self.graph.scalar(value)])

    def pad(self, node, x, padding, mode="constant", value=0.0):
        if self.follow(node, aten.conv2d.default):
            return None  # conv2d has it
        left, right, top, bottom = padding
        return self.padded(node, x, top, bottom, left, right, value or 0.0)

    def pool(self, op, node, x, kernel, stride, padding, outside):
        stride = stride or kernel
        rows, columns = padding[0], padding[-1]
        return self.graph.node(
            node.name,
            op,
            [self.padded(node, x, rows, rows, columns, columns, outside)],
            ksize=integers(1, *kernel, 1),
            strides=integers(1, *stride, 1),
            padding={"s": text("VALID")},
            **CHANNELS_LAST,
        )

    def max_pool(self, node, x, kernel, stride=(), padding=(0, 0)):
        return self.pool("MaxPool", node, x, kernel, stride, padding, LOWEST)

    def avg_pool(self, node, x, kernel, stride=(), padding=(0, 0)):
        return self.pool("AvgPool", node, x, kernel, stride, padding, 0.0)

    def global_pool(self, node, x, *_):
        inputs = [self.value(x), self.graph.shape(1, 2)]
        return self.graph.node(node.name, "Mean", inputs, keep_dims={"b": True}, Tidx={"type": "DT_INT32"})

    # Element by element.

    def unary(op):
        return lambda self, node, x, *_: self.graph.node(node.name, op, [self.value(x)])

    def binary(op):
        return lambda self, node, x, y: self.graph.node(node.name, op, [self.value(x), self.value(y)])

    def leaky_relu(self, node, x, slope=0.01):
        return self.graph.node(node.name, "LeakyRelu", [self.value(x)], alpha={"f": slope})

    def hard_sigmoid(self, node, x):
        shifted = self.graph.node(f"{node.name}_shifted", "AddV2", [self.value(x), self.graph.scalar(3.0)])
        clipped = self.graph.node(f"{node.name}_clipped", "Relu6", [shifted])
        return self.graph.node(f"{node.name}_gate", "Mul", [clipped, self.graph.scalar(1 / 6)])

    def hard_swish(self, node, x):
        return self.graph.node(node.name, "Mul", [self.value(x), self.hard_sigmoid(node, x)])

    def silu(self, node, x):
        gate = self.graph.node(f"{node.name}_gate", "Sigmoid", [self.value(x)])
        return self.graph.node(node.name, "Mul", [self.value(x), gate])

    def gelu(self, node, x):
        scaled = self.graph.node(f"{node.name}_scaled", "Mul", [self.value(x), self.graph.scalar(0.5**0.5)])
        error = self.graph.node(f"{node.name}_erf", "Erf", [scaled])
        gate = self.graph.node(f"{node.name}_gate", "AddV2", [error, self.graph.scalar(1.0)])
        half = self.graph.node(f"{node.name}_half", "Mul", [self.value(x), self.graph.scalar(0.5)])
        return self.graph.node(node.name, "Mul", [half, gate])

    # Of shapes.

    def same(self, node, x, *_, **options):
        return self.value(x)

    def getitem(self, node, x, index):
        return self.value(x) if not index else f"{self.value(x)}:{index}"

    def reshaped(self, name, x, shape):
        return self.graph.node(name, "Reshape", [self.value(x), self.graph.shape(*shape)])

    def view(self, node, x, shape):
        shape = tuple(node.meta["val"].shape)
        user = self.follow(node, aten.transpose.int)
        if x in self.images and len(shape) == 3 and user:  # [N, C, HW], which becomes [N, HW, C]: it is that already
            self.names[user] = self.reshaped(user.name, x, (shape[0], shape[2], shape[1]))
            return self.names[user]
        if x in self.images and tuple(x.meta["val"].shape[2:]) != (1, 1):
            raise NotImplementedError(f"{node}: an image as {shape}")
        return self.reshaped(node.name, x, shape)

    def permute(self, node, x, order):
        return self.graph.node(node.name, "Transpose", [self.value(x), self.graph.shape(*order)])

    def transpose(self, node, x, first, second):
        order = list(range(len(x.meta["val"].shape)))
        order[first], order[second] = order[second], order[first]
        return self.permute(node, x, order)

    def axis(self, x, dim):
        return [0, 3, 1, 2][dim] if x in self.images else dim

    def concatenate(self, node, values, dim=0):
        values = [(self.value(value), self.axis(value, dim)) for value in values]
        axis = self.graph.constant(f"axis_{values[0][1]}", np.int32(values[0][1]))
        return self.graph.node(node.name, "ConcatV2", [*(name for name, _ in values), axis], N={"i": str(len(values))})

    def split(self, node, x, size, dim=0):
        axis = self.axis(x, dim)
        count = -(-x.meta["val"].shape[dim] // size)
        name = self.graph.constant(f"axis_{axis}", np.int32(axis))
        return self.graph.node(node.name, "Split", [name, self.value(x)], num_split={"i": str(count)})

    def unbind(self, node, x, dim=0):
        count = str(x.meta["val"].shape[dim])
        return self.graph.node(node.name, "Unpack", [self.value(x)], axis={"i": str(dim)}, num={"i": count})

    def select(self, node, x, dim, index):
        shape = list(x.meta["val"].shape)
        begin, size = [0] * len(shape), list(shape)
        begin[dim], size[dim] = index, 1
        inputs = [self.value(x), self.graph.shape(*begin), self.graph.shape(*size)]
        sliced = self.graph.node(f"{node.name}_slice", "Slice", inputs)
        del shape[dim]
        return self.graph.node(node.name, "Reshape", [sliced, self.graph.shape(*shape)])

    # Of transformers.

    def layer_norm(self, node, x, shape, weight, bias, epsilon, *_):
        def mean(name, value):
            return self.graph.node(name, "Mean", [value, self.graph.shape(-1)], keep_dims={"b": True})

        name, value = node.name, self.value(x)
        centre = mean(f"{name}_mean", value)
        squares = self.graph.node(f"{name}_squares", "SquaredDifference", [value, centre])
        variance = mean(f"{name}_variance", squares)
        above_zero = self.graph.node(f"{name}_above_zero", "AddV2", [variance, self.graph.scalar(epsilon)])
        inverse = self.graph.node(f"{name}_inverse", "Rsqrt", [above_zero])
        centred = self.graph.node(f"{name}_centred", "Sub", [value, centre])
        scaled = self.graph.node(f"{name}_scaled", "Mul", [centred, inverse])
        weighted = self.graph.node(f"{name}_weighted", "Mul", [scaled, self.value(weight)])
        return self.graph.node(name, "AddV2", [weighted, self.value(bias)])

    fused = {aten.relu.default: "Relu", aten.hardtanh.default: "Relu6", aten.leaky_relu.default: "LeakyRelu"}
    to_image = {aten.conv2d.default}
    from_image = {aten.view.default, aten.linear.default}
    emitters = {
        aten.conv2d.default: conv2d,
        aten.linear.default: linear,
        aten._native_batch_norm_legit_no_training.default: batch_norm,
        aten.pad.default: pad,
        aten.max_pool2d.default: max_pool,
        aten.avg_pool2d.default: avg_pool,
        aten.adaptive_avg_pool2d.default: global_pool,
        aten.mean.dim: global_pool,
        aten.relu.default: unary("Relu"),
        aten.hardtanh.default: unary("Relu6"),
        aten.sigmoid.default: unary("Sigmoid"),
        aten.leaky_relu.default: leaky_relu,
        aten.hardsigmoid.default: hard_sigmoid,
        aten.hardswish.default: hard_swish,
        aten.silu.default: silu,
        aten.gelu.default: gelu,
        aten.add.Tensor: binary("AddV2"),
        aten.mul.Tensor: binary("Mul"),
        aten.clone.default: same,
        aten.expand.default: same,  # of a batch of one
        operator.getitem: getitem,
        aten.view.default: view,
        aten._unsafe_view.default: view,
        aten.permute.default: permute,
        aten.transpose.int: transpose,
        aten.cat.default: concatenate,
        aten.split.Tensor: split,
        aten.unbind.int: unbind,
        aten.select.int: select,
        aten.layer_norm.default: layer_norm,
        aten.matmul.default: binary("BatchMatMulV2"),
        aten.softmax.int: unary("Softmax"),  # of the last dimension
    }


def write(program, path):
    """Writes PATH.tfjs.json and PATH.tfjs.bin of an exported program with one image for its input."""
    writer = Writer(program.run_decompositions({}))
    writer.graph.write(path, writer.output)
