"""Memory stays flat, whatever goes through: peak RSS of a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import io, os, pathlib, sys
from export_core.archive import ArchiveTools, write_archive
from export_core.assembly import ArchiveRequest
from export_core.segment import SegmentWriter, seal_segment
from export_core.source import ArchiveFile, Part, Plan
from export_core.workspace import Workspace
from concurrent.futures import ThreadPoolExecutor

root, megabytes = pathlib.Path(sys.argv[1]), int(sys.argv[2])
block = os.urandom(1 << 20)

class Endless(io.RawIOBase):
    left = megabytes << 20
    def readinto(self, buffer):
        count = min(len(buffer), len(block), self.left)
        buffer[:count] = block[:count]
        self.left -= count
        return count

class Files:
    def files(self, part):
        yield ArchiveFile("./big", megabytes << 20, Endless)
        for number in range(megabytes):
            yield ArchiveFile(f"./small/{number}", 1000, lambda: io.BytesIO(block[:1000]))
    def close(self):
        pass

workspace = Workspace(root)
with SegmentWriter(workspace, "repository", 0) as writer:
    for _ in range(megabytes):
        writer.write(bytes(1 << 20))
    segment = writer.close()
seal_segment(workspace, segment)
plan = Plan((Part("repository", 0, "./a"), Part("lfs_objects", 0, None, deferred=True)))
with ThreadPoolExecutor(2) as executor:
    tools = ArchiveTools(executor, Files, 2)
    write_archive(ArchiveRequest(1, plan, workspace, 0), {segment.key: segment}, tools)
# Not getrusage's figure, which a child process inherits from its parent.
status = pathlib.Path("/proc/self/status").read_text()
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")))
"""


def peak(root: Path, megabytes: int) -> float:
    """Peak RSS in MiB."""
    command = [sys.executable, "-c", SCRIPT, str(root), str(megabytes)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout) / 1024


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_300_mb_take_no_more_memory_than_8(tmp_path: Path) -> None:
    few, many = peak(tmp_path / "few", 8), peak(tmp_path / "many", 300)
    assert many < 100
    assert many < few + 12
