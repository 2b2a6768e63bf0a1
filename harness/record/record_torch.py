#!/usr/bin/env python3
"""Records what a torch optimizer does, as a file of format optimizer-trace/2 (FORMAT.md) that `plumbline judge` takes.

Around a training loop of your own, schedulers and GradScaler included:

    from record_torch import record
    with record(optimizer, "run.safetensors", names=model.named_parameters()):
        ...  # optimizer.step(), scheduler.step(), scaler.step(optimizer), ...

or with made-up gradients, from the command line:

    record_torch.py --optimizer torch.optim.Adafactor --options '{"lr": 0.01}' --out mine.safetensors
    record_torch.py --optimizer mypackage.MyAdafactor --peer torch --gradients digits_cnn.safetensors --out mine.safetensors

Every call of optimizer.step() is a step of the recording: parameters, gradients and options before it, parameters and state
after it. Needs torch and safetensors, nothing else. Arrays are kept in memory until the end.
"""
import argparse
import functools
import importlib
import importlib.metadata
import inspect
import json
import os
import sys

import torch
from safetensors import safe_open
from safetensors.torch import save_file

DTYPES = {"float64": torch.float64, "float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
REGIMES = ("gaussian", "heavy_tail", "sparse", "tiny", "huge", "spike", "zero_row")
STORAGES = ("nearest", "stochastic", "compensated", "master", "split")
# Class path -> dialect. Others are named by peer=.
PEERS = {
    "torch.optim.Adafactor": "torch",
    "torch.optim._adafactor.Adafactor": "torch",
    "torch.optim.AdamW": "torch-adamw",
    "torch.optim.adamw.AdamW": "torch-adamw",
    "galore_torch.adamw.AdamW": "galore",
    "timm.optim.adafactor.Adafactor": "timm-adafactor",
    "timm.optim.adafactor_bv.AdafactorBigVision": "timm-adafactor-bv",
    "pytorch_optimizer.optimizer.adafactor.AdaFactor": "pytorch-optimizer-adafactor",
    "pytorch_optimizer.optimizer.came.CAME": "pytorch-optimizer-came",
    "transformers.optimization.Adafactor": "huggingface",
    "came_pytorch.CAME.CAME": "came",
    "adafactor8bit.optimizer.Adafactor8Bit": "adafactor8bit",
}
# State under another name than the format's.
RENAMED = {"error_bits": "correction"}
PART_BYTES = 2 << 30  # of one file; more become several, with an index


class InputError(SystemExit):
    """Bad input. Uncaught, it ends the program with one line and without a traceback."""

    def __init__(self, message):
        super().__init__(f"record_torch.py: {message}")


def release_of(cls):
    """Name and version of the package that a class comes from; empty where it has none."""
    module = cls.__module__.partition(".")[0]
    for distribution in importlib.metadata.packages_distributions().get(module, [module]):
        try:
            return distribution, importlib.metadata.version(distribution).partition("+")[0]
        except importlib.metadata.PackageNotFoundError:
            pass
    return module, ""


def plain(value):
    """An option as JSON has it, or None where it cannot be one."""
    if torch.is_tensor(value):
        return value.item() if value.numel() == 1 else None
    if isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    return None


def inner_tensors(value):
    """What a tensor of several parts is made of: codes and scales of quantized state, by name."""
    if hasattr(value, "__tensor_flatten__"):
        return {name: getattr(value, name) for name in value.__tensor_flatten__()[0]}
    if getattr(value, "_quantized", None) is not None and getattr(value, "_scales", None) is not None:
        return {"codes": value._quantized, "scales": value._scales}
    return {}


class Recording:
    """Keeps arrays and words of one run until they are written."""

    def __init__(self, optimizer, names, peer, storage, path, extra_state, source):
        cls = type(optimizer)
        self.optimizer = optimizer
        self.class_path = f"{cls.__module__}.{cls.__qualname__}"
        self.peer = peer or PEERS.get(self.class_path)
        if not self.peer:
            raise InputError(f"{self.class_path}: no dialect of its own: expected peer=, one that `plumbline judge` knows")
        if storage is not None and storage not in STORAGES:
            raise InputError(f"storage {storage!r}: expected one of {', '.join(STORAGES)}")
        self.storage, self.path, self.extra_state, self.source = storage, path, extra_state, source
        self.package, self.version = release_of(cls)
        accepted = inspect.signature(cls.__init__).parameters
        takes_any = any(p.kind is p.VAR_KEYWORD for p in accepted.values())
        self.is_option = lambda name: takes_any or name in accepted
        self.arrays, self.tensors, self.codecs = {}, {}, {}
        self.groups, self.changes, self.skipped = [], [], []
        self.steps = 0
        self.depth = 0  # of step() within step(), as of a class that calls its base's
        self.projections = {}
        self.names = {}
        by_id = {id(parameter): name for name, parameter in (names or {})}
        if len(set(by_id.values())) != len(by_id):
            raise InputError("names: expected a name of its own for each parameter")
        for index, group in enumerate(optimizer.param_groups):
            self.groups.append(self.options(group))
            for position, parameter in enumerate(group["params"]):
                self.add_parameter(parameter, by_id.get(id(parameter), f"group{index}.{position}"), index)

    def options(self, group):
        return {name: plain(value) for name, value in group.items() if name != "params" and self.is_option(name)}

    def add_parameter(self, parameter, name, group):
        self.names[id(parameter)] = name
        if name in self.tensors:
            raise InputError(f"names: two parameters are called {name}")
        info = {"shape": list(parameter.shape), "group": group}
        self.tensors[name] = info
        self.keep(f"param/{name}@0", parameter)
        state = self.optimizer.state.get(parameter, {})
        if state:
            taken = state.get("step")
            if taken is None:
                raise InputError(f"{name}: its state has no 'step': record from the first step on")
            info["steps_before"] = int(taken)
            self.keep_state(name, parameter, 0)

    def keep(self, name, value):
        self.arrays[name] = value.detach().to("cpu", copy=True).contiguous()

    def keep_state(self, name, parameter, step):
        state = dict(self.optimizer.state.get(parameter, {}))
        if self.extra_state:
            state.update(self.extra_state(parameter) or {})
        for slot, value in state.items():
            slot = RENAMED.get(slot, slot)
            parts = inner_tensors(value)
            if parts:
                self.describe_codec(slot, value)
                for part, tensor in parts.items():
                    self.keep(f"state/{name}/{slot}.{part}@{step}", tensor)
            elif torch.is_tensor(value) and slot != "apollo_proj_matrix_T":
                self.keep(f"state/{name}/{slot}@{step}", value)
        projector = getattr(state.get("projector"), "ortho_matrix", None)
        if torch.is_tensor(projector):
            self.keep(f"projection/{name}@{step}", projector)
        if "state1" in state and "absmax1" in state:  # bitsandbytes, in blocks
            for number, codec in (("1", "dynamic8"), ("2", "dynamic8_unsigned")):
                self.codecs[f"state{number}"] = {"codec": codec, "codes": f"state{number}", "scales": f"absmax{number}"}

    def describe_codec(self, slot, value):
        kind = type(value).__name__
        unsigned = "" if getattr(value, "signed", True) else "_unsigned"
        words = {"codes": f"{slot}.codes", "scales": f"{slot}.scale"}
        if kind == "OptimState8bit":
            self.codecs[slot] = {"codec": f"torchao8{unsigned}", **words}
        elif kind == "OptimState4bit":
            self.codecs[slot] = {"codec": f"torchao4{unsigned}", **words}
        elif kind == "OptimStateFp8":
            self.codecs[slot] = {"codec": "torchao_fp8", **words}
        elif hasattr(value, "_softsign"):
            codec = "flash_momentum" if value._softsign else "flash_variance"
            self.codecs[slot] = {"codec": codec, "codes": f"{slot}.codes", "scales": f"{slot}.scales", "block": 32}

    # --- hooks ---

    def before(self):
        self.depth += 1
        if self.depth > 1:
            return
        self.steps += 1
        for index, group in enumerate(self.optimizer.param_groups):
            if index == len(self.groups):
                raise InputError(f"step {self.steps}: a parameter group was added: record from there on")
            now = self.options(group)
            changed = {name: value for name, value in now.items() if self.groups[index].get(name, "?") != value}
            if changed and self.steps == 1:
                self.groups[index] = now
            elif changed:
                self.changes.append({"step": self.steps, "group": index, "options": changed})
                self.groups[index] = now
        if self.steps == 1:
            self.first_groups = [dict(group) for group in self.groups]
        self.keep_gradients()

    def keep_gradients(self):
        scale = getattr(self.optimizer, "grad_scale", None)
        for parameter, name in self.parameters():
            if parameter.grad is None:
                continue
            if parameter.grad.is_sparse:
                raise InputError(f"{name}: its gradient is sparse: dense ones are recorded")
            gradient = parameter.grad if scale is None else parameter.grad / scale.to(parameter.grad.device)
            self.keep(f"grad/{name}@{self.steps}", gradient)

    def after(self):
        self.depth -= 1
        if self.depth > 0:
            return
        found = getattr(self.optimizer, "found_inf", None)
        if found is not None and float(found) > 0:
            self.skipped.append(self.steps)
        self.keep_left()

    def not_taken(self):
        """A step that a GradScaler left out."""
        self.steps += 1
        if self.steps == 1:
            self.first_groups = [dict(group) for group in self.groups]
        self.keep_gradients()
        self.skipped.append(self.steps)
        self.keep_left()

    def keep_left(self):
        for parameter, name in self.parameters():
            self.keep(f"param/{name}@{self.steps}", parameter)
            self.keep_state(name, parameter, self.steps)
            projection = self.projections.pop(name, None)
            if projection is not None:
                self.keep(f"projection/{name}@{self.steps}", projection)

    def parameters(self):
        for group in self.optimizer.param_groups:
            for parameter in group["params"]:
                yield parameter, self.names[id(parameter)]

    def saw_projection(self, state, transposed):
        for parameter, name in self.parameters():
            if self.optimizer.state.get(parameter) is state:
                self.projections[name] = transposed.detach().T.clone()

    # --- the file ---

    def metadata(self):
        words = {
            "format": "optimizer-trace/2",
            "peer": self.peer,
            "package": self.package,
            "version": self.version,
            "source": self.source or f"{self.class_path} {self.version} (torch {torch.__version__})",
            "steps": str(self.steps),
            "options": json.dumps(self.first_groups[0]),
            "tensors": json.dumps(self.tensors),
        }
        if len(self.first_groups) > 1:
            words["groups"] = json.dumps(self.first_groups)
        for word in ("changes", "skipped", "codecs"):
            if getattr(self, word):
                words[word] = json.dumps(getattr(self, word))
        for word in ("storage", "path"):
            if getattr(self, word):
                words[word] = getattr(self, word)
        return {name: value for name, value in words.items() if value}

    def write(self, out, part_bytes):
        if self.steps == 0:
            raise InputError(f"{out}: the optimizer took no step")
        parts, sizes = [{}], [0]
        for name, value in self.arrays.items():
            size = value.numel() * value.element_size()
            if sizes[-1] and sizes[-1] + size > part_bytes:
                parts.append({})
                sizes.append(0)
            parts[-1][name] = value
            sizes[-1] += size
        try:
            if len(parts) == 1:
                save_file(parts[0], out, metadata=self.metadata())
                return [out]
            stem = out[: -len(".safetensors")] if out.endswith(".safetensors") else out
            where = {}
            files = []
            for index, part in enumerate(parts, 1):
                file = f"{stem}-{index:05d}-of-{len(parts):05d}.safetensors"
                save_file(part, file)
                files.append(file)
                where.update({name: os.path.basename(file) for name in part})
            with open(f"{stem}.safetensors.index.json", "w", encoding="utf-8") as index:
                json.dump({"metadata": self.metadata(), "weight_map": where}, index)
            return files + [index.name]
        except (OSError, ValueError, RuntimeError) as error:
            raise InputError(f"{out}: {error}") from None
        except Exception as error:  # the library's own exceptions are not public
            raise InputError(f"{out}: {error}") from None


class record:
    """Context: records every optimizer.step() inside and writes the file at its end, also after an exception.

    optimizer  a torch.optim.Optimizer
    out        the file; of more than `part_bytes`, several and an index, *.safetensors.index.json
    peer       the dialect to judge by; known for the public optimizers
    names      (name, parameter) pairs, as of model.named_parameters()
    scaler     a GradScaler whose skipped steps are to be recorded, too
    storage    how parameters of less than 32 bits are kept: nearest, stochastic, compensated, master, split
    path       "cuda" where the package's own kernels ran
    extra_state  parameter -> {slot: tensor} that is not in optimizer.state, such as a master copy
    """

    def __init__(self, optimizer, out, *, peer=None, names=None, scaler=None, storage=None, path=None, extra_state=None,
                 source=None, part_bytes=PART_BYTES):
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise InputError(f"{type(optimizer).__name__}: not a torch.optim.Optimizer")
        if hasattr(names, "items"):
            names = names.items()
        self.out, self.part_bytes, self.scaler = os.fspath(out), part_bytes, scaler
        self.recording = Recording(optimizer, names, peer, storage, path, extra_state, source)
        self.undo = []

    def __enter__(self):
        made = self.recording
        optimizer = made.optimizer
        for handle in (optimizer.register_step_pre_hook(lambda *_: made.before()),
                       optimizer.register_step_post_hook(lambda *_: made.after())):
            self.undo.append(handle.remove)
        if self.scaler is not None:
            step = self.scaler.step

            @functools.wraps(step)
            def scaled(which, *args, **kwargs):
                taken = made.steps
                result = step(which, *args, **kwargs)
                if which is optimizer and made.steps == taken:
                    made.not_taken()
                return result

            self.scaler.step = scaled
            self.undo.append(lambda: self.scaler.__dict__.pop("step", None))
        module = sys.modules.get(type(optimizer).__module__)
        project = getattr(module, "_get_apollo_proj_matrix", None)
        if project is not None:  # its projections are made anew in every step and kept nowhere

            @functools.wraps(project)
            def projecting(state, *args, **kwargs):
                result = project(state, *args, **kwargs)
                made.saw_projection(state, result[0] if isinstance(result, tuple) else result)
                return result

            module._get_apollo_proj_matrix = projecting
            self.undo.append(lambda: setattr(module, "_get_apollo_proj_matrix", project))
        return made

    def __exit__(self, kind, _error, _traceback):
        for undo in reversed(self.undo):
            undo()
        if kind is None or self.recording.steps > 0:
            self.files = self.recording.write(self.out, self.part_bytes)
        return False


# --- the command line ---


def find_class(path):
    module, _, name = path.rpartition(".")
    if not module:
        raise InputError(f"--optimizer {path}: expected a class path such as torch.optim.Adafactor")
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception as error:  # whatever an import runs into
        raise InputError(f"--optimizer {path}: {error}") from None
    if not (isinstance(found, type) and issubclass(found, torch.optim.Optimizer)):
        raise InputError(f"--optimizer {path}: not a torch.optim.Optimizer")
    return found


def parse_json_object(option, text):
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{option}: not JSON: {error}") from None
    if not isinstance(value, dict):
        raise InputError(f"{option}: expected a JSON object")
    return value


def parse_shape(text):
    try:
        shape = [int(extent) for extent in text.split("x")] if text != "scalar" else []
    except ValueError:
        shape = [0]
    if any(extent < 1 for extent in shape):
        raise InputError(f"--shapes {text}: expected positive extents such as 16x16, or scalar")
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
    elif regime == "zero_row" and shape:
        g[0] = 0
    return g


class MadeUp:
    """Tensors and gradients of every shape and regime."""

    def __init__(self, shapes, regimes, seed):
        self.generator = torch.Generator().manual_seed(seed)
        self.tensors = {}
        for shape in shapes:
            for regime in regimes:
                name = ("x".join(map(str, shape)) or "scalar") + ("" if regime == "gaussian" else f"-{regime}")
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
            raise InputError(f"{path}: {error}") from None
        meta = self.file.metadata() or {}
        if meta.get("format") not in ("optimizer-trace/1", "optimizer-trace/2"):
            raise InputError(f"{path}: expected a file of format optimizer-trace/1 or /2")
        known = parse_json_object(f"{path}: tensors", meta.get("tensors", ""))
        for name in names:
            if name not in known:
                raise InputError(f"{path}: no tensor '{name}': expected one of {', '.join(known)}")
        self.tensors = {name: known[name] for name in (names or known)}
        held = meta.get("steps", "")
        if not held.isdigit():
            raise InputError(f"{path}: steps: expected a number")
        if steps > int(held):
            raise InputError(f"{path}: holds {held} steps, --steps asks for {steps}")
        self.path = path

    def array(self, name):
        try:
            return self.file.get_tensor(name)
        except Exception as error:
            raise InputError(f"{self.path}: {name}: {error}") from None

    def parameter(self, name):
        return self.array(f"param/{name}@0")

    def gradient(self, name, step):
        return self.array(f"grad/{name}@{step}")


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--optimizer", required=True, help="class path, such as torch.optim.Adafactor")
    parser.add_argument("--peer", help="the dialect to compare with: torch, huggingface, came, ... (default: by the class)")
    parser.add_argument("--options", default="{}", help="the optimizer's options as JSON (default: {})")
    parser.add_argument("--gradients", help="a trace file to take parameters and gradients from")
    parser.add_argument("--tensors", nargs="*", default=[], help="tensors of that file (default: all)")
    parser.add_argument("--shapes", nargs="*", default=["7", "5x3", "16x16", "2x4x3"], help="shapes of made-up tensors")
    parser.add_argument("--regimes", nargs="*", default=list(REGIMES), choices=REGIMES, help="of made-up gradients")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--dtype", choices=DTYPES, default="float64", help="of parameters and gradients")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=1, help="of made-up tensors")
    parser.add_argument("--skip-slots", nargs="*", default=[], help="state that is not to be recorded")
    parser.add_argument("--storage", choices=STORAGES, help="how parameters of less than 32 bits are kept")
    parser.add_argument("--path", help="cuda, where the package's own kernels run")
    parser.add_argument("--out", required=True, help="the trace file to write")
    return parser.parse_args(arguments)


def main(arguments):
    args = parse_arguments(arguments)
    if args.steps < 1:
        raise InputError(f"--steps {args.steps}: expected at least 1")
    options = parse_json_object("--options", args.options)
    cls = find_class(args.optimizer)
    if args.gradients:
        source = FromTrace(args.gradients, args.tensors, args.steps)
    else:
        source = MadeUp([parse_shape(shape) for shape in args.shapes], args.regimes, args.seed)
    try:
        parameters = {name: torch.nn.Parameter(source.parameter(name).to(device=args.device, dtype=DTYPES[args.dtype]))
                      for name in source.tensors}
        optimizer = cls(list(parameters.values()), **options)
    except InputError:
        raise
    except Exception as error:  # what an optimizer says to options that it does not take
        raise InputError(f"--options: {cls.__name__}: {error}") from None
    context = record(optimizer, args.out, peer=args.peer, names=parameters, storage=args.storage, path=args.path)
    for name, info in source.tensors.items():
        if info.get("regime"):
            context.recording.tensors[name]["regime"] = info["regime"]
    with context as made:
        for step in range(1, args.steps + 1):
            for name, parameter in parameters.items():
                parameter.grad = source.gradient(name, step).to(device=args.device, dtype=DTYPES[args.dtype])
            try:
                optimizer.step()
            except InputError:
                raise
            except Exception as error:
                raise InputError(f"step {step}: {cls.__name__}: {type(error).__name__}: {error}") from None
        for array in [array for array in made.arrays if array.startswith("state/")
                      and array.rpartition("/")[2].rpartition("@")[0] in args.skip_slots]:
            del made.arrays[array]
    broken = [name for name, value in made.arrays.items() if value.is_floating_point() and value.dtype.itemsize > 1
              and not bool(torch.isfinite(value).all())]
    print(f"{', '.join(context.files)}: {len(source.tensors)} tensors, {args.steps} steps, {len(made.arrays)} arrays"
          + (f"; not finite: {broken[0]} and {len(broken) - 1} more" if broken else ""))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except InputError as problem:
        print(problem.code, file=sys.stderr)
        sys.exit(2)
