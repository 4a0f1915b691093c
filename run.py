#!/usr/bin/env python3
"""Set posetalk up and run it: `python3 run.py live`, `python3 run.py test`.

Needs nothing but Python 3.11 or newer.  The first start makes `.venv` beside this file and
installs the project into it; later starts see a stamp and hand over at once.
"""

# No syntax newer than Python 3.8 here: older versions must get as far as the line that says so.
from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

OLDEST_PYTHON = (3, 11)
WITHOUT_DEPENDENCIES = ("pyrender==0.1.45",)
"""Installed without their dependencies; the extra `drawing` has what they need."""
ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = VENV / "posetalk-setup.json"
UNFINISHED = VENV / "posetalk-setup.unfinished"

COMMANDS = (
    "live",
    "serve",
    "view",
    "animate",
    "style",
    "head",
    "import",
    "export",
    "evaluate",
    "dataset",
    "devices",
    "doctor",
    "train",
    "bench",
    "bench-latency",
)
EXTRAS: dict[str, frozenset[str]] = {
    "style": frozenset({"torch"}),
    "import": frozenset({"torch"}),
    "export": frozenset({"export"}),
    "evaluate": frozenset({"train"}),
    "dataset": frozenset({"train"}),
    "train": frozenset({"train"}),
    "bench": frozenset({"train"}),
}
"""What a command wants beyond what `live` does."""
USAGE = """\
usage: python3 run.py COMMAND [OPTIONS]

  live       microphone -> talking head in a window (the main job)
  serve      the same without a window, for viewers and game engines elsewhere
  view       a window on a running server
  animate    a video or a motion file from recorded speech
  style      styles of your own: extract one from motion, list them
  head       heads of your own: FLAME, ICT-FaceKit
  import     a released DiffPoseTalk checkpoint as a bundle
  export     a bundle as ONNX graphs or TensorRT engines
  evaluate   the paper's table 1 for your bundles, and the page on the starter
  dataset    build and check a dataset of recorded faces
  train      train the starter, or networks on faces of your own
  devices    list microphones
  doctor     what is installed, what is missing, and how to mend it
  test       check style, types and layers, and run the tests (--slow: all of them)
  setup      install only
  bench      speed, memory and quality on this machine, and the pages on them
  bench-latency  the latency from a microphone to a client, stage by stage (--quick)

Options after COMMAND go to it; `python3 run.py live --help` lists them.
The first start installs everything into .venv and takes a minute or two.
"""

SYSTEM_PACKAGES = (
    "libportaudio2",
    "libasound2-plugins",
    "libegl1",
    "libegl-mesa0",
    "libgl1",
    "libglx-mesa0",
    "libgl1-mesa-dri",
)
SYSTEM_PACKAGES_TO_SPEAK = ("pulseaudio", "pulseaudio-utils", "xvfb", "xauth")
SYSTEM_PACKAGES_FOR_TESTS = (
    "chromium",
    "flite",
    "godot3-server",
    "libespeak-ng1",
    "espeak-ng-data",
    "mono-mcs",
    "mono-runtime",
)


class SetupError(RuntimeError):
    """Setting up cannot go on; the message says what to do."""


def say(text: str) -> None:
    """Print progress on standard error, so that the output of commands stays clean."""
    print(f"posetalk: {text}", file=sys.stderr, flush=True)


# What is wanted


def wanted_extras(command: str, gpu: bool) -> set[str]:
    """Extras of pyproject.toml that `command` needs."""
    extras = {"gpu" if gpu else "cpu", "drawing", *EXTRAS.get(command, ())}
    if command == "test":
        extras |= {"dev", "export", "torch", "train"}
        # TensorRT for RTX comes for these two alone; its tests say so where it is missing.
        extras |= {"trt-rtx"} if sys.platform in ("linux", "win32") else set()
    return extras


def wanted_packages(command: str) -> tuple[str, ...]:
    """Debian packages that `command` needs."""
    speaks = command in ("test", "bench-latency")  # into a virtual microphone
    more = SYSTEM_PACKAGES_TO_SPEAK if speaks else ()
    return SYSTEM_PACKAGES + more + (SYSTEM_PACKAGES_FOR_TESTS if command == "test" else ())


