#!/usr/bin/env python3
"""Static analysis of the product's host sources, by clang-tidy.

    tidy.py BUILD_FOLDER OUTPUT_FOLDER

Takes the commands of a configured build folder. A check walks through every header of what it is given, so the sources
that the build compiles together are analysed together: copied into one file, as the analyzer looks at no other. What is
found is reported where it stands in the sources. Ends with 1 where something was found.
"""
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys

PRODUCT = ("reference", "cuda", "harness", "properties", "reports")  # the tests' macros would double the time
# The flags are GCC's: clang has to forgive one warning's name and to declare what GCC declares. The analyzer explores a
# twentieth of the paths that it would: a quarter of the time.
ARGUMENTS = ["-Wno-unknown-warning-option", "-fsized-deallocation", "-Xclang", "-analyzer-config", "-Xclang", "max-nodes=10000"]


class Unit:
    """A file for clang-tidy, and which sources its lines are from."""

    def __init__(self, entry, output, number):
        self.entry = dict(entry)
        source = pathlib.Path(entry["file"])
        self.sources = [source]
        self.lines = None
        if "Unity" not in source.parts:
            return
        self.sources = [pathlib.Path(path) for path in re.findall(r'^#include "(.*)"', source.read_text(), re.MULTILINE)]
        text, self.lines = [], [None]
        for path in self.sources:
            for line, content in enumerate(path.read_text().splitlines(), 1):
                text.append(content)
                self.lines.append((path, line))
        together = output / f"{number}.cpp"
        together.write_text("\n".join(text) + "\n")
        self.entry["command"] = entry["command"].replace(str(source), str(together))
        self.entry["file"] = str(together)

    def size(self):
        return sum(path.stat().st_size for path in self.sources)

    def located(self, text):
        if self.lines is None:
            return text
        place = re.compile(re.escape(self.entry["file"]) + r":(\d+)")
        return place.sub(lambda match: "{}:{}".format(*self.lines[int(match[1])]), text)

    def analyse(self, output):
        command = ["clang-tidy", "--quiet", "-p", str(output), *(f"--extra-arg={a}" for a in ARGUMENTS), self.entry["file"]]
        done = subprocess.run(command, capture_output=True, text=True)
        # It counts on standard error what it keeps to itself about other people's headers.
        errors = "" if done.returncode == 0 else re.sub(r"(?m)^\d+ warnings? .*generated.*\n", "", done.stderr)
        return done.returncode == 0 and not done.stdout, self.located(done.stdout + errors)


def is_product(path, root):
    return path.is_relative_to(root) and path.relative_to(root).parts[0] in PRODUCT and path.suffix == ".cpp"


def units_of(build, output):
    root = pathlib.Path.cwd()
    found = []
    for entry in json.loads((build / "compile_commands.json").read_text()):
        unit = Unit(entry, output, len(found))
        if unit.sources in [other.sources for other in found]:
            continue  # of the library with deliberate faults
        if all(is_product(path, root) for path in unit.sources):
            found.append(unit)
    return found


def main():
    build, output = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    output.mkdir(parents=True, exist_ok=True)
    units = units_of(build, output)
    (output / "compile_commands.json").write_text(json.dumps([unit.entry for unit in units]))
    configuration = output / ".clang-tidy"  # looked for from the file on upwards
    configuration.unlink(missing_ok=True)
    configuration.symlink_to(pathlib.Path(".clang-tidy").resolve())
    units.sort(key=Unit.size, reverse=True)
    clean = bool(units)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for good, text in pool.map(lambda unit: unit.analyse(output), units):
            clean &= good
            if not good:
                print(text, flush=True)
    print(f"{sum(len(unit.sources) for unit in units)} sources in {len(units)} units")
    sys.exit(0 if clean else 1)


if __name__ == "__main__":
    main()
