"""The Python front: subjects in Python, verify(), single cases."""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "harness" / "python"), str(Path(__file__).parent)]

import plumbline  # noqa: E402
import python_subjects  # noqa: E402

EXAMPLE = f"python:{ROOT}/harness/subjects/examples/adafactor_numpy.py"
LINE = "live dialect=torch shape=2x3 steps=2 seed=7"


def case(subject: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PLUMBLINE_PYTHON": sys.executable, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run([plumbline.program(), "case", LINE, "--subject", subject, *arguments], env=environment,
                          capture_output=True, text=True, check=False)  # fmt: skip


class Front(unittest.TestCase):
    def test_a_sound_function_is_green(self) -> None:
        report = plumbline.verify(f"{EXAMPLE}:adafactor", cases=150)
        self.assertTrue(report.green, report.text)
        self.assertEqual(report.verdicts["fail"] + report.verdicts["error"] + report.verdicts["skipped"], 0)
        report.raise_if_red()

    def test_a_faulty_function_is_red_and_shrinks(self) -> None:
        report = plumbline.verify(f"{EXAMPLE}:faulty", cases=100)
        self.assertFalse(report.green)
        small = next(f for f in report.failures if f["stage"] == "parameter")
        self.assertLessEqual(small["elements"], 4)
        self.assertEqual(small["steps"], 2)
        with self.assertRaises(plumbline.CaseFailed):
            report.raise_if_red()

    def test_a_class_keeps_what_it_promises(self) -> None:
        report = plumbline.verify(python_subjects.AsClass, cases=60)
        self.assertTrue(report.green, report.text)
        self.assertIn("maximize=true", report.text)  # is left out, and the first screen says so
        self.assertFalse(plumbline.verify(python_subjects.ForgetsItsClock, cases=40).green)

    def test_any_number_of_workers_gives_the_same_report(self) -> None:
        listed = []
        for threads in (1, 3):
            with tempfile.TemporaryDirectory() as folder:
                plumbline.verify(f"{EXAMPLE}:faulty", cases=60, threads=threads, report=folder)
                report = json.loads(Path(folder, "report.json").read_text())
            for case in report["cases"]:
                case.pop("seconds"), case.pop("subject_seconds")
            listed.append((report["cases"], report["sections"]))
        self.assertEqual(listed[0], listed[1])

    def test_misbehaviour_costs_its_case(self) -> None:
        for name, reason in [("gradient", "wrote to the gradient 'w'"), ("wide", "returned float64: expected float32"),
                             ("short", "returned shape (1,): expected (2, 3)"), ("raises", "KeyError: 'lost'"),
                             ("exits", "exited in step 1 with code 3"), ("hangs", "no answer in step 1 within 1 s"),
                             ("prints", "wrote to standard output in step 1: 'hello'"),
                             ("outside", "wrote outside: ")]:  # fmt: skip
            done = case(f"python:python_subjects:{name}", "--time-limit", "1")
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn(f"error: ", done.stdout)
            self.assertIn(reason, done.stdout)

    def test_what_is_no_subject_is_one_line(self) -> None:
        for name, reason in [("python:no_such_module:C", "No module named 'no_such_module'"),
                             ("python:python_subjects:Nothing", "python_subjects has no Nothing"),
                             ("python:./nowhere.py:C", "./nowhere.py: no such file"),
                             ("python:os", "expected package.module:Name"),
                             (f"{EXAMPLE}:adafactor?dialect=sgd", "sgd: unknown")]:  # fmt: skip
            done = case(name)
            self.assertEqual(done.returncode, 2)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
            self.assertIn(reason, done.stderr)
        with self.assertRaisesRegex(ValueError, "no_such_module"):
            plumbline.verify("python:no_such_module:C")
        with self.assertRaisesRegex(TypeError, "top level"):
            plumbline.verify(lambda p, g, s, t: None)

    def test_imports_no_framework(self) -> None:
        code = "import sys, plumbline; sys.exit('torch' in sys.modules or 'jax' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, check=False)
        self.assertEqual(done.returncode, 0)

    def test_the_worker_has_help(self) -> None:
        done = subprocess.run([sys.executable, "-m", "plumbline.worker", "--help"], capture_output=True, text=True,
                              env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, check=False)  # fmt: skip
        self.assertEqual(done.returncode, 0)
        self.assertIn("TARGET", done.stdout)

    @unittest.skipUnless(importlib.util.find_spec("pytest"), "no pytest here")
    def test_one_item_a_case(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "test_mine.py").write_text(
                "import plumbline\n"
                f"@plumbline.cases('{EXAMPLE}:faulty', cases=30)\n"
                "def test_mine(case):\n    case.check()\n"
            )
            done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", folder], text=True,
                                  env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, capture_output=True, check=False)  # fmt: skip
            self.assertEqual(done.returncode, 1)
            self.assertIn("shrunk from", done.stdout)
            self.assertIn("passed", done.stdout)

    @unittest.skipUnless(importlib.util.find_spec("torch"), "no torch here")
    def test_torch_itself(self) -> None:
        # In float16 torch's product of averages underflows: a defect of its own.
        types = ["f32", "f64", "bf16"]
        report = plumbline.verify("python:torch.optim:Adafactor", dialect="torch", cases=80, parameter=types, gradient=types)
        self.assertTrue(report.green, report.text)


if __name__ == "__main__":
    unittest.main()
