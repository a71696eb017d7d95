"""Masks secrets of the command line in the process list.

The words that a process was started with can be read by everybody on the machine. ``setproctitle`` writes
over them; what is left is the moment before packmule gets there, which no program can take away.
"""

from __future__ import annotations

from collections.abc import Sequence

_NOTIFY = "--notify"
_HEADER = "--header"


def hide_secrets(words: Sequence[str]) -> None:
    """Give the process a title without secrets, when its words may hold any."""
    if not any("://" in word or word.startswith(_HEADER) for word in words):
        return
    try:
        from setproctitle import setproctitle
    except ImportError:  # no wheel for this platform
        return
    setproctitle(" ".join(["packmule", *masked(words)]))


def masked(words: Sequence[str]) -> list[str]:
    """The words with passwords, queries, notification addresses and header values masked."""
    from strategies.masking import MASK, mask_notification_url, mask_url

    shown: list[str] = []
    before = ""
    for word in words:
        option, equals, value = word.partition("=")
        flag, text = (option, value) if equals and option.startswith("--") else (before, word)
        if flag == _NOTIFY:
            text = mask_notification_url(text)
        elif flag == _HEADER:
            text = f"{text.partition(':')[0]}: {MASK}"
        elif "://" in text:
            text = mask_url(text)
        shown.append(f"{option}={text}" if flag == option and equals else text)
        before = word
    return shown
