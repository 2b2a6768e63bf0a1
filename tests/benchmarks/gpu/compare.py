#!/usr/bin/env python3
"""Times one step of ours and of other optimizers, in turn, on one GPU.

    compare.py --bench build/release/step_bench --out compare.json --markdown compare.md

Ours runs in step_bench (see serve.h), the others in this process; both stay on the GPU. In every round each one takes its turn, A B C A B C ...,
over tensors in rotating copies of at least four times the L2 cache, each copy with its own optimizer state. Three times are taken:

device  ours: a replay of a CUDA graph, by events, gaps included. Others: the sum of their kernels, copies and fills, from the profiler;
        gaps between kernels, which a host too slow to launch them leaves, do not count.
event   between CUDA events around one step, the device idle before: what a step costs a training loop that waits for it.
host    from the first of several calls to the end of the last kernel, by the host's clock.

A ratio is that of one round; the table gives the median of rounds and their range. Where gradients have another type than parameters,
which the others do not take, their step includes the conversion. --ncu counts the DRAM bytes of our steps, too.
Needs torch; transformers and adafactor8bit are timed where they can be imported. adafactor8bit builds its kernels at first use, with
nvcc and ninja; --extension takes them ready-made.
"""
import argparse
import datetime
import gc
import json
import subprocess
import sys
import time

import compare_table
from rivals import PLAIN, Rivals, Unavailable

SHAPES = ("4096x4096", "4096x11008", "32000x4096", "11008x4096", "1000*4096", "1024x1024", "512x512", "4097x4095")
QUICK_SHAPES = ("4096x4096", "4096x11008", "32000x4096", "1000*4096")
VARIANTS = ("momentum", "came", "apollo256", "apollo1", "apollo16", "full")
QUICK_VARIANTS = ("came", "apollo256", "momentum")
TYPES = (("f32", "f32"), ("bf16", "bf16"), ("f32", "bf16"))
LLAMA = "llama-2-7b"
HEAVY = 8 << 30  # bytes of parameters and gradients from which the optimizers hold memory only in their turn
SAMPLE_SECONDS = 0.004  # of one host sample, where a step is shorter


class InputError(Exception):
    """Bad input: one line, exit code 2."""


