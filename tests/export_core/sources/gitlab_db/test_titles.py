"""Slugs as titles. The first four pairs are the examples in ActiveSupport's documentation of ``titleize``."""

from __future__ import annotations

import pytest

from export_core.sources.embedded.instance import EmbeddedInstance
from export_core.sources.gitlab_db.rules import titleised


@pytest.mark.parametrize(
    ("slug", "title"),
    [
        ("x-men: the last stand", "X Men: The Last Stand"),
        ("TheManWithoutAPast", "The Man Without A Past"),
        ("raiders_of_the_lost_ark", "Raiders Of The Lost Ark"),
        ("string_ending_with_id", "String Ending With"),
        ("_leading", "Leading"),
        ("HTTPServer2Go", "Http Server2 Go"),
        ("two--dashes", "Two  Dashes"),
        ("id", "Id"),
    ],
)
def test_titles(embedded: EmbeddedInstance, slug: str, title: str) -> None:
    with embedded.connect() as connection:
        found = connection.execute(f"SELECT {titleised('%s::text')}", (slug,)).fetchone()
    assert found == (title,)
