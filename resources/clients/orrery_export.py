"""Writes a PyTorch model as a file that Orrery opens, with its model card and an example that is checked on opening.

    from orrery_export import orrery_export
    orrery_export(model, (image,), "model.pt2", class_names=["cat", "dog"], preprocessing={"mean": [0.5], "std": [0.25]})

The ending chooses the format: `.pt2` a program of torch.export (PyTorch 2.1 and later), `.pt` TorchScript (PyTorch 1.13 and later). Nothing but torch is needed.
Part of Orrery, GPL-3.0-or-later.
"""
import json
import os

import torch

VERSION = 1
MAX_VALUES = 1_000_000
DOCUMENT = "orrery.json"


def _flat(value):
    """The tensors of nested tuples, lists and dictionaries (also of dataclass-like outputs that are dictionaries), in order."""
    if torch.is_tensor(value):
        return [value]
    if isinstance(value, dict):
        return [tensor for item in value.values() for tensor in _flat(item)]
    if isinstance(value, (list, tuple)):
        return [tensor for item in value for tensor in _flat(item)]
    return []


def _array(tensor):
    tensor = tensor.detach().cpu()
    if tensor.is_complex():
        raise ValueError("examples of complex numbers cannot be stored")
    return {"dtype": str(tensor.dtype).replace("torch.", ""), "shape": list(tensor.shape), "values": tensor.to(torch.float64).reshape(-1).tolist()}


def _is_finite(arrays):
    return all(value == value and abs(value) != float("inf") for array in arrays for value in array["values"])


def _example(inputs, outputs):
    """The example with its output, or nothing if it would be too large or holds no plain numbers."""
    tensors, results = _flat(inputs), _flat(outputs)
    if sum(tensor.numel() for tensor in tensors + results) > MAX_VALUES:
        return None
    example = {"inputs": [_array(tensor) for tensor in tensors], "outputs": [_array(tensor) for tensor in results]}
    return example if _is_finite(example["inputs"]) and _is_finite(example["outputs"]) else None


def _card(title, task, class_names, feature_names, input_names, kinds, preprocessing, tokenizer):
    """The model card as Orrery keeps it."""
    card = {"title": title, "task": task or ("classification" if class_names else ""), "class_names": list(class_names or []), "feature_names": list(feature_names or [])}
    if tokenizer is not None:
        with open(tokenizer, encoding="utf-8") as file:
            card["tokenizer"] = {"kind": "file", "name": os.path.basename(tokenizer), "content": json.load(file)}
    inputs = []
    for i, name in enumerate(input_names):
        entry = {"name": name, "kind": (kinds or {}).get(name, "float")}
        given = preprocessing.get(name) if preprocessing and name in preprocessing else preprocessing if i == 0 else None
        if given:
            entry["preprocessing"] = given
        inputs.append(entry)
    card["inputs"] = inputs
    return card


def _input_names(model, count):
    """The names of forward's first arguments."""
    import inspect

    names = [name for name in inspect.signature(model.forward).parameters if name != "self"]
    return names[:count] + ["input_%d" % i for i in range(len(names), count)]


def orrery_export(model, example_inputs, path, title=None, task=None, class_names=None, feature_names=None, preprocessing=None, tokenizer=None, kinds=None,
                  dynamic_shapes=None, script=False):
    """Writes `model` to `path`, which ends in .pt2 (torch.export) or .pt (TorchScript). Returns the path.

    example_inputs  tuple of tensors, the arguments of forward; stored with the output they give.
    title, task     for the model card; task is "classification", "regression", "language_model" or empty.
    class_names     what each output of a classifier means.
    preprocessing   of the first input, {"mean": [...], "std": [...]}, or {input name: ...}.
    tokenizer       path of a tokenizer.json, copied into the card.
    kinds           {input name: "image", "tokens", "table" or "float"}.
    dynamic_shapes  as torch.export takes it; by default the first axis of every input is free where torch.export can keep it so.
    script          for .pt: torch.jit.script instead of torch.jit.trace (keeps branches and loops).
    """
    path = os.fspath(path)
    if not path.endswith((".pt2", ".pt")):
        raise ValueError("expected a path that ends in .pt2 or .pt, found %r" % path)
    if torch.is_tensor(example_inputs):
        example_inputs = (example_inputs,)
    example_inputs = tuple(example_inputs)
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            outputs = model(*example_inputs)
        names = _input_names(model, len(example_inputs))
        document = {"version": VERSION, "torch": torch.__version__, "card": _card(title or type(model).__name__, task, class_names, feature_names, names, kinds, preprocessing, tokenizer)}
        example = _example(example_inputs, outputs)
        if example is not None:
            document["example"] = example
        extra = {DOCUMENT: json.dumps(document)}
        if path.endswith(".pt2"):
            _save_program(model, example_inputs, path, extra, dynamic_shapes)
        else:
            _save_script(model, example_inputs, path, extra, script)
    finally:
        model.train(was_training)
    return path


def _save_script(model, example_inputs, path, extra, script):
    with torch.no_grad():
        module = torch.jit.script(model) if script else torch.jit.trace(model, example_inputs, strict=False)
    torch.jit.save(module, path, _extra_files=extra)


def _save_program(model, example_inputs, path, extra, dynamic_shapes):
    if not hasattr(torch, "export"):
        raise RuntimeError("torch.export needs PyTorch 2.1 or later, found %s; write .pt instead" % torch.__version__)
    torch.export.save(_exported(model, example_inputs, dynamic_shapes), path, extra_files=extra)


def _exported(model, example_inputs, dynamic_shapes):
    if dynamic_shapes is not None:
        return torch.export.export(model, example_inputs, dynamic_shapes=dynamic_shapes)
    free = [tensor for tensor in example_inputs if torch.is_tensor(tensor) and tensor.dim() > 0]
    if free and len({tensor.shape[0] for tensor in free}) == 1 and free[0].shape[0] > 1:
        batch = torch.export.Dim("batch", min=1)
        shapes = tuple({0: batch} if torch.is_tensor(value) and value.dim() > 0 else None for value in example_inputs)
        try:
            return torch.export.export(model, example_inputs, dynamic_shapes=shapes)
        except Exception:  # the model needs this very size
            pass
    return torch.export.export(model, example_inputs)
