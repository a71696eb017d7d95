"""What a GitLab's databases lack of GitLab 18.9's tree: older versions have fewer tables and columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from export_core.gitlab.tree import RELATIONS, ROOT, Node
from export_core.sources.gitlab_db.catalog import Catalog
from export_core.sources.gitlab_db.knowledge import Knowledge
from export_core.sources.gitlab_db.renderings import Renderer
from export_core.sources.gitlab_db.rules import exceptions
from export_core.sources.gitlab_db.settings import GitlabSettings
from export_core.sources.gitlab_db.sql import lookup_query


def lacking_paths(
    settings: GitlabSettings, catalog_of: Callable[[str], Catalog], knowledge: Knowledge | None = None
) -> list[str]:
    """Paths of relations and attributes without table or column; ``catalog_of`` takes a database's name."""
    nodes, knowledge = (ROOT, *RELATIONS), knowledge or Knowledge()
    return [path for node in nodes for path in _of_relation(settings, catalog_of, knowledge, node)]


def _of_relation(
    settings: GitlabSettings, catalog_of: Callable[[str], Catalog], knowledge: Knowledge, node: Node
) -> Iterator[str]:
    catalog = catalog_of(node.database)
    if not catalog.has(node.table):
        yield node.name
        return
    rules, beside = settings.rules, settings.databases.beside
    renderer = Renderer(catalog, rules, exceptions(stored=rules.stored))
    query = knowledge.query(renderer, node, pruned=False, databases=beside(node.database))
    yield from query.missing
    for path, child in query.elsewhere:
        there = catalog_of(child.database)
        if not there.has(child.table, "id"):
            yield path
            continue
        renderer = Renderer(there, rules, exceptions(stored=rules.stored))
        found = lookup_query(renderer, child, databases=beside(child.database)).missing
        yield from (path + lacking.removeprefix(child.name) for lacking in found)
