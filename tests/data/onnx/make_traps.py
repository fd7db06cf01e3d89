"""Writes OUT/traps.onnx, many operators of ONNX in one graph with attributes in which implementations differ, and OUT/traps.safetensors: inputs as input.N, what ONNX Runtime gives of them as output.N.

usage: make_traps.py OUT FOLDER   (needs NumPy and the package onnx; FOLDER is where `npm install onnxruntime-node` was run)

Cases: sizes and places of Resize at factors that a float holds from below; pools whose number of windows is rounded up beside uneven paddings; dilated means and norms; order of equal values in TopK;
reductions of whole numbers and over no axes; norms of zeros; a scale of one number; infinity through Shrink."""
import json, os, struct, subprocess, sys

import numpy as np
from onnx import TensorProto, helper, numpy_helper

OUT, RUNTIME = sys.argv[1:3]
RANDOM = np.random.RandomState(5)
PICTURE = RANDOM.uniform(-2, 2, (1, 2, 10, 7)).astype(np.float32)
PLANE = RANDOM.uniform(-2, 2, (1, 2, 9, 8)).astype(np.float32)
VALUES = RANDOM.uniform(-2, 2, (2, 6, 4, 3)).astype(np.float32)
VALUES[0, 0] = 0
EQUAL = np.round(RANDOM.uniform(-3, 3, (3, 40))).astype(np.float32)
LIMITS = np.array([-np.inf, -3, -0.2, 0, 0.3, 1.5, np.inf], np.float32)
WHOLE = np.round(np.abs(VALUES) * 3).astype(np.int32) + 1
INPUTS = {"picture": PICTURE, "plane": PLANE, "values": VALUES, "equal": EQUAL, "limits": LIMITS, "whole": WHOLE}
nodes, constants, outputs = [], [], []


def constant(array):
    name = f"constant_{len(constants)}"
    constants.append(numpy_helper.from_array(np.asarray(array), name))
    return name


def case(op, inputs, kind=TensorProto.FLOAT, count=1, give=0, **attributes):
    number = len(outputs)
    names = [f"case_{number}" if i == give else f"unused_{number}_{i}" for i in range(count)]
    nodes.append(helper.make_node(op, inputs, names, name=f"case_{number}_{op}", **attributes))
    outputs.append(helper.make_tensor_value_info(names[give], kind, None))


def scales(*numbers):
    return constant(np.array([1, 1, *numbers], np.float32))


