#!/usr/bin/env python3
"""Writes mlp-old.pt2 (the layout of PyTorch 2.1 to 2.7) and mlp-dictionary.pt2 (that of 2.8) out of mlp.pt2: the same program, its weights and sample inputs as files of torch.save.
Runs with Debian's python3-torch 1.13."""
import io
import json
import os
import zipfile

import numpy
import torch

HERE = os.path.dirname(os.path.abspath(__file__))


def saved(value):
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def write(name, entries):
    with zipfile.ZipFile(os.path.join(HERE, name), "w") as archive:
        for entry, data in entries:
            info = zipfile.ZipInfo(entry, (1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED if entry.endswith(".json") else zipfile.ZIP_STORED
            archive.writestr(info, data)


def main():
    with zipfile.ZipFile(os.path.join(HERE, "mlp.pt2")) as archive:
        program = archive.read("mlp/models/model.json")
        config = json.loads(archive.read("mlp/data/weights/model_weights_config.json"))["config"]
        weights = {}
        for name, meta in config.items():
            shape = [size["as_int"] for size in meta["tensor_meta"]["sizes"]]
            weights[name] = torch.from_numpy(numpy.frombuffer(archive.read("mlp/data/weights/" + meta["path_name"]), numpy.float32).reshape(shape).copy())
    samples = saved(((torch.arange(18.0).reshape(3, 6) / 10,), {}))
    write("mlp-old.pt2", [("serialized_exported_program.json", program), ("serialized_state_dict.pt", saved(weights)), ("serialized_constants.pt", saved({})),
                          ("serialized_example_inputs.pt", samples), ("version", b"8.5")])
    write("mlp-dictionary.pt2", [("mlp/models/model.json", program), ("mlp/data/weights/model.pt", saved(weights)), ("mlp/data/constants/model.pt", saved({})),
                                 ("mlp/data/sample_inputs/model.pt", samples), ("mlp/archive_format", b"pt2"), ("mlp/archive_version", b"0")])


if __name__ == "__main__":
    main()
