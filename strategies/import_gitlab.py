"""The strategy ``import-project`` into a GitLab: ``--to https://gitlab.example.com/group/new-project``.

The archive is sent as a form, or with ``upload_to`` delivered somewhere by web-upload and fetched from there
by GitLab (its remote import, which takes up to 10 GiB).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

from export_core.delivery import Archive, Checkpoint, Delivery, DeliveryContext, Strategy
from export_core.errors import PackmuleError, UsageError
from export_core.gitlab.paths import check_full_path
from export_core.job import Job
from strategies.gitlab_api import GitlabServer, require_gitlab
from strategies.gitlab_import import GitlabImport, Start, delivery, inner_checkpoint
from strategies.keeping import forget_kept, kept_on_failure
from strategies.masking import mask_url
from strategies.project_path import taken
from strategies.rate_limit import RateLimit
from strategies.reach import check_url
from strategies.surroundings import Surroundings
from strategies.words import Words

_TOKENS = ("PACKMULE_GITLAB_TOKEN", "GITLAB_TOKEN")
_UNFINISHED = frozenset({"scheduled", "started"})


@dataclass(frozen=True, slots=True)
class ImportGitlab:
    """``upload`` and ``import_url`` may hold secrets; the token is never among the options."""

    to: str
    base: str
    """The GitLab's address, without the project's path."""
    limit_rate: int | None = None
    local_copy: bool = True
    store_dir: str | None = None
    upload: Mapping[str, Any] | None = field(default=None, repr=False)
    """Options of web-upload, when GitLab is to fetch the archive."""
    import_url: str | None = field(default=None, repr=False)
    """Where GitLab fetches it."""
    timeout: float = 300.0
    """Seconds without progress."""
    poll: float = 3.0
    """Seconds between two questions about how far the import is."""
    surroundings: Surroundings = field(default_factory=Surroundings, repr=False, compare=False)

    name: ClassVar[str] = "import-project"

    @classmethod
    def from_words(cls, words: Words) -> Self:
        """From ``--to``; ``more``: ``gitlab_url`` (with a path), ``upload_to``, ``import_url``."""
        to = words.to or ""
        check_url(to)
        parts = urlsplit(to)
        if parts.username or parts.query or parts.fragment:
            raise UsageError(
                f"{mask_url(to)} holds more than an address",
                hint="put the token into GITLAB_TOKEN, not into --to",
            )
        base = str(words.more.get("gitlab_url") or f"{parts.scheme}://{parts.netloc}").rstrip("/")
        if not to.startswith(f"{base}/"):
            raise UsageError(
                f"{to} is not below {mask_url(base)}", hint="give --to as GitLab's address/group/project"
            )
        path = check_full_path(to[len(base) :])
        upload, import_url = _remote(words)
        return cls(
            f"{base}/{path}",
            base,
            words.limit_rate,
            words.local_copy,
            words.store_dir,
            upload,
            import_url,
            float(words.more.get("timeout") or 300),
        )

    @classmethod
    def from_options(cls, options: Mapping[str, Any], surroundings: Surroundings) -> Self:
        """As stored with the job."""
        return cls(**options, surroundings=surroundings)

    @property
    def destination(self) -> str:
        """The new project's address."""
        return self.to

    @property
    def options(self) -> Mapping[str, Any]:
        """Plain JSON values."""
        return {
            "to": self.to,
            "base": self.base,
            "limit_rate": self.limit_rate,
            "local_copy": self.local_copy,
            "store_dir": self.store_dir,
            "upload": dict(self.upload) if self.upload else None,
            "import_url": self.import_url,
            "timeout": self.timeout,
            "poll": self.poll,
        }

    @property
    def wants_file(self) -> bool:
        """Not with ``--no-local-copy``."""
        return self.local_copy

    @property
    def path(self) -> str:
        """The new project's full path."""
        return self.to[len(self.base) + 1 :]

    def check(self, job: Job, expected_size: int | None) -> None:
        """Ask GitLab: is the token good, is the group there, is the name free? Nothing is changed."""
        server = self._server()
        server.version()
        server.namespace_id(self.path.rpartition("/")[0])
        if job.archive is None and server.project_id(self.path) is not None:
            raise taken(self.path, self.base)
        if (upload := self._upload()) is not None:
            upload.check(job, expected_size)

    def deliver(self, archive: Archive, context: DeliveryContext) -> Delivery:
        """Send or lay down the archive, wait until GitLab has imported it; what it lost becomes warnings."""
        context.check_stop()
        with kept_on_failure(archive, context.job, self.store_dir):
            running = GitlabImport(self._server(), self.path, context, self.poll)
            status = running.run(self._way(running, archive))
        return delivery(self.to, status)

    def abandon(self, job: Job, checkpoint: Checkpoint) -> None:
        """Delete the new project if its import has not ended; one that ended is left to its users."""
        forget_kept(None, job, self.store_dir)
        if (upload := self._upload()) is not None:
            upload.abandon(job, inner_checkpoint(checkpoint))
        state = checkpoint.load()
        if "starting" not in state:
            return
        server = self._server()
        project = state.get("project_id") or server.project_id(self.path)
        status = server.import_status(project) if project is not None else None
        if project is not None and status is not None and status.get("import_status") in _UNFINISHED:
            server.delete(project)

    def still_there(self, job: Job) -> bool:  # noqa: ARG002 - the address is enough
        """Whether GitLab has the project; False when it cannot be asked."""
        with contextlib.suppress(PackmuleError):
            return self._server().project_id(self.path) is not None
        return False

    def _way(self, running: GitlabImport, archive: Archive) -> Start:
        upload = self._upload()
        if upload is None or self.import_url is None:
            return running.upload(archive, RateLimit(self.limit_rate))
        return running.fetch(archive, upload, self.import_url)

    def _upload(self) -> Strategy | None:
        if self.upload is None:
            return None
        import strategies

        return strategies.build("web-upload", self.upload, self.surroundings)

    def _server(self) -> GitlabServer:
        require_gitlab()
        return GitlabServer(self.base, self._token(), self.timeout)

    def _token(self) -> str:
        host = urlsplit(self.base).netloc
        found = next((value for name in _TOKENS if (value := os.environ.get(name))), None)
        if found is None and self.surroundings.secret is not None:
            found = self.surroundings.secret(f"gitlab:{host}")
        if not found:
            raise UsageError(
                f"no token for {host}",
                hint="set GITLAB_TOKEN to an access token with the scope api, or keep it in the keyring",
            )
        return found


def _remote(words: Words) -> tuple[Mapping[str, Any] | None, str | None]:
    """Options of the upload before a remote import, and the URL that GitLab fetches."""
    upload_to, import_url = words.more.get("upload_to"), words.more.get("import_url")
    if upload_to is None:
        if import_url is not None:
            raise UsageError(
                "an import URL needs a place to upload to", hint="say where the archive is uploaded"
            )
        return None, None
    import strategies

    if import_url is None and upload_to.startswith("s3://"):
        raise UsageError(
            "GitLab cannot fetch from s3://", hint="give the https URL under which the object can be read"
        )
    choice = strategies.choose("web-upload", replace(words, to=str(upload_to)))
    return choice.options, str(import_url or upload_to)
