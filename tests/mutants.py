"""How many small faults the tests find: one line is changed at a time, and the tests must fail.

    python tests/mutants.py --count 60 --seed 0 --log mutants.jsonl

Changes are drawn from the code of diffposetalk, stream, export and training: a number, a sign, a
comparison, a condition, a slice's end. Each is made in a copy of the tree, where the tests run that
import the changed module, or stand in the folder of its tests. Prints each change and what came of
it, and the share that was found. The draw goes by each line's own text, so that new code elsewhere
does not draw others. With `--log` an interrupted run goes on where it was: what the file says was
found is not tried again, all else is. What is never a fault is left out: messages, types,
docstrings, limits on strangers' files, and settings of logs and files.
"""

from __future__ import annotations

import argparse
import ast
import functools
import hashlib
import inspect
import itertools
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).parents[1]
PACKAGES = ("diffposetalk", "stream", "export", "training")
LEFT_OUT = re.compile(
    r"raise |^\s*(\"|'|#|import |from |class |def |@|assert )|MOST|LARGEST|LONGEST|log\.|print\(|"
    r"seed=|1e-[6-9]|threads|timeout|num_threads|f\"|mkdtemp|encoding|workers|depth|VERSION|__all__|Literal"
)
"""Lines whose change is no fault of what a module computes, or that no test could tell from it."""
NOT_HERE = ("tensorrt", "cuda_graphs", "reports", "pictures", "ablation_runs", "training/corpora")
"""Modules that need a device, voices or hours."""
OF_TASTE = ("training/labels", "training/speech")
"""How labels and augmentations look: no test can say which of two numbers is the right one."""
MOST_TESTS = 5
"""Files of tests that a change is tried on."""
COMPARE = {ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "=="}
FLIPPED = COMPARE | {ast.Lt: ">", ast.LtE: ">", ast.Gt: "<", ast.GtE: "<"}
BINARY = {ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*"}


@dataclass(frozen=True)
class Mutant:
    """A changed line: of a file, its number from 1, and what stands there instead."""

    path: Path
    line: int
    before: str
    after: str

    def __str__(self) -> str:
        where = self.path.relative_to(ROOT)
        return f"{where}:{self.line}: {self.before.strip()}  ->  {self.after.strip()}"

    @property
    def name(self) -> str:
        """What it is wherever its line stands in the file."""
        where = self.path.relative_to(ROOT).as_posix()
        return f"{where}: {self.before.strip()}  ->  {self.after.strip()}"

    def lot(self, seed: int) -> bytes:
        """Its place in the draw of a seed."""
        return hashlib.blake2b(f"{seed}: {self.name}".encode(), digest_size=16).digest()


def mutants(path: Path) -> Iterator[Mutant]:
    """Every change of one file."""
    text = path.read_text("utf-8")
    lines = text.splitlines()
    tree = ast.parse(text)
    silent = _silent(tree)
    for node in ast.walk(tree):
        for start, end, new in _changes(node):
            row = start[0]
            line = lines[row - 1]
            if row in silent or start[0] != end[0] or LEFT_OUT.search(line):
                continue
            # Columns of the tree count bytes; the code of this repository has wide letters.
            raw = line.encode()
            after = (raw[: start[1]] + new.encode() + raw[end[1] :]).decode()
            yield Mutant(path, row, line, after)


def _parses(mutant: Mutant) -> bool:
    """Whether a changed file is still Python: if not, no test is needed to find it."""
    lines = mutant.path.read_text("utf-8").splitlines()
    lines[mutant.line - 1] = mutant.after
    try:
        ast.parse("\n".join(lines))
    except SyntaxError:
        return False
    return True


def _changes(node: ast.AST) -> Iterator[tuple[tuple[int, int], tuple[int, int], str]]:
    """Places (row, column) of a node and what may stand there instead."""
    if isinstance(node, ast.Constant) and not isinstance(node.value, str | bytes | None):
        place = (node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0)
        if isinstance(node.value, bool):
            yield *place, str(not node.value)
        elif isinstance(node.value, int | float):
            value = node.value
            yield *place, repr(value * 2) if abs(value) > 1 else repr(value + 1)
    elif isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in COMPARE:
        right, operator = node.comparators[0], type(node.ops[0])
        # At a border between real numbers nobody stands: there it is the side that is changed.
        real = isinstance(right, ast.Constant) and isinstance(right.value, float)
        yield from _between(node.left, right, (FLIPPED if real else COMPARE)[operator])
    elif isinstance(node, ast.BinOp) and type(node.op) in BINARY:
        yield from _between(node.left, node.right, BINARY[type(node.op)])
    elif isinstance(node, ast.BoolOp):
        word = "or" if isinstance(node.op, ast.And) else "and"
        yield from _between(node.values[0], node.values[1], word)
    elif isinstance(node, ast.IfExp) and node.test.lineno == node.test.end_lineno:
        test = node.test
        place = (test.lineno, test.col_offset), (test.end_lineno or 0, test.end_col_offset or 0)
        yield *place, f"(not ({ast.unparse(test)}))"
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        start = (node.lineno, node.col_offset)
        yield start, (node.operand.lineno, node.operand.col_offset), ""


def _between(
    left: ast.expr, right: ast.expr, word: str
) -> Iterator[tuple[tuple[int, int], tuple[int, int], str]]:
    """The operator between two operands that stand on one line without brackets between."""
    start = (left.end_lineno or 0, left.end_col_offset or 0)
    end = (right.lineno, right.col_offset)
    if start[0] == end[0] and 2 < end[1] - start[1] < 6:
        yield start, end, f" {word} "


def _silent(tree: ast.AST) -> set[int]:
    """Lines of docstrings, annotations, and of what is raised or logged."""
    rows: set[int] = set()
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if is_text or isinstance(node, ast.Raise | ast.AnnAssign | ast.Assert):
            named = isinstance(node, ast.AnnAssign) and node.value is not None
            if not named:
                rows.update(range(node.lineno, (node.end_lineno or 0) + 1))  # type: ignore[attr-defined]
    return rows


def tests_of(path: Path, line: int) -> list[str]:
    """Files of tests of a line: with the module's name; then those that name what it is part of.

    The rarer the name the sooner; then those that import the module, and those of its folder.
    """
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    own = ROOT / "tests" / path.relative_to(ROOT).parent
    if not own.is_dir():  # a room inside a room, whose tests stand beside the outer one's
        own = own.parent
    every = sorted((ROOT / "tests").rglob("test_*.py"))
    using = [test for test in every if _imports(test, module)]
    near = [test for test in every if own in test.parents]
    ordered = [t for t in using if t in near] + [t for t in using if t not in near]
    ordered += [test for test in near if test not in ordered]
    told = {test: 0.5 * (test in near) for test in every}
    for name in reaching(path.read_text("utf-8"), line):
        having = [test for test in every if name in _words(test)]
        for test in having:
            told[test] += 1 / len(having)
    ordered += [test for test in every if told[test] > 0.8 and test not in ordered]
    ordered.sort(key=lambda test: (not test.stem.startswith(f"test_{path.stem}"), -told[test]))
    return [str(test.relative_to(ROOT)) for test in ordered[:MOST_TESTS]]


def reaching(text: str, line: int) -> set[str]:
    """Names by which a line of a module is reached: of its function, class or constant.

    And of the functions and classes of the module that use those, twice removed at most.
    """
    parts: list[tuple[str, int, int, set[str]]] = []
    tree = ast.parse(text)
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    for node in [*tree.body, *(part for each in classes for part in each.body)]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
        else:
            continue
        used = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        used |= {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)}
        parts += [(name, node.lineno, node.end_lineno or 0, used) for name in names]
    found = {name for name, first, last, _ in parts if first <= line <= last}
    for _ in range(2):
        found |= {name for name, _, _, used in parts if used & found}
    return {name for name in found if not name.startswith("__")}


