"""Who uses the embedded server, and when it starts and stops.

Every user holds a shared lock on ``users.lock``; whoever starts or stops the server holds ``server.lock``
alone meanwhile. The one who leaves and can lock the first file alone was the last, and stops the server.
The kernel drops the locks of a killed process, so no count can go stale; a server that a killed process left
running is stopped by the next one that leaves, or by ``stop_if_unused``.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from export_core.atomic import private_directory
from export_core.errors import SourceUnavailable
from export_core.sources.embedded.cluster import USER, Cluster

DATABASE = "gitlab"


@dataclass(frozen=True, slots=True)
class EmbeddedServer:
    """PostgreSQL on demand below one directory; a small value that holds no resources."""

    directory: Path

    @property
    def _cluster(self) -> Cluster:
        return Cluster(self.directory)

    @contextmanager
    def session(self) -> Iterator[None]:
        """Keep the server running. Sessions may nest and overlap, in one process or several.

        Raises SourceUnavailable when it cannot be started.
        """
        try:
            users = self._join()
        except OSError as exc:
            raise SourceUnavailable(
                f"the embedded instance in {self.directory} cannot be used: {exc.strerror}",
                hint="choose another PACKMULE_HOME, or run packmule as the user that owns this one",
            ) from exc
        try:
            yield
        finally:
            self._leave(users)

    def stop_if_unused(self) -> bool:
        """Stop a server that nobody uses (its user was killed); whether one was stopped."""
        if not self.is_running():
            return False
        return self._leave(self._open("users.lock"))

    def stop(self) -> None:
        """Stop the server even if it is in use; its users' connections break."""
        if self.directory.exists():
            with self._alone():
                self._cluster.stop()

    def is_running(self) -> bool:
        """Whether the server takes connections now."""
        return self._cluster.is_running()

    def dsn(self, database: str = DATABASE) -> str:
        """The libpq connection string. Only within a session: it names the running server's socket."""
        sockets = self._cluster.sockets()
        if sockets is None:
            raise SourceUnavailable(
                "the embedded server does not run any more",
                hint=f"{self.directory / 'server.log'} says why; look at the free room there",
            )
        escaped = str(sockets).replace("\\", "\\\\").replace("'", "\\'")
        return f"host='{escaped}' port=5432 dbname={database} user={USER} application_name=packmule"

    def _join(self) -> int:
        """Become a user of a running server: an open ``users.lock`` with our share of it."""
        while True:
            private_directory(self.directory)
            try:
                with self._alone():
                    return self._share()
            except _Removed:
                continue

    def _share(self) -> int:
        users = self._open("users.lock")
        try:
            fcntl.flock(users, fcntl.LOCK_SH)
            if not self._cluster.is_running():
                self._cluster.start()
        except BaseException:
            os.close(users)
            raise
        return users

    def _leave(self, users: int) -> bool:
        """Give up a use (an open ``users.lock``); whether that stopped the server."""
        try:
            with self._alone():
                if not _is_last(users) or not self._cluster.is_running():
                    return False
                self._cluster.stop()
                return True
        except FileNotFoundError:  # somebody removed the whole directory under us
            return False
        finally:
            os.close(users)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the server lock. Raises FileNotFoundError when the directory is gone."""
        lock = self._open("server.lock")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # While we waited, clean-up may have moved the directory away, and this lock with it.
            if not _is_at(lock, self.directory / "server.lock"):
                raise _Removed(errno.ENOENT, "it was removed just now")
            yield
        finally:
            os.close(lock)

    def _open(self, name: str) -> int:
        return os.open(self.directory / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


class _Removed(FileNotFoundError):
    """The instance was taken away while we waited for its lock."""


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _is_last(users: int) -> bool:
    """Whether nobody else holds the lock. Our own may be lost on the way, which only a leaver can afford."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
