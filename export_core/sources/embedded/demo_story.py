"""Who and what is in the demonstration project: a small crew that sends a pack mule over a pass."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from export_core.sources.embedded.demo_git import Commit

FULL_PATH = "packmule/demo"


@dataclass(frozen=True, slots=True)
class Person:
    """A member of the project."""

    id: int
    """As in the archive."""
    name: str
    username: str
    access_level: int

    @property
    def email(self) -> str:
        """Public address, in a domain that nobody can own (RFC 2606)."""
        return f"{self.username}@example.com"

    @property
    def signature(self) -> tuple[str, str]:
        """Name and address in commits."""
        return self.name, self.email


ADA = Person(2, "Ada Porter", "ada", 50)
BEN = Person(3, "Ben Saddler", "ben", 40)
CLEO = Person(4, "Cleo Passfinder", "cleo", 30)
DAO = Person(5, "Đào Tải", "dao", 20)
PEOPLE = (ADA, BEN, CLEO, DAO)

_MONDAY = 1709539200
"""2024-03-04 08:00 UTC."""
_HOUR = 3600


def png(colour: tuple[int, int, int], size: int = 48) -> bytes:
    """A square of one colour. Source: PNG (Portable Network Graphics) Specification, W3C."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        crc = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)

    rows = (b"\0" + bytes(colour) * size) * size
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


AVATAR = ("mule.png", png((139, 107, 66)))
MAP_SECRET = hashlib.sha256(b"packmule demo: map").hexdigest()[:32]
LIST_SECRET = hashlib.sha256(b"packmule demo: list").hexdigest()[:32]
UPLOADS: Mapping[str, bytes] = {
    f"{MAP_SECRET}/map of the pass.png": png((90, 140, 90)),
    f"{LIST_SECRET}/packing-list.csv": "thing,kg\nrope,4.5\nstove,2\nđèn lồng,0.8\n".encode(),
}
LFS_CONTENT = b"panorama of the pass, taken from the hut\n" * 512
LFS_OID = hashlib.sha256(LFS_CONTENT).hexdigest()
_POINTER = (
    f"version https://git-lfs.github.com/spec/v1\noid sha256:{LFS_OID}\nsize {len(LFS_CONTENT)}\n"
).encode()

_PACK = """\
\"\"\"Which box goes on which side of the mule.\"\"\"


def balance(boxes):
    left, right = [], []
    for box in sorted(boxes, key=lambda box: -box.weight):
        side = left if sum(b.weight for b in left) <= sum(b.weight for b in right) else right
        side.append(box)
    return left, right
"""
_LIMIT = _PACK.replace("def balance(boxes):\n", "def balance(boxes, limit=60):\n").replace(
    "    left, right = [], []\n",
    "    left, right = [], []\n"
    "    if sum(box.weight for box in boxes) > 2 * limit:\n"
    "        raise ValueError('too much for one mule')\n",
)
_README = "# Over the pass\n\nEverything that the crew needs to carry a hut's supplies over the pass.\n"
_CI = "stages: [check, pack]\n\nbalance:\n  stage: check\n  script: python -m unittest\n"

PROJECT_STORY = (
    Commit("main", ADA.signature, _MONDAY, "Say what this is about\n", {"README.md": _README.encode()}),
    Commit("main", BEN.signature, _MONDAY + _HOUR, "Balance the boxes\n", {"pack.py": _PACK.encode()}),
    Commit(
        "main",
        ADA.signature,
        _MONDAY + 2 * _HOUR,
        "Check every change, keep pictures in LFS\n",
        {
            ".gitlab-ci.yml": _CI.encode(),
            ".gitattributes": b"*.jpg filter=lfs diff=lfs merge=lfs -text\n",
            "panorama.jpg": _POINTER,
        },
    ),
    Commit(
        "fix/readme",
        CLEO.signature,
        _MONDAY + 3 * _HOUR,
        "Tell where the hut is\n",
        {"README.md": (_README + "\nThe hut stands at 2,310 m.\n").encode()},
        since="main",
    ),
    Commit(
        "main",
        BEN.signature,
        _MONDAY + 4 * _HOUR,
        "Merge branch 'fix/readme' into 'main'\n",
        merges="fix/readme",
    ),
    Commit(
        "feature/limit",
        CLEO.signature,
        _MONDAY + 5 * _HOUR,
        "Refuse more than a mule can carry\n",
        {"pack.py": _LIMIT.encode()},
        since="main",
    ),
)
PROJECT_REFS: Mapping[str, int] = {
    "refs/tags/v0.1.0": 1,
    "refs/tags/v0.2.0": 4,
    "refs/merge-requests/1/head": 3,
    "refs/merge-requests/2/head": 5,
}
BASE, FIX, MERGE, FEATURE = 2, 3, 4, 5
"""Numbers of commits in the story."""

WIKI_STORY = (
    Commit(
        "main",
        ADA.signature,
        _MONDAY + 6 * _HOUR,
        "Create home\n",
        {"home.md": b"# Welcome\n\nStart with the [[route]].\n"},
    ),
    Commit(
        "main",
        DAO.signature,
        _MONDAY + 7 * _HOUR,
        "Create route\n",
        {"route.md": b"Left at the third bend.\n"},
    ),
)
DESIGN_FILE = "saddle.png"
DESIGN_STORY = (
    Commit(
        "main",
        CLEO.signature,
        _MONDAY + 8 * _HOUR,
        "Add the saddle\n",
        {f"designs/issue-1/{DESIGN_FILE}": png((160, 120, 60))},
    ),
)
SNIPPET_STORIES = {
    "weigh.py": (
        Commit(
            "main",
            BEN.signature,
            _MONDAY + 9 * _HOUR,
            "Initial commit\n",
            {"weigh.py": b"print(sum(map(float, input().split())))\n"},
        ),
    ),
    "knots.md": (
        Commit(
            "main",
            DAO.signature,
            _MONDAY + 10 * _HOUR,
            "Initial commit\n",
            {"knots.md": "# Knots\n\n- nút thắt → the one that holds\n".encode()},
        ),
    ),
}
