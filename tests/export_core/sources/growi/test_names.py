from __future__ import annotations

import random
import re
import sys
import unicodedata
from urllib.parse import unquote_to_bytes

import pytest

from export_core.sources.growi.demo_wiki import HURTING_NAMES
from export_core.sources.growi.names import (
    EMPTY,
    EXTENSION,
    MAX_NAME_BYTES,
    MAX_SEGMENT_BYTES,
    TOP,
    Namer,
    assign,
    attachment_name,
    clean,
    fold,
)

# Microsoft, "Naming Files, Paths, and Namespaces".
FORBIDDEN_ON_WINDOWS = set('<>:"/\\|?*') | {chr(code) for code in range(32)}
DEVICES = [
    "con",
    "PRN",
    "Aux",
    "nul",
    "COM1",
    "com9",
    "LPT1",
    "lpt9",
    "com²",
    "con.txt",
    "NUL.tar.gz",
    "aux .",
]


def unclean(name: str) -> str | None:
    """The segment that ``clean`` made a name of; None when it was shortened or made distinct."""
    if name == EMPTY:
        return ""
    if re.search(r"~[0-9a-f]{12,}\Z", name):
        return None
    return unquote_to_bytes(name).decode("utf-8", "surrogatepass")


def path_of(file: str) -> str | None:
    """The page path of a file in the archive; None when only ``pages.json`` knows it."""
    stem = file.removesuffix(EXTENSION)
    if stem == TOP:
        return "/"
    segments = [unclean(name) for name in stem.split("/")]
    return "/" + "/".join(s for s in segments if s is not None) if None not in segments else None


@pytest.mark.parametrize(
    ("segment", "name"),
    [
        ("Math", "Math"),
        ("Two words", "Two words"),
        ("数学", "数学"),
        ("Café", "Café"),
        ("🎉", "🎉"),
        ("100%", "100%25"),
        ("%2F", "%252F"),
        ("a?b", "a%3Fb"),
        (".", "%2E"),
        ("..", "%2E%2E"),
        (".hidden", "%2Ehidden"),
        ("dot.", "dot%2E"),
        ("v1.2", "v1.2"),
        ("blank ", "blank%20"),
        ("con", "%63on"),
        ("console", "console"),
        ("README.md", "README%2Emd"),  # a folder of this name would stand where the page README has its file
        ("", "%"),
    ],
)
def test_clean(segment, name):
    assert clean(segment) == name
    assert unclean(name) == segment


def test_reserved_at_the_root_only():
    for name in ("_top", "_attachments", "_long", "pages.json", "PAGES.JSON"):
        assert clean(name) == name
        cleaned = clean(name, at_root=True)
        assert cleaned.casefold() != name.casefold()
        assert unclean(cleaned) == name


def random_segments(count: int) -> list[str]:
    chance = random.Random(7)
    alphabet = (
        "aA.~ %:\\?*\t\x7féÉßſıİ\u0301\u3099か가\u1100\u1161ÅΩ\u200d\u202e\ufeff🎉\ud800|"
        + "0123456789abcdef"
    )
    return ["".join(chance.choices(alphabet, k=chance.randrange(1, 18))) for _ in range(count)]


def test_cleaning_is_reversible_and_safe_everywhere():
    for segment in [*random_segments(20_000), *DEVICES]:
        name = clean(segment)
        assert unclean(name) == segment
        assert not FORBIDDEN_ON_WINDOWS & set(name)
        assert unicodedata.is_normalized("NFC", name)
        assert name[0] not in ". "
        assert name[-1] not in ". "
        assert name.encode("utf-8")


@pytest.mark.skipif(sys.version_info < (3, 13), reason="ntpath.isreserved is new in Python 3.13")
def test_python_finds_no_name_reserved_on_windows():
    import ntpath

    for segment in [*random_segments(2000), *DEVICES]:
        assert not ntpath.isreserved(clean(segment) + ".md")


