"""YAML of Ruby read as data: what Psych makes of it, and no more than its length in time and memory."""

from __future__ import annotations

import time
from typing import Any

import pytest
import yaml

from export_core.sources.gitlab_db import ruby_yaml
from export_core.sources.gitlab_db.ruby_scalars import BrokenYaml
from tests.export_core.sources.gitlab_db import ruby_documents

# What Ruby's YAML.load gives, written as JSON by Rails; from Psych's scalar scanner and its specification.
PSYCH: dict[str, Any] = {
    "--- foo": "foo",
    "--- ''": "",
    "---\n...\n": None,
    "--- ~": None,
    "--- NULL": None,
    "--- Yes": True,
    "--- off": False,
    "--- y": "y",
    "--- n": "n",
    "--- 'true'": "true",
    "--- 12": 12,
    "--- +12": 12,
    "--- -0": 0,
    "--- 1_000": 1000,
    "--- 1,000": 1000,
    "--- 0755": 493,
    "--- '0755'": "0755",
    "--- 08": "08",
    "--- 0x1F": 31,
    "--- 0b101": 5,
    "--- 1:30": 90,
    "--- 1.5": 1.5,
    "--- 1e5": "1e5",
    "--- 1.0e+5": 100000.0,
    "--- .": ".",
    "--- .inf": None,
    "--- .NaN": None,
    "--- :foo": "foo",
    '--- :"foo bar"': "foo bar",
    "--- ':foo'": ":foo",
    "--- \":\"": ":",
    "--- 2020-01-01": "2020-01-01",
    "--- 0123456789abcdef0123456789abcdef01234567": "0123456789abcdef0123456789abcdef01234567",
    "--- !ruby/symbol foo": "foo",
    "--- !ruby/sym foo": "foo",
    "--- !binary |-\n  w7w=": "ü",
    "--- !!str 12": "12",
    "--- ! 12": "12",
    "--- |\n  two\n  lines\n": "two\nlines\n",
    "--- |-\n  <&>\n": "<&>",
    "---\n:a: 1\nb: 2\n1: 3\ntrue: 4\n~: 5\n": {"a": 1, "b": 2, "1": 3, "true": 4, "": 5},
    "---\n- 1\n- :b\n- '3'\n": [1, "b", "3"],
    "---\na: 1\na: 2\n": {"a": 2},
    "--- &1\na: 1\n": {"a": 1},
    "---\na: &1 [1]\nb: *1\n": {"a": [1], "b": [1]},
    "---\na: &1 {x: 1}\nb:\n  <<: *1\n  y: 2\n": {"a": {"x": 1}, "b": {"x": 1, "y": 2}},
    "--- !ruby/hash:ActiveSupport::HashWithIndifferentAccess\na: 1\n": {"a": 1},
    "--- !ruby/hash-with-ivars:X\nelements:\n  a: 1\nivars:\n  :@permitted: true\n": {"a": 1},
    "--- !ruby/object:Gitlab::Diff::Position\nattributes:\n  :a: 1\n": {"attributes": {"a": 1}},
    "--- 1\n--- 2\n": 1,
    "--- !!set {a, b}": {"a": None, "b": None},
}  # fmt: skip


@pytest.mark.parametrize("text", PSYCH)
def test_values_are_those_of_psych(text: str) -> None:
    found = ruby_yaml.load(text)
    assert (found, type(found)) == (PSYCH[text], type(PSYCH[text]))


@pytest.mark.parametrize(
    "text",
    [
        "a: [1, 2.5, {b: c}]\n- not: reached\n"[:20],
        "- a\n- 'b c'\n- \"d\\n\\u00e9\"\n- [e, f]\n- {g: 1, h: null}\n",
        "a:\n  b:\n  - 1\n  - -7\n  - 3.25\n  c: true\nd: >\n  folded\n  text\n",
        "a: &x {k: v}\nb: [*x, *x]\n",
        "long: |\n  a\n   b\n\n  c\n",
    ],
)
def test_plain_documents_are_read_as_pyyaml_reads_them(text: str) -> None:
    assert ruby_yaml.load(text) == yaml.safe_load(text)


def _bomb(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines)


