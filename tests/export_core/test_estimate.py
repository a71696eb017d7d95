"""What an export will weigh and take."""

from __future__ import annotations

from export_core.estimate import BASIS, ROWS_RATIO, estimate
from export_core.source import Part

MB = 10**6


def rows(megabytes: int, number: int = 0) -> Part:
    return Part("issues", number, "./tree/project/issues.ndjson", weight=megabytes * MB)


def bundle(megabytes: int) -> Part:
    return Part("repository", 0, "./project.bundle", weight=megabytes * MB)


class TestEstimate:
    """By hand, from the figures that it says it rests on."""

    def test_rows_are_shared_by_the_workers(self) -> None:
        one, two = (estimate([rows(400), rows(400, 1)], workers) for workers in (1, 2))
        assert one.archive_bytes == two.archive_bytes == 160 * MB
        assert (one.seconds, two.seconds) == (1 + 10, 1 + 5)

    def test_a_bundle_is_git_alone_on_one_processor(self) -> None:
        found = estimate([bundle(450), rows(8)], 8)
        assert found.seconds == 1 + 10
        assert found.archive_bytes == 450 * MB + 8 * MB // 5

    def test_files_as_they_are(self) -> None:
        files = Part("uploads", 0, None, weight=1000 * MB, deferred=True)
        found = estimate([files], 4)
        assert (found.archive_bytes, found.seconds) == (1000 * MB, 1 + 5)
        assert str(ROWS_RATIO) in BASIS
