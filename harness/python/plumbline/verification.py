"""verify(), its report, and single cases for pytest."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Optional, Sequence, Union
from urllib.parse import quote


class CaseFailed(AssertionError):
    """A case, or a run, that is not green; the text says what broke and the line that reproduces it."""


def program() -> str:
    """The program's path: $PLUMBLINE_PROGRAM, the one in this package, or the one on PATH."""
    inside = Path(__file__).parent / "bin" / "plumbline"
    found = os.environ.get("PLUMBLINE_PROGRAM") or (str(inside) if inside.exists() else shutil.which("plumbline"))
    if not found:
        raise FileNotFoundError("the program plumbline: neither in this package nor on PATH; give $PLUMBLINE_PROGRAM")
    return found


def main() -> None:
    """The program under its own name, with this interpreter for subjects in Python."""
    os.environ.setdefault("PLUMBLINE_PYTHON", sys.executable)
    os.environ.setdefault("PLUMBLINE_PYTHON_PACKAGE", str(Path(__file__).parent.parent))
    path = program()
    os.execv(path, [path, *sys.argv[1:]])


def name_of(subject: Any, **settings: Any) -> str:
    """The name under which the program runs a subject: a name is taken as it is, an object by where it is defined."""
    if isinstance(subject, (str, os.PathLike)):
        name = os.fspath(subject)
    else:
        qualified = getattr(subject, "__qualname__", "")
        module = getattr(subject, "__module__", None)
        if not qualified or "<locals>" in qualified or module is None:
            raise TypeError(f"{subject!r}: a worker imports its subject: expected a class or a function of a module's top level")
        if module == "__main__" or not _importable(module):
            module = inspect.getsourcefile(subject) or module
        name = f"python:{module}:{qualified}"
    if settings:
        words = "&".join(f"{key}={quote(json.dumps(value), safe='')}" for key, value in sorted(settings.items()))
        name += ("&" if "?" in name else "?") + words
    return name


def _importable(module: str) -> bool:
    """Whether a new process with this one's path finds the module under its name."""
    loaded = sys.modules.get(module)
    file = getattr(loaded, "__file__", None)
    if file is None:
        return True
    parts = module.split(".")
    return any(
        Path(folder, *parts).with_suffix(".py") == Path(file) or Path(folder, *parts, "__init__.py") == Path(file)
        for folder in sys.path
    )