HOSTILE = {
    "aliases that unfold to 9**9 values": _bomb(9),
    "aliases of a long text": "a: &a " + "x" * 1_000_000 + "\nb: [" + "*a, " * 99 + "*a]",
    "a list in itself": "&a [*a]",
    "a mapping in itself": "&a {b: *a}",
    "an object in itself": "--- &1 !ruby/object:X\na: *1\n",
    "an alias of nothing": "*a",
    "deep lists": "[" * 100_000,
    "deep mappings": "{a: " * 5_000 + "}" * 5_000,
    "deep blocks": "- " * 20_000 + "x",
    "deep indents": "".join(" " * depth + "a:\n" for depth in range(300)),
    "a number of many digits": "9" * 100_000,
    "a hexadecimal number of many digits": "0x" + "f" * 100_000,
    "a list as a key": "? [1]\n: 2",
    "no end": "a: [1",
    "a tab": "\ta: 1",
    "a control character": "a: \x01",
    "half a character": '"\\uD800"',
    "broken base64": "--- !binary a",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_refused_at_once(name: str) -> None:
    begun = time.process_time()
    with pytest.raises(BrokenYaml) as refused:
        ruby_yaml.load(HOSTILE[name])
    assert time.process_time() - begun < 2
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.mkdir [{directory}/made]",
        "!!python/object/new:os.mkdir [{directory}/made]",
        "!!python/name:os.mkdir",
        "--- !ruby/object:Gem::Installer\ni: x\n",
        "--- !ruby/object:Gem::Requirement\nrequirements: !ruby/object:Gem::Package::TarReader\n  io: x\n",
        "--- !ruby/regexp /(a+)+$/\n",
        "--- !ruby/class Kernel\n",
    ],
)
def test_tags_make_nothing_but_data(text: str, tmp_path: Any) -> None:
    found = ruby_yaml.load(text.format(directory=tmp_path))
    assert type(found) in (str, list, dict)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("text", ruby_documents.POSITIONS)
def test_positions(text: str) -> None:
    found = ruby_yaml.position(text)
    assert found == ruby_documents.POSITIONS[text]
    assert found is not None
    assert list(found) == list(ruby_documents.POSITIONS[text])


def test_the_short_way_for_positions_gives_what_the_parser_gives() -> None:
    """Flat positions are read line by line; every kind of value must come out alike."""
    head = "--- !ruby/object:Gitlab::Diff::Position\nattributes:\n"
    values = [
        "a", "lib/a.rb", "true", "false", "null", "~", "", "12", "-3", "012", "1e5", "1.5", ".5", "1_0",
        "yes", "No", "y", "0x1f", "1:30", "'q'", '"d"', ":sym", "a: b", "a #b", "a b", "2020-01-01",
        "abc" * 13 + "d", "1" * 40, "0" * 39 + "e", "é", "[a]", "{a}", "*a", "&a", "!a", "|", "-", "--",
        "...", ".inf", "+1",
    ]  # fmt: skip
    for value in values:
        text = f"{head}  :old_path: {value}\n  :position_type: file\n"
        try:
            document = ruby_yaml.load(text)
        except BrokenYaml:
            with pytest.raises(BrokenYaml):
                ruby_yaml.position(text)
            continue
        found = ruby_yaml.position(text)
        assert found is not None
        assert (value, found["old_path"]) == (value, document["attributes"]["old_path"])
        assert type(found["old_path"]) is type(document["attributes"]["old_path"]), value


@pytest.mark.parametrize("text", ["--- [1]", "--- a", "--- !ruby/object:X\nattributes: 1\n", "--- 5"])
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(BrokenYaml):
        ruby_yaml.position(text)


def test_an_empty_position_is_none() -> None:
    assert ruby_yaml.position("") is None
    assert ruby_yaml.position("--- \n") is None


def test_merge_params() -> None:
    for text, expected in ruby_documents.MERGE_PARAMS.items():
        assert ruby_yaml.load(text) == expected


def test_without_the_c_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML may have been built without libyaml."""
    monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    for text, expected in PSYCH.items():
        assert ruby_yaml.load(text) == expected
    for name in ("deep lists", "deep blocks", "a list in itself", "aliases that unfold to 9**9 values"):
        with pytest.raises(BrokenYaml):
            ruby_yaml.load(HOSTILE[name][:2000])
