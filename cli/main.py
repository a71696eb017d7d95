"""``packmule``: the table of commands, and the one place where an error becomes an exit code."""

from __future__ import annotations

import gc
import select
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, NoReturn

import typer

from cli.lazy import Context, Entry, LazyGroup
from cli.output import Output, OutputLost
from cli.process_title import hide_secrets
from cli.streams import finish, forget_stdout, forget_unheard, prepare
from export_core import __version__
from export_core.errors import Interrupted, PackmuleError

EXIT_CODES: Mapping[int, str] = {
    0: "done",
    1: "unexpected fault (--debug shows where)",
    2: "wrong usage",
    3: "the export failed or was incomplete",
    4: "project, job or archive not found",
    5: "source not reachable or refused",
    6: "destination not usable",
    7: "archive not valid",
    130: "interrupted; the job is resumable",
}

_RUN = (0, 1, 2, 3, 4, 5, 6, 7, 130)

COMMANDS: Mapping[str, Entry] = {
    "export": Entry("cli.commands.export:export", "Export a project into an archive and hand it on.", _RUN),
    "resume": Entry("cli.commands.resume:resume", "Continue an interrupted or failed job.", _RUN),
    "list": Entry("cli.commands.list_:list_jobs", "Jobs and their archives, newest first."),
    "show": Entry(
        "cli.commands.show:show",
        "One job: relations, parts, times, warnings, error.",
        (0, 1, 2, 4),
        {4: "there is no such job"},
    ),
    "status": Entry("cli.commands.status:status", "A project's export status in GitLab's words."),
    "cancel": Entry(
        "cli.commands.cancel:cancel",
        "Stop a running job, from any terminal.",
        (0, 1, 2, 3, 4),
        {3: "the job is finished already, or has not stopped yet", 4: "there is no such job"},
    ),
    "clean": Entry(
        "cli.commands.clean:clean",
        "Remove old archives, work directories and job rows.",
        (0, 1, 2, 3, 130),
        {3: "something could not be removed, or the answer was no", 130: "interrupted"},
    ),
    "work": Entry(
        "cli.commands.work:work",
        "Run queued and interrupted jobs; for cron and systemd.",
        (0, 1, 2, 3, 130),
        {3: "with --once: a job failed or is incomplete", 130: "stopped; its jobs are resumable"},
    ),
    "verify": Entry(
        "cli.commands.verify:verify",
        "Would GitLab import this archive; is it whole?",
        (0, 1, 2, 4, 7, 130),
        {4: "there is no such archive", 130: "interrupted"},
    ),
    "import": Entry(
        "cli.commands.import_:import_archive",
        "Load an archive into the embedded instance.",
        (0, 1, 2, 3, 4, 5, 6, 7, 130),
        {
            3: "git could not make a repository of a bundle",
            4: "there is no such archive",
            5: "the embedded instance cannot be used",
            6: "there is such a project already",
            130: "interrupted",
        },
    ),
    "demo": Entry(
        "cli.commands.demo:demo",
        "A filled project, exported and verified before your eyes.",
        (0, 1, 2, 3, 5, 6, 7, 130),
        {5: "the embedded instance cannot be used", 6: "no room for the archive"},
    ),
    "doctor": Entry(
        "cli.commands.doctor:doctor",
        "What this machine and a source can and cannot do.",
        (0, 1, 2, 5),
        {5: "a check failed"},
    ),
}


@dataclass(slots=True)
class Invocation:
    """What the global options say, and the streams; ``ctx.obj`` of every command."""

    debug: bool = False
    log_file: Path | None = None
    output: Output = field(default_factory=Output)
    wiring: Any = None