def fingerprint(root: Path) -> str:
    """Hash of everything that decides what gets installed."""
    parts = [str(sys.version_info[:2]), str(root)]
    parts += [(root / name).read_text("utf-8") for name in ("pyproject.toml", "constraints.txt")]
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


# What is there


def read_stamp(path: Path, print_: str) -> dict[str, list[str]]:
    """What an earlier set-up installed, or nothing if it was another one or is damaged."""
    try:
        stamp = json.loads(path.read_text("utf-8"))
        if stamp["fingerprint"] != print_:
            return {}
        return {key: [str(item) for item in stamp[key]] for key in ("extras", "system")}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def venv_python(venv: Path) -> Path:
    """Where an environment keeps its interpreter."""
    return venv / "Scripts" / "python.exe" if os.name == "nt" else venv / "bin" / "python"


def venv_works(venv: Path) -> bool:
    """Whether an environment has an interpreter of the right version, and pip."""
    probe = f"import sys, pip; sys.exit(sys.version_info < {OLDEST_PYTHON})"
    try:
        command = [str(venv_python(venv)), "-c", probe]
        return subprocess.run(command, capture_output=True, timeout=120).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def missing_packages(packages: Sequence[str]) -> list[str]:
    """Those of `packages` that dpkg does not have installed."""
    query = ["dpkg-query", "-W", "-f=${Package} ${db:Status-Status}\n", *packages]
    listed = subprocess.run(query, capture_output=True, text=True).stdout.splitlines()
    there = {line.split()[0] for line in listed if line.endswith(" installed")}
    return [name for name in packages if name not in there]


# Setting up


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


def make_venv() -> None:
    """Make `.venv`, or start it over if an earlier set-up was cut short."""
    if UNFINISHED.exists():
        say("the last set-up was cut short; starting over")
    elif venv_works(VENV):
        return
    if importlib.util.find_spec("ensurepip") is None:
        raise SetupError("this Python cannot make environments; install python3-venv and try again")
    say(f"making {VENV}")
    made = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", str(VENV)], capture_output=True, text=True
    )
    if made.returncode != 0:
        raise SetupError(f"could not make {VENV}: {last_line(made.stderr or made.stdout)}")


def install_project(extras: set[str]) -> None:
    """Install the project, editable, with its extras and the tested versions."""
    python = str(venv_python(VENV))
    target = f"{ROOT}[{','.join(sorted(extras))}]"
    say(f"installing posetalk with {', '.join(sorted(extras))} (a minute or two)")
    UNFINISHED.touch()
    # The CPU and GPU builds of onnxruntime write into the same folder: only one may be there.
    other = "onnxruntime" if "gpu" in extras else "onnxruntime-gpu"
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    subprocess.run([*pip, "uninstall", "-q", "-y", other], capture_output=True)
    constraints = str(ROOT / "constraints.txt")
    # Compiling what is never used would add a third to the size; Python compiles the rest itself.
    install = [*pip, "install", "--progress-bar", "off", "--no-compile", "-c", constraints]
    log = VENV / "posetalk-setup.log"
    returncode = run_with_progress([*install, "-e", target], log)
    if returncode == 0:
        returncode = run_with_progress([*install, "--no-deps", *WITHOUT_DEPENDENCIES], log)
    # pip changes nothing before it has downloaded everything, so after its own failure there is
    # nothing to repair; the mark stays only if this process is killed in between.
    UNFINISHED.unlink(missing_ok=True)
    if returncode != 0:
        raise SetupError("pip could not install everything: see above, then run this again")


def run_with_progress(command: list[str], log: Path) -> int:
    """Run pip with one line of progress on a terminal; all it says goes to `log`.

    Where it fails, its last words are shown.
    """
    said: list[str] = []
    show = sys.stderr.isatty()
    started = time.monotonic()
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdout=pipe, stderr=subprocess.STDOUT, text=True)
    with process, log.open("w", encoding="utf-8") as file:
        assert process.stdout is not None
        for line in process.stdout:
            file.write(line)
            said.append(line.rstrip())
            if show and not line.startswith("WARNING"):
                spent = f"{time.monotonic() - started:3.0f} s  "
                width = shutil.get_terminal_size().columns - len(spent) - 1
                print(f"\r{spent}{line.strip()[:width]:<{width}}", end="", file=sys.stderr)
    if show:
        print(f"\r{' ' * (shutil.get_terminal_size().columns - 1)}\r", end="", file=sys.stderr)
    if process.returncode:
        errors = [line for line in said if line.startswith(("ERROR", "error"))] or said[-10:]
        print("\n".join(errors), file=sys.stderr)
        say(f"all that pip said is in {log}")
    return process.returncode


