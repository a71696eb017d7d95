"""A Typer group that imports a command's module only when that command is used.

Typer (0.29 at least) also builds a pydantic validator for every option at every start, which costs 0.15 s;
our options are texts, numbers and flags, so that plain conversions do (see ``_simplify``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

Context = Any  # typer's and click's contexts are not the same class in all versions


@dataclass(frozen=True, slots=True)
class Entry:
    """A command: where its function is (``module:function``), its one-line help, its exit codes."""

    function: str
    help: str
    exit_codes: tuple[int, ...] = (0, 1, 2)


class LeanCommand(TyperCommand):
    """A command whose plain options are converted without pydantic."""

    def make_context(self, *args: Any, **kwargs: Any) -> Context:
        """Typer's own, after the options were simplified."""
        _simplify(self.params)
        return super().make_context(*args, **kwargs)


class LazyGroup(TyperGroup):
    """A group of commands known by a literal table. Subclasses fill ``entries`` and ``epilog_for``."""

    entries: Mapping[str, Entry] = {}

    def make_context(self, *args: Any, **kwargs: Any) -> Context:
        """Typer's own, after the options were simplified."""
        _simplify(self.params)
        return super().make_context(*args, **kwargs)

    def list_commands(self, ctx: Context) -> list[str]:  # noqa: ARG002 -- typer's signature
        """All names, in the order of the table."""
        return list(self.entries)

    def get_command(self, ctx: Context, cmd_name: str) -> Any:  # noqa: ARG002 -- typer's signature
        """The command itself; its module is imported now."""
        if cmd_name not in self.commands and cmd_name in self.entries:
            self.commands[cmd_name] = self.load(cmd_name)
        return self.commands.get(cmd_name)

    def load(self, name: str) -> Any:
        """Import a command's function and make a command of it."""
        entry = self.entries[name]
        module, _, function = entry.function.partition(":")
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        command = app.command(name, cls=LeanCommand, short_help=entry.help, epilog=self.epilog_for(entry))
        command(getattr(import_module(module), function))
        return typer.main.get_command(app)

    def epilog_for(self, entry: Entry) -> str:
        """What stands below a command's help."""
        raise NotImplementedError

    def resolve_command(self, ctx: Context, args: list[str]) -> Any:
        """Typer's own; a word that is no command is answered with those that look like it."""
        word = args[0]
        if word not in self.entries and not word.startswith("-"):
            near = get_close_matches(word, self.entries)
            ctx.fail(f"no such command: {word!r}" + (f"; did you mean {' or '.join(near)}?" if near else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Context, formatter: Any) -> None:  # noqa: ARG002 -- typer's signature
        """The table's one-line helps, with nothing imported."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in self.entries.items()])


class _PlainParam:
    """Converts a parameter's texts by a function, as typer's own coercion would, without pydantic."""

    def __init__(self, convert: Callable[[str], Any], kind: str, info: Any) -> None:
        self._convert = convert
        self._kind = kind
        self._least, self._most = info.min, info.max

    def coerce(self, value: Any, param: Any, ctx: Context) -> Any:
        """The value in its type: one, or a tuple where the option may be repeated."""
        if param.multiple or param.nargs == -1:
            return tuple(self._one(item, param, ctx) for item in value or ())
        return None if value is None else self._one(value, param, ctx)

    def _one(self, value: Any, param: Any, ctx: Context) -> Any:
        try:
            result = self._convert(value)
        except ValueError:
            raise typer.BadParameter(f"{value!r} is not {self._kind}.", ctx=ctx, param=param) from None
        if self._least is not None and result < self._least:
            raise typer.BadParameter(f"{value} is less than {self._least}.", ctx=ctx, param=param)
        if self._most is not None and result > self._most:
            raise typer.BadParameter(f"{value} is more than {self._most}.", ctx=ctx, param=param)
        return result


_CONVERSIONS: Mapping[Any, tuple[Callable[[Any], Any], str]] = {
    str: (str, "a text"),
    list[str]: (str, "a text"),
    int: (int, "a whole number"),
    float: (float, "a number"),
    bool: (bool, "yes or no"),
    Path: (Path, "a path"),
}


def _simplify(params: Iterable[Any]) -> None:
    """Give plain options plain conversions, where typer has a place for them."""
    for param in params:
        descriptor = getattr(param, "type_descriptor", None)
        info = getattr(descriptor, "parameter_info", None)
        conversion = _CONVERSIONS.get(getattr(descriptor, "annotation", None)) if _is_plain(info) else None
        if conversion is not None and getattr(param, "_runtime_param", False) is None:
            param._runtime_param = _PlainParam(*conversion, info)


def _is_plain(info: Any) -> bool:
    """Whether an option has no parser, no rounding to its bounds, and no checks of files."""
    special = ("parser", "click_type", "clamp", "exists", "resolve_path", "writable")
    return info is not None and not any(getattr(info, name, None) for name in special)
