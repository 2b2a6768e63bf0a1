#!/usr/bin/env python3
"""Records what a torch optimizer does: parameters and state after every step, as an optimizer-trace/1 file.

    record_torch.py --optimizer torch.optim.Adafactor --peer torch --options '{"lr": 0.01}' --out mine.safetensors
    record_torch.py --optimizer mypackage.MyAdafactor --peer torch --gradients digits_cnn.safetensors --out mine.safetensors

The optimizer is any class path that Python can import; its options are JSON under their own names. Gradients come from a trace
(every tensor of it, or those named by --tensors) or are made up: every regime of --regimes over every shape of --shapes.
float64 (the default) is for `plumbline conformance`, which compares with the reference in the dialect that --peer names.
Needs torch and safetensors, nothing else.
"""
import argparse
import importlib
import json
import math
import sys

import torch
from safetensors import safe_open
from safetensors.torch import save_file

DTYPES = {"float64": torch.float64, "float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
REGIMES = ("gaussian", "heavy_tail", "sparse", "tiny", "huge", "spike", "zero_row")


class InputError(Exception):
    """Bad input: one line, exit code 2."""


def find_class(path):
    module, _, name = path.rpartition(".")
    if not module:
        raise InputError(f"--optimizer {path}: expected a class path such as torch.optim.Adafactor")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise InputError(f"--optimizer {path}: {error}") from error
    if not (isinstance(found, type) and issubclass(found, torch.optim.Optimizer)):
        raise InputError(f"--optimizer {path}: not a torch.optim.Optimizer")
    return found


def parse_json_object(option, text):
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{option}: not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f"{option}: expected a JSON object")
    return value


def parse_shape(text):
    try:
        shape = [int(extent) for extent in text.split("x")]
    except ValueError:
        shape = []
    if not shape or min(shape) < 1:
        raise InputError(f"--shapes {text}: expected positive extents such as 16x16")
    return shape


def made_up_gradient(shape, regime, step, generator):
    """One gradient in float64; regimes are those of the recorded conformance runs."""
    g = torch.randn(shape, dtype=torch.float64, generator=generator)
    if regime == "heavy_tail":
        g = g * torch.exp(2 * torch.randn(shape, dtype=torch.float64, generator=generator))
    elif regime == "sparse":
        g = g * (torch.rand(shape, generator=generator) < 0.1)
    elif regime == "tiny":
        g = g * 1e-20
    elif regime == "huge":
        g = g * 1e10
    elif regime == "spike" and step == 3:
        g.view(-1)[0] = 1e4
    elif regime == "zero_row":
        g[0] = 0
    return g


class MadeUp:
    """Tensors and gradients of every shape and regime."""

    def __init__(self, shapes, regimes, seed):
        self.generator = torch.Generator().manual_seed(seed)
        self.tensors = {}
        for shape in shapes:
            for regime in regimes:
                name = "x".join(map(str, shape)) + ("" if regime == "gaussian" else f"-{regime}")
                self.tensors[name] = {"shape": shape, "regime": regime}

    def parameter(self, name):
        return torch.randn(self.tensors[name]["shape"], dtype=torch.float64, generator=self.generator) * 0.1

    def gradient(self, name, step):
        return made_up_gradient(self.tensors[name]["shape"], self.tensors[name]["regime"], step, self.generator)


class FromTrace:
    """Tensors and gradients of a recorded training."""

    def __init__(self, path, names, steps):
        try:
            self.file = safe_open(path, framework="pt")
        except Exception as error:  # the library's own exceptions are not public
            raise InputError(f"{path}: {error}") from error
        meta = self.file.metadata() or {}
        if meta.get("format") != "optimizer-trace/1":
            raise InputError(f"{path}: expected a file of format optimizer-trace/1")
        known = parse_json_object(f"{path}: tensors", meta["tensors"])
        for name in names:
            if name not in known:
                raise InputError(f"{path}: no tensor '{name}': expected one of {', '.join(known)}")
        self.tensors = {name: known[name] for name in (names or known)}
        if steps > int(meta["steps"]):
            raise InputError(f"{path}: holds {meta['steps']} steps, --steps asks for {steps}")

    def parameter(self, name):
        return self.file.get_tensor(f"param/{name}@0")

    def gradient(self, name, step):
        return self.file.get_tensor(f"grad/{name}@{step}")


