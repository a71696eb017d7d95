"""The same statements as scripts for ``psql``: prepared, batch by batch, each relation into a file."""

from __future__ import annotations

import shlex
from pathlib import Path

from benchmarks.project import Project, Relation, batches
from export_core.sources.embedded.cluster import binaries

_TYPES = "bigint[], bigint, bigint"


def write_scripts(project: Project, directory: Path, count: int) -> list[Path]:
    """Scripts for ``count`` processes, their statements shared out evenly; the output goes below ``out``."""
    bodies: list[list[str]] = [_head() for _ in range(count)]
    for relation in project.relations:
        for body in bodies:
            body.append(f"PREPARE {relation.name}({_TYPES}) AS {_in_order(relation)};")
        for number, ids in enumerate(batches(relation)):
            file = directory / "out" / f"{relation.name}.{number % count}.ndjson"
            if number < count:
                bodies[number % count].append(f"\\o {shlex.quote(str(file))}")
            bodies[number % count].append(_execute(project, relation, ids))
    scripts = []
    for number, body in enumerate(bodies):
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


def _head() -> list[str]:
    return ["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"]


def _in_order(relation: Relation) -> str:
    """The statement with its lines in the order of the export, which psql cannot bring about by itself."""
    line_alone = relation.sql.replace("SELECT t0.id, ", "SELECT ", 1)
    return f"{line_alone}\nORDER BY array_position($1, t0.id::bigint)"


def _execute(project: Project, relation: Relation, ids: list[int]) -> str:
    listed = ",".join(map(str, ids))
    partition = "NULL" if relation.partition is None else relation.partition
    return f"EXECUTE {relation.name}('{{{listed}}}', {project.id}, {partition});"
