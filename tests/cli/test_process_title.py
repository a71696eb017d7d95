"""The process list shows no secret of the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cli.process_title import masked

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    "words",
    [
        ["export", "a/b", "--to", f"https://u:{SECRET}@host/x?sig={SECRET}"],
        ["export", "a/b", f"--to=https://host/x?sig={SECRET}"],
        ["export", "a/b", "--notify", f"slack://{SECRET}/{SECRET}/{SECRET}"],
        ["export", "a/b", f"--notify=mailto://u:{SECRET}@host"],
        ["export", "a/b", "--header", f"Authorization: Bearer {SECRET}"],
        ["export", "a/b", f"--header=X-Token: {SECRET}"],
        ["doctor", "--source", f"postgresql://u:{SECRET}@host/db"],
    ],
    ids=" ".join,
)
def test_no_secret_is_left(words: list[str]) -> None:
    shown = " ".join(masked(words))
    assert SECRET not in shown
    assert shown.startswith(words[0])


def test_plain_words_stay() -> None:
    words = ["export", "a/b", "--to", "/x=y/z.tar.gz", "--only=issues", "--workers", "2"]
    assert masked(words) == words


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="no /proc here")
def test_the_words_of_the_process_are_written_over() -> None:
    pytest.importorskip("setproctitle")
    code = (
        "import sys; from cli.process_title import hide_secrets; hide_secrets(sys.argv[1:]);"
        "print(open('/proc/self/cmdline', 'rb').read())"
    )
    words = ["export", "a/b", "--to", f"https://host/x?sig={SECRET}"]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    assert SECRET not in done.stdout
    assert "export a/b" in done.stdout
