"""Writes small models by torch 2.x as torch.export archives (pt2/NAME.pt2), TorchScript (ts2/NAME.pt), ONNX (onnx/NAME.onnx) and pickles (pickle/NAME.pt), each with NAME.safetensors beside it:
inputs as input.N, outputs as output.N, weights' gradients of the sum of squares of output.0 as grad.NAME where it has any."""
import os, sys, traceback, warnings
import numpy as np
import torch
from safetensors.torch import save_file
warnings.filterwarnings("ignore")
OUT = sys.argv[1]
for d in ("pt2", "ts2", "onnx", "pickle"):
    os.makedirs(os.path.join(OUT, d), exist_ok=True)
sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from programs import NAMES, build, expect, flat, inputs


def attempt(what, f):
    try:
        f()
        print("ok", what)
    except Exception as e:
        print("FAILED", what, type(e).__name__, str(e)[:600])

D = torch.export.Dim
for name in NAMES:
    args = inputs(name)
    def exported(dynamic=True):
        model = build(name)
        shapes = None
        if dynamic and name in ("mlp", "cnn", "gpt", "encoder", "layer", "dictionary"):
            dims = {0: D("batch", min=1, max=64)}
            if name in ("gpt",):
                dims[1] = D("time", min=2, max=24)
            shapes = (dims,) if name != "dictionary" else {"x": dims}
        return torch.export.export(model, args, dynamic_shapes=shapes)
    def pt2():
        torch.export.save(exported(), os.path.join(OUT, "pt2", name + ".pt2"))
        expect(os.path.join(OUT, "pt2", name), build(name), args)
    attempt("pt2 " + name, pt2)
    if name in ("gpt", "cnn", "recurrent"):
        def decomposed():
            torch.export.save(exported().run_decompositions(), os.path.join(OUT, "pt2", name + "-core.pt2"))
            expect(os.path.join(OUT, "pt2", name + "-core"), build(name), args)
        attempt("pt2 core " + name, decomposed)
    if name == "cnn":
        def training():
            model = build(name).train()
            torch.export.save(torch.export.export(model, args), os.path.join(OUT, "pt2", "cnn-training.pt2"))
            expect(os.path.join(OUT, "pt2", "cnn-training"), build(name).train(), args)
        attempt("pt2 training", training)
    def scripted():
        torch.jit.save(torch.jit.script(build(name)), os.path.join(OUT, "ts2", name + "-scripted.pt"))
        expect(os.path.join(OUT, "ts2", name + "-scripted"), build(name), args)
    if name not in ("branch", "dictionary"):
        attempt("ts2 scripted " + name, scripted)
    def traced():
        torch.jit.save(torch.jit.trace(build(name), args, strict=False), os.path.join(OUT, "ts2", name + "-traced.pt"))
        expect(os.path.join(OUT, "ts2", name + "-traced"), build(name), args)
    if name != "branch":
        attempt("ts2 traced " + name, traced)
    for dynamo in (True, False):
        def onnx():
            path = os.path.join(OUT, "onnx", name + ("" if dynamo else "-ts"))
            kwargs = dict(opset_version=18 if dynamo else 17, dynamo=dynamo)
            if not dynamo:
                kwargs["dynamic_axes"] = {"x": {0: "batch"}}
                kwargs["input_names"] = ["x", "y"][: len(args)]
            torch.onnx.export(build(name), args, path + ".onnx", external_data=False, **kwargs) if dynamo else torch.onnx.export(build(name), args, path + ".onnx", **kwargs)
            import onnxruntime as ort
            session = ort.InferenceSession(path + ".onnx", providers=["CPUExecutionProvider"])
            feed = {i.name: a.numpy() for i, a in zip(session.get_inputs(), args)}
            outs = session.run(None, feed)
            result = {f"input.{i}": a.clone() for i, a in enumerate(args)}
            result.update({f"output.{i}": torch.from_numpy(np.ascontiguousarray(o)) for i, o in enumerate(outs)})
            save_file(result, path + ".safetensors")
        if name not in ("counter",):
            attempt(f"onnx dynamo={dynamo} " + name, onnx)