class Bench:
    """step_bench --serve."""

    def __init__(self, program):
        try:
            self.process = subprocess.Popen([*program, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        except OSError as error:
            raise InputError(f"--bench {program[0]}: {error.strerror}") from error

    def ask(self, *words):
        try:
            print(*words, file=self.process.stdin, flush=True)
        except BrokenPipeError:
            pass
        line = self.process.stdout.readline()
        if not line:
            raise InputError(f"--bench: ended with {self.process.wait()} at '{' '.join(map(str, words))}'")
        answer = json.loads(line)
        if "error" in answer:
            raise Unavailable(answer["error"])
        return answer

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=60)


def shapes_of(name):
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


class Case:
    """One row of the report: every subject's samples, round by round."""

    def __init__(self, bench, rivals, device, case):
        self.bench, self.rivals, self.device = bench, rivals, device
        self.shape, self.parameter, self.gradient, self.ours, self.others = case
        self.tensors = Tensors(device, self.shape, self.parameter, self.gradient)
        self.heavy = self.tensors.bytes > HEAVY
        self.opened, self.made, self.subjects = {}, {}, {}

    def enter(self, name):
        """Takes memory and warms up. False: the subject cannot run."""
        subject = self.subjects.setdefault(name, {"device_us": [], "event_us": [], "host_us": []})
        try:
            if name in self.ours:
                what = self.bench.ask("open", self.shape, self.parameter, self.gradient, name)
                self.opened[name] = what.pop("id")
                subject["step"] = what
            else:
                self.made[name] = Rival(self.rivals, self.device, self.tensors, name, self.ours[0])
        except Unavailable as error:
            subject["error"] = str(error)
        except self.device.torch.OutOfMemoryError:
            subject["error"] = "out of memory"
        except Exception as error:  # a rival's own: it is reported, and the others go on
            if name in self.ours:
                raise
            subject["error"] = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        if "error" in subject:
            self.device.empty()
        return "error" not in subject

    def leave(self, name):
        if name in self.opened:
            self.bench.ask("close", self.opened.pop(name))
        if self.made.pop(name, None) is not None:
            self.device.empty()

    def turn(self, name, number, samples, busy):
        """One subject's turn of round `number`: with `busy`, an open profiler, device times, else the others."""
        subject = self.subjects[name]
        if name in self.opened:
            for kind in ("device",) if busy else ("event", "host"):
                subject[f"{kind}_us"].append(self.bench.ask("time", self.opened[name], kind, samples)["us"])
            return
        rival = self.made[name]
        if rival.seconds > 0.02:  # tens of thousands of launches: a few say it
            samples = 2 if rival.seconds < 0.1 else 1
            if number >= 2:
                return
        if busy:
            for _ in range(samples):
                busy.run((name, number), rival.step)
        else:
            subject["event_us"].append(rival.event_times(samples))
            subject["host_us"].append(rival.host_times(samples))

    def rounds(self, count, samples, busy):
        if self.heavy and count > 2:  # entering takes longer than the turn
            count, samples = 2, samples * count // 2
        for number in range(count):
            for name in (*self.ours, *self.others):
                if "error" in self.subjects.get(name, {}) or (name not in self.opened and name not in self.made and not self.enter(name)):
                    continue
                try:
                    self.turn(name, number, samples, busy)
                except self.device.torch.OutOfMemoryError:
                    self.subjects[name]["error"] = "out of memory"
                if self.heavy or "error" in self.subjects[name]:
                    self.leave(name)

    def run(self, rounds, samples):
        try:
            self.rounds(rounds, samples, None)
            with Busy(self.device) as busy:
                self.rounds(rounds, samples, busy)
            for (name, _), times in sorted(busy.times.items()):
                self.subjects[name]["device_us"].append(times)
        finally:
            for name in list(self.opened) + list(self.made):
                self.leave(name)
            self.tensors = None
            self.device.empty()
        return {"shape": self.shape, "parameter": self.parameter, "gradient": self.gradient, "subjects": self.subjects}


def cases(quick, wanted):
    """(shape, parameter, gradient, ours, rivals), most wanted first; of the shapes `wanted` alone where there are any."""
    def plain(shapes, all_types):
        return [(shape, *types, ("carried", "fresh"), PLAIN) for types in all_types for shape in shapes]

    def variants(shape, names):
        return [(shape, *types, (name,), ("adafactor8bit",)) for types in TYPES[:2] for name in names]

    large = [shape for shape in QUICK_SHAPES if "*" not in shape]
    every = plain(large, TYPES[:2]) + variants(large[0], QUICK_VARIANTS) + plain(["1000*4096"], TYPES[:1])
    every.append((LLAMA, "bf16", "bf16", ("carried",), PLAIN))
    if not quick:
        every += plain([shape for shape in SHAPES if shape not in QUICK_SHAPES], TYPES[:2])
        every += variants(large[0], [name for name in VARIANTS if name not in QUICK_VARIANTS]) + plain(large, TYPES[2:])
        every += variants(large[1], QUICK_VARIANTS) + plain(["1000*4096"], TYPES[1:2])
    known = {case[0] for case in every}
    return [case for case in every if not wanted or case[0] in wanted] + plain([s for s in wanted or () if s not in known], TYPES)


def count_bytes(ncu, bench, jobs):
    """DRAM bytes of one step of ours, from the profiler's counters, and what the model says. jobs: 'SHAPE P G VARIANT'."""
    steps = 4
    command = [ncu, "--profile-from-start", "off", "--cache-control", "none", "--clock-control", "none", "--csv", "--print-units",
               "base", "--metrics", "dram__bytes_read.sum,dram__bytes_write.sum", *bench, "--marked-steps", str(steps)]
    for job in jobs:
        command += ["--marked", job]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"error": f"{ncu}: {error}"}
    return compare_table.parse_counters(done.stdout) or {"error": (done.stdout + done.stderr)[-600:]}


