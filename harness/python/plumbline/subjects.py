"""What can be judged: a torch optimizer class, a class of arrays, or a plain function; and how each is driven.

* ``torch.optim.Optimizer`` classes are taken as they are.
* A class ``C(parameters, **options)`` gets a list of arrays and has ``step(parameters, gradients)``, which updates them in
  place (they lie elsewhere in every step; a gradient may be None), and perhaps ``state()``, a mapping from the dialect's
  names of slots to arrays (to lists of them where there are several parameters), ``save()`` and ``load(saved)``.
* A function ``f(parameter, gradient, state, t, **options)`` returns the new parameter or updates it in place. ``state``
  is a dictionary that is empty before the first step; arrays in it are shown under their names.

Arrays are numpy's unless ``arrays="torch"`` is said; options come under the dialect's names, those alone that differ
from its defaults.
"""

from __future__ import annotations

import copy
import importlib
import importlib.util
import inspect
import json
import math
import os
import sys
from typing import Any, Callable, Mapping, Optional, Sequence, TypeVar, Union
from urllib.parse import unquote

import numpy

from plumbline.buffers import Broken, DeviceBuffer, HostBuffer

__all__ = ["Broken", "Cannot", "Subject", "adapt", "load_target", "subject"]

# What a subject may say of itself; the rest of what subject() is given are constant arguments of it.
CAPABILITIES = (
    "name", "dialect", "parameter", "gradient", "place", "largest", "rank", "exponent", "steps", "alignment",
    "options", "state", "arithmetic", "promises",
)  # fmt: skip
ELEMENT = {"f32": 4, "f64": 8, "bf16": 2, "f16": 2}
NUMPY = {"f32": numpy.float32, "f64": numpy.float64, "f16": numpy.float16}

T = TypeVar("T")


class Cannot(Exception):
    """This problem is not one that the subject takes: an answer, not an error."""


def subject(*, arrays: str = "numpy", device: str = "cpu", **settings: Any) -> Callable[[T], T]:
    """Says of a class or a function what it is: ``@plumbline.subject(dialect="torch", parameter=["f32"])``.

    ``arrays`` is "numpy" or "torch", ``device`` a torch device. What is not a capability is handed to the subject with
    every problem, whatever its options: ``foreach=True``.
    """

    def mark(target: T) -> T:
        setattr(target, "__plumbline__", {"arrays": arrays, "device": device, **settings})
        return target

    return mark


def load_target(text: str) -> tuple[Any, dict[str, Any]]:
    """The object that "package.module:Name" or "file.py:Name" names, and the settings that follow it."""
    place, _, query = text.partition("?")
    module_name, colon, name = place.rpartition(":")
    if not colon or not module_name or not name:
        raise Cannot(f"{place}: expected package.module:Name or file.py:Name")
    if module_name.endswith(".py"):
        if not os.path.exists(module_name):
            raise Cannot(f"{module_name}: no such file")
        sys.path.insert(0, os.path.dirname(os.path.abspath(module_name)))
        spec = importlib.util.spec_from_file_location(os.path.basename(module_name)[:-3], module_name)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    else:
        module = importlib.import_module(module_name)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise Cannot(f"{module_name} has no {name}")
        found = getattr(found, part)
    settings: dict[str, Any] = {}
    for word in filter(None, query.split("&")):
        key, _, value = word.partition("=")
        try:
            settings[key] = json.loads(unquote(value))
        except ValueError:
            settings[key] = unquote(value)
    return found, settings


