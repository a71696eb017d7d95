"""The same project exported twice at a time: to the same place, to others, and with ``--restart``."""

from __future__ import annotations

from tests.cli.conftest import CommandLine
from tests.cli.test_export import members
from tests.fake_source import FakeSource


class TestTwice:
    """The same project, to the same and to other places."""

    def test_two_at_the_same_time(self, packmule: CommandLine) -> None:
        packmule.hang("issues.0")
        targets = [packmule.root / f"{number}.tar.gz" for number in (1, 2)]
        running = [packmule.start("export", "a/b", "--source", "fake", "--to", str(to)) for to in targets]
        packmule.wait_for(lambda: packmule.reads().count("issues.0") == 2)
        packmule.free("issues.0")
        assert [process.wait(30) for process in running] == [0, 0]
        assert members(targets[0]) == members(targets[1]) == FakeSource().expected()

    def test_to_the_same_place_is_refused_while_it_runs(self, packmule: CommandLine) -> None:
        packmule.hang("issues.0")
        words = ("export", "a/b", "--source", "fake", "--to", str(packmule.root / "out.tar.gz"))
        first = packmule.start(*words)
        packmule.wait_for_read("issues.0")
        result = packmule.run(*words)
        assert result.exit_code == 3
        assert "job 1 " in result.stderr
        packmule.free("issues.0")
        assert first.wait(30) == 0
        assert len(packmule.run("list", "--json").json) == 1

    def test_restart_stops_the_running_one_and_starts_anew(self, packmule: CommandLine) -> None:
        packmule.hang("issues.1")
        target = packmule.root / "out.tar.gz"
        words = ("export", "a/b", "--source", "fake", "--to", str(target), "--workers", "1")
        first = packmule.start(*words)
        packmule.wait_for_read("issues.1")
        second = packmule.start(*words, "--restart")
        assert first.wait(30) != 0
        packmule.free("issues.1")
        assert second.wait(30) == 0
        jobs = packmule.run("list", "--json").json
        assert [(job["id"], job["status"]) for job in jobs] == [(1, "finished")]
        assert packmule.reads().count("issues.0") == 2, "nothing of the first run is kept"
        assert members(target) == FakeSource().expected()

    def test_restart_with_other_options_takes_the_place_of_the_running_one(
        self, packmule: CommandLine
    ) -> None:
        packmule.hang("issues.1")
        target = packmule.root / "out.tar.gz"
        words = ("export", "a/b", "--source", "fake", "--to", str(target))
        first = packmule.start(*words)
        packmule.wait_for_read("issues.1")
        second = packmule.start(*words, "--skip", "labels", "--restart")
        assert first.wait(30) != 0
        packmule.free("issues.1")
        assert second.wait(30) == 0
        jobs = packmule.run("list", "--json").json
        assert [(job["id"], job["status"]) for job in jobs] == [(2, "finished"), (1, "cancelled")]
        assert not (packmule.home / "jobs" / "1").exists()
