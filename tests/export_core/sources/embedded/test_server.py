"""The embedded server with real processes: who starts it, who stops it, and what a kill leaves behind."""

import fcntl
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg
import pytest

from export_core.errors import SourceUnavailable
from export_core.sources.embedded import cluster as cluster_module
from export_core.sources.embedded import identity
from export_core.sources.embedded.cluster import Cluster
from export_core.sources.embedded.server import EmbeddedServer

ROOT = Path(__file__).parents[4]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change its identity")
PACKAGES = Path(psycopg.__file__).parents[1]
from_passable_places = pytest.mark.skipif(
    not all(path.stat().st_mode & 0o001 for path in (PACKAGES, *PACKAGES.parents)),
    reason="packmule is installed where other users may not pass",
)

USER_PROGRAM = """
import sys, psycopg
from pathlib import Path
from export_core.sources.embedded.server import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
with server.session():
    with psycopg.connect(server.dsn("postgres")) as connection:
        print(connection.execute("SELECT current_user, inet_server_addr() IS NULL").fetchone(), flush=True)
    if "wait" in sys.argv:
        sys.stdin.readline()
"""


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """One cluster for the tests of this module; each test leaves its server stopped."""
    return tmp_path_factory.mktemp("server") / "embedded"


@pytest.fixture
def server(directory):
    server = EmbeddedServer(directory)
    yield server
    server.stop()