def to_json(report):
    """The report, one case a line."""
    head = json.dumps({name: value for name, value in report.items() if name != "cases"})
    rows = ",\n".join(json.dumps(row) for row in report["cases"])
    return f'{head[:-1]}, "cases": [\n{rows}\n]}}\n'


def driver_version():
    try:
        done = subprocess.run(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"], capture_output=True, text=True,
                              timeout=20)
        return done.stdout.strip().splitlines()[0]
    except (OSError, IndexError, subprocess.TimeoutExpired):
        return None


def measure(options):
    started = time.monotonic()
    bench = Bench(options.bench)
    try:
        import torch
    except ImportError as error:
        raise InputError(str(error)) from error
    device = Device(torch, options.device)
    if device.gpu and not torch.cuda.is_available():
        raise InputError("no CUDA device")
    torch.manual_seed(options.seed)
    rivals = Rivals(torch, options.extension)
    rounds, samples = (3, 10) if options.quick else (4, 8)
    report = {"date": datetime.date.today().isoformat(), "commit": options.commit, "seed": options.seed, "rounds": rounds,
              "quick": options.quick, "device": device.name, "driver": driver_version() if device.gpu else None,
              "cuda": torch.version.cuda, "versions": rivals.versions(), "machine": [bench.ask("machine", 15)], "cases": []}
    for case in cases(options.quick, options.shapes):
        passed = time.monotonic() - started
        if passed > options.seconds:
            report.setdefault("left_out", []).append(" ".join((*case[:3], *case[3])))
            continue
        row = Case(bench, rivals, device, case).run(rounds, samples)
        row["seconds"] = time.monotonic() - started - passed
        report["cases"].append(row)
        print(compare_table.line(row), flush=True)
    report["machine"].append(bench.ask("machine", 15))
    bench.close()
    if options.ncu:
        jobs = [f"{row['shape']} {row['parameter']} {row['gradient']} {name}" for row in report["cases"]
                for name, subject in row["subjects"].items()
                if "step" in subject and name != "fresh" and row["parameter"] == row["gradient"] and row["shape"] != LLAMA]
        report["counters"] = count_bytes(options.ncu, options.bench, jobs)
    report["seconds"] = time.monotonic() - started
    return report


def run(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bench", nargs="+", metavar="PROGRAM", help="step_bench, with arguments where it needs some")
    parser.add_argument("--out", help="file for every sample, as JSON")
    parser.add_argument("--markdown", help="file for the tables")
    parser.add_argument("--summary", help="file for a short table")
    parser.add_argument("--from", dest="source", help="a JSON file of an earlier run, to make tables from")
    parser.add_argument("--shapes", nargs="+", help="these alone")
    parser.add_argument("--quick", action="store_true", help="fewer shapes, variants and rounds")
    parser.add_argument("--seconds", type=float, default=600, help="after this time no other case is begun")
    parser.add_argument("--extension", help="adafactor8bit's CUDA module, built elsewhere (.so)")
    parser.add_argument("--ncu", nargs="?", const="ncu", help="count DRAM bytes with this program")
    parser.add_argument("--commit", default=None, help="what was built, for the report")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"), help="cpu: a dry run, whose figures mean nothing")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    if options.source:
        try:
            with open(options.source) as file:
                report = json.load(file)
        except (OSError, ValueError) as error:
            raise InputError(f"--from {options.source}: {error}") from error
    elif options.bench:
        report = measure(options)
    else:
        raise InputError("--bench or --from is needed")
    for path, text in ((options.out, to_json(report)), (options.markdown, compare_table.markdown(report)),
                       (options.summary, compare_table.summary(report))):
        if path:
            with open(path, "w") as file:
                file.write(text)
    if not (options.out or options.markdown or options.summary):
        print(compare_table.markdown(report))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(run(sys.argv[1:]))
    except InputError as error:
        print(f"compare.py: {error}", file=sys.stderr)
        sys.exit(2)