def test_device_names_are_not_devices_any_more():
    for name in DEVICES:
        assert clean(name).partition(".")[0].strip().casefold() != name.partition(".")[0].strip().casefold()


@pytest.mark.parametrize("segment", ["x" * 300, "長い" * 100, "%" * 150, "é" * 101, "🎉" * 51, "%é" * 80])
def test_long_names_are_shortened_and_told_apart(segment):
    one, other = clean(segment), clean(segment + "!")
    assert one != other
    for name in (one, other):
        assert len(name.encode()) <= MAX_SEGMENT_BYTES
        assert unclean(name) is None
    assert one[:20] == clean(segment[:20])[:20]


def test_what_looks_like_a_hash_mark_is_not_taken_for_one():
    segment = "x" + clean("y" * 300)[-13:]
    assert clean(segment) != segment
    assert unclean(clean(segment)) == segment


def test_hurting_names_are_distinct_even_where_case_and_normalisation_do_not_count():
    files = assign((path, path) for path in sorted(HURTING_NAMES))
    keys = {unicodedata.normalize("NFKC", file).casefold() for file in files}
    assert len(keys) == len(HURTING_NAMES)
    for path, file in zip(sorted(HURTING_NAMES), files, strict=True):
        assert path_of(file) in {path, None}


def test_no_file_stands_where_another_needs_a_folder():
    files = {fold(file) for file in assign((path, path) for path in sorted(HURTING_NAMES))}
    folders = {file.rpartition("/")[0] for file in files if "/" in file}
    parents = {"/".join(folder.split("/")[:n]) for folder in folders for n in range(1, 9)}
    assert not files & parents


def test_the_first_of_names_that_differ_by_case_keeps_its_own():
    a, below_a, b, below_b = assign([("/A", "1"), ("/A/x", "2"), ("/a", "3"), ("/a/x", "4")])
    assert (a, below_a) == ("A.md", "A/x.md")
    assert b.startswith("a~")
    assert below_b == b.removesuffix(".md") + "/x.md"
    assert path_of(b) is None


@pytest.mark.parametrize(
    "pair", [("Straße", "STRASSE"), ("ſ", "S"), ("Ǆ", "ǆ"), ("Σ", "ς"), ("a\u200b", "a")]
)
def test_other_scripts_have_case_too(pair):
    one, other = assign([(f"/{name}", name) for name in sorted(pair)])
    assert fold(one) != fold(other)


def test_the_same_path_twice_gives_two_files():
    one, other = assign([("/A", "1"), ("/A", "2")])
    assert one == "A.md"
    assert other.startswith("A~")


def test_very_long_paths_leave_the_tree():
    deep = "".join(f"/{'folder' * 10}{number}" for number in range(20))
    endless = "/a" * 50_000
    files = assign([(endless, "1"), (endless + "/b", "2"), (deep, "3"), (deep + "/x", "4")])
    assert len(set(files)) == 4
    for file in files:
        assert file.startswith("_long/")
        assert len(file.encode()) <= MAX_NAME_BYTES
        assert path_of(file) is None


def test_top_page():
    assert Namer().file("/", "1") == "_top.md"
    assert path_of("_top.md") == "/"
    assert path_of("a%252F/b.md") == "/a%2F/b"


@pytest.mark.parametrize(
    ("original", "name"),
    [
        ("diagram.png", "5f-diagram.png"),
        ("メモ.txt", "5f-メモ.txt"),
        ("../../etc/passwd", "5f-%2E.%2F..%2Fetc%2Fpasswd"),
        ("a/b.svg", "5f-a%2Fb.svg"),
        (".htaccess", "5f-%2Ehtaccess"),
        ("archive.", "5f-archive%2E"),
        ("", "5f-%"),
    ],
)
def test_attachment_names(original, name):
    assert attachment_name("5f", original) == f"_attachments/{name}"


def test_long_attachment_names_keep_their_extension():
    name = attachment_name("5f", "x" * 400 + ".pdf")
    assert name.endswith(".pdf")
    assert len(name.encode()) < 240
