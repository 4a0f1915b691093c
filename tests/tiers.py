"""The tiers of the tests: short forms, slow ones, and those of an extra with its own environment.

A test belongs to the first tier unless it is marked `slow`, or `extra("NAME")`: then it runs only
under `--with NAME`, in the environment that `python3 run.py test --with NAME` makes. There, files
without such a mark are not even read, as they may need what is not installed; a file whose
`pytestmark` is an extra's is read nowhere else.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

OUT_OF_TIME = "not run: no time left"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options that choose a tier."""
    group = parser.getgroup("tiers")
    group.addoption("--slow", action="store_true", help="run the slow tests as well")
    group.addoption("--only-slow", action="store_true", help="run the slow tests alone")
    group.addoption("--with", dest="extra", metavar="EXTRA", help="run an extra's tests alone")
    group.addoption("--minutes", type=float, help="start no test after this long")


def tier(item: pytest.Item) -> str:
    """`quick`, `slow`, or `extra NAME`."""
    extra = item.get_closest_marker("extra")
    if extra is not None:
        return f"extra {extra.args[0]}"
    return "slow" if item.get_closest_marker("slow") else "quick"


def chosen(config: pytest.Config) -> set[str]:
    """The tiers that the options choose."""
    if extra := config.getoption("extra"):
        return {f"extra {extra}"}
    if config.getoption("--only-slow"):
        return {"slow"}
    if config.getoption("--slow") or "slow" in config.getoption("markexpr"):
        return {"quick", "slow"}
    return {"quick"}


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the files alone that another environment is for."""
    if collection_path.suffix != ".py" or collection_path.name == "conftest.py":
        return None
    text = collection_path.read_text("utf-8")
    if extra := config.getoption("extra"):
        return None if f'mark.extra("{extra}")' in text else True
    whole = re.search(r'^pytestmark = .*mark\.extra\("([\w-]+)"\)', text, re.MULTILINE)
    if whole is None:
        return None
    config.stash.setdefault(_FILES, []).append((collection_path.name, whole[1]))
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the tests of other tiers out, and count them."""
    if any("::" in argument for argument in config.args):
        return  # a test that is named runs, whatever its tier
    wanted = chosen(config)
    left_out = [item for item in items if tier(item) not in wanted]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if tier(item) in wanted]
    config.stash[_LEFT_OUT] = Counter(map(tier, left_out))


_LEFT_OUT = pytest.StashKey[Counter[str]]()
_FILES = pytest.StashKey[list[tuple[str, str]]]()
_STARTED = time.monotonic()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Start no test after the time that was given."""
    minutes = item.config.getoption("--minutes")
    if minutes is not None and time.monotonic() - _STARTED > minutes * 60:
        pytest.skip(OUT_OF_TIME)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A process of several tells the first what it left out: all of them leave out the same."""
    if (told := getattr(session.config, "workeroutput", None)) is not None:
        told["left_out"] = dict(session.config.stash.get(_LEFT_OUT, Counter()))
        told["files"] = session.config.stash.get(_FILES, [])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Keep what such a process told."""
    told = getattr(node, "workeroutput", {})
    node.config.stash[_LEFT_OUT] = Counter(told.get("left_out", {}))
    node.config.stash[_FILES] = [(name, extra) for name, extra in told.get("files", [])]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say what did not run, and how it is run."""
    how = {"quick": "run.py test", "slow": "run.py test --slow"}
    for name, count in sorted(config.stash.get(_LEFT_OUT, Counter()).items()):
        command = how.get(name, f"run.py test --with {name.removeprefix('extra ')}")
        terminalreporter.write_line(f"not run: {count} of tier `{name}` (`python3 {command}`)")
    for name, extra in config.stash.get(_FILES, []):
        terminalreporter.write_line(f"not run: {name} (`python3 run.py test --with {extra}`)")
    for report in terminalreporter.stats.get("skipped", []):
        if OUT_OF_TIME in str(report.longrepr):
            terminalreporter.write_line(f"{OUT_OF_TIME}: {report.nodeid}")
