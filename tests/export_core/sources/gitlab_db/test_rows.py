"""Every line of every relation equals what an independent serialiser makes of the same rows."""

from __future__ import annotations

from typing import Any

import pytest

from tests.export_core.sources.gitlab_db.comparison import check_project
from tests.export_core.sources.gitlab_db.conftest import RealGitlab
from tests.export_core.sources.gitlab_db.databases import BASE, SPLIT
from tests.export_core.sources.gitlab_db.facts import JsonNode
from tests.export_core.sources.gitlab_db.product_runs import Way, export
from tests.export_core.sources.gitlab_db.serialiser_rules import RULES
from tests.export_core.sources.gitlab_db.surroundings import PATHS

WAYS = [
    Way(),
    Way(workers=3, rows=3),
    Way(rows=1, pruned=False),
    Way(workers=3, pruned=True),
]


def _told(differences: list[str]) -> str:
    return f"{len(differences)} differences:\n" + "\n".join(differences[:60])


@pytest.mark.parametrize("names", [(BASE,), SPLIT], ids=["one database", "three databases"])
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_every_line_of_a_full_project(gitlab: RealGitlab, way: Way, names: tuple[str, ...]) -> None:
    exported = export(gitlab.settings(*names), PATHS[0], way)
    expected = gitlab.serialiser(gitlab.tables(*names), PATHS[0])
    differences = check_project(exported, expected, gitlab.facts.relations)
    assert not differences, _told(differences)


@pytest.mark.parametrize("path", PATHS[1:])
def test_the_projects_beside_it(gitlab: RealGitlab, path: str) -> None:
    """One with another configuration, two that have next to nothing."""
    exported = export(gitlab.settings(), path)
    expected = gitlab.serialiser(gitlab.tables(), path)
    differences = check_project(exported, expected, gitlab.facts.relations)
    assert not differences, _told(differences)


def test_every_rule_of_the_facts_is_known_to_the_serialiser(gitlab: RealGitlab) -> None:
    told = {
        (node["table"], attribute["name"])
        for _, node in gitlab.facts.nodes()
        for attribute in node["attributes"]
        if "how" in attribute["render"]
    }
    assert told <= set(RULES)
    assert set(RULES) - told == {("members", "source_type")}


def test_the_made_up_rows_leave_no_relation_and_no_attribute_untested(gitlab: RealGitlab) -> None:
    """Every node has rows and every attribute a value somewhere; or the comparison proves little."""
    expected = gitlab.serialiser(gitlab.tables(), PATHS[0])
    seen: dict[str, list[Any]] = {"project": [expected.root()]}
    for relation in gitlab.facts.relations:
        found = expected.relation(relation["name"])
        _collect(relation, relation["name"], found if isinstance(found, list) else [found], seen)
    nodes = dict(gitlab.facts.nodes())
    assert len(nodes) == 149 + 1  # and the root
    empty = {path for path in nodes if not any(seen.get(path, []))}
    assert empty == {"user_contributions"}
    unseen = {
        f"{path}.{attribute['name']}"
        for path, node in nodes.items()
        for attribute in node["attributes"]
        if path not in empty and all(row.get(attribute["name"]) is None for row in seen[path] if row)
    }
    few = {path for path, rows in seen.items() if len([row for row in rows if row]) < 7}
    assert {name for name in unseen if name.rsplit(".", 1)[0] not in few} == set()


def _collect(node: JsonNode, path: str, rows: list[Any], seen: dict[str, list[Any]]) -> None:
    seen.setdefault(path, []).extend(rows)
    for child in node.get("children", []):
        for row in rows:
            below = (row or {}).get(child["name"])
            _collect(child, f"{path}.{child['name']}", below if isinstance(below, list) else [below], seen)
