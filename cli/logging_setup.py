"""``--log-file``: one JSON object a line, with job, relation and part; ``--debug``: messages on stderr.

The engine logs with ``logging.getLogger(__name__)`` and may give ``extra={"job": ..., "relation": ...,
"part": ...}``. What happens in a job is also logged, event by event (``log_event``).
"""

from __future__ import annotations

import json
import logging
import os
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from export_core.errors import UsageError
from export_core.events import Event
from strategies.masking import scrub

PACKAGES = ("cli", "export_core", "strategies")
PLACES = ("job", "relation", "part")
_EVENTS = logging.getLogger("export_core.events")


class JsonLines(logging.Formatter):
    """A log record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Time (UTC), level, logger, message, the place in the export, the event's values, a traceback."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": scrub(record.getMessage(), ()),
        }
        line |= {name: getattr(record, name) for name in PLACES if hasattr(record, name)}
        line |= getattr(record, "values", {})
        if record.exc_info:
            line["traceback"] = scrub(self.formatException(record.exc_info), ())
        return json.dumps(line, ensure_ascii=False, default=str)


def set_up_logging(log_file: Path | None, *, debug: bool) -> None:
    """Send the records of packmule's packages to the file and, with ``debug``, to stderr."""
    handlers: list[logging.Handler] = []
    if log_file is not None:
        handlers.append(_to_file(log_file))
    if debug:
        to_screen = logging.StreamHandler(sys.stderr)
        to_screen.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
        handlers.append(to_screen)
    for name in PACKAGES:
        logger = logging.getLogger(name)
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
        logger.handlers = handlers


def _to_file(path: Path) -> logging.Handler:
    """A handler that appends to a file which only its owner can read."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600))
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError as exc:
        raise UsageError(
            f"the log file {path} cannot be written: {exc.strerror}", hint="name another with --log-file"
        ) from exc
    handler.setFormatter(JsonLines())
    return handler


def log_event(event: Event) -> None:
    """A listener that logs what happens in a job."""
    if not _EVENTS.isEnabledFor(logging.DEBUG):
        return
    values = asdict(event)
    places = {name: values.pop(name) for name in PLACES if name in values}
    message = values.pop("message", None)
    level = logging.DEBUG if message is None else logging.WARNING
    _EVENTS.log(level, message or type(event).__name__, extra={**places, "values": values})
