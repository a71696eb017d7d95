"""Clean-up with the parts of this run: what lies around, the plan, and what it is carried out with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from export_core.cleaner import Facts, OnDisk, Policy, Removal, leftovers, plan_cleanup
from export_core.errors import ExportFailed, NotFound
from export_core.job import JobStatus
from export_core.removal import Result, Tools, apply_cleanup, look_around

if TYPE_CHECKING:
    from cli.wiring import Wiring
    from export_core.job import Job
    from export_core.retention import Retention


def policy_of(retention: Retention) -> Policy:
    """The rules of config.toml."""
    return Policy(**asdict(retention))


def plan(wires: Wiring, policy: Policy) -> list[Removal]:
    """Everything that the rules remove now."""
    facts = _facts(wires)  # before the jobs: a job's row is there before its files
    return plan_cleanup(wires.store.list(whole=False), datetime.now(UTC), policy, facts)


def carry_out(wires: Wiring, removals: list[Removal]) -> Iterator[Result]:
    """Remove; one result for each removal, as it is done. Receivers of what has expired are told."""
    expiring: dict[int, list[Job]] = {}

    def looked_at() -> Iterator[Removal]:
        for removal in removals:
            expiring[id(removal)] = list(_expiring(wires, removal))  # as they are before it is done
            yield removal

    for result in apply_cleanup(looked_at(), _tools(wires)):
        yield result
        if result.error is None:
            _tell_receivers(wires, expiring[id(result.removal)])


def _expiring(wires: Wiring, removal: Removal) -> Iterator[Job]:
    """The jobs that a removal ends because of their age, newest first, unless somebody else just did it."""
    for job_id in sorted(removal.jobs, reverse=True) if removal.by_age else ():
        with contextlib.suppress(NotFound):
            job = wires.store.get(job_id)
            if job.status is JobStatus.INTERRUPTED or job.archive is not None:
                yield job


def _tell_receivers(wires: Wiring, jobs: Iterable[Job]) -> None:
    """Tell of an expiry, each receiver once; one that cannot be told is a warning."""
    told: set[str] = set()
    for job in jobs:
        receivers = [url for url in dict.fromkeys(job.request.notify) if url not in told]
        told.update(receivers)
        for warning in wires.notify_expired(job, receivers):
            wires.message(f"warning: {warning}")


def remove_leftovers(wires: Wiring, job_id: int) -> list[Result]:
    """Remove the work directory and the upload of a job that was cancelled; what became of each."""
    facts = look_around(wires.home, wires.store.unfinished_deliveries())
    return list(carry_out(wires, leftovers(wires.store.get(job_id), facts)))


def _facts(wires: Wiring) -> Facts:
    facts = look_around(wires.home, wires.store.unfinished_deliveries())
    if not wires.home.embedded.exists():
        return facts
    from export_core.sources.embedded.disuse import is_unused
    from export_core.sources.embedded.server import EmbeddedServer

    if not is_unused(wires.home.embedded):
        return facts
    found = OnDisk(str(wires.home.embedded), None, 0)
    return replace(facts, embedded=found, embedded_runs=EmbeddedServer(wires.home.embedded).is_running())


def _tools(wires: Wiring) -> Tools:
    return Tools(
        home=wires.home,
        records=wires.store,
        abandon=lambda job_id: _abandon(wires, job_id),
        stop_embedded=lambda: _stop_embedded(wires),
        remove_embedded=lambda: _remove_embedded(wires),
    )


def _abandon(wires: Wiring, job_id: int) -> None:
    from export_core.progress_record import JobCheckpoint

    job = wires.store.get(job_id)
    checkpoint = JobCheckpoint(wires.store, job_id, "delivery")
    wires.strategy_for(job.request.strategy).abandon(job, checkpoint)
    checkpoint.save({})


def _stop_embedded(wires: Wiring) -> None:
    from export_core.sources.embedded.server import EmbeddedServer

    EmbeddedServer(wires.home.embedded).stop_if_unused()


def _remove_embedded(wires: Wiring) -> None:
    from export_core.sources.embedded.disuse import remove_if_unused

    if wires.home.embedded.exists() and not remove_if_unused(wires.home.embedded):
        raise ExportFailed(
            f"the embedded instance in {wires.home.embedded} is in use",
            hint="clean again when nobody uses it",
        )