@functools.cache
def _words(test: Path) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", test.read_text("utf-8")))


def _imports(test: Path, module: str) -> bool:
    text = test.read_text("utf-8")
    parent, _, name = module.rpartition(".")
    pattern = rf"from {re.escape(module)} import|from {re.escape(parent)} import [^\n]*\b{name}\b"
    return re.search(pattern, text) is not None


def found(mutant: Mutant, copy: Path, seconds: int, *, trusted: bool) -> str:
    """What the tests make of a change: `found` or `SURVIVED`; or why they cannot say."""
    tests = tests_of(mutant.path, mutant.line)
    if not tests:
        return "NO TESTS"
    target = copy / mutant.path.relative_to(ROOT)
    whole = target.read_text("utf-8")
    before = True if trusted else _sound(copy, tuple(tests), seconds)
    if before is not True:
        return before
    lines = whole.splitlines(keepends=True)
    lines[mutant.line - 1] = mutant.after + "\n"
    target.write_text("".join(lines), "utf-8")
    try:
        names = frozenset(reaching(mutant.path.read_text("utf-8"), mutant.line))
        code = _run(copy, tests, seconds, names)
    finally:
        target.write_text(whole, "utf-8")
    return "TOO LONG" if code is None else "SURVIVED" if code in (0, 5) else "found"