def quantised():
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
    import onnxruntime as ort
    class Reader(CalibrationDataReader):
        def __init__(self, n, a):
            self.items = iter([{n: a}])
        def get_next(self):
            return next(self.items, None)
    for name in ("mlp-ts", "cnn-ts"):
        source = os.path.join(OUT, "onnx", name + ".onnx")
        a = inputs(name[:-3])[0].numpy()
        for kind in ("dynamic", "qdq", "qoperator"):
            path = os.path.join(OUT, "onnx", name[:-3] + "-" + kind)
            if kind == "dynamic":
                if name == "cnn-ts": continue
                quantize_dynamic(source, path + ".onnx", weight_type=QuantType.QInt8)
            else:
                quantize_static(source, path + ".onnx", Reader("x", a), quant_format=QuantFormat.QDQ if kind == "qdq" else QuantFormat.QOperator, per_channel=False)
            outs = ort.InferenceSession(path + ".onnx", providers=["CPUExecutionProvider"]).run(None, {"x": a})
            save_file({"input.0": torch.from_numpy(a), **{f"output.{i}": torch.from_numpy(np.ascontiguousarray(o)) for i, o in enumerate(outs)}}, path + ".safetensors")
            print("ok quantised", path)
attempt("quantised", quantised)


def halves():
    import onnx, onnxruntime as ort
    from onnx import numpy_helper
    m = build("mlp").half()
    a = inputs("mlp")[0].half()
    path = os.path.join(OUT, "onnx", "mlp-half")
    torch.onnx.export(m, (a,), path + ".onnx", dynamo=False, opset_version=17, input_names=["x"])
    outs = ort.InferenceSession(path + ".onnx", providers=["CPUExecutionProvider"]).run(None, {"x": a.numpy()})
    save_file({"input.0": a, "output.0": torch.from_numpy(outs[0])}, path + ".safetensors")
attempt("half", halves)


def external():
    m = build("mlp")
    folder = os.path.join(OUT, "onnx", "external")
    os.makedirs(folder, exist_ok=True)
    torch.onnx.export(m, inputs("mlp"), os.path.join(folder, "mlp.onnx"), dynamo=True, external_data=True)
attempt("external", external)


def pickles():
    p = lambda n: os.path.join(OUT, "pickle", n)
    m = build("cnn")
    sd = m.state_dict()
    torch.save(sd, p("state.pt"))
    torch.save(sd, p("legacy.pt"), _use_new_zipfile_serialization=False)
    opt = torch.optim.AdamW(m.parameters(), 1e-3)
    m.train()(inputs("cnn")[0]).sum().backward()
    opt.step()
    torch.save({"epoch": 3, "model": m.state_dict(), "optimizer": opt.state_dict(), "loss": 0.25, "name": "cnn", "args": {"lr": 1e-3, "betas": (0.9, 0.95), "flags": [True, None]}}, p("checkpoint.pt"))
    torch.save({k: v.bfloat16() if v.is_floating_point() else v for k, v in build("gpt").state_dict().items()}, p("bf16.pt"))
    torch.save(build("cnn"), p("module.pt"))
    torch.save(build("cnn"), p("module-legacy.pt"), _use_new_zipfile_serialization=False)
    base = torch.arange(24.0)
    torch.save({"whole": base, "view": base[4:16].view(3, 4), "transposed": base.view(4, 6).t(), "half": base.half(), "long": base.long(), "bool": base > 3, "complex": torch.complex(base, base), "u8": base.to(torch.uint8), "empty": torch.empty(0, 3), "scalar": torch.tensor(2.5)}, p("views.pt"))
    save_file({"cnn." + k: v.clone() for k, v in sd.items()}, p("state.safetensors"))
attempt("pickles", pickles)
