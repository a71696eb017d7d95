from __future__ import annotations

import time

import pytest

from export_core.sources.growi.frozen import FrozenPage, LinkTable, pack_links, unpack_links
from export_core.sources.growi.links import LinkRewriter, relative, resolve
from export_core.sources.growi.records import Attachment
from export_core.sources.growi.verbatim import verbatim

ID = "64a000000000000000000001"
FILE = "64a00000000000000000000f"
PATHS = ("/", "/Sandbox", "/Sandbox/Math", "/Sandbox/Math/Deep", "/Sandbox/C++ (x)", "/数学", "/100%", "/a#b")


def page(path: str, identity: str = "") -> FrozenPage:
    from export_core.sources.growi.names import assign

    (file,) = assign([(path, identity)])
    return FrozenPage(path, identity or path, "r", file, None, None, None)


@pytest.fixture
def table() -> LinkTable:
    pages = [page(path, ID if path == "/Sandbox/Math" else path) for path in sorted(PATHS)]
    return unpack_links(
        pack_links(pages, [Attachment(FILE, ID, "a b.png", 1, "s")], "https://wiki.example.com")
    )


@pytest.fixture
def rewrite(table):
    rewriter = LinkRewriter(table, attachments=True)
    return lambda text, path="/Sandbox/Math": rewriter.rewrite(page(path), text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[a](/Sandbox)", "[a](../Sandbox.md)"),
        ("[a](/)", "[a](../_top.md)"),
        ("[a](/Sandbox/)", "[a](../Sandbox.md)"),
        ("[a](/Sandbox/Math/Deep)", "[a](Math/Deep.md)"),
        ("[a](Math/Deep)", "[a](Math/Deep.md)"),  # as a browser resolves it on /Sandbox/Math
        ("[a](./Math/Deep)", "[a](Math/Deep.md)"),
        ("[a](../Sandbox)", "[a](../Sandbox.md)"),
        ("[a](/Sandbox#part)", "[a](../Sandbox.md#part)"),
        ('[a](/Sandbox "T")', '[a](../Sandbox.md "T")'),
        ("[a]( </Sandbox> )", "[a]( ../Sandbox.md )"),
        ("[a](</Sandbox/C++ (x)>)", "[a](C++%20%28x%29.md)"),
        ("[a](/Sandbox/C++%20(x))", "[a](C++%20%28x%29.md)"),
        (r"[a](/Sandbox/C++%20\(x\))", "[a](C++%20%28x%29.md)"),
        ("[a](/%E6%95%B0%E5%AD%A6)", "[a](../数学.md)"),
        ("[a](/数学)", "[a](../数学.md)"),
        ("[a](/100%25)", "[a](../100%2525.md)"),  # the file is named 100%25.md
        ("[a](/a%23b)", "[a](../a%23b.md)"),
        (f"[a](/{ID})", "[a](Math.md)"),
        (f"![a](/attachment/{FILE})", f"![a](../_attachments/{FILE}-a%20b.png)"),
        (f"[a](/download/{FILE})", f"[a](../_attachments/{FILE}-a%20b.png)"),
        ("[a](https://wiki.example.com/Sandbox)", "[a](../Sandbox.md)"),
        (
            f"[![i](/attachment/{FILE})](/Sandbox)",
            f"[![i](../_attachments/{FILE}-a%20b.png)](../Sandbox.md)",
        ),
        ("[a]: /Sandbox\n", "[a]: ../Sandbox.md\n"),
        ('x\n  [a]: </Sandbox> "T"\n', 'x\n  [a]: ../Sandbox.md "T"\n'),
        ("[[/Sandbox]]", "[/Sandbox](../Sandbox.md)"),
        ("[[Box>/Sandbox]]", "[Box](../Sandbox.md)"),
        ("[[./Deep]]", "[./Deep](Math/Deep.md)"),  # GROWI resolves these against the page as a folder
        ("[[1]](/Sandbox)", "[[1]](../Sandbox.md)"),
        ('<a class="x" href="/Sandbox">', '<a class="x" href="../Sandbox.md">'),
        (f"<IMG SRC='/attachment/{FILE}' width=9>", f"<IMG SRC='../_attachments/{FILE}-a%20b.png' width=9>"),
        ("[`code`](/Sandbox)", "[`code`](../Sandbox.md)"),
        ("[a](/Sandbox) `x` [b](/Sandbox)", "[a](../Sandbox.md) `x` [b](../Sandbox.md)"),
        ("- item\n\n    [a](/Sandbox)\n", "- item\n\n    [a](../Sandbox.md)\n"),
        (
            "a `lone backtick\n\n[a](/Sandbox) and ` another",
            "a `lone backtick\n\n[a](../Sandbox.md) and ` another",
        ),
        ("```js\ncode\n```\n[a](/Sandbox)", "```js\ncode\n```\n[a](../Sandbox.md)"),
    ],
)
def test_rewritten(rewrite, text, expected):
    assert rewrite(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "[a](https://example.org/Sandbox)",
        "[a](https://wiki.example.com.evil.org/Sandbox)",
        "[a](//wiki/Sandbox)",
        "[a](mailto:x@example.com)",
        "[a](#part)",
        "[a]()",
        "[a](/Nowhere)",
        "[a](/Sandbox?revisionId=1)",
        "[a](/attachment/64a0000000000000000000ff)",
        "[[/Nowhere]]",
        "[^1]: /Sandbox",
        r"\[a\](/Sandbox)",
        "`[a](/Sandbox)`",
        "``[a](/Sandbox) ` ``",
        "`over\nlines [a](/Sandbox)`",
        "```\n[a](/Sandbox)\n```",
        "~~~~ md\n```\n[a](/Sandbox)\n~~~\n[a](/Sandbox)\n~~~~",
        "```\n[a](/Sandbox)",
        "> ```\n> [a](/Sandbox)\n> ```",
        "- item\n\n  ```\n  [a](/Sandbox)\n  ```",
        "1. ```\n   [a](/Sandbox)\n   ```",
        "text\n\n    [a](/Sandbox)\n\n    [b](/Sandbox)\n",
        "\t[a](/Sandbox)",
        "<!-- [a](/Sandbox) -->",
        "<pre>\n[a](/Sandbox)\n</pre>",
        "<code>[a](/Sandbox)</code>",
    ],
)
def test_left_alone(rewrite, text):
    assert rewrite(text) == text


