"""The rule of torch.optim.Adafactor as a plain function of numpy arrays: a live subject of forty lines.

    plumbline verify --subject python:adafactor_numpy.py:adafactor
"""

import numpy as np

import plumbline


@plumbline.subject(dialect="torch", parameter=["f32"], gradient=["f32"], promises=["same_bits"])
def adafactor(parameter, gradient, state, t, *, lr=1e-2, beta2_decay=-0.8, eps=(None, 1e-3), d=1.0, weight_decay=0.0,
              maximize=False):  # fmt: skip
    f = np.float32
    eps1 = np.finfo(f).eps if eps[0] is None else eps[0]
    w = f(float(t) ** beta2_decay)
    alpha = f(max(eps[1], np.sqrt(np.mean(parameter * parameter))) * min(lr, 1 / np.sqrt(t)))
    if weight_decay:
        parameter *= f(1 - lr * weight_decay)
    squares = gradient * gradient
    if parameter.ndim > 1:
        row = squares.mean(axis=-1, keepdims=True)
        col = squares.mean(axis=-2, keepdims=True)
        state.setdefault("row_var", np.zeros_like(row))
        state.setdefault("col_var", np.zeros_like(col))
        state["row_var"] += w * (row - state["row_var"])
        state["col_var"] += w * (col - state["col_var"])
        mean = np.maximum(state["row_var"].mean(axis=-2, keepdims=True), f(eps1))
        v = state["row_var"] / mean * state["col_var"]
    else:
        state.setdefault("variance", np.zeros_like(squares))
        state["variance"] += w * (squares - state["variance"])
        v = state["variance"]
    update = gradient / np.sqrt(np.maximum(v, f(eps1 * eps1)))
    clip = max(f(1), np.sqrt(np.mean(update * update)) / f(d))
    step = alpha / clip * update
    parameter += step if maximize else -step


@plumbline.subject(dialect="torch", parameter=["f32"], gradient=["f32"])
def faulty(parameter, gradient, state, t, **options):
    """The same with a fault: steps from the second on decay by half."""
    adafactor(parameter, gradient, state, t, **options)
    if t > 1 and options.get("weight_decay"):
        parameter *= np.float32(1 + options.get("lr", 1e-2) * options["weight_decay"] / 2)
