"""What ``packmule export`` understands, as one frozen value. A field is an option; its name is the flag."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from typer import Argument, Option

_STRATEGIES = "move-file, web-upload, notification or import-project; --to alone implies it."


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """Grouped by what they are about: what to export, how, where to, and what to show."""

    project: Annotated[
        str | None, Argument(metavar="PROJECT", help="Full path: group/sub/project, or a page's path.")
    ] = None
    source: Annotated[
        str | None,
        Option(metavar="NAME_OR_URL", help="Where projects live: a name in config.toml, or a URL."),
    ] = None
    source_option: Annotated[
        tuple[str, ...],
        Option(metavar="KEY=VALUE", help="A setting of the source, on top of its own; repeat."),
    ] = ()
    group: Annotated[str | None, Option(metavar="PATH", help="All projects of a group, a job each.")] = None
    all_projects: Annotated[bool, Option("--all", help="All projects of the source, a job each.")] = False
    include: Annotated[tuple[str, ...], Option(metavar="GLOB", help="Of those, only these; repeat.")] = ()
    exclude: Annotated[tuple[str, ...], Option(metavar="GLOB", help="Of those, not these; repeat.")] = ()
    parallel_projects: Annotated[int, Option(metavar="N", min=1, help="Projects at a time.")] = 2

    only: Annotated[tuple[str, ...], Option(metavar="R,R", help="Export only these relations.")] = ()
    skip: Annotated[tuple[str, ...], Option(metavar="R,R", help="Leave these relations out.")] = ()
    as_user: Annotated[str | None, Option(metavar="USER", help="See members (or pages) as this user.")] = None
    description: Annotated[
        str | None, Option(metavar="TEXT", help="The project's description, in place of its own.")
    ] = None
    trash: Annotated[bool, Option("--trash", help="For wikis: pages in the trash, too.")] = False
    drafts: Annotated[bool, Option("--drafts", help="For wikis: work in progress, too.")] = False
    front_matter: Annotated[
        bool, Option("--front-matter", help="For wikis: title, author, times as YAML atop each page.")
    ] = False
    allow_missing: Annotated[
        bool, Option("--allow-missing", help="Deliver although something is missing; exit code 3.")
    ] = False
    workers: Annotated[int | None, Option(metavar="N", min=1, help="Worker threads; default: CPUs.")] = None
    compression_level: Annotated[
        int | None, Option(metavar="0-9", min=0, max=9, help="1 is fast; 0 stores; default 1.")
    ] = None
    max_db_load: Annotated[
        float | None,
        Option(
            metavar="SHARE", min=0.01, max=1, help="Keep each connection busy at most this share of time."
        ),
    ] = None
    pause: Annotated[
        str | None, Option(metavar="TIME", help="Rest between batches, such as 0.1s, to be polite.")
    ] = None

    to: Annotated[
        str | None,
        Option(
            metavar="DEST",
            help="A path, s3://bucket/key, https://..., or embedded:group/new; default: PACKMULE_TO.",
        ),
    ] = None
    strategy: Annotated[str | None, Option(metavar="S", help=_STRATEGIES)] = None
    force: Annotated[bool, Option("--force", help="Replace an existing file.")] = False
    limit_rate: Annotated[str | None, Option(metavar="RATE", help="Upload no faster, such as 20M.")] = None
    no_local_copy: Annotated[
        bool, Option("--no-local-copy", help="Upload straight from the segments; no archive file.")
    ] = False
    method: Annotated[str | None, Option(metavar="PUT|POST", help="For HTTP; default PUT.")] = None
    header: Annotated[tuple[str, ...], Option(metavar="NAME: VALUE", help="For HTTP; repeat.")] = ()
    timeout: Annotated[
        float | None, Option(metavar="SECONDS", min=0.1, help="For HTTP: without progress; default 300.")
    ] = None
    connect_timeout: Annotated[
        float | None, Option(metavar="SECONDS", min=0.1, help="For HTTP: to connect; default 15.")
    ] = None
    endpoint_url: Annotated[str | None, Option(metavar="URL", help="For S3: another server.")] = None
    profile: Annotated[str | None, Option(metavar="NAME", help="For S3: profile of the AWS tools.")] = None
    region: Annotated[str | None, Option(metavar="NAME", help="For S3.")] = None
    storage_class: Annotated[str | None, Option(metavar="CLASS", help="For S3.")] = None
    sse: Annotated[str | None, Option(metavar="AES256|aws:kms", help="For S3: server-side encryption.")] = (
        None
    )
    sse_kms_key_id: Annotated[
        str | None, Option(metavar="ID", help="For S3: the key, with --sse aws:kms.")
    ] = None
    gitlab_url: Annotated[
        str | None, Option(metavar="URL", help="For import-project: a GitLab that lies below a path.")
    ] = None
    upload_to: Annotated[
        str | None, Option(metavar="DEST", help="For import-project: upload there, and let GitLab fetch it.")
    ] = None
    import_url: Annotated[
        str | None, Option(metavar="URL", help="For --upload-to: where GitLab fetches it, if elsewhere.")
    ] = None
    notify: Annotated[
        tuple[str, ...], Option(metavar="URL", help="Tell this address at the end; repeat.")
    ] = ()

    queue: Annotated[bool, Option("--queue", help="Only queue; packmule work runs it.")] = False
    restart: Annotated[
        bool, Option("--restart", help="Start a running or interrupted export of the same anew.")
    ] = False
    strict: Annotated[bool, Option("--strict", help="Never mix snapshots: a resume starts over.")] = False
    no_reuse: Annotated[bool, Option("--no-reuse", help="Pack and deliver although nothing changed.")] = False
    dry_run: Annotated[bool, Option("--dry-run", help="Show the plan and do nothing.")] = False
    json: Annotated[bool, Option("--json", help="Print the job as one JSON document.")] = False
    quiet: Annotated[bool, Option("--quiet", help="Only warnings and errors on stderr.")] = False
