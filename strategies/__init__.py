"""After-export strategies: what is done with a finished archive.

A strategy is added by writing its class and naming it in ``STRATEGIES``. The class has the methods of
``export_core.delivery.Strategy`` and two constructors: ``from_words`` (what the user said; raises UsageError)
and ``from_options`` (what was stored with the job). Each is imported only when it is chosen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol, Self

from export_core.delivery import Strategy
from export_core.errors import UsageError
from export_core.job import StrategyChoice
from strategies.masking import mask_url
from strategies.surroundings import Surroundings
from strategies.words import Words

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


class MadeStrategy(Strategy, Protocol):
    """A strategy with the two ways to make it."""

    @classmethod
    def from_words(cls, words: Words, /) -> Self:
        """Make it from the user's words. Raises UsageError and DestinationUnusable."""
        ...

    @classmethod
    def from_options(cls, options: Mapping[str, Any], surroundings: Surroundings, /) -> Self:
        """Make it again from its own ``options``, as stored with a job."""
        ...


def _move_file(_to: str) -> type[MadeStrategy]:
    from strategies.move_file import MoveFile

    return MoveFile


def _web_upload(to: str) -> type[MadeStrategy]:
    if to.startswith("s3://"):
        from strategies.web_upload_s3 import WebUploadS3

        return WebUploadS3
    from strategies.web_upload_http import WebUploadHttp

    return WebUploadHttp


def _notification(_to: str) -> type[MadeStrategy]:
    from strategies.notification import Notification

    return Notification


def _import_project(to: str) -> type[MadeStrategy]:
    if to.startswith("embedded:"):
        from strategies.import_embedded import ImportEmbedded

        return ImportEmbedded
    from strategies.import_gitlab import ImportGitlab

    return ImportGitlab


STRATEGIES: Mapping[str, Callable[[str], type[MadeStrategy]]] = {
    "move-file": _move_file,
    "web-upload": _web_upload,
    "notification": _notification,
    "import-project": _import_project,
}
"""Every strategy by its name on the command line: ``options["to"]`` -> class."""


def build(name: str, options: Mapping[str, Any], surroundings: Surroundings | None = None) -> Strategy:
    """Make the strategy that was stored with a job. Raises UsageError for a name that does not exist."""
    cls = _named(name)(str(options.get("to") or ""))
    return cls.from_options(options, surroundings or Surroundings())


def choose(name: str | None, words: Words) -> StrategyChoice:
    """From the command line's words to what is stored with the job.

    Without a name the destination decides: ``s3://`` and ``http(s)://`` mean web-upload, ``embedded:`` means
    import-project, anything else move-file, and no destination notification. Raises UsageError.
    """
    chosen = name or implied(words.to)
    _fits(chosen, words.to)
    strategy = _named(chosen)(words.to or "").from_words(words)
    return StrategyChoice(chosen, strategy.destination, dict(strategy.options))


def implied(to: str | None) -> str:
    """The strategy that a destination alone stands for."""
    if to is None:
        return "notification"
    if to.startswith("embedded:"):
        return "import-project"
    return "web-upload" if "://" in to else "move-file"


def _named(name: str) -> Callable[[str], type[MadeStrategy]]:
    try:
        return STRATEGIES[name]
    except KeyError:
        raise UsageError(f"there is no strategy {name!r}", hint=f"choose one of {_names()}") from None


def _names() -> str:
    return ", ".join(STRATEGIES)


def _fits(name: str, to: str | None) -> None:
    if to is None and name in ("move-file", "web-upload", "import-project"):
        raise UsageError(f"strategy {name} needs a destination", hint="say where with --to")
    if to is not None and name == "move-file" and _URL.match(to):
        raise UsageError(
            f"move-file takes a path, and {mask_url(to)} is a URL",
            hint="leave --strategy out, or name web-upload",
        )
    if to is not None and name == "notification":
        raise UsageError(
            "strategy notification keeps the archive in packmule's own store and takes no --to",
            hint="leave --to out, or choose move-file or web-upload",
        )