@functools.cache
def _sound(copy: Path, tests: tuple[str, ...], seconds: int) -> Literal[True] | str:
    """Whether tests pass without a change: those that fail anyhow find nothing."""
    code = _run(copy, list(tests), seconds)
    return True if code == 0 else "TOO LONG" if code is None else "TESTS FAIL"


class NearestFirst:
    """Begins with the tests that speak of some names, the rarer first: a fault ends the run."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Order them; what is as near as another keeps its place."""
        words = {item: self._names & set(_source(item)) for item in items}
        having = Counter(name for found in words.values() for name in found)
        items.sort(key=lambda item: -sum(1 / having[name] for name in words[item]))


def _source(item: Any) -> list[str]:
    """Words of a test's own code."""
    try:
        return re.findall(r"\w+", inspect.getsource(item.function))
    except (AttributeError, OSError, TypeError):
        return []


def _run(
    copy: Path, tests: list[str], seconds: int, names: frozenset[str] = frozenset()
) -> int | None:
    """The exit code of tests in a fork, nearest to `names` first; None if they take longer."""
    child = os.fork()
    if not child:
        _test(copy, tests, names)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.2)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _test(copy: Path, tests: list[str], names: frozenset[str]) -> None:
    """Run tests in this fork, in the copy of the tree, and end with their exit code."""
    code = 1
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        os.chdir(copy)
        sys.path.insert(0, str(copy))
        sys.dont_write_bytecode = True
        os.environ |= {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
        import pytest

        options = ["-q", "-x", "--no-header", "-p", "no:cacheprovider", "-m", "not slow"]
        options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # loaded before the fork
        code = int(pytest.main([*options, *tests], plugins=[NearestFirst(names)]))
    finally:
        os._exit(code)


def _warm_up() -> None:
    """Load what tests load from elsewhere, once for all forks; nothing of this repository."""
    import importlib

    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the import, which would start it
    for name in (
        "pytest",
        "torch",
        "torch._dynamo",
        "transformers",
        "onnx",
        "onnxruntime",
        "scipy",
    ):
        try:
            importlib.import_module(name)
        except ImportError:
            continue


def _found_before(log: Path | None) -> set[str]:
    """Names of the changes that a log says were found."""
    if log is None or not log.exists():
        return set()
    entries = map(json.loads, log.read_text("utf-8").splitlines())
    return {entry["change"] for entry in entries if entry["answer"] == "found"}


def main() -> None:
    """Draw, try and count."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--packages", nargs="+", default=list(PACKAGES))
    parser.add_argument("--only", default="", help="part of the paths that are changed")
    parser.add_argument("--seconds", type=int, default=900, help="most time of the tests of one")
    parser.add_argument("--trusted", action="store_true", help="tests are known to pass unchanged")
    parser.add_argument("--log", type=Path, help="file of what was tried, to go on from")
    parser.add_argument("--list", action="store_true", help="print the changes, run nothing")
    options = parser.parse_args()
    files = [
        path
        for package in options.packages
        for path in sorted((ROOT / package).rglob("*.py"))
        if not any(word in str(path.relative_to(ROOT)) for word in (*NOT_HERE, *OF_TASTE))
        and options.only in str(path.relative_to(ROOT))
    ]
    pools = {p: [] for p in options.packages}
    for path in files:
        pools[path.relative_to(ROOT).parts[0]] += list(mutants(path))
    chosen: list[Mutant] = []
    for number, pool in enumerate(pools.values()):
        share = (options.count + number) // len(pools)
        drawn = sorted(pool, key=lambda mutant: mutant.lot(options.seed))
        chosen += itertools.islice(filter(_parses, drawn), share)
    if options.list:
        print("\n".join(map(str, chosen)))
        return
    _warm_up()
    counts = dict.fromkeys(("found", "SURVIVED", "NO TESTS", "TOO LONG", "TESTS FAIL"), 0)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = Path(folder) / "tree"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", ".venv", "*.pyc"))
        before = _found_before(options.log)
        for mutant in chosen:
            begun = time.monotonic()
            if mutant.name in before:
                counts["found"] += 1
                continue
            answer = found(mutant, copy, options.seconds, trusted=options.trusted)
            counts[answer] += 1
            print(f"{answer:9} {time.monotonic() - begun:5.0f} s  {mutant}", flush=True)
            if options.log:
                with options.log.open("a", encoding="utf-8") as log:
                    log.write(json.dumps({"change": mutant.name, "answer": answer}) + "\n")
    decided = counts["found"] + counts["SURVIVED"] + counts["NO TESTS"]
    share = counts["found"] / max(decided, 1)
    print(f"{counts['found']} of {decided} changes were found: {share:.0%}; {counts}")


if __name__ == "__main__":
    main()
