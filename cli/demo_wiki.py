"""``packmule demo --wiki``: the packaged wiki, exported by the engine, checked, and shown as a folder."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export_core.errors import ExportFailed
from export_core.quantities import counted
from export_core.sources.growi import DEMO_URL
from export_core.sources.growi.names import INDEX

if TYPE_CHECKING:
    from cli.wiring import Wiring
    from export_core.job import Job

_MOST = 4
"""Entries of a folder that are shown."""
_WIDEST = 60
"""Cells of a name."""

Folder = dict[str, Any]
"""Names, each with a folder or, for a file, None."""


def check_wiki(wires: Wiring, archive: Path) -> None:
    """Tell what is in the archive of a wiki. Raises ExportFailed when a page of its index is not there."""
    names, index = _read(archive)
    pages = [str(page["file"]) for page in index["pages"]]
    attached = [str(one["file"]) for page in index["pages"] for one in page.get("attachments", ())]
    missing = sorted({*pages, *attached} - set(names))
    if missing:
        raise ExportFailed(f"{archive} lacks {counted(len(missing), 'file')} of its index: {missing[0]}")
    wires.message("the archive holds a folder:")
    for line in tree_lines(names):
        wires.message(f"  {line}")
    wires.message("  (%.. stands for what some file system would not take)")
    both = f"{counted(len(pages), 'page')} and {counted(len(attached), 'attachment')}"
    wires.message(f"verified: {both}, each where {INDEX} says")


def wiki_advice(archive: Path, job: Job) -> str:
    """What to try next."""
    return (
        "try next:\n"
        f"  mkdir wiki && tar -xzf {archive} -C wiki\n"
        "  (open the folder wiki in Obsidian or VS Code: links and pictures work)\n"
        f"  packmule show {job.id}\n"
        f"  packmule export /Sandbox --source {DEMO_URL} --front-matter --to sandbox.tar.gz\n"
        f"  packmule export /Rights --source {DEMO_URL} --as-user alice\n"
        "  packmule export / --source mongodb://host/growi --to wiki.tar.gz    (a wiki of yours)"
    )


def _read(archive: Path) -> tuple[list[str], Any]:
    with tarfile.open(archive, "r:gz") as tar:
        names = [member.name for member in tar if member.isfile()]
        stream = tar.extractfile(INDEX)
        return names, json.load(stream) if stream is not None else {"pages": []}


def tree_lines(names: Sequence[str]) -> Iterator[str]:
    """Paths as an indented tree, of each folder the first few entries."""
    root: Folder = {}
    for name in sorted(names, key=lambda name: (name.startswith("%"), name)):
        *folders, last = name.split("/")
        place = root
        for folder in folders:
            place = place.setdefault(f"{folder}/", {})
        place[last] = None
    yield from _lines(root, "", most=len(root))


def _lines(folder: Folder, indent: str, *, most: int) -> Iterator[str]:
    from cli.render_fit import printable, shortened

    for name, below in list(folder.items())[:most]:
        yield indent + shortened(printable(name), _WIDEST, "...")
        if below is not None:
            yield from _lines(below, indent + "  ", most=_MOST)
    if len(folder) > most:
        yield f"{indent}... and {len(folder) - most} more"
