"""Everything that can go wrong, as one tree.

- PackmuleError
  - StoreUnusable              the job store cannot be opened, read or written               exit 1
  - UsageError                 wrong words on the command line or in config.toml            exit 2
  - ExportFailed               the export failed or was incomplete                          exit 3
    - RelationFailed           one relation (and part) could not be exported
    - JobConflict              the same job is being run, or may not make that transition
    - Cancelled                stopped by ``packmule cancel``
  - NotFound                   no such project, job or archive                              exit 4
  - SourceUnavailable          the source cannot be reached or refuses                      exit 5
    - SourceInterrupted        ... for the moment; trying again may help (transient)
  - DestinationUnusable        the destination cannot take the archive                      exit 6
    - DeliveryInterrupted      ... for the moment; trying again may help (transient)
  - ArchiveInvalid             not an archive, or not one that GitLab would import          exit 7
  - Interrupted                stopped by Ctrl-C or a signal; the job is resumable          exit 130

An error says what happened and to what (``message``), and what to do next (``hint``). Whether trying
again may help is a property of the class (``transient``), never read from the text. Only ``cli/main.py``
turns one into a message and an exit code. A narrower class of one module (GitFailed, SegmentDamaged,
MissingInSource) stands there, below one of these.
"""

from __future__ import annotations

from typing import ClassVar


class PackmuleError(Exception):
    """Something that is shown to the user without a traceback."""

    exit_code: ClassVar[int] = 1
    transient: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def kind(self) -> str:
        """The name of the error in JSON output and in the job store."""
        return type(self).__name__


class StoreUnusable(PackmuleError):
    """The job store cannot be opened, read or written: rights, a full disk, damage, a newer version."""


class UsageError(PackmuleError):
    """Options that do not exist, do not fit each other, or name nothing known."""

    exit_code = 2


class ExportFailed(PackmuleError):
    """The export failed or would be incomplete; nothing was delivered."""

    exit_code = 3


class RelationFailed(ExportFailed):
    """One relation could not be exported; the cause is chained."""

    def __init__(
        self, relation: str, message: str, *, part: int | None = None, hint: str | None = None
    ) -> None:
        place = relation if part is None else f"{relation} (part {part})"
        super().__init__(f"relation {place} failed: {message}", hint=hint)
        self.relation = relation
        self.part = part


class JobConflict(ExportFailed):
    """A job is owned by another process, or its state does not allow what was asked."""


class Cancelled(ExportFailed):
    """The job was cancelled from another terminal."""


class NotFound(PackmuleError):
    """A project, job or archive that was named does not exist."""

    exit_code = 4


class SourceUnavailable(PackmuleError):
    """The source cannot be reached, or refuses what is needed."""

    exit_code = 5


class SourceInterrupted(SourceUnavailable):
    """The source went away in the middle; a new connection may succeed."""

    transient = True


class DestinationUnusable(PackmuleError):
    """The destination cannot take the archive."""

    exit_code = 6


class DeliveryInterrupted(DestinationUnusable):
    """The destination did not take the archive this time; trying again may help."""

    transient = True


class ArchiveInvalid(PackmuleError):
    """A file that is not a project archive, or one that cannot be trusted or imported."""

    exit_code = 7


class Interrupted(PackmuleError):
    """The user or the system stopped the run; the job can be resumed."""

    exit_code = 130