def start_user(directory, *words, python=sys.executable, **options):
    """Another process that uses the server."""
    return subprocess.Popen(
        [python, "-c", USER_PROGRAM, str(directory), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        **options,
    )


def ask(server, query):
    with psycopg.connect(server.dsn("postgres")) as connection:
        return connection.execute(query).fetchone()


def postmaster_pid(server):
    pid_file = server.directory / "cluster" / "data" / "postmaster.pid"
    return int(pid_file.read_text().splitlines()[0])


def is_gone(pid):
    """No such process, or only its entry in the process table."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_it_runs_from_the_first_session_to_the_last(server):
    with server.session():
        pid = postmaster_pid(server)
        with server.session():
            assert ask(server, "SELECT current_setting('server_version_num')::int / 10000") == (18,)
        assert server.is_running()
        assert ask(server, "SELECT current_user") == ("packmule",)
    assert not server.is_running()
    assert is_gone(pid)
    with pytest.raises(SourceUnavailable):
        server.dsn()


def test_it_is_reached_over_its_private_socket_only(server):
    with server.session():
        assert ask(server, "SELECT current_setting('listen_addresses')") == ("",)
        sockets = Path(ask(server, "SELECT current_setting('unix_socket_directories')")[0])
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
        [socket] = [path for path in sockets.iterdir() if path.is_socket()]
        assert stat.S_IMODE(socket.stat().st_mode) == 0o700


def test_nothing_is_readable_for_others_whatever_the_umask(tmp_path):
    directory = tmp_path / "home" / "embedded"
    before = os.umask(0)
    try:
        with EmbeddedServer(directory).session():
            pass
    finally:
        os.umask(before)
    for path in (directory.parent, *directory.parent.rglob("*")):
        assert stat.S_IMODE(path.lstat().st_mode) & 0o077 == 0, path


def test_many_processes_at_once_share_one_server_on_a_fresh_directory(tmp_path):
    directory = tmp_path / "embedded"
    users = [start_user(directory) for _ in range(6)]
    for user in users:
        out, err = user.communicate(timeout=60)
        assert (user.returncode, out) == (0, "('packmule', True)\n"), err
    assert not EmbeddedServer(directory).is_running()
    assert not (directory / "cluster" / "data" / "postmaster.pid").exists()


def test_a_killed_user_leaves_no_stale_count(server, directory):
    user = start_user(directory, "wait")
    user.stdout.readline()
    user.send_signal(signal.SIGKILL)
    user.communicate()
    assert server.is_running()
    with server.session():
        pid = postmaster_pid(server)
        assert ask(server, "SELECT 1") == (1,)
    assert not server.is_running()
    assert is_gone(pid)


def test_stop_if_unused_stops_what_a_killed_user_left_and_nothing_else(server, directory):
    user = start_user(directory, "wait")
    user.stdout.readline()
    assert server.stop_if_unused() is False
    assert server.is_running()
    user.send_signal(signal.SIGKILL)
    user.communicate()
    assert server.stop_if_unused() is True
    assert not server.is_running()
    assert server.stop_if_unused() is False


def test_the_server_survives_a_ctrl_c_in_the_terminal(server, directory):
    user = start_user(directory, "wait", start_new_session=True)
    user.stdout.readline()
    with server.session():
        os.killpg(user.pid, signal.SIGINT)  # what a terminal does: the whole process group
        user.communicate()
        assert ask(server, "SELECT 1") == (1,)


def test_committed_rows_survive_a_killed_server(server):
    with server.session():
        with psycopg.connect(server.dsn("postgres")) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS survivor AS SELECT 42 AS answer")
            connection.execute("SET LOCAL synchronous_commit = on")
        pid = postmaster_pid(server)
        os.kill(pid, signal.SIGKILL)
        while not is_gone(pid):
            time.sleep(0.005)
        assert not server.is_running()
        with server.session():
            assert ask(server, "SELECT answer FROM survivor") == (42,)


def test_a_pid_file_whose_number_another_process_has_now_is_no_obstacle(server):
    with server.session():
        data = server.directory / "cluster" / "data"
        lines = (data / "postmaster.pid").read_text().splitlines()
    lines[0] = str(os.getpid())
    (data / "postmaster.pid").write_text("\n".join(lines) + "\n")
    with server.session():
        assert ask(server, "SELECT 1") == (1,)


def test_a_path_too_long_for_a_socket_gets_a_short_private_directory(tmp_path):
    directory = tmp_path / ("x" * 60) / ("y" * 60) / "embedded"
    server = EmbeddedServer(directory)
    with server.session():
        assert ask(server, "SELECT 1") == (1,)
        sockets = Path(ask(server, "SELECT current_setting('unix_socket_directories')")[0])
        assert tmp_path not in sockets.parents
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
        with server.session():
            assert ask(server, "SELECT 1") == (1,)
    assert not sockets.exists()


def test_a_blank_and_a_quote_in_the_path(tmp_path):
    server = EmbeddedServer(tmp_path / "my 'own' \\ home" / "embedded")
    with server.session():
        assert ask(server, "SELECT 1") == (1,)


def test_a_cut_short_initdb_is_done_again(tmp_path):
    half = tmp_path / "embedded" / "cluster" / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    with EmbeddedServer(tmp_path / "embedded").session():
        assert not half.exists()


def test_a_broken_cluster_is_told_with_its_cause(directory, tmp_path):
    with EmbeddedServer(directory).session():
        pass
    broken = tmp_path / "embedded"
    shutil.copytree(directory, broken)
    (broken / "cluster" / "data" / "PG_VERSION").write_text("12\n")
    with pytest.raises(SourceUnavailable) as caught, EmbeddedServer(broken).session():
        pass
    assert "incompatible" in caught.value.message
    assert str(broken / "server.log") in caught.value.hint
    assert not EmbeddedServer(broken).is_running()


def test_a_directory_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(SourceUnavailable, match="cannot be used"),
        EmbeddedServer(tmp_path / "file/x").session(),
    ):
        pass


def test_a_missing_wheel_is_told_with_the_extra_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster_module, "find_spec", lambda name: None)
    with pytest.raises(SourceUnavailable) as caught, EmbeddedServer(tmp_path / "embedded").session():
        pass
    assert "packmule[embedded]" in caught.value.hint


def test_a_session_whose_body_fails_stops_the_server_too(server):
    with pytest.raises(ZeroDivisionError), server.session():
        raise ZeroDivisionError
    assert not server.is_running()


@as_root
@pytest.mark.parametrize("kind", ["namespace", "capable"])
def test_root_runs_it_below_closed_directories_without_opening_them(kind, tmp_path, monkeypatch):
    [chosen] = [name for name in identity.candidates() if name.startswith(kind)]
    monkeypatch.setattr(identity, "candidates", lambda: iter([chosen]))
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    server = EmbeddedServer(closed / "embedded")
    with server.session():
        assert ask(server, "SELECT 1") == (1,)
        owner = Path(f"/proc/{postmaster_pid(server)}").stat().st_uid
        assert owner == (0 if kind == "namespace" else int(chosen.split(":")[1]))
    for path in (closed, closed / "embedded"):
        assert (stat.S_IMODE(path.stat().st_mode), path.stat().st_uid) == (0o700, 0)


@as_root
@from_passable_places
def test_root_without_namespaces_and_capabilities_needs_passable_directories(tmp_path, monkeypatch):
    [plain] = [name for name in identity.candidates() if name.startswith("user:")]
    monkeypatch.setattr(identity, "candidates", lambda: iter([plain]))
    with (
        pytest.raises(SourceUnavailable, match="no identity"),
        EmbeddedServer(tmp_path / "a" / "b").session(),
    ):
        pass  # pytest's own directory is closed to others, and stays so
    assert stat.S_IMODE(tmp_path.stat().st_mode) & 0o077 == 0
    open_place = Path(tempfile.mkdtemp())
    open_place.chmod(0o755)
    try:
        home = open_place / "home"
        server = EmbeddedServer(home / "embedded")
        with server.session():
            assert ask(server, "SELECT 1") == (1,)
            assert stat.S_IMODE(home.stat().st_mode) == 0o701  # to be passed, not to be listed
    finally:
        shutil.rmtree(open_place)


@as_root
def test_a_cluster_goes_from_one_identity_to_another(tmp_path, monkeypatch):
    every = [name for name in identity.candidates() if not name.startswith("user:")]
    server = EmbeddedServer(tmp_path / "embedded")
    for chosen in (*every, *every):
        monkeypatch.setattr(identity, "candidates", lambda chosen=chosen: iter([chosen]))
        with server.session():
            assert ask(server, "SELECT 1") == (1,)


def everybodys_python():
    """An interpreter of our version that users other than root may run, and the path to our packages."""
    python = Path(f"/usr/bin/python3.{sys.version_info.minor}")
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    places = (*Path(packages).parents, ROOT, *ROOT.parents)
    if not python.exists() or not all(path.stat().st_mode & 0o005 == 0o005 for path in places):
        pytest.skip("other users cannot run packmule from here")
    return str(python), {**os.environ, "PYTHONPATH": packages, "PYTHONDONTWRITEBYTECODE": "1"}


@as_root
@pytest.mark.parametrize("named", [True, False])
def test_an_ordinary_user_runs_it_also_one_without_a_name(named):
    """uid 12345 has no entry in the password file, as in many containers; initdb alone would refuse."""
    python, environment = everybodys_python()
    uid = pwd.getpwnam("nobody").pw_uid if named else 12345
    home = Path(tempfile.mkdtemp())
    try:
        os.chown(home, uid, uid)
        rights = {"user": uid, "group": uid, "extra_groups": []}
        user = start_user(home / "embedded", python=python, env=environment, **rights)
        out, err = user.communicate(timeout=60)
        assert (user.returncode, out) == (0, "('packmule', True)\n"), err
        assert (home / "embedded" / "cluster" / "data").stat().st_uid == uid
    finally:
        shutil.rmtree(home)


def test_the_pid_of_a_foreign_process_is_never_signalled(directory):
    """``stop`` looks for an answering server before it believes the pid file."""
    with EmbeddedServer(directory).session():
        pass
    sleeper = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    pid_file = directory / "cluster" / "data" / "postmaster.pid"
    pid_file.write_text(f"{sleeper.pid}\n{directory}\n0\n5432\n{directory}\n\n0 0\nready\n")
    Cluster(directory).stop()
    assert sleeper.poll() is None
    pid_file.unlink()
    sleeper.communicate()


def test_a_user_that_waited_while_the_instance_was_removed_gets_a_new_one(tmp_path):
    """Clean-up renames the directory under the lock; who waited for that lock must not share the old one."""
    directory, aside = tmp_path / "embedded", tmp_path / "aside"
    server = EmbeddedServer(directory)
    with server.session():
        pass
    lock = os.open(directory / "server.lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    user = start_user(directory, "wait")
    wait_for_lock(user.pid)
    directory.rename(aside)
    os.close(lock)
    assert user.stdout.readline() == "('packmule', True)\n"
    with server.session():
        assert ask(server, "SELECT 1") == (1,)
    assert server.is_running()  # the other one still uses it: both hold the lock of the same file
    user.communicate("\n", timeout=30)
    assert not server.is_running()


def wait_for_lock(pid):
    """Until a process waits for a file lock, as the kernel lists it ("->" in /proc/locks)."""
    while not any(
        "->" in line and f" {pid} " in line for line in Path("/proc/locks").read_text().splitlines()
    ):
        time.sleep(0.01)


def test_a_session_whose_directory_is_removed_ends_without_a_fault(tmp_path):
    server = EmbeddedServer(tmp_path / "embedded")
    with server.session():
        pid = postmaster_pid(server)
        shutil.rmtree(tmp_path / "embedded", ignore_errors=True)
    os.kill(pid, signal.SIGQUIT)
