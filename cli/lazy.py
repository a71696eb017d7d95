"""A Typer group that imports a command's module only when that command is used.

A command's module has the function, whose docstring is the help, and ``EXAMPLES``, whole command lines.

Typer (0.29 at least) also builds a pydantic validator for every option at every start, which costs 0.15 s;
our options are texts, numbers and flags, so that plain conversions do (see ``_simplified``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from difflib import get_close_matches
from importlib import import_module
from inspect import Parameter, Signature
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup

from cli.output import Output

Context = Any  # typer's and click's contexts are not the same class in all versions


@dataclass(frozen=True, slots=True)
class Entry:
    """A command: where its function is (``module:function``), its one-line help, its exit codes."""

    function: str
    help: str
    exit_codes: tuple[int, ...] = (0, 1, 2)
    meanings: Mapping[int, str] = field(default_factory=dict)
    """What an exit code means here, where that is narrower than in general."""


def command_of(options: type[Any], run: Callable[[Context, Any], Any]) -> Callable[..., Any]:
    """A function for typer whose options are the fields of a frozen dataclass, each declared once.

    A field of type ``tuple[str, ...]`` is an option that may be repeated. The command calls ``run`` with
    typer's context and one object of the dataclass; its help is ``run``'s docstring.
    """
    hints = get_type_hints(options, include_extras=True)

    def command(ctx: Context, **values: Any) -> Any:
        return run(ctx, options(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}))

    keyword = Parameter.KEYWORD_ONLY
    declared = [Parameter("ctx", keyword, annotation=typer.Context)]
    for item in fields(options):
        default = Parameter.empty if item.default is MISSING else item.default
        declared.append(
            Parameter(item.name, keyword, default=default, annotation=_repeated(hints[item.name]))
        )
    command.__signature__ = Signature(declared)  # type: ignore[attr-defined]
    command.__annotations__ = {item.name: item.annotation for item in declared}
    command.__doc__ = run.__doc__
    return command


def _repeated(hint: Any) -> Any:
    """Typer's spelling of a repeated option: a list, where frozen values have a tuple."""
    if get_origin(hint) is Annotated and get_args(hint)[0] == tuple[str, ...]:
        return Annotated[(list[str], *get_args(hint)[1:])]
    return hint


class _Helpful:
    """What commands and the group have in common: a help that is written as every other result is."""

    def get_help_option(self, ctx: Context) -> Any:
        """Typer's own, but its text takes the way on which a full disk is told."""
        option = super().get_help_option(ctx)  # type: ignore[misc]
        if option is not None:
            option.callback = _show_help
        return option


def _show_help(ctx: Context, _option: Any, wanted: Any) -> None:
    if wanted and not ctx.resilient_parsing:
        Output().out(ctx.get_help())
        ctx.exit()


class LeanCommand(_Helpful, TyperCommand):
    """A command whose plain options are converted without pydantic."""

    def get_params(self, ctx: Context) -> list[Any]:
        """Typer's own, --help among them, with plain conversions."""
        return _simplified(super().get_params(ctx))


class LazyGroup(_Helpful, TyperGroup):
    """A group of commands known by a literal table. Subclasses say ``entries`` and ``epilog_for``."""

    entries: Mapping[str, Entry] = {}

    def get_params(self, ctx: Context) -> list[Any]:
        """Typer's own, --help among them, with plain conversions."""
        return _simplified(super().get_params(ctx))

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
        path, _, function = entry.function.partition(":")
        module = import_module(path)
        epilog = self.epilog_for(entry, getattr(module, "EXAMPLES", ()))
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        app.command(name, cls=LeanCommand, short_help=entry.help, epilog=epilog)(getattr(module, function))
        return typer.main.get_command(app)

    def epilog_for(self, entry: Entry, examples: Sequence[str]) -> str:
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


def _simplified(params: list[Any]) -> list[Any]:
    """The same parameters, plain ones with plain conversions, where typer has a place for them."""
    for param in params:
        descriptor = getattr(param, "type_descriptor", None)
        info = getattr(descriptor, "parameter_info", None)
        conversion = _CONVERSIONS.get(getattr(descriptor, "annotation", None)) if _is_plain(info) else None
        if conversion is not None and getattr(param, "_runtime_param", False) is None:
            param._runtime_param = _PlainParam(*conversion, info)
    return params


def _is_plain(info: Any) -> bool:
    """Whether an option has no parser, no rounding to its bounds, and no checks of files."""
    special = ("parser", "click_type", "clamp", "exists", "resolve_path", "writable")
    return info is not None and not any(getattr(info, name, None) for name in special)
