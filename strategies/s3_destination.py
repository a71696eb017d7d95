"""``s3://bucket/key`` with its placeholders. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from export_core.errors import UsageError
from export_core.job import Job
from strategies.masking import mask_url

_PLACEHOLDER = re.compile(r"\{(\w*)\}")
_KNOWN = ("project", "date", "job", "file")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_LONGEST_KEY = 1024
"""Bytes of UTF-8, S3's limit."""


@dataclass(frozen=True, slots=True)
class S3Destination:
    """A bucket and the template of a key.

    ``{project}`` is the full path with its slashes, so that projects lie in folders as their groups do;
    ``{date}`` the day (UTC) the job was created, ``{job}`` its number, ``{file}`` the archive's file name.
    A template that is empty or ends in ``/`` means a folder: the file name is appended.
    """

    bucket: str
    template: str

    @classmethod
    def parse(cls, url: str) -> Self:
        """From ``--to``. Raises UsageError."""
        bucket, _, template = url.removeprefix("s3://").partition("/")
        if not url.startswith("s3://") or not _BUCKET.fullmatch(bucket):
            raise UsageError(
                f"{mask_url(url)!r} names no S3 bucket",
                hint="write s3://bucket/key; credentials do not go there",
            )
        for name in _PLACEHOLDER.findall(template):
            if name not in _KNOWN:
                raise UsageError(
                    f"{{{name}}} is no placeholder of an S3 key",
                    hint="use " + ", ".join(f"{{{known}}}" for known in _KNOWN),
                )
        if not template or template.endswith("/"):
            template += "{file}"
        return cls(bucket, template)

    @property
    def is_own(self) -> bool:
        """Whether no other job writes to the same key, so that what is open there is this job's."""
        return not {"job", "file"}.isdisjoint(_PLACEHOLDER.findall(self.template))

    def key(self, job: Job, file_name: str) -> str:
        """The object's key for a job. The same job always gets the same key. Raises UsageError."""
        values: Mapping[str, str] = {
            "project": job.project.strip("/"),
            "date": job.created_at[:10],
            "job": str(job.id),
            "file": file_name,
        }
        key = _PLACEHOLDER.sub(lambda match: values[match[1]], self.template)
        if len(key.encode()) > _LONGEST_KEY:
            raise UsageError(
                f"the S3 key for {job.project} is longer than {_LONGEST_KEY} bytes",
                hint="shorten --to, for example with {job} instead of {project}",
            )
        return key


def checked_endpoint(url: str | None) -> str | None:
    """The endpoint as given, if it is a plain http(s) URL without credentials in it. Raises UsageError."""
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname)
        plain = not (parts.username or parts.password or parts.query or parts.fragment)
    except ValueError:
        fits = plain = False
    if not fits or not plain:
        raise UsageError(
            f"{mask_url(url)!r} cannot be an S3 endpoint",
            hint="write https://host[:port] only; give credentials as the AWS tools take them",
        )
    return url
