"""Plumbline from Python: is this optimizer the one that it says it is?

    import plumbline
    plumbline.verify(MyOptimizer, dialect="torch", cases=500).raise_if_red()

Everything is drawn, judged and shrunk by the program ``plumbline``, which runs the optimizer in processes of its own
(``python -m plumbline.worker``). Importing this package imports numpy, and neither torch nor jax.
"""

from plumbline.subjects import Cannot, subject
from plumbline.verification import CaseFailed, Report, cases, program, verify

__all__ = ["Cannot", "CaseFailed", "Report", "cases", "program", "subject", "verify"]
__version__ = "0.2.0"
