from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from export_core import ownership
from export_core.job import Owner
from export_core.ownership import HEARTBEAT_TIMEOUT, current_owner, is_gone, process_started, this_host

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"])
    yield child
    child.kill()
    child.wait()


def owner_of(process: subprocess.Popen[bytes]) -> Owner:
    started = process_started(process.pid)
    assert started is not None
    return Owner(this_host(), process.pid, started)


def test_this_process_is_not_gone() -> None:
    assert current_owner() == Owner(this_host(), os.getpid(), process_started(os.getpid()) or -1)
    assert not is_gone(current_owner(), None, NOW)


def test_a_living_process_is_not_gone_however_old_its_heartbeat(process: subprocess.Popen[bytes]) -> None:
    assert not is_gone(owner_of(process), NOW - timedelta(days=1), NOW)


def test_a_killed_process_is_gone_at_once_even_before_its_parent_notices(
    process: subprocess.Popen[bytes],
) -> None:
    owner = owner_of(process)
    process.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, and still in the process table
    assert psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE
    assert is_gone(owner, NOW, NOW)
    process.wait()
    assert is_gone(owner, NOW, NOW)


def test_another_process_with_the_same_number_is_not_the_owner(process: subprocess.Popen[bytes]) -> None:
    owner = owner_of(process)
    assert is_gone(replace(owner, process_started=owner.process_started - 1), NOW, NOW)


def test_elsewhere_only_the_heartbeat_tells() -> None:
    elsewhere = Owner("elsewhere", os.getpid(), 1.0)
    assert not is_gone(elsewhere, NOW - HEARTBEAT_TIMEOUT, NOW)
    assert is_gone(elsewhere, NOW - HEARTBEAT_TIMEOUT - timedelta(seconds=1), NOW)
    assert is_gone(elsewhere, None, NOW)


def test_nobody_is_gone() -> None:
    assert is_gone(None, NOW, NOW)


def test_the_start_is_that_of_the_system(process: subprocess.Popen[bytes]) -> None:
    """Against psutil, which adds the time of boot to the same number."""
    ticks = os.sysconf("SC_CLK_TCK")
    started = process_started(process.pid)
    assert started is not None
    expected = psutil.Process(process.pid).create_time() - psutil.boot_time()
    assert started / ticks == pytest.approx(expected, abs=1.1)


def test_without_proc_psutil_answers(
    process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ownership, "process_started", ownership._started_by_psutil)
    owner = Owner(this_host(), process.pid, psutil.Process(process.pid).create_time())
    assert not is_gone(owner, NOW, NOW)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert is_gone(owner, NOW, NOW)


def test_containers_that_share_a_host_name_are_different_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    this_host.cache_clear()
    monkeypatch.setattr(Path, "readlink", lambda _self: Path("pid:[4026532177]"))
    monkeypatch.setattr("socket.gethostname", lambda: "gitlab")
    try:
        assert this_host() == "gitlab/4026532177"
    finally:
        this_host.cache_clear()