def set_up(command: str) -> None:
    """Bring `.venv` and the system to what `command` needs; quick when nothing changed."""
    started = time.monotonic()
    print_ = fingerprint(ROOT)
    stamp = {} if UNFINISHED.exists() else read_stamp(STAMP, print_)
    if is_enough(stamp, command):
        return
    with only_one(ROOT / ".venv.lock"):
        stamp = {} if UNFINISHED.exists() else read_stamp(STAMP, print_)
        if is_enough(stamp, command):
            return
        extras = wanted_extras(command, has_gpu()) | set(stamp.get("extras", []))
        if "gpu" in extras:
            extras.discard("cpu")
        system = {*wanted_packages(command), *stamp.get("system", [])}
        if sys.platform == "linux":
            install_system(sorted(system))
        if not extras <= set(stamp.get("extras", [])) or not venv_works(VENV):
            STAMP.unlink(missing_ok=True)
            make_venv()
            install_project(extras)
        stamped = {"fingerprint": print_, "extras": sorted(extras), "system": sorted(system)}
        STAMP.write_text(json.dumps(stamped), "utf-8")
    say(f"set up in {time.monotonic() - started:.0f} s")


def is_enough(stamp: dict[str, list[str]], command: str) -> bool:
    """Whether an earlier set-up covers `command`."""
    if not stamp or not venv_python(VENV).exists():
        return False
    extras = set(stamp["extras"])
    wanted = wanted_extras(command, gpu="gpu" in extras)
    if not wanted <= extras or ("cpu" in extras and has_gpu()):
        return False
    # Packages that could not be installed count as seen to: nobody is asked twice.
    return set(wanted_packages(command)) <= set(stamp["system"])


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
        os.execv(command[0], command)
    process = subprocess.Popen(command)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue  # the command got it too, and ends in its own way


def check_steps(python: str, arguments: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Names and commands of all checks; `arguments` are those of `run.py test`."""
    rest = [argument for argument in arguments if argument != "--slow"]
    pytest = [python, "-P", "-m", "pytest", "-q", *rest]
    if "--slow" not in arguments:
        pytest += ["-m", "not slow"]
    lint = "from importlinter.cli import lint_imports_command as c; c()"
    return [
        ("ruff", [python, "-m", "ruff", "check", "--quiet", "."]),
        ("format", [python, "-m", "ruff", "format", "--quiet", "--check", "."]),
        ("mypy", [python, "-P", "-m", "mypy"]),
        ("layers", [python, "-c", lint, "--no-cache"]),
        ("tests", pytest),
    ]


def run_checks(arguments: Sequence[str]) -> int:
    """Run every check, also after one failed, and end with one line on all of them."""
    results = []
    for name, command in check_steps(str(venv_python(VENV)), arguments):
        say(f"{name} ...")
        started = time.monotonic()
        passed = subprocess.run(command, cwd=ROOT).returncode == 0
        results.append((name, passed, time.monotonic() - started))
    line = ", ".join(f"{name} {'ok' if ok else 'FAILED'} ({s:.0f} s)" for name, ok, s in results)
    failed = any(not passed for _, passed, _ in results)
    print(f"{'FAILED' if failed else 'all passed'}: {line}")
    return 1 if failed else 0


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
    if command not in (*COMMANDS, "test", "setup"):
        say(f"no command `{command}`; there are {', '.join((*COMMANDS, 'test', 'setup'))}")
        return 2
    try:
        set_up(command)
        if command == "setup":
            return 0
        if command == "test":
            return run_checks(rest)
        # -P: a folder of the user's that is called `head` or `stream` must not be imported.
        module = (
            ["benchmarks.latency.bench"] if command == "bench-latency" else ["posetalk", command]
        )
        return hand_over([str(venv_python(VENV)), "-P", "-m", *module, *rest])
    except SetupError as error:
        say(str(error))
        return 1
    except OSError as error:
        say(f"could not set up: {error}")
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
