#!/usr/bin/env python3
"""Writes the fixtures of PyTorch 2.x: programs of torch.export (NAME.pt2 in this folder) and TorchScript (../torchscript2/NAME.pt), each with NAME.safetensors beside it (see `expect`).
Written by PyTorch 2.11; needs torch and safetensors, which nothing else here does.

Debug files are left out, texts are deflated, dates are fixed.
"""
import os
import sys
import zipfile

import torch

HERE = os.path.dirname(os.path.abspath(__file__))
SCRIPTS = os.path.join(HERE, os.pardir, "torchscript2")
sys.path.append(os.path.join(HERE, os.pardir))
from programs import NAMES, build, expect, inputs


def repack(path):
    with zipfile.ZipFile(path) as archive:
        entries = [(info.filename, archive.read(info)) for info in archive.infolist() if not info.filename.endswith(".debug_pkl")]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries:
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED if name.endswith((".json", ".py")) else zipfile.ZIP_STORED
            archive.writestr(info, data)


def free_sizes(name):
    dims = {0: torch.export.Dim("batch", min=1, max=64)}
    if name == "gpt":
        dims[1] = torch.export.Dim("time", min=2, max=24)
    if name in ("mlp", "cnn", "gpt", "encoder", "layer"):
        return (dims,)
    return {"x": dims} if name == "dictionary" else None


def write_program(name, suffix="", training=False, decomposed=False):
    model, path = build(name).train(training), os.path.join(HERE, name + suffix)
    program = torch.export.export(model, inputs(name), dynamic_shapes=None if training else free_sizes(name))
    torch.export.save(program.run_decompositions() if decomposed else program, path + ".pt2")
    repack(path + ".pt2")
    expect(path, build(name).train(training), inputs(name))


def write_script(name, suffix, module):
    path = os.path.join(SCRIPTS, name + suffix)
    torch.jit.save(module, path + ".pt")
    repack(path + ".pt")
    expect(path, build(name), inputs(name))


def main():
    for name in NAMES:
        write_program(name)
        if name in ("gpt", "cnn", "recurrent"):
            write_program(name, "-core", decomposed=True)
        if name not in ("branch", "dictionary"):
            write_script(name, "-scripted", torch.jit.script(build(name)))
        if name in ("mlp", "cnn", "gpt", "recurrent", "layer", "shapes"):  # tracing counts the steps of the counter
            write_script(name, "-traced", torch.jit.trace(build(name), inputs(name), strict=False))
    write_program("cnn", "-training", training=True)


if __name__ == "__main__":
    main()
