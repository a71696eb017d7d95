"""Who is compared: packmule as a user runs it, and other ways to the same rows."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

from benchmarks.measure import Command
from benchmarks.project import PACKMULE, Project
from benchmarks.psql_files import Sharing, shell_command, write_scripts
from export_core.workspace import Home

PROTOTYPE = "prototype, 2 threads"
ONE, TWO = "packmule --workers 1", "packmule --workers 2"
ALONE = "packmule, server started too"
WITH_PROGRESS = "packmule, progress drawn"


def packmule(home: Home, project: Project, result: Path, workers: int) -> Command:
    """``packmule export``, in a process of its own."""
    words = ["export", project.path, "--to", str(result), "--force", "--no-reuse", "--quiet"]
    return command(home, [*words, "--workers", str(workers)], result)


def command(home: Home, words: list[str], result: Path) -> Command:
    """Any command of packmule's."""
    compiled = str(home.root.parent / "pycache")  # also where the code lies in a read-only place
    environment = {"PACKMULE_HOME": str(home.root), "PYTHONPYCACHEPREFIX": compiled}
    return Command([*PACKMULE, *words], environment, result)


def with_progress(command: Command) -> Command:
    """The same, with its progress drawn on a terminal."""
    words = [word for word in command.words if word != "--quiet"]
    return replace(
        command, words=words, on_terminal=True, environment={**command.environment, "TERM": "xterm"}
    )


def prototype(project: Project, place: Path, workers: int) -> Command:
    """The pipeline that only moves bytes."""
    description = place / "project.json"
    project.save(description)
    words = [sys.executable, "-m", "benchmarks.prototype", str(description), str(place / "prototype.tar.gz")]
    compiled = str(place / "pycache")
    environment = {"PYTHONPATH": str(Path(__file__).parents[1]), "PYTHONPYCACHEPREFIX": compiled}
    return Command([*words, str(workers)], environment, place / "prototype.tar.gz")


def psql(project: Project, place: Path, packer: str, sharing: Sharing) -> Command:
    """Two ``psql`` side by side to files, then ``tar`` and a compressor."""
    directory = place / "psql" / sharing.__name__
    directory.mkdir(exist_ok=True, parents=True)
    scripts = write_scripts(project, directory, 2, sharing)
    result = place / "psql.tar.gz"
    return Command(shell_command(project, scripts, packer, result), {"PGOPTIONS": project.options}, result)


def packers() -> dict[str, str]:
    """Compressors that this machine has, by the name under which they are shown."""
    found = {}
    if shutil.which("igzip"):
        found["igzip -1"] = "igzip -1 -c"
    else:
        found["isal.igzip -1"] = f"{sys.executable} -m isal.igzip -1 -c"
    if shutil.which("pigz"):
        found["pigz -p2 -1"] = "pigz -p2 -1 -c"
    else:
        found["gzip -1"] = "gzip -1 -c"
    return found
