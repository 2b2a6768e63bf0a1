"""Tables of what compare.py measured. Needs nothing but the report."""
import csv
import io
import re
import statistics

from rivals import LABELS, PLAIN

OURS = ("carried", "fresh", "momentum", "came", "apollo1", "apollo16", "apollo256", "full")
NAMES = {"momentum": "momentum, uf4", "came": "CAME, uf4", "apollo1": "APOLLO, rank 1", "apollo16": "APOLLO, rank 16",
         "apollo256": "APOLLO, rank 256, uf4 momentum", "full": "full second moment"}


class Aim:
    """One figure to reach, at least `least` or at most `most`. by_event: the same by the other measure, where there are two."""

    def __init__(self, text, value, by_event=None, least=None, most=None):
        self.text, self.value, self.by_event, self.least, self.most = text, value, by_event, least, most

    def reached(self, value):
        return value >= self.least if self.least is not None else value <= self.most

    def cells(self):
        def cell(value):
            return "" if value is None else f"{value:.3g}" + ("" if self.reached(value) else ", missed")
        return [self.text, f"≥ {self.least:g}" if self.least is not None else f"≤ {self.most:g}", cell(self.value), cell(self.by_event)]


def flat(samples):
    return [one for round_of in samples for one in round_of]


def middle(subject, which):
    """Median microseconds of all samples; None where there are none."""
    samples = flat(subject.get(which, []))
    return statistics.median(samples) if samples else None


def ratio(other, ours, which):
    """(median, least, most) over rounds of other/ours; None where either has no samples."""
    rounds = [statistics.median(a) / statistics.median(b) for a, b in zip(other.get(which, []), ours.get(which, [])) if a and b]
    return (statistics.median(rounds), min(rounds), max(rounds)) if rounds else None


def copy_rate(report):
    return max(machine["copy_gb_s"] for machine in report["machine"])


def of_copy(report, subject):
    time = middle(subject, "device_us")
    return subject["step"]["model_bytes"] / time * 1e-3 / copy_rate(report) if time else None


def types(row):
    return row["parameter"] if row["parameter"] == row["gradient"] else f"{row['parameter']}, gradients {row['gradient']}"


def number(value):
    if value is None:
        return "–"
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def times(value):
    if value is None:
        return "–"
    text = "{:.2f}" if value[0] < 10 else "{:.1f}" if value[0] < 100 else "{:.0f}"
    low, high = text.format(value[1]), text.format(value[2])
    return f"{text.format(value[0])}×" + (f" ({low}–{high})" if low != high else "")


def line(row):
    """One row for a terminal."""
    parts = []
    for name, subject in row["subjects"].items():
        parts.append(f"{name} {number(middle(subject, 'device_us'))}" if flat(subject["device_us"]) else f"{name} ({subject.get('error', 'none')})")
    return f"{row['shape']} {types(row)}: device us: " + ", ".join(parts) + f"  [{row.get('seconds', 0):.1f} s]"


def table(head, rows):
    return ["| " + " | ".join(head) + " |", "|" + "|".join(" --- " for _ in head) + "|"] + ["| " + " | ".join(r) + " |" for r in rows] + [""]


def parse_counters(text):
    """DRAM bytes of a step by job, from ncu's CSV of step_bench --marked. Empty where there is none."""
    jobs = [(m[1], int(m[2]), float(m[3])) for m in re.finditer(r"^marked (.+) steps (\d+) elements \d+ model_bytes (\S+)$", text, re.M)]
    at = text.find('"ID","')
    if at < 0 or not jobs:
        return {}
    launches = {}
    for entry in csv.DictReader(io.StringIO(text[at:])):
        if not (entry.get("ID") or "").isdigit():
            continue
        name, metrics = launches.setdefault(int(entry["ID"]), (entry["Kernel Name"], {}))
        metrics[entry["Metric Name"]] = float(entry["Metric Value"].replace(",", ""))
    steps, launched = [], []
    for _, (name, metrics) in sorted(launches.items()):
        if "step_marker" in name:
            steps.append(0.0)
            launched.append(0)
        elif steps:
            steps[-1] += sum(metrics.values())
            launched[-1] += 1
    result, first = {}, 0
    for job, count, model in jobs:
        mine = steps[first:first + count]
        if len(mine) == count:
            result[job] = {"bytes": statistics.mean(mine), "model_bytes": model, "kernels": launched[first]}
        first += count
    return result


def counted(report, row, name):
    """DRAM bytes of a step over those of the model; None where they were not counted."""
    found = report.get("counters", {}).get(f"{row['shape']} {row['parameter']} {row['gradient']} {name}")
    return found["bytes"] / found["model_bytes"] if found else None


def find(report, shape, parameter, gradient, ours):
    for row in report["cases"]:
        if (row["shape"], row["parameter"], row["gradient"]) == (shape, parameter, gradient) and ours in row["subjects"]:
            return row
    return None


