#!/usr/bin/env python3
"""record_torch.py around live torch trainings, judged by the program: record_torch_test.py PLUMBLINE FOLDER_OF_RECORD_TORCH

Ends with 77 where torch or safetensors is missing: ctest lists it as skipped.
"""
import contextlib
import io
import os
import subprocess
import sys
import tempfile
import unittest

try:
    import safetensors  # noqa: F401
    import torch
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

PROGRAM, FOLDER = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
sys.path.insert(0, FOLDER)
from record_torch import InputError, main, record  # noqa: E402

torch.set_num_threads(1)
Adafactor = torch.optim.Adafactor


class Broken(Adafactor):
    """Moves every parameter a ten-thousandth too far."""

    @torch.no_grad()
    def step(self, closure=None):
        before = [p.clone() for group in self.param_groups for p in group["params"]]
        super().step(closure)
        for p, b in zip((p for group in self.param_groups for p in group["params"]), before):
            p.add_(p - b, alpha=1e-4)


class RecordTorch(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.out = os.path.join(self.folder.name, "run.safetensors")
        torch.manual_seed(1)
        self.model = torch.nn.Sequential(torch.nn.Linear(12, 9), torch.nn.Tanh(), torch.nn.Linear(9, 5))

    def tearDown(self):
        self.folder.cleanup()

    def judge(self, *files):
        ended = subprocess.run([PROGRAM, "judge", *(files or [self.out]), "--report", os.path.join(self.folder.name, "r")],
                               capture_output=True, text=True, check=False)
        return ended.returncode, ended.stdout + ended.stderr

    def expect_judged(self, code, *files):
        got, text = self.judge(*files)
        self.assertEqual(got, code, text)
        return text

    def loss(self):
        x = torch.randn(8, 12)
        return (self.model(x) - torch.sin(x[:, :5])).square().mean()

    def train(self, optimizer, steps, after=lambda: None):
        for _ in range(steps):
            optimizer.zero_grad()
            self.loss().backward()
            optimizer.step()
            after()

    def test_a_schedule_and_groups(self):
        matrices = [p for p in self.model.parameters() if p.dim() == 2]
        vectors = [p for p in self.model.parameters() if p.dim() < 2]
        optimizer = Adafactor([{"params": matrices, "lr": 0.02}, {"params": vectors, "weight_decay": 0.1}], lr=0.01)
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
        with record(optimizer, self.out, names=self.model.named_parameters()):
            self.train(optimizer, 6, schedule.step)
        self.expect_judged(0)

    def test_a_scaler_that_skips_a_step(self):
        optimizer = Adafactor(self.model.parameters(), lr=0.01)
        scaler = torch.amp.GradScaler("cpu", init_scale=256.0)
        with record(optimizer, self.out, names=self.model.named_parameters(), scaler=scaler):
            for step in range(5):
                optimizer.zero_grad()
                scaler.scale(self.loss()).backward()
                if step == 2:
                    self.model[0].weight.grad[0, 0] = float("inf")
                scaler.step(optimizer)
                scaler.update()
        with safetensors.safe_open(self.out, framework="pt") as file:
            self.assertEqual(file.metadata()["skipped"], "[3]")
        self.expect_judged(0)

    def test_a_tensor_without_a_gradient(self):
        optimizer = Adafactor(self.model.parameters(), lr=0.01)
        with record(optimizer, self.out, names=self.model.named_parameters()):
            for step in range(4):
                optimizer.zero_grad()
                self.loss().backward()
                if step == 1:
                    self.model[2].bias.grad = None
                optimizer.step()
        self.expect_judged(0)

    def test_a_run_that_begins_at_a_checkpoint(self):
        optimizer = Adafactor(self.model.parameters(), lr=0.01)
        self.train(optimizer, 3)
        with record(optimizer, self.out, names=self.model.named_parameters()):
            self.train(optimizer, 3)
        self.expect_judged(0)

    def test_several_files(self):
        optimizer = Adafactor(self.model.parameters(), lr=0.01)
        with record(optimizer, self.out, names=self.model.named_parameters(), part_bytes=2000):
            self.train(optimizer, 4)
        self.assertFalse(os.path.exists(self.out))
        self.expect_judged(0, self.out + ".index.json")
        self.expect_judged(0, self.folder.name)

    def test_a_wrong_optimizer_fails(self):
        optimizer = Broken(self.model.parameters(), lr=0.01)
        with record(optimizer, self.out, names=self.model.named_parameters(), peer="torch"):
            self.train(optimizer, 3)
        self.assertIn("parameter first broken", self.expect_judged(1))

    def test_what_was_recorded_before_an_exception_is_kept(self):
        optimizer = Adafactor(self.model.parameters(), lr=0.01)
        with self.assertRaises(ZeroDivisionError):
            with record(optimizer, self.out, names=self.model.named_parameters()):
                self.train(optimizer, 3)
                1 / 0  # noqa: B018
        self.expect_judged(0)

    def test_bad_use_is_one_line(self):
        for make in (lambda: record(3, self.out),
                     lambda: record(torch.optim.SGD(self.model.parameters(), lr=1), self.out),
                     lambda: record(Adafactor(self.model.parameters()), self.out, storage="kahan")):
            with self.assertRaises(InputError) as caught:
                make()
            self.assertNotIn("\n", str(caught.exception.code))

    def command(self, *arguments):
        return subprocess.run([sys.executable, os.path.join(FOLDER, "record_torch.py"), *arguments], capture_output=True,
                              text=True, check=False)

    def test_the_command_line(self):
        ended = self.command("--optimizer", "torch.optim.Adafactor", "--dtype", "float32", "--options",
                             '{"lr": 0.02, "foreach": true}', "--shapes", "7", "6x5", "scalar", "--regimes", "gaussian",
                             "spike", "--out", self.out)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.expect_judged(0)

    def test_bad_arguments_are_one_line(self):
        good = ["--optimizer", "torch.optim.Adafactor", "--out", self.out]
        for bad in (["--optimizer", "nowhere.Adafactor", "--out", self.out],
                    ["--optimizer", "torch.optim.lr_scheduler", "--out", self.out],
                    ["--optimizer", "torch.optim.SGD", "--out", self.out],
                    [*good, "--options", "{"], [*good, "--options", '{"learning_rate": 1}'],
                    [*good, "--options", '{"lr": -1}'], [*good, "--shapes", "0x3"], [*good, "--steps", "0"],
                    [*good, "--gradients", "/nonexistent"], [*good, "--device", "quantum"],
                    ["--optimizer", "torch.optim.Adafactor", "--out", "/nonexistent/run.safetensors"]):
            with self.assertRaises(InputError, msg=bad) as caught, contextlib.redirect_stdout(io.StringIO()):
                main(bad)
            self.assertNotIn("\n", str(caught.exception.code))
            self.assertTrue(str(caught.exception.code).startswith("record_torch.py: "))
        ended = self.command(*good, "--options", "{")
        self.assertEqual(ended.returncode, 2)
        self.assertEqual(ended.stderr.count("\n"), 1, ended.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
