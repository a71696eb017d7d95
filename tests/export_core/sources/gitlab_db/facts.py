"""The facts about GitLab 18.9, read as they are: nothing of the product is asked."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

JsonNode = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """One line of columns.tsv."""

    name: str
    type: str
    nullable: bool
    default: str | None
    key: int | None
    """Place in the primary key."""


class Facts:
    """relations.json and columns.tsv."""

    def __init__(self, shared: Path) -> None:
        declared = json.loads((shared / "gitlab" / "relations.json").read_text())
        self.enums: Mapping[str, Any] = declared["enums"]
        self.root: JsonNode = declared["root"]
        self.relations: list[JsonNode] = declared["relations"]
        self.tables = _tables(shared / "gitlab" / "columns.tsv")

    def nodes(self) -> Iterator[tuple[str, JsonNode]]:
        """Every node with its dotted path, the root object first."""
        yield "project", self.root
        for relation in self.relations:
            yield from walk(relation, relation["name"])

    def databases(self) -> dict[str, str]:
        """The database of each table of the tree that is not in the main one."""
        found = {node["table"]: node.get("database", "main") for _, node in self.nodes()}
        found["vulnerability_occurrence_identifiers"] = "sec"
        return found

    def numbers(self, enum: str) -> list[int]:
        """The numbers that an enumeration knows."""
        return [int(number) for number in self.enums[enum]["values"]]


def walk(node: JsonNode, path: str) -> Iterator[tuple[str, JsonNode]]:
    """A node and all below it."""
    yield path, node
    for child in node.get("children", []):
        yield from walk(child, f"{path}.{child['name']}")


def _tables(path: Path) -> dict[str, list[Column]]:
    tables: dict[str, list[Column]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            key = int(row["primary_key"]) if row["primary_key"] else None
            column = Column(row["column"], row["type"], row["nullable"] == "yes", row["default"] or None, key)
            tables.setdefault(row["table"], []).append(column)
    return tables
