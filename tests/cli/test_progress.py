"""What is shown while jobs run, and what it costs."""

from __future__ import annotations

import io
import time

import pytest

from cli.output import Output
from cli.progress import PlainView, WarningsView, shown
from cli.tally import Tally
from export_core.events import (
    BytesMoved,
    Event,
    JobEnded,
    JobStarted,
    PartFinished,
    PartStarted,
    PhaseStarted,
    RelationPlanned,
    WarningRaised,
)


class Clock:
    """A clock that a test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def tally_of(*events: Event, clock: Clock | None = None) -> Tally:
    tally = Tally(clock or Clock())
    for event in events:
        tally(event)
    return tally


def planned(relation: str = "issues", **more: int) -> RelationPlanned:
    return RelationPlanned(1, relation, parts=4, lines=400, **more)


class TestTally:
    """Events add up."""

    def test_parts_and_lines(self) -> None:
        tally = tally_of(
            planned(), PartStarted(1, "issues", 0), PartFinished(1, "issues", 0, 100, 5000), planned("labels")
        )
        issues = tally.jobs[1].relations["issues"]
        assert (issues.parts_done, issues.lines_done, issues.done) == (1, 100, False)
        assert tally.jobs[1].relations["labels"].lines_done == 0

    def test_resumed_work_counts_as_done_and_not_as_speed(self) -> None:
        clock = Clock()
        tally = tally_of(planned(parts_done=3, lines_done=300), PartStarted(1, "issues", 3), clock=clock)
        clock.now += 10
        tally(PartFinished(1, "issues", 3, 100, 5000))
        issues = tally.jobs[1].relations["issues"]
        assert (issues.lines_done, issues.done) == (400, True)
        assert issues.rate(clock.now) == 10.0
        clock.now += 50
        assert issues.rate(clock.now) == 10.0, "the rate of a finished relation stays"

    def test_bytes_begin_where_an_earlier_run_stood(self) -> None:
        clock = Clock()
        tally = tally_of(BytesMoved(1, "delivering", 600, 1000), clock=clock)
        clock.now += 2
        tally(BytesMoved(1, "delivering", 800, 1000))
        moved = tally.jobs[1].bytes["delivering"]
        assert moved.rate(clock.now) == 100.0
        assert moved.left(clock.now) == 2.0

    def test_a_retry_that_begins_further_back_has_no_negative_rate(self) -> None:
        clock = Clock()
        tally = tally_of(BytesMoved(1, "delivering", 600, 1000), clock=clock)
        clock.now += 1
        tally(BytesMoved(1, "delivering", 0, 1000))
        moved = tally.jobs[1].bytes["delivering"]
        assert moved.rate(clock.now) == 0
        assert moved.left(clock.now) is None

    def test_what_is_not_planned_is_no_fault(self) -> None:
        tally_of(PartStarted(1, "x", 0), PartFinished(1, "x", 0, 1, 1), JobEnded(1, "failed"))


def test_plain_lines_where_nobody_watches() -> None:
    clock, said = Clock(), list[str]()
    tally, view = Tally(clock), PlainView(said.append)

    def look(*events: Event, later: float = 0.0) -> list[str]:
        clock.now += later
        for event in events:
            tally(event)
        view.look(tally)
        new, said[:] = said[:], []
        return new

    assert look(JobStarted(1, "a/b"), PhaseStarted(1, "exporting")) == ["job 1: exporting a/b"]
    assert look(planned(), PartStarted(1, "issues", 0)) == []
    assert look(later=5) == []
    assert look(PartFinished(1, "issues", 0, 100, 10), later=6) == [
        "job 1: exporting: 1 of 4 parts, 100 lines"
    ]
    assert look(later=1) == []
    rest = [PartFinished(1, "issues", number, 100, 10) for number in (1, 2, 3)]
    assert look(*rest) == ["job 1: issues: 400 lines in 12 s"]
    assert look(PhaseStarted(1, "delivering"), BytesMoved(1, "delivering", 0, 3_000_000)) == [
        "job 1: delivering a/b"
    ]
    assert look(BytesMoved(1, "delivering", 1_000_000, 3_000_000), later=10) == [
        "job 1: delivering 1.0 MB of 3.0 MB, 100 KB/s, 20 s left"
    ]
    quick = [RelationPlanned(1, "labels", 1, 1), PartStarted(1, "labels", 0)]
    assert look(*quick, PartFinished(1, "labels", 0, 1, 10)) == [], "what takes no time is not told"
    assert look(WarningRaised(1, "mind this")) == ["warning: mind this"]
    assert look(JobEnded(1, "finished"), later=60) == []


def test_quiet_tells_warnings_only(capsys: pytest.CaptureFixture[str]) -> None:
    with shown(Output(), quiet=True) as listener:
        listener(JobStarted(1, "a/b"))
        listener(PhaseStarted(1, "exporting"))
        listener(WarningRaised(1, "one"))
        listener(WarningRaised(1, "two"))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "warning: one\nwarning: two\n"


def test_a_warning_is_told_once() -> None:
    said: list[str] = []
    tally, view = tally_of(WarningRaised(1, "one")), WarningsView(said.append)
    view.look(tally)
    view.look(tally)
    assert said == ["warning: one"]


class TestLive:
    """The bars of a terminal."""

    @pytest.fixture
    def screen(self) -> io.StringIO:
        return io.StringIO()

    def show(self, screen: io.StringIO, tally: Tally, pictures: int = 1) -> str:
        from rich.console import Console

        from cli.progress_live import live_view

        with live_view(Console(file=screen, force_terminal=True, width=100, color_system=None)) as view:
            for _ in range(pictures):
                view.look(tally)
            return screen.getvalue()

    def test_a_relation_at_work(self, screen: io.StringIO) -> None:
        clock = Clock()
        tally = tally_of(planned(), PartStarted(1, "issues", 0), clock=clock)
        clock.now += 2
        tally(PartFinished(1, "issues", 0, 100, 10))
        text = self.show(screen, tally)
        assert "issues" in text
        assert "100 of 400 lines" in text
        assert "50 lines/s" in text

    def test_a_finished_relation_leaves_a_line(self, screen: io.StringIO) -> None:
        clock = Clock()
        tally = tally_of(RelationPlanned(1, "labels", 1, 1), PartStarted(1, "labels", 0), clock=clock)
        clock.now += 3
        tally(PartFinished(1, "labels", 0, 1, 10))
        assert "labels: 1 line in 3.0 s" in self.show(screen, tally)

    def test_what_comes_and_goes_at_once_is_not_drawn(self, screen: io.StringIO) -> None:
        clock = Clock()
        names = [f"relation_{number}" for number in range(5)]
        tally = tally_of(JobStarted(1, "a/b"), PhaseStarted(1, "exporting"), clock=clock)
        for event in [*map(planned, names), *(PartStarted(1, name, 0) for name in names)]:
            tally(event)
        clock.now += 0.5
        text = self.show(screen, tally)
        assert "relation_" not in text
        assert "exporting" in text
        assert "0 of 2,000 lines" in text

    @pytest.mark.parametrize("width", [40, 79, 80, 120, 200])
    def test_no_line_is_wider_than_the_terminal(self, width: int) -> None:
        from rich.console import Console

        from cli.progress_live import live_view

        clock, screen = Clock(), io.StringIO()
        names = ["container_expiration_policy", "merge_requests"]
        plans = [RelationPlanned(1, name, 9_000, 123_456_789) for name in names]
        tally = tally_of(PhaseStarted(1, "exporting"), *plans, clock=clock)
        for name in names:
            tally(PartStarted(1, name, 0))
            tally(PartFinished(1, name, 0, 999_999, 1))
        clock.now += 3
        with live_view(Console(file=screen, force_terminal=True, width=width, color_system=None)) as view:
            view.look(tally)
            picture = screen.getvalue().rpartition("\x1b[2K")[2]
        lines = picture.splitlines()
        assert len(lines) == 3
        assert max(map(len, lines)) <= width

    def test_bytes_of_the_phase(self, screen: io.StringIO) -> None:
        clock = Clock()
        tally = tally_of(
            PhaseStarted(1, "archiving"), BytesMoved(1, "archiving", 5_000_000, 10_000_000), clock=clock
        )
        clock.now += 1
        assert "5.0 MB of 10.0 MB" in self.show(screen, tally)

    def test_a_name_is_never_markup(self, screen: io.StringIO) -> None:
        tally = tally_of(WarningRaised(1, "[red]/odd[/nonsense]"))
        assert "[red]/odd[/nonsense]" in self.show(screen, tally)

    def test_a_picture_costs_little(self, screen: io.StringIO) -> None:
        """Five a second may take 2 % of a processor in all: 4 ms each; 12 are allowed on a busy machine."""
        names = [f"relation_{number}" for number in range(6)]
        tally = tally_of(*(planned(name) for name in names), *(PartStarted(1, name, 0) for name in names))
        self.show(screen, tally, pictures=3)
        began = time.process_time()
        self.show(screen, tally, pictures=20)
        assert (time.process_time() - began) / 20 < 0.012


def test_an_event_costs_next_to_nothing() -> None:
    """A part takes milliseconds at least; its two events must not take 2 % of that."""
    tally = tally_of(RelationPlanned(1, "issues", 20_000, None))
    began = time.process_time()
    for number in range(10_000):
        tally(PartStarted(1, "issues", number))
        tally(PartFinished(1, "issues", number, 1, 1))
    assert (time.process_time() - began) / 10_000 < 0.0002
