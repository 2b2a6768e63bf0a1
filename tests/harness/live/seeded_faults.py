"""Twelve faults seeded into the example library, as its author might make them: each has to be noticed, in a stage that
the fault touches, and shrunk to something small. Beside it, how many torch.testing.assert_close would let through is
what `plumbline mutants` says.

    seeded_faults.py PROGRAM [CASES]
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "harness" / "subjects" / "examples" / "adafactor.cpp"

# name, what it was, what it becomes, the stages that may be named first
FAULTS = [
    ("columns averaged over columns", "(sum / float(rows) - col[j])", "(sum / float(cols) - col[j])", {"col"}),
    ("beta2 off by 1e-4", "beta2_decay)), sign", "beta2_decay * 1.0001)), sign", {"row", "col", "second_moment"}),
    ("eps2 ten times", "std::max(eps2, double(rms_p))", "std::max(10 * eps2, double(rms_p))", {"parameter"}),
    ("clip times 1.0001", "/ float(d));", "/ float(d * 1.0001));", {"parameter"}),
    ("decay by alpha", "float(1 - lr * weight_decay)", "float(1 - alpha * weight_decay)", {"parameter"}),
    ("no decay of zeros' neighbours", "for (int64_t i = 0; i < n; ++i) p[i] *=", "for (int64_t i = 1; i < n; ++i) p[i] *=",
     {"parameter"}),
    ("last column left out of rows", "for (int64_t j = 0; j < cols; ++j) sum +=",
     "for (int64_t j = 0; j < cols - (cols > 32); ++j) sum +=", {"row"}),
    ("the first step's clock", "    ++t;\n", "    t += t == 0 ? 2 : 1;\n", {"row", "col", "second_moment"}),
    ("no relative cap", "std::min(lr, 1 / std::sqrt(double(t)))", "lr", {"parameter"}),
    ("weight decay left out", "    if (weight_decay != 0)\n      for (int64_t i = 0; i < n; ++i) p[i] *= float(1 - lr * weight_decay);\n",
     "", {"parameter"}),
    ("clip of the matrix, not the tensor", "std::sqrt(sum / float(n)) / float(d)", "std::sqrt(sum / float(rows * cols)) / float(d)",
     {"parameter"}),
    ("a floor under the mean that is no floor", "std::max(mean / float(rows), float(eps1))", "mean / float(rows) + float(eps1)",
     {"parameter"}),
]  # fmt: skip


def main() -> int:
    program, cases = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "400"
    source = EXAMPLE.read_text()
    noticed = small = 0
    with tempfile.TemporaryDirectory() as folder:
        for k, (name, was, becomes, stages) in enumerate(FAULTS):
            assert source.count(was) >= 1, f"{name}: the example has no '{was}' any more"
            Path(folder, "faulty.cpp").write_text(source.replace(was, becomes))
            library = os.path.join(folder, f"faulty{k}.so")
            subprocess.run([os.environ.get("CXX", "c++"), "-std=c++17", "-O1", "-shared", "-fPIC", f"-I{ROOT}/harness/live",
                            os.path.join(folder, "faulty.cpp"), "-o", library], check=True)  # fmt: skip
            done = subprocess.run([program, "verify", "--subject", library, "--cases", cases, "--report", folder, "--quiet"],
                                  capture_output=True, text=True, check=False)  # fmt: skip
            assert done.returncode in (0, 1), done.stderr
            report = json.loads(Path(folder, "report.json").read_text())
            found = [dict(zip(table["columns"], row)) for section in report["sections"] for table in section["tables"]
                     if table["caption"] == "Smallest reproductions" for row in table["rows"]]  # fmt: skip
            red = report["outcome"]["verdicts"]["fail"]
            right = [f for f in found if f["stage"] in stages]
            noticed += bool(right)
            best = min(right, key=lambda f: (f["elements"], f["steps"]), default=None)
            small += best is not None and best["elements"] <= 64 and best["steps"] <= 3
            print(f"{name:42} {red:4} of {cases} cases fail; " + (f"{best['stage']}: {best['line']}" if best else f"NOT at {stages}: {[f['stage'] for f in found]}"))
    print(f"{noticed} of {len(FAULTS)} noticed at the right stage, {small} shrunk to at most 64 elements and 3 steps")
    return 0 if noticed == len(FAULTS) and small >= len(FAULTS) - 1 else 1


if __name__ == "__main__":
    sys.exit(main())