for factors in ((0.7, 1.3), (0.9, 1.4), (2.9, 2.3), (2, 3)):
    case("Resize", ["picture", "", scales(*factors)], mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    case("Resize", ["picture", "", scales(*factors)], mode="linear")
    case("Resize", ["picture", "", scales(*factors)], mode="cubic", coordinate_transformation_mode="asymmetric")
case("Resize", ["picture", "", scales(0.6, 0.3)], mode="nearest", nearest_mode="floor")
case("Resize", ["picture", "", scales(0.6, 0.3)], mode="nearest", nearest_mode="round_prefer_ceil")
case("Resize", ["picture", "", "", constant(np.array([1, 2, 6, 11]))], mode="nearest", nearest_mode="floor")
for op in ("MaxPool", "AveragePool"):
    for kernel, strides, pads in (([2, 3], [3, 2], [0, 1, 1, 0]), ([3, 3], [2, 2], [1, 0, 2, 2]), ([3, 3], [2, 2], [2, 2, 2, 2]), ([3, 2], [2, 3], [0, 0, 0, 0])):
        case(op, ["plane"], kernel_shape=kernel, strides=strides, pads=pads, ceil_mode=1)
        if op == "AveragePool":
            case(op, ["plane"], kernel_shape=kernel, strides=strides, pads=pads, ceil_mode=1, count_include_pad=1)
for counts in (0, 1):
    case("AveragePool", ["plane"], kernel_shape=[3, 2], strides=[1, 2], dilations=[2, 2], pads=[1, 1, 1, 1], count_include_pad=counts)
case("LpPool", ["plane"], kernel_shape=[3, 2], strides=[2, 2], dilations=[2, 1], pads=[1, 0, 1, 1])
for largest in (0, 1):
    case("TopK", ["equal", constant(np.array([12]))], TensorProto.INT64, 2, 1, largest=largest)
case("TopK", ["equal", constant(np.array([2]))], TensorProto.INT64, 2, 1, axis=0)
no_axes, two_axes = constant(np.zeros(0, np.int64)), constant(np.array([1, 2]))
for op in ("ReduceL1", "ReduceL2", "ReduceSum", "ReduceSumSquare", "ReduceMean", "ReduceMax"):
    case(op, ["values", no_axes], noop_with_empty_axes=1)
for op in ("ReduceL2", "ReduceLogSum", "ReduceMean", "ReduceSumSquare"):
    case(op, ["whole", two_axes], TensorProto.INT32)
for p in (1, 2):
    case("LpNormalization", ["values"], axis=2, p=p)
case("LayerNormalization", ["values", constant(np.array([1.5], np.float32)), constant(np.array([-0.5], np.float32))])
case("Shrink", ["limits"], lambd=1.0, bias=0.3)

TYPES = {np.dtype("float32"): ("float32", TensorProto.FLOAT, "F32"), np.dtype("int32"): ("int32", TensorProto.INT32, "I32"), np.dtype("int64"): ("int64", TensorProto.INT64, "I64")}
given = [helper.make_tensor_value_info(name, TYPES[array.dtype][1], array.shape) for name, array in INPUTS.items()]
model = helper.make_model(helper.make_graph(nodes, "traps", given, outputs, constants), opset_imports=[helper.make_opsetid("", 19)])
model.ir_version = 9
path = os.path.join(OUT, "traps.onnx")
with open(path, "wb") as file:
    file.write(model.SerializeToString())

SCRIPT = """
const ort = require(process.argv[1] + '/node_modules/onnxruntime-node'), fs = require('fs');
const kinds = {float32: Float32Array, int32: Int32Array, int64: BigInt64Array};
(async () => {
  const given = JSON.parse(fs.readFileSync(0)), feeds = {};
  for (const [name, [type, dims, numbers]] of Object.entries(given.inputs))
    feeds[name] = new ort.Tensor(type, kinds[type].from(numbers.map(each => each === 'inf' ? Infinity : each === '-inf' ? -Infinity : each)), dims);
  const session = await ort.InferenceSession.create(given.path, {graphOptimizationLevel: 'disabled', intraOpNumThreads: 1});
  const results = await session.run(feeds);
  const text = each => Number.isFinite(Number(each)) ? Number(each) : String(each);
  console.log(JSON.stringify(session.outputNames.map(name => [results[name].type, results[name].dims, Array.from(results[name].data, text)])));
})();
"""
numbers = {name: [TYPES[array.dtype][0], array.shape, [float(each) if np.isfinite(each) else str(each) for each in array.ravel()]] for name, array in INPUTS.items()}
results = json.loads(subprocess.run(["node", "-e", SCRIPT, RUNTIME], input=json.dumps({"path": path, "inputs": numbers}), capture_output=True, text=True, check=True).stdout)
tensors = {f"input.{i}": array for i, array in enumerate(INPUTS.values())}
for i, (kind, shape, data) in enumerate(results):
    tensors[f"output.{i}"] = np.array([float(str(each).replace("Infinity", "inf")) for each in data]).astype(kind).reshape(shape)
header, blob = {}, b""
for name, array in tensors.items():
    header[name] = {"dtype": TYPES[array.dtype][2], "shape": list(array.shape), "data_offsets": [len(blob), len(blob) + array.nbytes]}
    blob += np.ascontiguousarray(array).tobytes()
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
with open(os.path.join(OUT, "traps.safetensors"), "wb") as file:
    file.write(struct.pack("<Q", len(text)) + text + blob)
