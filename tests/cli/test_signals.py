"""The first signal asks to stop, the second stops at once; in processes of their own and under a terminal."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import threading
import time

import pytest

from cli.signals import stopping
from export_core.job import JobStatus
from export_core.stop import Stop
from tests.cli.conftest import CommandLine


def wait(what: threading.Event) -> None:
    assert what.wait(5)


class TestStopping:
    """In this process, which survives."""

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_the_first_signal_requests_a_stop(
        self, number: signal.Signals, capfd: pytest.CaptureFixture[str]
    ) -> None:
        stop = Stop()
        with stopping(stop, lambda: None, leave=lambda code: None):
            os.kill(os.getpid(), number)
            assert stop.wait(5)
        assert stop.reason == "interrupt"
        assert "press Ctrl-C again" in capfd.readouterr().err

    def test_the_second_leaves_at_once_after_letting_go(self) -> None:
        said: list[object] = []
        left = threading.Event()

        def leave(code: int) -> None:
            said.append(code)
            left.set()

        stop = Stop()
        with stopping(stop, lambda: said.append("let go"), leave=leave):
            os.kill(os.getpid(), signal.SIGINT)
            assert stop.wait(5)
            os.kill(os.getpid(), signal.SIGINT)
            wait(left)
        assert said == ["let go", 130]

    def test_a_terminal_that_closes_twice_is_one_request(self) -> None:
        left = threading.Event()
        stop = Stop()
        with stopping(stop, lambda: None, leave=lambda code: left.set()):
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.wait(5)
            os.kill(os.getpid(), signal.SIGHUP)
            assert not left.wait(0.1)

    def test_what_was_before_is_there_again(self) -> None:
        before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
        with stopping(Stop(), lambda: None):
            assert signal.getsignal(signal.SIGTERM) not in before
        assert before == [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
        assert signal.set_wakeup_fd(-1) == -1

    def test_what_was_ignored_stays_ignored(self) -> None:
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            stop = Stop()
            with stopping(stop, lambda: None):
                os.kill(os.getpid(), signal.SIGHUP)
                assert not stop.wait(0.1)
        finally:
            signal.signal(signal.SIGHUP, before)

    def test_a_stop_request_cannot_lock_up_with_a_waiting_main_thread(self) -> None:
        """The main thread is inside Stop's lock nearly all the time here; a Python handler would hang."""
        stop = Stop()
        with stopping(stop, lambda: None, leave=lambda code: None):
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
            deadline = time.monotonic() + 5
            while not stop.wait(0.0001):
                assert time.monotonic() < deadline


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_export_that_is_stopped_can_be_resumed(packmule: CommandLine, number: signal.Signals) -> None:
    packmule.hang("issues.2")
    target = packmule.root / "out.tar.gz"
    process = packmule.start("export", "a/b", "--source", "fake", "--to", str(target), "--workers", "1")
    packmule.wait_for_read("issues.2")
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert stdout == ""
    assert "continue with: packmule resume 1" in stderr
    assert packmule.store.get(1).status is JobStatus.INTERRUPTED
    assert not target.exists()

    packmule.free("issues.2")
    before = packmule.reads()
    result = packmule.run("resume")
    assert (result.exit_code, result.stdout) == (0, f"{target}\n")
    again = packmule.reads()[len(before) :]
    assert "issues.2" in again
    assert not set(again) & (set(before) - {"issues.2"}), "finished parts were done twice"


def test_the_second_ctrl_c_ends_an_export_that_does_not_listen(packmule: CommandLine) -> None:
    (packmule.control / "deaf-issues.1").touch()
    process = packmule.start("export", "a/b", "--source", "fake", "--workers", "1")
    packmule.wait_for_read("issues.1")
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    for line in process.stderr:
        if "press Ctrl-C again" in line:
            break
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "continue with: packmule resume 1" in stderr
    assert packmule.store.get(1).status is JobStatus.INTERRUPTED


def test_ctrl_c_at_a_terminal(packmule: CommandLine) -> None:
    """A pseudo-terminal: the key itself, and progress that is drawn while the export runs."""
    packmule.hang("issues.2")
    master, slave = pty.openpty()
    process = packmule.start(
        "export",
        "a/b",
        "--source",
        "fake",
        stdin=slave,
        stderr=slave,
        preexec_fn=lambda: _own_terminal(slave),
    )
    os.close(slave)
    packmule.wait_for_read("issues.2")
    seen = bytearray()
    while b"  issues" not in seen:  # drawn when it has been at work for a second
        seen += os.read(master, 65536)
    os.write(master, b"\x03")
    with contextlib.suppress(OSError):  # Linux: EIO when the other end is closed
        while block := os.read(master, 65536):
            seen += block
    os.close(master)
    assert process.wait(20) == 130
    text = seen.decode()
    assert "exporting" in text
    assert "press Ctrl-C again" in text
    assert "continue with: packmule resume 1" in text


def _own_terminal(terminal: int) -> None:
    """Make it the process's controlling terminal, so that its keys become signals."""
    import fcntl
    import termios

    os.setsid()
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
