"""The few calls of GitLab's REST API that creating a project from an archive needs, through python-gitlab.

Meaning of the calls and of their answers: GitLab's documentation, "Project import and export API",
"Projects API", "Namespaces API".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO, cast
from urllib.parse import quote

from export_core.errors import DeliveryInterrupted, DestinationUnusable, UsageError
from strategies.masking import scrub

_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
_SHOWN = 300
"""Characters of a server's answer in a message."""
_HINTS = {
    401: "the token is wrong, expired or revoked: set GITLAB_TOKEN to one with the scope api",
    403: "the token's user needs the role Maintainer or Owner in that group, and the scope api",
    404: "look at the address, and at what the token's user may see",
    413: "the archive is larger than this GitLab takes: raise max_import_size or its proxy's limit",
}


class GitlabServer:
    """One GitLab, spoken to with one token. Every method raises DestinationUnusable, transient or not."""

    def __init__(self, url: str, token: str, timeout: float) -> None:
        self.url = url
        self._token = token
        self._gitlab = _connect(url, token, timeout)

    def version(self) -> str:
        """GitLab's version, for example ``18.9.0-ee``; proves that the token is good."""
        return str(self._get("/version").get("version"))

    def namespace_id(self, path: str) -> int:
        """The id of a group or user by its full path."""
        try:
            return int(self._get(f"/namespaces/{quote(path, safe='')}")["id"])
        except _Missing as exc:
            raise DestinationUnusable(
                f"{self.url} has no group {path}, or the token's user does not see it",
                hint="make the group first",
            ) from exc

    def project_id(self, path: str) -> int | None:
        """The id of a project by its full path; None when there is none that the user sees."""
        try:
            return int(self._get(f"/projects/{quote(path, safe='')}")["id"])
        except _Missing:
            return None

    def upload(self, stream: BinaryIO, path: str, namespace: int) -> int:
        """Create a project from an archive's bytes; the new project's id. ``stream`` knows its length."""
        with self._errors():
            answer = self._gitlab.projects.import_project(
                stream, path=path, namespace=str(namespace), obey_rate_limit=False
            )
        return _id(answer)

    def fetch(self, url: str, path: str, namespace: int) -> int:
        """Have GitLab fetch the archive from a URL; the new project's id."""
        with self._errors(url):
            answer = self._gitlab.projects.remote_import(
                url, path=path, namespace=str(namespace), obey_rate_limit=False
            )
        return _id(answer)

    def import_status(self, project: int) -> Mapping[str, Any] | None:
        """``import_status``, ``import_error``, ``failed_relations`` ...; None when the project is gone."""
        try:
            return self._get(f"/projects/{project}/import")
        except _Missing:
            return None

    def delete(self, project: int) -> None:
        """Delete a project."""
        with self._errors():
            self._gitlab.http_delete(f"/projects/{project}")

    def _get(self, path: str) -> Mapping[str, Any]:
        with self._errors():
            answer = self._gitlab.http_get(path, obey_rate_limit=False)
        if not isinstance(answer, dict):
            raise DestinationUnusable(f"{self.url} does not answer like a GitLab", hint="look at the address")
        return cast("Mapping[str, Any]", answer)

    @contextmanager
    def _errors(self, *secrets: str) -> Iterator[None]:
        import gitlab
        import requests

        try:
            yield
        except gitlab.GitlabError as exc:
            raise self._refused(exc, secrets) from None  # the original quotes the server, unmasked
        except requests.exceptions.TooManyRedirects as exc:
            raise DestinationUnusable(
                f"{self.url} redirects to another address, to which the token is not sent",
                hint="give the address that GitLab itself uses (https, its own host name)",
            ) from exc
        except requests.exceptions.SSLError as exc:
            raise DestinationUnusable(
                f"the certificate of {self.url} is not trusted",
                hint="REQUESTS_CA_BUNDLE names a file of trusted ones",
            ) from exc
        except requests.RequestException as exc:
            raise DeliveryInterrupted(
                f"{self.url} cannot be reached: {self._clean(exc, secrets)}", hint="later: packmule resume"
            ) from exc

    def _refused(self, exc: Any, secrets: tuple[str, ...]) -> DestinationUnusable:
        status = exc.response_code
        what = f"{self.url} answered {status or 'strangely'}: {self._clean(exc.error_message, secrets)}"
        if status == 404:
            return _Missing(what, hint=_HINTS[404])
        if status in _AGAIN or (status or 0) >= 520:
            return DeliveryInterrupted(what, hint="when GitLab is well again: packmule resume")
        return DestinationUnusable(
            what, hint=_HINTS.get(status, "look at the address and at what GitLab says")
        )

    def _clean(self, said: object, secrets: tuple[str, ...]) -> str:
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        return scrub(" ".join(text.split()), [self._token, *secrets])[:_SHOWN]


class _Missing(DestinationUnusable):
    """Answer 404."""

    @property
    def kind(self) -> str:
        return DestinationUnusable.__name__


def require_gitlab() -> None:
    """Raise UsageError when the extra is not installed."""
    try:
        import gitlab  # noqa: F401
    except ImportError as exc:
        raise UsageError(
            "importing into a GitLab needs python-gitlab, which is not installed",
            hint="pip install 'packmule[gitlab]'",
        ) from exc


def _connect(url: str, token: str, timeout: float) -> Any:
    import gitlab
    import requests

    session = requests.Session()
    session.max_redirects = 0  # requests would take the token's header along to wherever it is sent
    return gitlab.Gitlab(
        url, private_token=token, timeout=timeout, session=session, user_agent="packmule", keep_base_url=True
    )


def _id(answer: Any) -> int:
    if not isinstance(answer, dict) or "id" not in answer:
        raise DestinationUnusable(
            "the server does not answer an import like a GitLab", hint="look at the address"
        )
    return int(answer["id"])
