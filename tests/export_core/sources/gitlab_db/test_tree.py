"""The product's declared tree and enumerations are those of the facts, node by node."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from export_core.gitlab.enums import ENUM_COLUMNS, ENUMS
from export_core.gitlab.tree import RELATIONS, ROOT, Node
from tests.export_core.sources.gitlab_db.facts import Facts, JsonNode

_EQUALS = re.compile(r"\w+\.(\w+) = '([^']+)'")
_PARTITIONED = re.compile(r"(\w+)\.(\w+) = (\w+)\.(\w+)")


def _declared() -> dict[str, Node]:
    found = {"project": ROOT}
    for relation in RELATIONS:
        found |= {".".join(path): node for path, node in relation.walk()}
    return found


def _pairs(facts: Facts) -> Iterator[tuple[str, JsonNode, Node]]:
    declared = _declared()
    for path, node in facts.nodes():
        yield path, node, declared[path]


def test_the_same_nodes_in_the_same_order(facts: Facts) -> None:
    assert set(_declared()) == {path for path, _ in facts.nodes()}
    assert [node.name for node in RELATIONS] == [node["name"] for node in facts.relations]


def test_the_same_tables_databases_and_kinds(facts: Facts) -> None:
    for path, fact, node in _pairs(facts):
        assert node.table == fact["table"], path
        if fact is facts.root:
            continue
        assert node.database == fact["database"], path
        assert node.many == (fact["cardinality"] == "list"), path
        assert node.edition == fact["edition"], path
        assert list(node.primary_key) == fact["primary_key"], path
        assert node.empty_file == ("file is always created" in (fact["when_missing"] or "")), path


def test_the_same_attributes_in_the_same_order(facts: Facts) -> None:
    for path, fact, node in _pairs(facts):
        told = [attribute["name"] for attribute in fact["attributes"]]
        assert sorted(node.attributes) == sorted(told), path


def test_the_same_joins(facts: Facts) -> None:
    for path, fact, node in _pairs(facts):
        joins = fact["join"] if isinstance(fact["join"], list) else []
        if len(joins) == 1:
            join = joins[0]
            assert (node.parent_key, node.child_key) == (join["parent_column"], join["child_column"]), path
            assert node.through is None, path
        elif joins:
            first, second = joins
            assert node.through is not None, path
            told = (node.through.table, node.through.to_parent, node.through.to_child)
            assert told == (first["child_table"], first["child_column"], second["parent_column"]), path


def test_the_same_conditions(facts: Facts) -> None:
    """Equalities by value; partition keys by columns; the rest by its text."""
    for path, fact, node in _pairs(facts):
        left = []
        for condition in fact.get("where") or []:
            if found := _EQUALS.fullmatch(condition):
                assert (found[1], found[2]) in node.where, path
            elif found := _PARTITIONED.fullmatch(condition):
                assert node.partition_key == (found[2], found[4]), path
            elif "->" not in condition:  # that one is a rule of the commits' metadata
                left.append(condition)
        assert len(node.where) == sum(bool(_EQUALS.fullmatch(c)) for c in fact.get("where") or []), path
        told = [] if node.condition in (None, "false") else [node.condition]
        assert [text.format(t=node.table) for text in told] == left, path


def test_the_same_order(facts: Facts) -> None:
    plain = {
        "relative_position ASC NULLS LAST, id ASC": ("relative_position nulls last", "id"),
        "created_at ASC NULLS LAST, id ASC": ("created_at nulls last", "id"),
        "position": ("position", "id"),
        "list_type, position": ("list_type", "position", "id"),
        "relative_order": ("relative_order",),
    }
    for path, fact, node in _pairs(facts):
        stated = fact.get("order")
        if stated is None:
            continue
        if stated.startswith("id DESC"):
            assert node.order == ("id desc",), path
        elif stated in plain:
            assert node.order == plain[stated], path
        elif "primary key is" in stated:
            assert node.order == (stated.split(" ", 1)[0],), path
        else:
            assert node.order == ("id",), path


def test_every_enumeration_has_the_same_words(facts: Facts) -> None:
    assert set(ENUMS) == set(facts.enums)
    for name, fact in facts.enums.items():
        assert {str(number): word for number, word in ENUMS[name].words.items()} == fact["values"], name
        assert ENUMS[name].null_word == fact["sql_null"], name


def test_every_enumerated_attribute_is_known_and_no_other(facts: Facts) -> None:
    told: dict[str, tuple[str, str]] = {}
    for _, node in facts.nodes():
        for attribute in node["attributes"]:
            enum = attribute["render"].get("enum")
            if enum:
                table = attribute.get("table", node["table"])
                told[f"{table}.{attribute['name']}"] = (attribute["column"], enum)
    assert dict(ENUM_COLUMNS) == told


@pytest.mark.parametrize("path", ["issues.notes", "merge_requests.merge_request_diff"])
def test_a_spot_check_by_hand(path: str) -> None:
    """So that the comparison above cannot be right by comparing nothing."""
    assert {"notes": "author_id", "merge_request_diff": "diff_type"}[path.split(".")[1]] in _declared()[
        path
    ].attributes
