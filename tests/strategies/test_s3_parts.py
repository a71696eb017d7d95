from __future__ import annotations

import pytest

from strategies.s3_parts import LARGEST_OBJECT, MIB, UploadState, part_size, plan_parts

GB = 10**9
TB = 10**12


@pytest.mark.parametrize(
    ("size", "mebibytes"),
    [
        (0, 8),
        (9 * MIB, 8),
        (60 * GB, 8),
        (80_000 * MIB, 8),
        (80_000 * MIB + 1, 16),
        (TB, 128),
        (5 * TB, 512),
        (5 * 1024**4, 1024),
    ],
)
def test_parts_are_as_small_as_ten_thousand_allow(size: int, mebibytes: int) -> None:
    assert part_size(size) == mebibytes * MIB


@pytest.mark.parametrize(
    "size", [8 * MIB + 1, 60 * GB, 80_000 * MIB, 80_000 * MIB + 1, TB, 5 * TB, 5 * 1024**4]
)
def test_every_plan_keeps_the_limits_of_s3(size: int) -> None:
    """AWS: at most 10,000 parts of 5 MiB to 5 GiB; only the last one may be smaller."""
    parts = plan_parts(size, part_size(size))
    assert len(parts) <= 10_000
    assert [part.number for part in parts] == list(range(1, len(parts) + 1))
    assert all(5 * MIB <= part.size <= 5 * 1024 * MIB for part in parts[:-1])
    assert 0 < parts[-1].size <= 5 * 1024 * MIB
    ends = [part.offset + part.size for part in parts]
    assert [part.offset for part in parts] == [0, *ends[:-1]]
    assert ends[-1] == size


def test_sixty_gigabytes_on_paper() -> None:
    parts = plan_parts(60 * GB, part_size(60 * GB))
    assert len(parts) == 7153  # 60e9 / 8388608, rounded up
    assert parts[-1].size == 60 * GB - 7152 * 8388608


def test_more_than_s3_takes() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        part_size(LARGEST_OBJECT + 1)


def test_a_checkpoint_makes_the_same_upload_again() -> None:
    state = UploadState("b", "k", 20 * MIB, "ab" * 32, 8 * MIB, "upload", True)
    again = UploadState.from_json(state.to_json())
    assert again == state
    assert [part.size for part in state.parts] == [8 * MIB, 8 * MIB, 4 * MIB]
    assert UploadState.from_json({}) is None


@pytest.mark.parametrize(
    "change", [{"key": "other"}, {"bucket": "c"}, {"size": 1}, {"sha256": "00"}, {"part_size": None}]
)
def test_an_upload_of_other_bytes_is_not_gone_on_with(change: dict[str, object]) -> None:
    state = UploadState("b", "k", 20 * MIB, "ab" * 32, 8 * MIB, "upload")
    assert state.is_of(UploadState("b", "k", 20 * MIB, "ab" * 32, 8 * MIB))
    assert not state.is_of(UploadState(**{**state.to_json(), **change}))
