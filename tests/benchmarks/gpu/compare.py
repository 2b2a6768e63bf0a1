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
import json
import subprocess
import sys
import time

import compare_table
from compare_measure import LLAMA, Busy, Device, Rival, Tensors, label_of, read_model
from rivals import PLAIN, Rivals, Unavailable

SHAPES = ("4096x4096", "4096x11008", "32000x4096", "11008x4096", "1000*4096", "1024x1024", "512x512", "4097x4095")
QUICK_SHAPES = ("4096x4096", "4096x11008", "32000x4096", "1000*4096")
VARIANTS = ("momentum", "came", "apollo256", "apollo1", "apollo16", "full")
QUICK_VARIANTS = ("came", "apollo256", "momentum")
TYPES = (("f32", "f32"), ("bf16", "bf16"), ("f32", "bf16"))
HEAVY = 8 << 30  # bytes of parameters and gradients from which the optimizers hold memory only in their turn


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
            self.device.wait()  # two processes at work share the GPU by slices of milliseconds
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
        return {"shape": label_of(self.shape), "parameter": self.parameter, "gradient": self.gradient, "subjects": self.subjects}


def model_cases(models):
    """Every list in float32 and bfloat16: fresh norms as the others have them, and all second moments."""
    return [(f"@{path}", *types, ours, rivals) for path in models for types in TYPES[:2]
            for ours, rivals in ((("fresh", "carried"), PLAIN), (("full",), ("adafactor8bit", "adamw")))]


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


def write(options, report):
    """The files that were asked for."""
    for path, text in ((options.out, to_json), (options.markdown, compare_table.markdown), (options.summary, compare_table.summary)):
        if path:
            with open(path, "w") as file:
                file.write(text(report))


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
    for case in model_cases(options.model) if options.model else cases(options.quick, options.shapes):
        passed = time.monotonic() - started
        if passed > options.seconds:
            report.setdefault("left_out", []).append(" ".join((label_of(case[0]), *case[1:3], *case[3])))
            continue
        row = Case(bench, rivals, device, case).run(rounds, samples)
        row["seconds"] = time.monotonic() - started - passed
        report["cases"].append(row)
        print(compare_table.line(row), flush=True)
        write(options, report)  # a run that is ended from outside leaves what it has
    report["machine"].append(bench.ask("machine", 15))
    bench.close()
    write(options, report)
    if options.ncu:
        jobs = [f"{row['shape']} {row['parameter']} {row['gradient']} {name}" for row in report["cases"]
                for name, subject in row["subjects"].items()
                if "step" in subject and name != "fresh" and row["parameter"] == row["gradient"] and row["shape"] != LLAMA
                and not options.model]
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
    parser.add_argument("--model", nargs="+", metavar="FILE", help="lists of a model's tensors, these alone: a line a count and a shape")
    parser.add_argument("--quick", action="store_true", help="fewer shapes, variants and rounds")
    parser.add_argument("--seconds", type=float, default=100, help="after this time no other case is begun")
    parser.add_argument("--extension", help="adafactor8bit's CUDA module, built elsewhere (.so)")
    parser.add_argument("--ncu", nargs="?", const="ncu", help="count DRAM bytes with this program")
    parser.add_argument("--remark", action="append", default=[], help="what a reader of these figures should know")
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
        for path in options.model or ():
            try:
                read_model(path)
            except (OSError, ValueError) as error:
                raise InputError(f"--model {path}: {error}") from error
        report = measure(options)
    else:
        raise InputError("--bench or --from is needed")
    if options.remark:
        report["remarks"] = report.get("remarks", []) + options.remark
    write(options, report)
    if not (options.out or options.markdown or options.summary):
        print(compare_table.markdown(report))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(run(sys.argv[1:]))
    except InputError as error:
        print(f"compare.py: {error}", file=sys.stderr)
        sys.exit(2)