def test_attachments_that_are_not_exported_keep_their_links(table):
    text = f"![a](/attachment/{FILE}) [b](/Sandbox)"
    rewriter = LinkRewriter(table, attachments=False)
    assert rewriter.rewrite(page("/Sandbox/Math"), text) == f"![a](/attachment/{FILE}) [b](../Sandbox.md)"


def test_relative():
    assert relative("a/b/c.md", "a/b/d.md") == "d.md"
    assert relative("a/b/c.md", "a/x/d.md") == "../x/d.md"
    assert relative("c.md", "a/d.md") == "a/d.md"
    assert relative("a/b.md", "a.md") == "../a.md"


def test_resolve_never_leaves_the_root():
    assert resolve("../../../etc", "/a/b") == "/etc"
    assert resolve("./x", "/a/b/") == "/a/b/x"
    assert resolve("/a/./b/../c/", "/") == "/a/c"


@pytest.mark.parametrize(
    "text",
    [
        "`" * 30_000,
        "".join("`" * n + " " for n in range(1, 400)),
        "[" * 30_000,
        "[[" * 20_000,
        "](" * 20_000,
        "](/a(" * 10_000,
        "<pre" * 20_000,
        "<a " * 20_000,
        "<!-- " * 20_000,
        "    x\n\n" * 10_000,
        "[a]: " * 20_000,
        "](<" * 20_000,
        "](" + " " * 60_000,
        "]:" + " " * 60_000,
        "\\`" * 30_000,
        "`a`<pre>" * 10_000,
        ("```\nx\n```\n\n[a](/Sandbox)\n\n") * 4000,
        "\\" * 30_000 + "](/Sandbox)",
    ],
)
def test_no_text_is_slow(rewrite, text):
    began = time.process_time()
    rewrite(text + "\n](/Nowhere)")
    assert time.process_time() - began < 2


def test_verbatim_regions_are_in_order_and_apart():
    text = "`a` <pre>`b`</pre>\n\n    c\n\n~~~\n`d`\n~~~\nx <!-- e -->"
    regions = verbatim(text, range(len(text)))
    assert [text[start:end].strip() for start, end in regions] == [
        "`a`",
        "<pre>`b`</pre",
        "c",
        "~~~\n`d`\n~~~",
        "<!-- e -->",
    ]
