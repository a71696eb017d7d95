"""The source ``growi``: which wiki, how it is reached, and the options that its settings preset."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from export_core.errors import PackmuleError, SourceUnavailable, UsageError
from export_core.keyring_secrets import from_keyring
from export_core.source import Check
from export_core.sources.growi.options import options_from
from export_core.sources.growi.pages import normalise
from export_core.sources.growi.reader import GrowiReader
from export_core.sources.growi.records import WikiStore
from export_core.sources.growi.snapshot import RELATIONS, GrowiSnapshot, freeze

DEMO_URL = "growi+demo://"
TOKEN_VARIABLE = "PACKMULE_GROWI_TOKEN"  # noqa: S105 - the variable's name


@dataclass(frozen=True, slots=True)
class GrowiSource:
    """A wiki, by its settings. Nothing is connected before it is opened."""

    name: str
    settings: Mapping[str, Any] = field(repr=False)
    """``url`` and what config.toml says; may hold secrets."""

    @property
    def exact_after_resume(self) -> bool:
        """Revisions never change."""
        return True

    def relations(self) -> Sequence[str]:
        """Pages, attachments, index."""
        return RELATIONS

    def open(self, project: str, options: Mapping[str, Any]) -> GrowiSnapshot:
        """List a page and all below it. Raises NotFound, SourceUnavailable, UsageError."""
        with closing(self.store()) as store:
            return freeze(store, normalise(project), options_from(self.settings, options))

    def reopen(self, project: str, options: Mapping[str, Any], details: Mapping[str, Any]) -> GrowiSnapshot:
        """The very snapshot that ``details`` are of, for reading the parts that were planned then. Planning
        on it again needs the page list, which is with those parts: open the source anew for that.
        """
        return GrowiSnapshot(normalise(project), options_from(self.settings, options), None, details)

    def reader(self, token: str) -> GrowiReader:
        """A reader with its own connection."""
        return GrowiReader(self.store(), token)

    def session(self) -> AbstractContextManager[None]:
        """Nothing to keep alive."""
        return nullcontext()

    def checks(self) -> Iterable[Check]:
        """Whether the wiki answers, and has what an export reads."""
        try:
            with closing(self.store()) as store:
                yield from store.checks()
        except PackmuleError as exc:
            yield Check.failure("wiki", exc)

    def store(self) -> WikiStore:
        """Connect to the wiki. Raises SourceUnavailable, UsageError."""
        url = str(self.settings.get("url") or "")
        if url.startswith(DEMO_URL):
            from export_core.sources.growi.demo_wiki import demo_store

            return demo_store()
        if url.startswith(("mongodb://", "mongodb+srv://")):
            return self._mongo(url)
        if url.startswith(("growi+https://", "growi+http://")):
            return self._rest(url)
        raise UsageError(
            f"the source {self.name} has no address of a wiki",
            hint="its url is mongodb://host/growi or growi+https://wiki.example.com",
        )

    def _mongo(self, url: str) -> WikiStore:
        from export_core.sources.growi import mongo_client
        from export_core.sources.growi.mongo import MongoStore

        return MongoStore(
            partial(mongo_client.connect, url),
            database=self.settings.get("database"),
            uploads=self.settings.get("uploads"),
            site=self.settings.get("wiki_url"),
        )

    def _rest(self, url: str) -> WikiStore:
        from export_core.sources.growi.rest import RestStore
        from export_core.sources.growi.rest_client import RestClient

        token = self._token(url)
        if not token:
            raise SourceUnavailable(
                f"there is no access token for {self.name}",
                hint=f"set {TOKEN_VARIABLE}, or 'token' or 'token_env' of the source in config.toml",
            )
        return RestStore(RestClient(url.removeprefix("growi+").rstrip("/"), token))

    def _token(self, url: str) -> str | None:
        """The access token: environment before config.toml before keyring."""
        variable = str(self.settings.get("token_env") or TOKEN_VARIABLE)
        token = os.environ.get(variable) or self.settings.get("token")
        return str(token) if token else from_keyring(url)
