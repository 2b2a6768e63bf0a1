"""Subjects of python_test.py: a class that is sound, and functions that misbehave."""

import os
import sys
import time

import numpy as np

import plumbline

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "..", "harness", "subjects", "examples"))
from adafactor_numpy import adafactor  # noqa: E402


@plumbline.subject(dialect="torch", parameter=["f32"], gradient=["f32"], promises=["resume"])
class AsClass:
    """The example's rule with state of its own."""

    def __init__(self, parameters, **options):
        if "maximize" in options or "foreach" in options:
            raise NotImplementedError("neither ascent nor foreach")
        self.options, self.t, self.kept = options, 0, {}

    def step(self, parameters, gradients):
        self.t += 1
        adafactor(parameters[0], gradients[0], self.kept, self.t, **self.options)

    def state(self):
        return self.kept

    def save(self):
        return self.t, self.kept

    def load(self, saved):
        self.t, self.kept = saved


class ForgetsItsClock(AsClass):
    def save(self):
        return 0, self.kept


def misbehaving(what):
    def function(parameter, gradient, state, t, **options):
        adafactor(parameter, gradient, state, t, **options)
        if what == "gradient":
            gradient += 1
        if what == "wide":
            return parameter.astype(np.float64)
        if what == "short":
            return parameter.reshape(-1)[:1]
        if what == "raises":
            raise KeyError("lost")
        if what == "exits":
            os._exit(3)
        if what == "hangs":
            time.sleep(60)
        if what == "prints":
            print("hello")
        if what == "outside":
            base = parameter
            while base.base is not None:
                base = base.base
            base[:1] = 0
        return None

    return plumbline.subject(dialect="torch", parameter=["f32"], gradient=["f32"])(function)


gradient, wide, short, raises, exits, hangs, prints, outside = map(
    misbehaving, ["gradient", "wide", "short", "raises", "exits", "hangs", "prints", "outside"]
)
