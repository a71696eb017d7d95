"""The same statements as scripts for ``psql``: prepared, batch by batch, each relation into a file.

Shared out between processes in one of two ways: a relation to each, as one does who writes such scripts; or
batch by batch, which takes somebody who has listed all ids beforehand, as packmule does while it is measured.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

from benchmarks.project import Project, Relation, batches
from export_core.sources.embedded.cluster import binaries

_TYPES = "bigint[], bigint, bigint"


Share = list[tuple[Relation, list[list[int]]]]
"""The relations that one process reads, and the batches of ids of each."""
Sharing = Callable[[Project, int], list[Share]]
"""The share of each process."""


def a_relation_each(project: Project, count: int) -> list[Share]:
    """Whole relations, the largest first to whoever has the least to do."""
    shares: list[Share] = [[] for _ in range(count)]
    for whole in sorted(((r, list(batches(r))) for r in project.relations), key=lambda one: -len(one[1])):
        min(shares, key=lambda share: sum(len(one) for _, one in share)).append(whole)
    return shares


def batch_by_batch(project: Project, count: int) -> list[Share]:
    """Every relation in equal shares."""
    cut = [(relation, list(batches(relation))) for relation in project.relations]
    return [
        [(relation, mine) for relation, all_of_it in cut if (mine := all_of_it[number::count])]
        for number in range(count)
    ]


def write_scripts(project: Project, directory: Path, count: int, sharing: Sharing) -> list[Path]:
    """Scripts for ``count`` processes; their output goes below ``out``."""
    scripts = []
    for number, share in enumerate(sharing(project, count)):
        body = ["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"]
        for relation, its_batches in share:
            file = directory / "out" / f"{relation.name}.{number}.ndjson"
            body.append(f"PREPARE {relation.name}({_TYPES}) AS {_in_order(relation)};")
            body.append(f"\\o {shlex.quote(str(file))}")
            body += (_execute(project, relation, ids) for ids in its_batches)
        scripts.append(directory / f"{number}.sql")
        scripts[-1].write_text("\n".join(body) + "\nCOMMIT;\n", encoding="utf-8")
    return scripts


def shell_command(project: Project, scripts: list[Path], packer: str, result: Path) -> list[str]:
    """Run the scripts side by side, then pack what they wrote."""
    out = scripts[0].parent / "out"
    psql = (
        f"{shlex.quote(str(binaries() / 'psql'))} -X -q -A -t -v ON_ERROR_STOP=1 {shlex.quote(project.dsn)}"
    )
    runs = " ".join(f"{psql} -f {shlex.quote(str(script))} & p{n}=$!;" for n, script in enumerate(scripts))
    waits = " && ".join(f"wait $p{n}" for n in range(len(scripts)))
    there = shlex.quote(str(out))
    pack = f"tar -C {there} -c . | {packer} > {shlex.quote(str(result))}"
    return [
        "bash",
        "-o",
        "pipefail",
        "-c",
        f"mkdir -p {there} && {{ {runs} {waits}; }} && {pack} && rm -r {there}",
    ]


def _in_order(relation: Relation) -> str:
    """The statement with its lines in the order of the export, which psql cannot bring about by itself."""
    line_alone = relation.sql.replace("SELECT t0.id, ", "SELECT ", 1)
    return f"{line_alone}\nORDER BY array_position($1, t0.id::bigint)"


def _execute(project: Project, relation: Relation, ids: list[int]) -> str:
    listed = ",".join(map(str, ids))
    partition = "NULL" if relation.partition is None else relation.partition
    return f"EXECUTE {relation.name}('{{{listed}}}', {project.id}, {partition});"