def _run(arguments: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    environment = dict(os.environ)
    environment["PLUMBLINE_PYTHON"] = sys.executable
    environment["PLUMBLINE_PYTHON_PACKAGE"] = str(Path(__file__).parent.parent)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    return subprocess.run([program(), *arguments], env=environment, capture_output=True, text=True, check=False)


@dataclass(frozen=True)
class Report:
    """What a run came to."""

    green: bool
    text: str  # the first screen
    verdicts: dict[str, int]
    folder: Optional[Path]  # of report.html and report.json, where it was to be kept
    failures: tuple[dict[str, Any], ...] = field(default=())  # smallest reproductions: stage, elements, steps, line, ...

    def raise_if_red(self) -> "Report":
        """Raises CaseFailed, with the first screen, unless everything is green."""
        if not self.green:
            raise CaseFailed("\n" + self.text)
        return self

    def __str__(self) -> str:
        return self.text


def verify(
    subject: Union[str, os.PathLike[str], Any],
    *,
    dialect: Optional[str] = None,
    cases: int = 500,
    seed: int = 1,
    report: Union[str, os.PathLike[str], None] = None,
    time_limit: float = 20,
    threads: int = 0,
    **settings: Any,
) -> Report:
    """Draws `cases` problems for the subject and judges every step of each.

    subject: a torch optimizer class, a class, a function (see plumbline.subjects), or a name as the command line takes
        it ("./libmine.so", "python:package.module:Class").
    dialect: the rule that it is to follow; needless where the subject says so itself.
    report: a folder in which the reports are kept.
    settings: capabilities (options={"lr": [0.001, 0.01]}, parameter=["f32"], ...), device="cuda", arrays="torch", and
        constant arguments (foreach=True). See VERIFY_YOUR_OWN.md.

    Raises ValueError for a subject that cannot be judged at all.
    """
    with tempfile.TemporaryDirectory(prefix="plumbline-") as temporary:
        folder = Path(report) if report is not None else Path(temporary)
        arguments = ["verify", "--subject", name_of(subject, **settings), "--cases", str(cases), "--seed", str(seed),
                     "--report", str(folder), "--time-limit", str(time_limit), "--threads", str(threads)]  # fmt: skip
        if dialect is not None:
            arguments += ["--dialect", dialect]
        done = _run(arguments)
        if done.returncode not in (0, 1):
            raise ValueError(done.stderr.strip() or f"plumbline ended with {done.returncode}")
        with open(folder / "report.json", encoding="utf-8") as file:
            content = json.load(file)
    failures = []
    for section in content.get("sections", []):
        for table in section.get("tables", []):
            if table.get("caption") == "Smallest reproductions":
                failures += [dict(zip(table["columns"], row)) for row in table["rows"]]
    verdicts = content.get("outcome", {}).get("verdicts", {})
    return Report(done.returncode == 0, done.stdout, verdicts, Path(report) if report is not None else None, tuple(failures))


class _Drawn:
    """The cases of one decorated test: all run together when the first is checked, in one process."""

    def __init__(self, subject: str, dialect: Optional[str], count: int, seed: int) -> None:
        self.subject = subject
        self.dialect = [] if dialect is None else ["--dialect", dialect]
        self.arguments = ["verify", "--subject", subject, "--cases", str(count), "--seed", str(seed), *self.dialect]
        self.verdicts: Optional[dict[str, tuple[str, str]]] = None

    def lines(self) -> list[str]:
        done = _run([*self.arguments, "--list"])
        if done.returncode != 0:
            raise ValueError(done.stderr.strip())
        return done.stdout.split("\n")[:-1]

    def check(self, line: str) -> None:
        if self.verdicts is None:
            with tempfile.TemporaryDirectory(prefix="plumbline-") as folder:
                done = _run([*self.arguments, "--report", folder, "--quiet"])
                if done.returncode not in (0, 1):
                    raise ValueError(done.stderr.strip())
                with open(Path(folder) / "report.json", encoding="utf-8") as file:
                    listed = json.load(file)["cases"]
            self.verdicts = {case["line"]: (case["verdict"], case.get("reason", "")) for case in listed}
        verdict, reason = self.verdicts[line]
        if verdict in ("pass", "marginal"):
            return
        if verdict == "skipped":
            import pytest

            pytest.skip(reason)
        done = _run(["case", line, "--subject", self.subject, "--shrink", *self.dialect])
        again = done.stdout or done.stderr
        smaller = again.splitlines()[1] if again.startswith("shrunk") else line
        raise CaseFailed(f"{verdict}: {reason}\n{again}plumbline case '{smaller}' --subject '{self.subject}'")


@dataclass(frozen=True)
class Case:
    """One drawn problem of a subject, as a test's argument."""

    line: str
    _drawn: _Drawn

    def check(self) -> None:
        """Judges the case; one that is red is shrunk first. Raises CaseFailed."""
        self._drawn.check(self.line)

    def __str__(self) -> str:
        return "-".join(word for word in self.line.split()[1:] if not word.startswith("dialect="))


def cases(
    subject: Union[str, Any], *, dialect: Optional[str] = None, cases: int = 50, seed: int = 1, **settings: Any
) -> Callable[[Callable[..., Any]], Any]:
    """A pytest decorator: one item a case, which `-k` selects by its words.

    @plumbline.cases(MyOptimizer, dialect="torch", cases=50)
    def test_my_optimizer(case):
        case.check()
    """

    def decorate(test: Callable[..., Any]) -> Any:
        import pytest

        drawn = _Drawn(name_of(subject, **settings), dialect, cases, seed)
        return pytest.mark.parametrize("case", [Case(line, drawn) for line in drawn.lines()], ids=str)(test)

    return decorate
