"""What Ruby takes a single YAML scalar for, as a JSON value.

Source: the behaviour of Psych 4 and 5 (YAML 1.1 with Ruby's symbols): unquoted text is scanned for words,
symbols and numbers; everything else is text. Times and dates stay the text that they are, JSON has none.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from typing import Any

_WORDS: dict[str, Any] = {
    "": None, "~": None, "null": None,
    "yes": True, "true": True, "on": True,
    "no": False, "false": False, "off": False,
}  # fmt: skip
_INTEGER = re.compile(
    r"[-+]?(?:0[bB][01_,]+|0[0-7_,]+|0|[1-9](?:[0-9]|[,_][0-9])*|0[xX][0-9a-fA-F_,]+)",
)
_FLOAT = re.compile(r"[-+]?(?:[0-9][0-9_,]*)?\.[0-9]*(?:[eE][-+][0-9]+)?")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?P<fraction>\.[0-9_]*)?")
_MOST_DIGITS = 400
"""Of a number; the longest that any program writes is far below."""
_MOST_PLACES = 2
"""Of a sexagesimal integer."""


class BrokenYaml(ValueError):
    """A column that is not YAML, or YAML that unfolds without bounds."""


def plain(text: str) -> Any:
    """The value of an unquoted scalar. Raises BrokenYaml for a number of absurd length."""
    word = text.lower()
    if word in _WORDS:
        return _WORDS[word]
    if text[0] == ":" and len(text) > 1:
        return symbol(text)
    if text[0] not in "+-.0123456789":
        return text
    if word in (".inf", "+.inf", "-.inf", ".nan"):
        return None  # JSON has no such numbers; Rails writes null
    if _INTEGER.fullmatch(text) or _FLOAT.fullmatch(text) or _SEXAGESIMAL.fullmatch(text):
        return _number(text)
    return text


def symbol(text: str) -> str:
    """A symbol's name: ``:name`` or ``:"any name"``."""
    name = text.removeprefix(":")
    return name[1:].removesuffix(name[0]) if name[:1] in ('"', "'") and len(name) > 1 else name


def tagged(tag: str, text: str) -> Any:
    """The value of a scalar with a tag; unknown tags mean nothing."""
    if tag in ("!binary", "tag:yaml.org,2002:binary"):
        return _from_base64(text)
    if re.match(r"!ruby/sym(?:bol)?\b", tag):
        return symbol(text)
    if tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "!float", "tag:yaml.org,2002:bool"):
        return plain(text)
    return None if tag == "tag:yaml.org,2002:null" else text


def json_key(value: Any) -> str:
    """A mapping's key as text. Raises BrokenYaml for a collection."""
    if isinstance(value, dict | list):
        raise BrokenYaml("a collection as a key")
    if isinstance(value, bool) or value is None:
        return "" if value is None else str(value).lower()
    return str(value)


def _number(text: str) -> int | float | str | None:
    if len(text) > _MOST_DIGITS:
        raise BrokenYaml(f"a number of {len(text)} digits")
    digits = text.replace("_", "").replace(",", "")
    if ":" in digits:
        return _sexagesimal(text, digits)
    try:
        if "." in digits:
            return _finite(float(digits))
        return int(re.sub(r"^([-+]?)0(?=[0-7])", r"\g<1>0o", digits), 0)
    except ValueError:
        return text


def _sexagesimal(text: str, digits: str) -> int | float | str:
    """Base 60, as in ``1:30``."""
    fraction = "." in digits
    places = digits.lstrip("+-").split(":")
    if len(places) > _MOST_PLACES + 1 and not fraction:
        return text
    total: float = 0
    for place in places:
        total = total * 60 + (float(place) if fraction else int(place))
    return -total if digits[0] == "-" else total


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _from_base64(text: str) -> str:
    """Bytes as text: Ruby marks a text as binary when its encoding was not known to be UTF-8."""
    try:
        raw = base64.b64decode(text)
    except (binascii.Error, ValueError) as exc:
        raise BrokenYaml(f"no base64: {exc}") from exc
    return raw.decode(errors="replace")