def aims(report):
    """What the design asks for, where the run has it, of the variant with carried norms."""
    result = []

    def ours(shape, dtype, name="carried"):
        row = find(report, shape, dtype, dtype, name)
        return (row, row["subjects"][name]) if row else (None, None)

    def add(text, value, by_event=None, **bound):
        if value is not None:
            result.append(Aim(text, value, by_event, **bound))

    for dtype, small in (("f32", 0.88), ("bf16", 0.82)):
        for shape, least in (("4096x4096", small), ("4096x11008", 0.90), ("11008x4096", 0.90), ("32000x4096", 0.90)):
            row, subject = ours(shape, dtype)
            if row:
                add(f"{shape} {dtype}: rate over that of a copy", of_copy(report, subject), least=least)
                add(f"{shape} {dtype}: DRAM bytes over the model's", counted(report, row, "carried"), most=1.05)
    best = {"torch": "torch", "torch_foreach": "torch"}
    wanted = [("4096x4096", "f32", "carried", "adafactor8bit", 3), ("4096x4096", "bf16", "carried", "adafactor8bit", 6),
              ("32000x4096", "f32", "carried", "adafactor8bit", 2.7), ("32000x4096", "bf16", "carried", "adafactor8bit", 2.7),
              ("4096x4096", "f32", "came", "adafactor8bit", 5), ("4096x4096", "bf16", "came", "adafactor8bit", 5),
              ("4096x4096", "f32", "apollo256", "adafactor8bit", 4), ("4096x4096", "bf16", "apollo256", "adafactor8bit", 4),
              ("4096x4096", "f32", "carried", "torch", 6), ("4096x4096", "bf16", "carried", "torch", 9),
              ("32000x4096", "f32", "carried", "torch", 4), ("32000x4096", "bf16", "carried", "torch", 4),
              ("4096x4096", "f32", "carried", "adamw", 2), ("4096x4096", "bf16", "carried", "adamw", 2.5),
              ("4096x11008", "f32", "carried", "adamw", 2), ("4096x11008", "bf16", "carried", "adamw", 2.5),
              ("32000x4096", "f32", "carried", "adamw", 1.85), ("32000x4096", "bf16", "carried", "adamw", 1.85)]
    for shape, dtype, name, other, least in wanted:
        row, subject = ours(shape, dtype, name)
        if not row:
            continue
        def least_ratio(which, row=row, subject=subject, other=other):  # torch offers two ways; the faster one counts
            found = [ratio(row["subjects"][key], subject, which) for key in row["subjects"] if best.get(key, key) == other]
            return min((one[0] for one in found if one), default=None)
        what = "" if name == "carried" else f", {NAMES[name]}"
        add(f"{shape} {dtype}{what}: times as fast as {LABELS[other]}", least_ratio("device_us"), least_ratio("event_us"), least=least)
    row, subject = ours("llama-2-7b", "bf16")
    if row and middle(subject, "device_us"):
        add("llama-2-7b bf16: time over model bytes at the copy rate", 1 / of_copy(report, subject), most=1.2)
        add("llama-2-7b bf16: launches of a step", subject["step"]["launches"], most=10)
    row, subject = ours("1000*4096", "f32")
    if row:
        add("1000*4096 f32: microseconds of a step", middle(subject, "device_us"), middle(subject, "event_us"), most=40)
    row, subject = ours("4096x4096", "f32")
    if row:
        add("4096x4096 f32: MB of scratch", subject["step"]["scratch_bytes"] / 1e6, most=5)
    return result


def ours_rows(report):
    for row in report["cases"]:
        for name, subject in row["subjects"].items():
            if "step" not in subject and "error" not in subject or name not in OURS:
                continue
            time = middle(subject, "device_us")
            if time is None:
                yield [row["shape"], types(row), NAMES.get(name, name), subject.get("error", "–")] + ["–"] * 8
                continue
            step, samples = subject["step"], flat(subject["device_us"])
            yield [row["shape"], types(row), NAMES.get(name, name), number(time), f"{number(min(samples))}–{number(max(samples))}",
                   number(middle(subject, "event_us")), number(middle(subject, "host_us")), f"{step['model_bytes'] / step['elements']:.1f}",
                   f"{counted(report, row, name):.3f}" if counted(report, row, name) else "–", f"{of_copy(report, subject):.2f}",
                   str(step["launches"]), f"{step['scratch_bytes'] / 1e6:.1f}"]


def ratio_rows(report, which):
    others = PLAIN
    for row in report["cases"]:
        for name, subject in row["subjects"].items():
            if name in ("carried", "fresh") and any(other in row["subjects"] for other in others):
                yield [row["shape"], types(row), name] + [times(ratio(row["subjects"].get(other, {}), subject, which)) for other in others]


