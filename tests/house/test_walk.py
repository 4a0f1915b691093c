"""From a microphone's block to a drawn vertex everything is a typed call, and nothing reaches in.

Read from the syntax trees of all product code; what a checker of types cannot say is checked here.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from functools import cache

from draw_tree import HOUSES, ROOT

LIVE = ("stream/core", "stream/run", "stream/serve", "posetalk/app", "viewer/play")
TO_OTHERS = {
    "Thread",
    "answered",
    "note",
    "post",
    "call_soon_threadsafe",
    "run_coroutine_threadsafe",
    "run_in_executor",
    "submit",
}
"""What hands a call to another thread."""
OF_A_LIBRARY = {"viewer/render/painter.py": {"_bind", "_buffers"}}
"""Names that pyrender and we both keep to ourselves; these are pyrender's."""


@cache
def product() -> dict[str, ast.Module]:
    """The syntax of every file of the product, by its path."""
    files = (path for folder in HOUSES for path in sorted((ROOT / folder).rglob("*.py")))
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_bytes()) for path in files}


def calls_in(*folders: str) -> Iterator[tuple[str, ast.Call]]:
    """Every call in these folders, and the path of its file."""
    for path, tree in product().items():
        if path.startswith(folders):
            yield from ((path, node) for node in ast.walk(tree) if isinstance(node, ast.Call))


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def own_names(kind: ast.ClassDef) -> set[str]:
    """The private attributes and methods that a class says it has."""
    names = set()
    for node in ast.walk(kind):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names.add(name)
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name):
                names.add(name)
            case ast.AnnAssign(target=ast.Name(id=name)) | ast.Name(id=name, ctx=ast.Store()):
                names.add(name)
    return {name for name in names if is_private(name)}


def reached_into(node: ast.AST, known: set[str]) -> Iterator[ast.Attribute]:
    """Private attributes of others than the class that one stands in, `known` being its own."""
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.ClassDef():
                yield from reached_into(child, own_names(child))
                continue
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                pass
            case ast.Attribute(value=ast.Call(func=ast.Name(id="super"))):
                pass
            case ast.Attribute(attr=name) if is_private(name) and name not in known:
                yield child
        yield from reached_into(child, known)


def test_nobody_touches_what_is_private_to_another_class() -> None:
    """Of our own classes; what libraries keep to themselves is their affair."""
    ours = {
        name
        for tree in product().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for name in own_names(node)
    }
    faults = [
        f"{path}:{access.lineno}: {ast.unparse(access)}"
        for path, tree in product().items()
        for access in reached_into(tree, set())
        if access.attr in ours - OF_A_LIBRARY.get(path, set())
    ]
    assert not faults, faults


def test_no_lambda_goes_to_another_thread() -> None:
    """What another thread does has a name and typed arguments."""
    faults = []
    for path, call in calls_in("stream/", "posetalk/", "viewer/"):
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        given = [*call.args, *(word.value for word in call.keywords)]
        if name in TO_OTHERS and any(isinstance(value, ast.Lambda) for value in given):
            faults.append(f"{path}:{call.lineno}: {ast.unparse(call)}")
    assert not faults, faults


def test_a_backend_is_asked_by_its_protocol_alone() -> None:
    """Neither which class it is, nor for an attribute by its name."""
    faults = []
    for path, call in calls_in(*LIVE):
        if isinstance(call.func, ast.Name) and call.func.id in ("isinstance", "getattr"):
            said = ast.unparse(call)
            if "backend" in said.lower():
                faults.append(f"{path}:{call.lineno}: {said}")
    assert not faults, faults


def test_types_are_checked_everywhere() -> None:
    """In strict mode, and over whole folders."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["mypy"]
    assert told["strict"] and {"run.py", *HOUSES} <= set(told["files"])