def _is_torch_optimizer(target: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and inspect.isclass(target) and issubclass(target, torch.optim.Optimizer)


def adapt(target: Any, settings: Optional[Mapping[str, Any]] = None) -> "Subject":
    """A subject for whatever can be judged."""
    said = {**getattr(target, "__plumbline__", {}), **(settings or {})}
    if not callable(target):
        raise Cannot(f"{target!r}: expected a class or a function")
    return Subject(target, said)


class Subject:
    """A target with its settings: describes itself and starts sessions."""

    def __init__(self, target: Any, settings: Mapping[str, Any]) -> None:
        self.target = target
        self.torch_optimizer = _is_torch_optimizer(target)
        self.device = str(settings.get("device", "cpu"))
        self.arrays = "torch" if self.torch_optimizer else str(settings.get("arrays", "numpy"))
        if self.arrays not in ("numpy", "torch"):
            raise Cannot(f"arrays={self.arrays}: expected numpy or torch")
        self.capabilities = {k: v for k, v in settings.items() if k in CAPABILITIES}
        self.constants = {k: v for k, v in settings.items() if k not in CAPABILITIES and k not in ("arrays", "device")}

    def describe(self) -> dict[str, Any]:
        """The capabilities: what driver and subject agree on before the first problem."""
        return self.capabilities

    def start(self, problem: Mapping[str, Any], memory: Any) -> "Session":
        return Session(self, problem, memory)


class _Tensor:
    """One parameter with its gradient: what it is, and the memory that is lent."""

    def __init__(self, subject: Subject, described: Mapping[str, Any], alignment: int) -> None:
        self.name, self.shape, self.group = described["name"], tuple(described["shape"]), described.get("group", 0)
        self.types = {what: described[what] for what in ("parameter", "gradient")}
        self.at = {what: described[f"{what}_at"] for what in ("parameter", "gradient")}
        self.numpy = subject.arrays == "numpy"
        count = math.prod(self.shape)

        def buffer(what: str) -> Union[HostBuffer, DeviceBuffer]:
            arguments = (f"{what} '{self.name}'", count, ELEMENT[self.types[what]], alignment)
            on_host = self.numpy or subject.device.startswith("cpu")
            return HostBuffer(*arguments) if on_host else DeviceBuffer(*arguments, subject.device)

        self.buffers = {what: buffer(what) for what in ("parameter", "gradient")}
        self.given = b""  # the gradient's bytes
        self.options: dict[str, Any] = {}
        self.kept: dict[str, Any] = {}  # state of a function
        self.t = 0
        self.leaf: Any = None  # torch's

    def read(self, memory: Any, what: str) -> bytes:
        return memory[self.at[what] : self.at[what] + self.buffers[what].bytes]

    def lend(self, what: str, t: int, data: bytes) -> Any:
        place, offset = self.buffers[what].lend(t, data)
        kind, size = self.types[what], self.buffers[what].bytes
        if self.numpy:
            if kind not in NUMPY:
                raise Cannot("numpy has no bfloat16")
            return place[offset : offset + size].view(NUMPY[kind]).reshape(self.shape)
        import torch

        types = {"f32": torch.float32, "f64": torch.float64, "bf16": torch.bfloat16, "f16": torch.float16}
        whole = torch.from_numpy(place) if isinstance(place, numpy.ndarray) else place
        return whole[offset : offset + size].view(types[kind]).view(self.shape)

    def check(self) -> None:
        for buffer in self.buffers.values():
            buffer.check()
        if self.buffers["gradient"].data() != self.given:
            raise Broken(f"wrote to the gradient '{self.name}'")


class Session:
    """One optimizer at work on the tensors of one problem."""

    def __init__(self, subject: Subject, problem: Mapping[str, Any], memory: Any) -> None:
        self.subject = subject
        self.is_class = inspect.isclass(subject.target) and not subject.torch_optimizer
        self.groups = [{**subject.constants, **group} for group in problem["groups"]]
        alignment = int(problem.get("alignment", 1))
        self.tensors = [_Tensor(subject, described, alignment) for described in problem["tensors"]]
        self.parameters = [t.lend("parameter", 0, t.read(memory, "parameter")) for t in self.tensors]
        for tensor in self.tensors:
            tensor.options = self.groups[tensor.group]
        self.made = self.make()

    def make(self) -> Any:
        """The optimizer under this problem's options; what it does not take it refuses here."""
        target = self.subject.target
        if self.subject.torch_optimizer:
            import torch

            if any(tensor.types["parameter"] != tensor.types["gradient"] for tensor in self.tensors):
                raise Cannot("torch takes gradients of the parameter's type alone")
            groups = []
            for tensor, parameter in zip(self.tensors, self.parameters):
                tensor.leaf = torch.nn.Parameter(parameter)
                options = {k: tuple(v) if isinstance(v, list) else v for k, v in tensor.options.items()}
                groups.append({"params": [tensor.leaf], **options})
            if len(groups) == 1:  # the way of the constructor's own checks
                options = groups[0]
                return self.refused(lambda: target(options.pop("params"), **options))
            return self.refused(lambda: target(groups))
        if self.is_class:
            if len(self.groups) > 1:
                raise Cannot("one group of options only")
            return self.refused(lambda: target(list(self.parameters), **self.groups[0]))
        signature = inspect.signature(target).parameters
        if not any(p.kind is p.VAR_KEYWORD for p in signature.values()):
            for name in self.groups[0]:
                if name not in signature:
                    raise Cannot(f"no option {name}")
        return target

    def refused(self, build: Callable[[], T]) -> T:
        try:
            return build()
        except (TypeError, ValueError, NotImplementedError) as error:
            raise Cannot(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}") from error

    def step(self, t: int, absent: Sequence[int], memory: Any) -> None:
        gradients = []
        for k, tensor in enumerate(self.tensors):
            self.parameters[k] = tensor.lend("parameter", t, tensor.buffers["parameter"].data())
            tensor.given = tensor.read(memory, "gradient")
            gradient = tensor.lend("gradient", t, tensor.given)
            gradients.append(None if k in absent else gradient)
        if self.subject.torch_optimizer:
            for tensor, parameter, gradient in zip(self.tensors, self.parameters, gradients):
                tensor.leaf.data, tensor.leaf.grad = parameter, gradient
            self.made.step()
            for tensor, parameter in zip(self.tensors, self.parameters):
                # An optimizer may put another tensor in the parameter's place: its numbers are what counts.
                if tensor.leaf.data.data_ptr() != parameter.data_ptr():
                    self.accept(tensor.leaf.data, parameter)
        elif self.is_class:
            self.made.step(list(self.parameters), gradients)
        else:
            for tensor, parameter, gradient in zip(self.tensors, self.parameters, gradients):
                if gradient is None:
                    continue
                tensor.t += 1
                returned = self.made(parameter, gradient, tensor.kept, tensor.t, **tensor.options)
                if returned is not None and returned is not parameter:
                    self.accept(returned, parameter)
        if self.subject.arrays == "torch" and self.subject.device.startswith("cuda"):
            import torch

            torch.cuda.synchronize()
        for tensor in self.tensors:
            tensor.check()
            buffer = tensor.buffers["parameter"]
            memory[tensor.at["parameter"] : tensor.at["parameter"] + buffer.bytes] = buffer.data()

    @staticmethod
    def accept(returned: Any, parameter: Any) -> None:
        if tuple(returned.shape) != tuple(parameter.shape):
            raise ValueError(f"returned shape {tuple(returned.shape)}: expected {tuple(parameter.shape)}")
        if returned.dtype != parameter.dtype:
            raise TypeError(f"returned {returned.dtype}: expected {parameter.dtype}")
        parameter[...] = returned

    def state(self) -> Sequence[tuple[str, str, Sequence[int], bytes, int]]:
        """(name, type, shape, bytes, tensor) of the arrays that it keeps."""
        out = []
        for k, tensor in enumerate(self.tensors):
            if self.subject.torch_optimizer:
                shown: Mapping[str, Any] = self.made.state.get(tensor.leaf, {})
            elif self.is_class:
                shown = self.made.state() if hasattr(self.made, "state") else {}
            else:
                shown = tensor.kept
            for name, value in shown.items():
                # A class shows a list, an array for each tensor, where there are several.
                if self.is_class and len(self.tensors) > 1:
                    value = value[k]
                out += [(*item, k) for item in _described(str(name), value)]
        return out

    def reload(self) -> None:
        """Through what is saved into a new optimizer."""
        if self.subject.torch_optimizer:
            saved = copy.deepcopy(self.made.state_dict())
            self.parameters = [tensor.leaf.data for tensor in self.tensors]
            self.made = self.make()
            self.made.load_state_dict(saved)
        elif self.is_class:
            if not hasattr(self.made, "save") or not hasattr(self.made, "load"):
                raise Cannot("the class has no save() and load()")
            saved = copy.deepcopy(self.made.save())
            self.made = self.make()
            self.made.load(saved)
        else:
            for tensor in self.tensors:
                tensor.kept = copy.deepcopy(tensor.kept)


_TORCH_NAMES = {"torch.float32": "f32", "torch.float64": "f64", "torch.bfloat16": "bf16", "torch.float16": "f16",
                "torch.uint8": "u8", "torch.int8": "i8", "torch.int16": "i16", "torch.int32": "i32", "torch.int64": "i64"}  # fmt: skip
_NUMPY_NAMES = {"float32": "f32", "float64": "f64", "float16": "f16", "uint8": "u8", "int8": "i8", "uint16": "u16",
                "int16": "i16", "uint32": "u32", "int32": "i32", "uint64": "u64", "int64": "i64", "bfloat16": "bf16"}  # fmt: skip


def _described(name: str, value: Any) -> Sequence[tuple[str, str, Sequence[int], bytes]]:
    """An array on the wire; nothing for what is none (a count, a flag)."""
    if isinstance(value, float):
        value = numpy.float64(value)
    if isinstance(value, (numpy.ndarray, numpy.generic)):
        kind = _NUMPY_NAMES.get(value.dtype.name)
        return [] if kind is None else [(name, kind, value.shape, numpy.ascontiguousarray(value).tobytes())]
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        kind = _TORCH_NAMES.get(str(value.dtype))
        if kind is None:
            return []
        flat = value.detach().contiguous().reshape(-1).cpu()
        return [(name, kind, tuple(value.shape), flat.view(torch.uint8).numpy().tobytes())]
    return []
