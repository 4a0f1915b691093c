"""Where posetalk runs, and the one line that installs something there.

A checkout that `run.py` has set up, a checkout or a wheel in somebody's own environment, a machine
without network: each installs in another way, and a hint is of use only if it works as it stands.
"""

from __future__ import annotations

import configparser
import importlib.metadata
import importlib.util
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[2]
TORCH_EXTRAS = ("torch", "train")
TORCH_FOR_CPUS = "https://download.pytorch.org/whl/cpu"
"""PyTorch's own index of builds without CUDA, whose version sorts above that of the others."""
PYTHON = "python" if os.name == "nt" else "python3"
"""What Python is called outside environments."""
ONNXRUNTIMES = ("onnxruntime-gpu", "onnxruntime")
"""The two builds of one package; only one of them may be installed."""
IN_EVERY_SET_UP = ("cpu", "viewer")
"""Extras that `run.py setup` brings without being asked."""


def checkout() -> Path | None:
    """The repository that this runs from, or None for an installed wheel."""
    return ROOT if (ROOT / "run.py").is_file() and (ROOT / "pyproject.toml").is_file() else None


def set_up_by_run() -> bool:
    """Whether this is the environment that the checkout's `run.py` made."""
    root = checkout()
    return root is not None and Path(sys.prefix).resolve() == (root / ".venv").resolve()


def install_extra(extra: str) -> str:
    """The line that installs an extra of posetalk here."""
    if extra == "cpu" and any(map(version, ONNXRUNTIMES)) and not _is_there("onnxruntime"):
        return mend_onnxruntime()  # its files went with the other build's: pip believes it here
    if set_up_by_run() and online():
        more = [] if extra in IN_EVERY_SET_UP else [extra]
        index = f"PIP_EXTRA_INDEX_URL={TORCH_FOR_CPUS} " if wants_cpu_torch(extra) else ""
        return index + command(PYTHON, *_short(ROOT / "run.py"), "setup", *more)
    if extra == "gpu" and version("onnxruntime"):  # both builds write into one folder
        remove = command(sys.executable, "-m", "pip", "uninstall", "-y", "onnxruntime")
        return f"{remove} && {install('posetalk[gpu]', packages=requirements('gpu'))}"
    index_option = ["--extra-index-url", TORCH_FOR_CPUS] if wants_cpu_torch(extra) else []
    return install(*index_option, f"posetalk[{extra}]", packages=requirements(extra))


def install(*arguments: str, packages: Sequence[str] = ()) -> str:
    """The line that has pip install `arguments` here; `packages` are what it will download."""
    if importlib.util.find_spec("pip") is None and shutil.which("uv"):
        return command("uv", "pip", "install", "--python", sys.executable, *arguments)
    pip = [sys.executable, "-m", "pip"]
    if online():
        return command(*pip, "install", *arguments)
    fill = command("pip", "download", "-d", "wheels", *(packages or arguments))
    return (
        f"{command(*pip, 'install', '--no-index', '--find-links', 'wheels', *arguments[-1:])} "
        f"(no network here: fill the folder elsewhere with {fill})"
    )


def install_alone(package: str, *others: str) -> str:
    """The line that puts a package's own files back, after `others` wrote into the same folder."""
    remove = command(sys.executable, "-m", "pip", "uninstall", "-y", *others)
    again = install("--force-reinstall", "--no-deps", package)
    return f"{remove} && {again}" if others else again


def mend_onnxruntime() -> str:
    """The line after which one whole build of onnxruntime is installed."""
    there = [name for name in ONNXRUNTIMES if version(name)]
    gpu = there[:1] == ["onnxruntime-gpu"] and (len(there) == 1 or shutil.which("nvidia-smi"))
    keep = "onnxruntime-gpu" if gpu else "onnxruntime"
    return install_alone(keep, *(name for name in there if name != keep))


def version(package: str) -> str | None:
    """Which version of a package pip believes to be here, None for none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _is_there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def restore(path: str) -> str:
    """The line that brings back a file of posetalk's own, named from the root of the tree."""
    root = checkout()
    if root is not None:
        return command("git", "-C", str(root), "checkout", "--", path)
    return install("--force-reinstall", "--no-deps", _installed_from() or "posetalk")


def here(text: str) -> str:
    """`text` with each `pip install ...` in it as it is typed here.

    The libraries under the commands do not know where they run: they name the extra, or a package.
    What another process of ours has said, which is typed so already, stays as it is.
    """
    extra = re.sub(
        r"(?<!-m )(?<!uv )pip install 'posetalk\[([\w-]+)\]'",
        lambda found: install_extra(found[1]),
        text,
    )
    return re.sub(r"`pip install ([\w-]+)`", lambda found: f"`{install(found[1])}`", extra)


def requirements(extra: str) -> list[str]:
    """What an extra asks for, as its own metadata says."""
    try:
        declared = importlib.metadata.requires("posetalk") or []
    except importlib.metadata.PackageNotFoundError:
        return []
    marker = re.compile(rf"""extra\s*==\s*["']{re.escape(extra)}["']""")
    return [line.partition(";")[0].strip() for line in declared if marker.search(line)]


def wants_cpu_torch(extra: str) -> bool:
    """Whether PyTorch's default build would bring gigabytes of CUDA that nothing here can use."""
    linux_on_cpu = sys.platform == "linux" and shutil.which("nvidia-smi") is None
    there = _is_there("torch")
    return extra in TORCH_EXTRAS and linux_on_cpu and not there and not any(_own_indexes())


def online() -> bool:
    """Whether there is a route to anywhere. Nothing is sent: a datagram only gets an address."""
    if os.environ.get("PIP_NO_INDEX"):
        return False
    for family, address in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((address, 9))
                return True
        except OSError:
            continue
    return any("file:" in index for index in _own_indexes())


def command(*words: str) -> str:
    """A command line, quoted for the shell of this system."""
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def _short(path: Path) -> list[str]:
    """`path`, relative where that is the working folder's own."""
    return [path.name if path.parent == Path.cwd() else str(path)]


def _own_indexes() -> Iterator[str]:
    """Package indexes that pip is set up with here; who did that knows where torch comes from."""
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        if value := os.environ.get(name):
            yield value
    folders = [Path("/etc"), Path("/etc/xdg/pip"), Path.home() / ".config/pip"]
    files = [folder / "pip.conf" for folder in (*folders, Path.home() / ".pip", Path(sys.prefix))]
    if named := os.environ.get("PIP_CONFIG_FILE"):
        files.append(Path(named))
    for file in files:
        settings = configparser.RawConfigParser()
        try:
            settings.read(file, "utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue
        for section in settings.sections():
            for option in ("index-url", "extra-index-url"):
                if value := settings.get(section, option, fallback=""):
                    yield value


def _installed_from() -> str | None:
    """The wheel file that pip installed posetalk from, if it is still there."""
    try:
        written = importlib.metadata.distribution("posetalk").read_text("direct_url.json")
        url = urlsplit(json.loads(written or "{}")["url"])
    except (importlib.metadata.PackageNotFoundError, KeyError, TypeError, ValueError):
        return None
    path = Path(unquote(url.path))
    return str(path) if url.scheme == "file" and path.is_file() else None
