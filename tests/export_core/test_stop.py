"""The stop flag: who it means, and that it breaks off what waits."""

from __future__ import annotations

import threading

import pytest

from export_core.errors import Cancelled, Interrupted
from export_core.stop import Stop, StopReason, interrupting


def test_nothing_is_asked_at_first() -> None:
    stop = Stop()
    stop.check()
    assert stop.reason is None
    assert not stop.wait(0)


@pytest.mark.parametrize(
    ("reason", "error"),
    [(StopReason.INTERRUPT, Interrupted), (StopReason.RESTART, Interrupted), (StopReason.CANCEL, Cancelled)],
)
def test_each_reason_has_its_error(reason: StopReason, error: type[Exception]) -> None:
    stop = Stop()
    stop.request(reason)
    with pytest.raises(error):
        stop.check()


def test_a_cancellation_beats_an_interruption_and_not_the_other_way() -> None:
    stop = Stop()
    stop.request("interrupt")
    stop.request("cancel")
    stop.request("interrupt")
    assert stop.reason is StopReason.CANCEL


def test_what_the_process_is_asked_counts_for_each_of_its_jobs() -> None:
    process = Stop()
    jobs = [Stop(process), Stop(process)]
    process.request("interrupt")
    assert [job.reason for job in jobs] == [StopReason.INTERRUPT] * 2
    with pytest.raises(Interrupted):
        jobs[0].check()


def test_what_one_job_is_asked_is_its_own_affair() -> None:
    process = Stop()
    one, other = Stop(process), Stop(process)
    one.request("cancel")
    other.check()
    process.check()
    process.request("interrupt")
    assert one.reason is StopReason.CANCEL


def test_interrupting_calls_again_and_again_once_it_must_stop() -> None:
    stop, calls, twice = Stop(), list[int](), threading.Event()

    def interrupt() -> None:
        calls.append(1)
        if len(calls) == 2:
            twice.set()

    with interrupting(stop, interrupt):
        assert calls == []
        stop.request("interrupt")
        assert twice.wait(10)


def test_interrupting_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    with interrupting(Stop(), lambda: None):
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
