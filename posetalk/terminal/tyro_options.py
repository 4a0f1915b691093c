"""Options as tyro reads them: those that take some names, and what is wrong, in one line.

By itself tyro answers in a box of several lines. What it found reaches us through a hook that it
calls unstable; should a later version have another, its own box is shown, with the same exit code.
"""

from __future__ import annotations

import difflib
import re
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import is_dataclass
from typing import Any, NoReturn, get_args, get_type_hints

import tyro

from posetalk.terminal.console import UsageError

_READINGS = (
    (r"invalid literal for int\(\) with base 10: '(.*)'", "give a whole number"),
    (r"could not convert string to float: '(.*)'", "give a number"),
)
"""How Python puts that a text is no number, and what to do."""


def one_of(*names: str) -> tyro.constructors.PrimitiveConstructorSpec[Any]:
    """These names and no other: `None`, which stands for left out, is none to be typed or told."""
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="|".join(names),
        instance_from_str=lambda given: given[0],
        is_instance=lambda value: value is None or value in names,
        str_from_instance=lambda value: [str(value)],
        choices=names,
    )


@contextmanager
def in_one_line(options: Callable[[], Iterable[str]] = tuple) -> Iterator[None]:
    """Whatever tyro, or argparse, finds wrong meanwhile is raised as a line.

    Args:
        options: gives the options that there are, for the nearest to one that there is not.

    Raises:
        UsageError: the options are wrong.
    """
    try:
        from tyro import _errors
    except ImportError:  # a version without the hook
        yield
        return

    def refuse(event: _errors.ParseErrorEvent) -> None:
        line = _line(event, options)
        if line is not None:
            raise UsageError(line)

    def refuse_plainly(_parser: ArgumentParser, message: str) -> NoReturn:
        raise UsageError(message)

    plainly = ArgumentParser.error
    setattr(ArgumentParser, "error", refuse_plainly)  # noqa: B010 - a method may not be assigned
    try:
        with _errors.on_parse_error(refuse):
            yield
    finally:
        setattr(ArgumentParser, "error", plainly)  # noqa: B010


def options_of(command: type) -> Iterator[str]:
    """The names of a command's options, with dashes; of what its fields hold, too."""
    for name, hint in get_type_hints(command).items():
        parts = [each for each in (hint, *get_args(hint)) if is_dataclass(each)]
        if not parts:
            yield "--" + name.strip("_").replace("_", "-")
        for part in parts:
            assert isinstance(part, type)
            yield from options_of(part)


def any_of(names: Iterable[Any], last: str = "or") -> str:
    """`a, b or c`."""
    *most, end = map(str, names)
    return f"{', '.join(most)} {last} {end}" if most else end


def _line(event: Any, options: Callable[[], Iterable[str]]) -> str | None:
    """What is wrong; None for what is not known here."""
    try:
        match type(event).__name__:
            case "InvalidChoice":
                if event.argument.is_positional():
                    there = any_of(event.choices, "and")
                    return f"no `{event.prog} {event.value}`; there are {there}"
                return f"{_name(event.argument)} {event.value}: choose {any_of(event.choices)}"
            case "BadValue" if event.reason == "too_few_values":
                return f"{_name(event.argument)} needs a value: {_what(event.argument)}"
            case "InstantiationFailure" if event.argument is not None:
                return _wrong_value(event.argument, event.message)
            case "MissingArgs" if event.unrecognized_tokens:  # mistyped, perhaps
                return _unknown(event.unrecognized_tokens, options)
            case "MissingArgs":
                wanted = [_asked_for(each.arg) for each in event.missing_arguments]
                return f"give {any_of(wanted, 'and')}; `{_help(event)}` tells more"
            case "MissingSubcommand":
                actions = any_of(event.subcommand_spec.parser_from_name)
                return f"say what to do: {actions}"
            case "UnrecognizedArgs":
                return _unknown(event.tokens, options)
    except (AttributeError, TypeError, ValueError):  # the event has other fields by now
        return None
    return None


def _name(argument: Any) -> str:
    """As it is typed; of a positional one, its place in the help."""
    positional = argument.is_positional()
    return str(argument.lowered.metavar if positional else argument.lowered.name_or_flags[-1])


def _what(argument: Any) -> str:
    return str(argument.lowered.metavar or "a value")


def _asked_for(argument: Any) -> str:
    return _what(argument) if argument.is_positional() else f"{_name(argument)} {_what(argument)}"


def _help(event: Any) -> str:
    progs = event._help_progs()
    return f"{progs if isinstance(progs, str) else progs[-1]} --help"


def _wrong_value(argument: Any, message: str) -> str:
    name = _name(argument)
    for pattern, remedy in _READINGS:
        if (found := re.search(pattern, message)) is not None:
            return f"{name} {found[1]}: {remedy}"
    if (found := re.search(r"valid parse for arguments: \['(.*)'\]", message)) is not None:
        return f"{name} {found[1]}: give {_what(argument)}"
    return f"{name}: {' '.join(message.split())}"


def _unknown(tokens: list[str], options: Callable[[], Iterable[str]]) -> str:
    """An option that there is not, and the nearest there is; else what stands there needlessly."""
    wrong = next((token for token in tokens if token.startswith("--")), tokens[0])
    name = wrong.split("=")[0]
    near = difflib.get_close_matches(name, list(options()), 1, cutoff=0.75)
    if not name.startswith("-"):
        return f"{name}: nothing is to stand there; --help lists what the command takes"
    return f"no option {name}; " + (f"did you mean {near[0]}?" if near else "--help lists them")
