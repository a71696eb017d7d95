"""A project of about any number of issues, for trying out speed: made within PostgreSQL, always the same.

For 20,000 issues: 2,000 merge requests with diffs, 2,000 pipelines with 16,000 jobs, 109,000 notes, 99,000
events, 42,000 label links and more, about 260 MB of JSON lines. Only the ids differ from one run to another.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from export_core.errors import UsageError
from export_core.sources.embedded.demo_git import Commit, Repository, make_repository
from export_core.sources.embedded.demo_scale_sql import statements
from export_core.sources.embedded.instance import EmbeddedInstance
from export_core.sources.embedded.loader_ids import reserve
from export_core.sources.embedded.namespaces import ProjectShell, create_project_shell

if TYPE_CHECKING:
    import psycopg

MINIMUM, MAXIMUM = 10, 10_000_000
_PARAGRAPHS, _HUNKS = 4001, 1009
"""Prime, and large enough that equal texts are further apart than a compressor looks back (32 KiB)."""
_YEARS = 3 * 365 * 86400
_WORDS = (
    "mule saddle pass hut rope girth box weight load left right path snow river bridge stone summit valley"
    " lantern stove bread water rain wind cloud night morning guide crew porter balance knot strap buckle"
    " carry climb rest turn cross follow lead slip hold tighten count measure wait arrive leave return repair"
    " the a of and to in it is that was for on with as at by not but from they we this over under before"
    " after when while because should could steep narrow heavy light dry wet early late old new third last"
).split()


def scale_path(issues: int) -> str:
    """Full path of the project with so many issues."""
    return f"packmule/scale-{issues}"


def check_scale(issues: int) -> None:
    """Raise UsageError for a number of issues out of bounds."""
    if not MINIMUM <= issues <= MAXIMUM:
        raise UsageError(f"--scale takes a number of issues from {MINIMUM} to {MAXIMUM:,}, not {issues:,}")


def make_scale(instance: EmbeddedInstance, issues: int, say: Callable[[str], None]) -> str:
    """Make the project, in place of an earlier one; its path. The instance's session must be open.

    Raises UsageError for a number out of bounds.
    """
    check_scale(issues)
    path = scale_path(issues)
    if instance.project_exists(path):
        say(f"removing the {path} of an earlier run")
        instance.delete_project(path)
    say(f"making {path}")
    with ExitStack() as undo, instance.connect() as connection:
        base = reserve(connection, 6 * issues + 1000).offset
        shell = create_project_shell(connection, path)
        place = instance.storage.repository(shell.disk_path)
        undo.callback(shutil.rmtree, place, ignore_errors=True)
        repository = make_repository(place, list(_story()), {})
        _texts(connection)
        connection.execute(statements(_values(shell, repository, base, issues)))
        connection.commit()
        undo.pop_all()  # committed: the repository stays
    say("gathering statistics")
    instance.analyze()
    return path


def _values(shell: ProjectShell, repository: Repository, base: int, issues: int) -> dict[str, str]:
    shas = repository.commits
    position = {
        "base_sha": shas[0],
        "start_sha": shas[0],
        "head_sha": shas[-1],
        "old_path": "src/part_1.py",
        "new_path": "src/part_1.py",
        "position_type": "text",
        "old_line": None,
        "new_line": 1,
    }
    return {
        "base": str(base),
        "issues": f"{issues}::bigint",
        "tenth": f"{max(issues // 10, 1)}::bigint",
        "project": str(shell.project_id),
        "namespace": str(shell.project_namespace_id),
        "paragraphs": str(_PARAGRAPHS),
        "hunks": str(_HUNKS),
        "start": "timestamp '2022-01-03 08:00:00.123'",
        "day": f"interval '{_YEARS / issues:.3f} seconds'",
        "sha_base": f"'{shas[0]}'",
        "sha_head": f"'{shas[-1]}'",
        "sha_merge": f"'{shas[1]}'",
        "position": f"'{json.dumps(position)}'",
        "line_code": "'9f2d8e4d5c6b7a8091a2b3c4d5e6f708192a3b4c_1_1'",
    }


def _texts(connection: psycopg.Connection[Any]) -> None:
    """The paragraphs of descriptions and notes, and the hunks of diffs."""
    dice = random.Random(20240304)  # noqa: S311  the same texts every time
    for table, count, make in (("paragraph", _PARAGRAPHS, _paragraph), ("hunk", _HUNKS, _hunk)):
        connection.execute(f"CREATE TEMPORARY TABLE {table} (id bigint, body text) ON COMMIT DROP")
        with connection.cursor().copy(f"COPY {table} FROM STDIN") as copy:
            for number in range(count):
                copy.write_row((number, make(dice)))
        connection.execute(f"ANALYZE {table}")


def _line(dice: random.Random, words: int) -> str:
    # random() alone is promised to give the same numbers in every version of Python.
    return " ".join(_WORDS[int(dice.random() * len(_WORDS))] for _ in range(words))


def _paragraph(dice: random.Random) -> str:
    sentences = [_line(dice, 8 + int(dice.random() * 12)).capitalize() + "." for _ in range(6)]
    return " ".join(sentences[:3]) + "\n\n- " + "\n- ".join(sentences[3:])


def _hunk(dice: random.Random) -> str:
    """A unified diff of some 80 lines."""
    lines = (
        f"{' +- '[int(dice.random() * 4)]}    {_line(dice, 4).replace(' ', '_')} = {_line(dice, 3)!r}"
        for _ in range(80)
    )
    return "@@ -1,60 +1,60 @@ def cross():\n" + "\n".join(lines) + "\n"


def _story() -> Iterator[Commit]:
    """A modest repository: 200 commits on main, 20 branches, some megabytes before compression."""
    dice = random.Random(1)  # noqa: S311
    author = ("Porter 1", "porter-1@example.com")
    for number in range(200):
        content = "\n".join(_line(dice, 10) for _ in range(200))
        files = {f"src/part_{number % 50}.py": content.encode()}
        yield Commit("main", author, 1641196800 + 3600 * number, f"Change {number}\n", files)
    for number in range(20):
        files = {f"src/feature_{number}.py": _line(dice, 500).encode()}
        yield Commit(f"feature-{number}", author, 1642000000 + number, f"Feature {number}\n", files, "main")
