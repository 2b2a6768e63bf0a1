"""How compare.py times an optimizer of another package: on the device alone, between events, by the host's clock."""
import gc
import os
import time

LLAMA = "llama-2-7b"
SAMPLE_SECONDS = 0.004  # of one host sample, where a step is shorter


def read_model(path):
    """Shapes of a list in the form of models/: a line is a count and a shape."""
    shapes = []
    with open(path) as file:
        for line in file:
            count, shape = line.split()
            shapes += [tuple(int(extent) for extent in shape.split("x"))] * int(count)
    return shapes


def label_of(name):
    """A model's file without its folder and end; any other name as it is."""
    return os.path.splitext(os.path.basename(name))[0] if name.startswith("@") else name


def shapes_of(name):
    if name.startswith("@"):
        return read_model(name[1:])
    if name == LLAMA:
        layer = [(4096, 4096)] * 4 + [(11008, 4096)] * 2 + [(4096, 11008), (4096,), (4096,)]
        return [(32000, 4096)] * 2 + [(4096,)] + layer * 32
    count, _, shape = name.rpartition("*")
    return [tuple(int(extent) for extent in shape.split("x"))] * int(count or 1)


class Device:
    """What differs between a GPU and the dry run without one."""

    def __init__(self, torch, name):
        self.torch, self.name, self.gpu = torch, name, name == "cuda"
        self.l2 = torch.cuda.get_device_properties(0).L2_cache_size if self.gpu else 1 << 20

    def wait(self):
        if self.gpu:
            self.torch.cuda.synchronize()

    def empty(self):
        gc.collect()
        if self.gpu:
            self.torch.cuda.empty_cache()

    def event_time(self, call):
        """Microseconds of a call on an idle device."""
        if not self.gpu:
            start = time.perf_counter()
            call()
            return (time.perf_counter() - start) * 1e6
        start, stop = (self.torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        stop.record()
        stop.synchronize()
        return start.elapsed_time(stop) * 1e3


class Busy:
    """How long the device works on calls, in a `with` block; a session of the profiler costs too much for one a call."""

    def __init__(self, device):
        self.device, self.labels, self.times = device, [], {}

    def __enter__(self):
        if self.device.gpu:
            from torch.profiler import ProfilerActivity, profile
            self.profiler = profile(activities=[ProfilerActivity.CUDA])
            self.profiler.__enter__()
        return self

    def run(self, label, call):
        """Adds a sample to times[label]."""
        if not self.device.gpu:
            self.times.setdefault(label, []).append(self.device.event_time(call))
            return
        self._border(label)
        call()
        self._border(None)  # what follows is nobody's

    def __exit__(self, kind, error, trace):
        if not self.device.gpu:
            return
        self.device.wait()
        self.profiler.__exit__(kind, error, trace)
        if kind is not None:
            return
        kinds = self.device.torch.autograd.DeviceType
        events = [event for event in self.profiler.profiler.kineto_results.events()
                  if event.device_type() == kinds.CUDA and not event.is_user_annotation()]
        events.sort(key=lambda event: event.start_ns())
        sums = []
        for event in events:
            if "spin_kernel" in event.name():
                sums.append(0.0)
            elif sums:
                sums[-1] += event.duration_ns() * 1e-3
        if len(sums) != len(self.labels):
            raise RuntimeError(f"the profiler shows {len(sums)} borders of {len(self.labels)}")
        for label, microseconds in zip(self.labels, sums):
            if label is not None:
                self.times.setdefault(label, []).append(microseconds)

    def _border(self, label):
        self.labels.append(label)
        self.device.torch.cuda._sleep(1)  # a kernel known by its name, in the one stream that all use


class Tensors:
    """Parameters and gradients of one case, in rotating copies."""

    def __init__(self, device, shape, parameter, gradient):
        torch = device.torch
        types = {"f32": torch.float32, "bf16": torch.bfloat16}
        shapes = shapes_of(shape)
        elements = sum(torch.Size(one).numel() for one in shapes)
        widths = [types[name].itemsize for name in (parameter, gradient)]
        self.bytes = elements * sum(widths)
        copies = max(1 if elements * widths[0] > 1 << 30 else 2, 4 * device.l2 // self.bytes + 1)

        def random(one, name):
            return (torch.randn(one, device=device.name, dtype=torch.float32) * 0.01).to(types[name])

        self.parameters, self.gradients = [], []
        for _ in range(copies):
            set_of = [torch.nn.Parameter(random(one, parameter)) for one in shapes]
            gradients = [random(one, gradient) for one in shapes]
            for p, g in zip(set_of, gradients):
                p.grad = g if parameter == gradient else torch.empty_like(p)
            self.parameters.append(set_of)
            self.gradients.append(None if parameter == gradient else gradients)
        self.convert = torch._foreach_copy_


class Rival:
    """One optimizer over every copy of the tensors."""

    def __init__(self, rivals, device, tensors, name, variant):
        self.device, self.tensors, self.next = device, tensors, 0
        self.optimizers = [rivals.make(name, parameters, variant) for parameters in tensors.parameters]
        for _ in self.optimizers:
            self.step()
        device.wait()
        start = time.perf_counter()
        self.step()
        device.wait()
        self.seconds = time.perf_counter() - start

    def step(self):
        i = self.next
        self.next = (i + 1) % len(self.optimizers)
        gradients = self.tensors.gradients[i]
        if gradients is not None:
            self.convert([p.grad for p in self.tensors.parameters[i]], gradients)
        self.optimizers[i].step()

    def convert(self, to, gradients):
        self.tensors.convert(to, gradients)

    def event_times(self, samples):
        return [self.device.event_time(self.step) for _ in range(samples)]

    def host_times(self, samples):
        steps = max(1, min(8, int(SAMPLE_SECONDS / self.seconds)))
        times = []
        for _ in range(samples):
            start = time.perf_counter()
            for _ in range(steps):
                self.step()
            self.device.wait()
            times.append((time.perf_counter() - start) / steps * 1e6)
        return times