def variant_rows(report):
    for row in report["cases"]:
        for name, subject in row["subjects"].items():
            if name in OURS[2:]:
                other = row["subjects"].get("adafactor8bit", {})
                yield [row["shape"], types(row), NAMES[name], number(middle(subject, "device_us")), number(middle(other, "device_us")),
                       times(ratio(other, subject, "device_us")), times(ratio(other, subject, "event_us")), times(ratio(other, subject, "host_us"))]


def head(report):
    machine, versions = report["machine"][0], report["versions"]
    said = [f"torch {versions['torch']}"] + [f"{name} {versions[name]}" for name in ("transformers", "adafactor8bit") if versions.get(name)]
    return (f"{machine['device']}, driver {report['driver']}, CUDA {report['cuda']}, {', '.join(said)}; {report['date']}, commit {report['commit']}. "
            f"Copies of 1 GiB in the same run: {', '.join(format(one['copy_gb_s'], ',.0f') for one in report['machine'])} GB/s, read and written, "
            "at the start and at the end.")


def remarks(report):
    return [line for remark in report.get("remarks", []) for line in (remark, "")]


def markdown(report):
    """All tables."""
    text = ["# One step, ours and others'", "", head(report), ""]
    if report["device"] != "cuda":
        text += ["**A dry run without a GPU: these figures mean nothing.**", ""]
    text += [f"Medians over {report['rounds']} rounds in which every optimizer takes its turn; in brackets the least and the largest ratio of a round. "
             "Device time: ours a graph replay, others the sum of their kernels without the gaps between them. Event time: between events around "
             "one step, the device idle before. Host time: steps enqueued one by one, to the end of the last kernel. Tensors rotate over four times the L2 cache. `carried` takes RMS(p) from the "
             "step before, `fresh` reads it from the parameters. Where gradients have another type, the others' steps include their conversion.", ""]
    text += remarks(report)
    found = aims(report)
    if found:
        text += ["## Aims", ""] + table(["figure", "aim", "device", "event"], [aim.cells() for aim in found])
    text += ["## Others' device time over ours", ""] + table(["shape", "types", "ours"] + [LABELS[o] for o in PLAIN], ratio_rows(report, "device_us"))
    text += ["## Others' time over ours between events", ""] + table(["shape", "types", "ours"] + [LABELS[o] for o in PLAIN], ratio_rows(report, "event_us"))
    text += ["## Others' host time over ours", ""] + table(["shape", "types", "ours"] + [LABELS[o] for o in PLAIN], ratio_rows(report, "host_us"))
    text += ["## Variants beside adafactor8bit with the same options", ""] + table(
        ["shape", "types", "variant", "ours, device µs", "adafactor8bit, device µs", "device", "event", "host"], variant_rows(report))
    text += ["## Ours", ""] + table(["shape", "types", "variant", "device µs", "range", "event µs", "host µs", "model B/element", "DRAM bytes/model",
                                     "rate/copy", "launches", "scratch MB"], ours_rows(report))
    rows = [[row["shape"], types(row)] + [
        " / ".join(number(middle(row["subjects"][o], f"{which}_us")) for which in ("device", "event", "host")) if o in row["subjects"] else "–"
        for o in PLAIN] for row in report["cases"] if "torch" in row["subjects"]]
    text += ["## Others, device / event / host µs", ""] + table(["shape", "types"] + [LABELS[o] for o in PLAIN], rows)
    errors = sorted({(LABELS.get(name, name), f"{row['shape']} {types(row)}", subject["error"]) for row in report["cases"]
                     for name, subject in row["subjects"].items() if "error" in subject})
    if errors:
        text += ["## Not timed", ""] + [f"- {name}, {where}: {why}" for name, where, why in errors] + [""]
    if "error" in report.get("counters", {}):
        text += [f"DRAM bytes were not counted: {report['counters']['error']}", ""]
    if report.get("left_out"):
        text += ["Left out when the time was up: " + "; ".join(report["left_out"]) + ".", ""]
    return "\n".join(text)


def summary(report):
    """The short table for a first page."""
    rows = []
    for shape in ("4096x4096", "4096x11008", "32000x4096", "llama-2-7b"):
        for dtype in ("f32", "bf16"):
            row = find(report, shape, dtype, dtype, "carried")
            if not row or middle(row["subjects"]["carried"], "device_us") is None:
                continue
            subject = row["subjects"]["carried"]
            rows.append([shape, dtype, number(middle(subject, "device_us")), f"{of_copy(report, subject):.2f}"] +
                        [times(ratio(row["subjects"].get(other, {}), subject, "device_us")) for other in PLAIN])
    return "\n".join([head(report), ""] + table(["shape", "type", "µs", "rate/copy"] + [LABELS[o] for o in PLAIN], rows) + remarks(report))
