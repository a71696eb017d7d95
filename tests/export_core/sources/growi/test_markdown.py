from __future__ import annotations

import pytest
import yaml

from export_core.sources.growi.frozen import FrozenPage
from export_core.sources.growi.markdown import title, unix_lines, with_front_matter

PAGE = FrozenPage('/a: "b"/#c\'\n\u2028\x85é', "1", "r1", "f.md", "2024-01-01T00:00:00.000Z", None, "yes")


@pytest.mark.parametrize("body", ["a\nb\nc", "a\r\nb\r\nc", "a\rb\rc", "a\r\nb\rc"])
def test_line_ends(body):
    assert unix_lines(body) == "a\nb\nc"


def test_title():
    assert (title("/a/b"), title("/")) == ("b", "/")


def test_front_matter_reads_back():
    head, _, body = with_front_matter(PAGE, "# T\n")[4:].partition("---\n")
    assert yaml.safe_load(head) == {
        "title": PAGE.path.rpartition("/")[2],
        "path": PAGE.path,
        "author": "yes",
        "created": "2024-01-01T00:00:00.000Z",
        "revision": "r1",
    }
    assert body == "\n# T\n"


def test_front_matter_that_is_there_is_kept():
    text = with_front_matter(PAGE, "---\ntitle: Mine\ntags: [a]\n---\nBody\n---\n")
    _, head, body = text.split("---\n", 2)
    found = yaml.safe_load(head)
    assert (found["title"], found["tags"], found["revision"]) == ("Mine", ["a"], "r1")
    assert body == "Body\n---\n"


@pytest.mark.parametrize("body", ["---\nno end", "--- x\n---\n", "text\n---\na: b\n---\n"])
def test_a_rule_is_not_front_matter(body):
    assert with_front_matter(PAGE, body).endswith("---\n\n" + body)