def record(optimizer_class, options, source, steps, dtype, device, skip_slots):
    """Runs one optimizer over all tensors; returns the arrays of the trace."""
    arrays = {}

    def keep(name, value):
        arrays[name] = value.detach().to("cpu").clone().contiguous()

    parameters = {}
    for name in source.tensors:
        parameters[name] = torch.nn.Parameter(source.parameter(name).to(device=device, dtype=dtype))
        keep(f"param/{name}@0", parameters[name])
    try:
        optimizer = optimizer_class(list(parameters.values()), **options)
    except (TypeError, ValueError) as error:
        raise InputError(f"--options: {optimizer_class.__name__}: {error}") from error
    for step in range(1, steps + 1):
        for name, parameter in parameters.items():
            parameter.grad = source.gradient(name, step).to(device=device, dtype=dtype)
            keep(f"grad/{name}@{step}", parameter.grad)
        optimizer.step()
        for name, parameter in parameters.items():
            keep(f"param/{name}@{step}", parameter)
            for slot, value in optimizer.state[parameter].items():
                # Python numbers and integers are clocks, not state to compare
                if slot not in skip_slots and torch.is_tensor(value) and value.is_floating_point():
                    keep(f"state/{name}/{slot}@{step}", value.reshape(1) if value.dim() == 0 else value)
    return arrays


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--optimizer", required=True, help="class path, such as torch.optim.Adafactor")
    parser.add_argument("--peer", required=True, help="the dialect to compare with: torch, huggingface, came, ...")
    parser.add_argument("--options", default="{}", help="the optimizer's options as JSON (default: {})")
    parser.add_argument("--gradients", help="a trace file to take parameters and gradients from")
    parser.add_argument("--tensors", nargs="*", default=[], help="tensors of that file (default: all)")
    parser.add_argument("--shapes", nargs="*", default=["7", "5x3", "16x16", "2x4x3"], help="shapes of made-up tensors")
    parser.add_argument("--regimes", nargs="*", default=list(REGIMES), choices=REGIMES, help="of made-up gradients")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--dtype", choices=DTYPES, default="float64", help="of parameters and gradients")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=1, help="of made-up tensors")
    parser.add_argument("--skip-slots", nargs="*", default=["step"],
                        help="state that is not to be compared (default: step; for transformers' Adafactor: step RMS)")
    parser.add_argument("--out", required=True, help="the trace file to write")
    return parser.parse_args(arguments)


def main(arguments):
    args = parse_arguments(arguments)
    if args.steps < 1:
        raise InputError(f"--steps {args.steps}: expected at least 1")
    options = parse_json_object("--options", args.options)
    optimizer_class = find_class(args.optimizer)
    if args.gradients:
        source = FromTrace(args.gradients, args.tensors, args.steps)
    else:
        source = MadeUp([parse_shape(shape) for shape in args.shapes], args.regimes, args.seed)
    arrays = record(optimizer_class, options, source, args.steps, DTYPES[args.dtype], args.device,
                    set(args.skip_slots))
    broken = [name for name, value in arrays.items() if not math.isfinite(value.double().abs().max().item())]
    metadata = {
        "format": "optimizer-trace/1",
        "peer": args.peer,
        "source": f"{args.optimizer} (torch {torch.__version__})",
        "steps": str(args.steps),
        "options": json.dumps(options),
        "tensors": json.dumps({name: {"shape": list(info["shape"]), "regime": info.get("regime", "")}
                               for name, info in source.tensors.items()}),
    }
    try:
        save_file(arrays, args.out, metadata=metadata)
    except Exception as error:
        raise InputError(f"{args.out}: {error}") from error
    print(f"{args.out}: {len(source.tensors)} tensors, {args.steps} steps, {len(arrays)} arrays"
          + (f"; not finite: {broken[0]} and {len(broken) - 1} more" if broken else ""))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except InputError as problem:
        print(f"record_torch.py: {problem}", file=sys.stderr)
        sys.exit(2)
