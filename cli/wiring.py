"""Puts the parts together. The only file that knows all of them; commands ask it for what they need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.output import Output
from export_core.workspace import Home

if TYPE_CHECKING:
    import typer

    from cli.config import Config, SourceConfig
    from export_core.delivery import Strategy
    from export_core.events import Listener
    from export_core.job import Job, JobRequest, StrategyChoice
    from export_core.source import Source
    from export_core.stop import Stop
    from export_core.store import JobStore
    from export_core.worker_pool import WorkerPool
    from strategies.surroundings import Surroundings


class Wiring:
    """The parts of one run of packmule, each made when it is first asked for."""

    def __init__(self, output: Output | None = None, environ: Mapping[str, str] | None = None) -> None:
        self.output = output or Output()
        self.look_only = False
        """Whether nothing may be written (``--dry-run``); to be set before ``home`` is first asked for."""
        self._environ = environ

    @cached_property
    def config(self) -> Config:
        """Environment and config.toml. Raises UsageError."""
        from cli import config

        return config.load(self._environ)

    @cached_property
    def home(self) -> Home:
        """The directory that holds all of packmule's own data; made if need be. Raises StoreUnusable."""
        from cli.config import home_directory

        path = home_directory(self._environ)
        return Home(path if self.look_only else _private_directory(path))

    @cached_property
    def store(self) -> JobStore:
        """The job store."""
        from export_core.store import JobStore

        return JobStore(self.home.store)

    def print_json(self, document: Mapping[str, Any] | list[Any]) -> None:
        """Print the one JSON document of this run to stdout."""
        self.output.json(document)

    def out(self, item: Any) -> None:
        """Print a result to stdout: a text, or a rich renderable."""
        self.output.out(item)

    def message(self, item: Any) -> None:
        """Say something to people, on stderr: a text, or a rich renderable."""
        self.output.message(item)

    def source(self, chosen: SourceConfig) -> Source:
        """The source that config.toml or a URL describes. Raises UsageError."""
        from export_core import sources

        return sources.build(chosen.kind, chosen.name, chosen.settings, self.home)

    def source_for(self, request: JobRequest) -> Source:
        """The source of a job, as it was when the job was created."""
        from cli.config import SourceConfig

        settings = dict(request.source_options)
        return self.source(SourceConfig(request.source, settings.pop("kind", "embedded"), settings))

    def strategy_for(self, choice: StrategyChoice) -> Strategy:
        """The strategy of a job. Raises UsageError."""
        import strategies

        return strategies.build(choice.name, choice.options, self._surroundings())

    def run_job(
        self,
        job_id: int,
        listener: Listener,
        stop: Stop,
        *,
        restart: bool = False,
        pool: WorkerPool | None = None,
    ) -> Job:
        """Claim a job and do everything, in the threads of ``pool`` or in its own.

        Raises PackmuleError after it was recorded with the job.
        """
        from export_core.exporter import Exporter

        exporter = Exporter(
            store=self.store,
            home=self.home,
            source_for=self.source_for,
            strategy_for=self.strategy_for,
            listener=listener,
            stop=stop,
            notify=self.notify,
            pool=pool,
        )
        return exporter.run(job_id, restart=restart)

    def load_archive(self, archive: Path, full_path: str) -> Mapping[str, Any]:
        """Load an archive into the embedded instance as a new project; says what was loaded."""
        from export_core.sources import embedded

        return embedded.load_archive(self.home, archive, full_path)

    def project_exists(self, full_path: str) -> bool:
        """Whether the embedded instance has a project of that full path."""
        from export_core.sources.embedded.instance import EmbeddedInstance

        instance = EmbeddedInstance(self.home)
        with instance.session():
            return instance.project_exists(full_path)

    def _surroundings(self) -> Surroundings:
        from export_core.keyring_secrets import from_keyring
        from strategies.surroundings import Surroundings

        return Surroundings(self.load_archive, self.project_exists, from_keyring)

    def notify(self, job: Job) -> list[str]:
        """Tell the job's receivers that it ended; warnings about those that could not be told."""
        from strategies.notify import send
        from strategies.notify_text import Kind, message_for

        kind = Kind.SUCCESS if job.status == "finished" else Kind.FAILURE
        return send(job.request.notify, message_for(kind, job))

    def notify_expired(self, job: Job, receivers: Sequence[str]) -> list[str]:
        """Tell receivers that a job's archive was removed, or the job given up, because of its age."""
        if not receivers:
            return []
        from strategies.notify import send
        from strategies.notify_text import Kind, message_for

        return send(receivers, message_for(Kind.EXPIRED, job))


def wiring(ctx: typer.Context) -> Wiring:
    """The parts of this run, for a command's body."""
    invocation = ctx.find_root().obj
    if invocation.wiring is None:
        invocation.wiring = Wiring(invocation.output)
    result: Wiring = invocation.wiring
    return result


def _private_directory(path: Path) -> Path:
    """Make a directory that only its owner may enter, whatever the umask."""
    from export_core.errors import StoreUnusable

    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)  # an existing one is its owner's affair
    except OSError as exc:
        hint = "PACKMULE_HOME names another directory"
        raise StoreUnusable(f"{path} cannot be used to keep jobs: {exc.strerror}", hint=hint) from exc
    return path
