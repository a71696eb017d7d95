"""A little of the kill harness; ``python -m tests.durability.harness`` does it at length."""

from __future__ import annotations

import pytest

from tests.durability.harness import FAKE_PROJECT, Harness
from tests.durability.scene import Scene


@pytest.mark.parametrize("seed", [11, 12])
def test_kills_of_a_fake_project(large: Scene, seed: int) -> None:
    report = Harness(large, FAKE_PROJECT, seed=seed).run(7)
    assert report.kills.total() >= 7
    assert report.kept > 0, "no kill came late enough to find anything finished"


def test_kills_of_a_project_in_the_embedded_instance(demo: Scene) -> None:
    report = Harness(demo, "packmule/demo", seed=13).run(4)
    assert report.kills.total() >= 4


@pytest.mark.parametrize("how", ["TERM", "INT"])
def test_orderly_stops_of_a_fake_project(large: Scene, how: str) -> None:
    assert Harness(large, FAKE_PROJECT, seed=14, how=how).run(3).kills.total() >= 3