class PackmuleGroup(LazyGroup):
    """All commands, and around them the boundary where errors become exit codes."""

    entries = COMMANDS

    def epilog_for(self, entry: Entry, examples: Sequence[str]) -> str:
        """Examples, and the exit codes that a command may give."""
        shown = ["\b", "Examples:", *(f"  {example}" for example in examples), "\n"] if examples else []
        return "\n".join([*shown, exit_code_text(entry.exit_codes, entry.meanings)])

    def main(self, args: Sequence[str] | None = None, *_: Any, **extra: Any) -> NoReturn:
        """Run one command line and leave with its exit code."""
        words = hoisted(sys.argv[1:] if args is None else args)
        invocation = Invocation(debug="--debug" in words)
        extra |= {"standalone_mode": False, "prog_name": "packmule", "obj": invocation}
        code = self._bounded(words, invocation, extra)
        final, trouble = finish(code)
        if trouble is not None and not code:
            invocation.output.message(f"packmule: {trouble}")
        forget_unheard()
        gc.freeze()  # else Python looks for garbage a last time, which takes longer than most commands
        sys.exit(final)

    def _bounded(self, words: list[str], invocation: Invocation, extra: dict[str, Any]) -> int:
        try:
            returned = super().main(words, **extra)
            return returned if isinstance(returned, int) else 0
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 -- the one boundary
            return _report(error, invocation, as_json="--json" in words)

    def invoke(self, ctx: Context) -> Any:
        """Run the command; when whoever reads its output has left (``packmule list | head``), leave too."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as exc:  # typer would leave with 130 and no word
            raise Interrupted("interrupted") from exc
        except BrokenPipeError:
            if not _reader_is_gone():
                raise
            forget_stdout()
            return 128 + signal.SIGPIPE


app = typer.Typer(
    cls=PackmuleGroup,
    help="Carries projects out: GitLab project archives and GROWI pages, fast, resumable, from one snapshot.",
    epilog="",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def exit_code_text(codes: Sequence[int], meanings: Mapping[int, str] = MappingProxyType({})) -> str:
    """Exit codes as they stand below a help text; the backspace keeps typer from joining the lines."""
    lines = (f"  {code:<4} {meanings.get(code, EXIT_CODES[code])}" for code in codes)
    return "\n".join(["\b", "Exit codes:", *lines])


def _print_version(value: bool) -> None:
    if value:
        Output().out(f"packmule {__version__}")
        raise typer.Exit


@app.callback(epilog=exit_code_text(tuple(EXIT_CODES)))
def _global_options(
    ctx: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and debug messages.")] = False,
    log_file: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Append JSON lines with job, relation and part.")
    ] = None,
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Show the version.")
    ] = False,
) -> None:
    invocation: Invocation = ctx.obj
    invocation.debug, invocation.log_file = debug, log_file
    if debug or log_file is not None:
        from cli.logging_setup import set_up_logging

        set_up_logging(log_file, debug=debug)


def _report(error: BaseException, invocation: Invocation, *, as_json: bool) -> int:
    """Say on stderr what went wrong, and give the exit code."""
    if invocation.debug and not _is_typers_own(error):
        import traceback

        traceback.print_exception(error)
    kind, message, hint, code = _described(error)
    invocation.output.message(message if kind == "Help" else f"packmule: {message}")
    if hint:
        invocation.output.message(f"hint: {hint}")
    if as_json and not invocation.output.json_printed:
        try:
            invocation.output.json({"error": {"kind": kind, "message": message, "hint": hint}})
        except OutputLost as lost:
            invocation.output.message(f"packmule: {lost.message}")
        except BrokenPipeError:
            forget_stdout()
    return code


def _described(error: BaseException) -> tuple[str, str, str | None, int]:
    """Kind, message, hint and exit code of anything that was raised."""
    match error:
        case PackmuleError():
            return error.kind, error.message, error.hint, error.exit_code
        case KeyboardInterrupt():
            return Interrupted.__name__, "interrupted", None, Interrupted.exit_code
        case typer.Abort():
            return Interrupted.__name__, "aborted", None, Interrupted.exit_code
        case _ if type(error).__name__ == "NoArgsIsHelpError":
            return "Help", str(error), None, 2
        case _ if _is_typers_own(error):
            return "UsageError", *_usage(error)
    return "Unexpected", f"unexpected fault: {type(error).__name__}: {error}", "--debug shows where", 1


def _is_typers_own(error: BaseException) -> bool:
    """Whether the command line could not be parsed. Typer has click's classes, its own or click's."""
    return hasattr(error, "format_message") and hasattr(error, "exit_code")


def _usage(error: Any) -> tuple[str, str | None, int]:
    context: Context = getattr(error, "ctx", None)
    hint = f"see {context.command_path} --help" if context is not None else None
    from strategies.masking import mask_urls_in

    return mask_urls_in(error.format_message()), hint, error.exit_code


def _reader_is_gone() -> bool:
    """Whether stdout is a pipe that nobody reads any more."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def hoisted(args: Sequence[str]) -> list[str]:
    """The words with the global options in front, where typer wants them, wherever the user put them."""
    words, front = list(args), list[str]()
    end = words.index("--") if "--" in words else len(words)
    place = 0
    while place < end:
        takes = 1 if words[place] == "--debug" or words[place].startswith("--log-file=") else 0
        takes = 2 if words[place] == "--log-file" and place + 1 < end else takes
        front += words[place : place + takes]
        del words[place : place + takes]
        end -= takes
        place += not takes
    return front + words


def main() -> NoReturn:
    """The console script."""
    prepare()
    hide_secrets(sys.argv[1:])
    app()
    raise AssertionError("unreachable: app() leaves with an exit code")
