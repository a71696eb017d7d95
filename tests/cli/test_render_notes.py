from __future__ import annotations

import pytest

from cli.render_notes import empty_lines, folded, unknown_lines

RELATIONS = {"triggers": 3, "metrics_setting": 1}
KEYS = {f"issues.key_number_{number}": number for number in range(40)} | {"labels.id": 7}


def test_unknown_things_are_a_paragraph_by_relation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = list(unknown_lines(RELATIONS, KEYS, verbose=False))
    assert lines[0] == "note: left out, as GitLab 18.9 has no such relation: triggers, metrics_setting"
    text = " ".join(" ".join(lines).split())
    assert all(f"{key.partition('.')[2]}" in text for key in KEYS)
    assert lines[-1] == "  labels: id"
    assert len(lines) < 20
    assert max(map(len, lines)) <= 90


def test_verbose_counts_every_one() -> None:
    lines = list(unknown_lines(RELATIONS, KEYS, verbose=True))
    assert len(lines) == len(RELATIONS) + len(KEYS)
    assert "note: GitLab 18.9 has no relation triggers (3 records); it is left out" in lines
    assert "note: GitLab 18.9 does not know issues.key_number_1 (1 record); it is left out" in lines
    assert list(unknown_lines({"x": None}, {}, verbose=True)) == [
        "note: GitLab 18.9 has no relation x; it is left out"
    ]


@pytest.mark.parametrize("verbose", [True, False])
def test_nothing_unknown_nothing_said(verbose: bool) -> None:
    assert list(unknown_lines({}, {}, verbose=verbose)) == []
    assert list(empty_lines([])) == []


@pytest.mark.parametrize("columns", ["20", "50", "80", "300"])
def test_folding_loses_nothing(monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    words = [f"relation_{number}" for number in range(50)]
    lines = folded("no records: " + ", ".join(words))
    assert " ".join(line.strip() for line in lines) == "no records: " + ", ".join(words)
    assert max(map(len, lines)) <= max(40, min(int(columns), 100))
