"""What a kill near the end costs: ``python -m benchmarks.resume [--scale ISSUES] [--rounds N]``.

A project of the embedded instance is exported whole, then once more and killed when nine tenths of its parts
are finished, then resumed. The resumed run should cost no more than about a fifth of a whole one: it checks
the digests of what is there, reads the last tenth from a new snapshot, and joins the archive. All times are
those of whole processes; the quickest of the rounds counts, as all else on the machine only adds.
"""

from __future__ import annotations

import argparse
import time

from tests.durability.harness import demo_scene
from tests.durability.scene import Scene, digest

MOST = 0.2
PORTION = 0.9


def seconds(scene: Scene, *words: str, kill: str = "") -> float:
    """How long a run takes, from the start of its process to the end."""
    begun = time.monotonic()
    ended = scene.run(*words, kill=kill)
    assert ended.killed == bool(kill), ended
    assert kill or ended.code == 0, ended
    return time.monotonic() - begun


def one_round(scene: Scene, project: str, number: int) -> tuple[float, float]:
    """Seconds of a whole run, and of a run that goes on after a kill."""
    words = ("export", project, "--no-reuse", "--to")
    whole_archive, archive = (scene.out / f"{name}-{number}.tar.gz" for name in ("whole", "resumed"))
    whole = seconds(scene, *words, str(whole_archive))
    job = scene.store.list()[0].id
    plan = scene.store.load_plan(job)
    assert plan is not None
    parts = sum(not part.deferred for part in plan.parts)
    kept = round(parts * PORTION)
    seconds(scene, *words, str(archive), kill=f"finished:{kept}")
    resumed = seconds(scene, "resume", str(job + 1))
    assert digest(archive) == digest(whole_archive)
    print(f"killed after {kept} of {parts} parts: whole {whole:.2f} s, resumed {resumed:.2f} s", flush=True)
    return whole, resumed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=int, default=40_000, help="issues of the project")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    scene, project = demo_scene(options.scale)
    try:
        scene.good("export", project)  # caches are warm for all that follows
        rounds = [one_round(scene, project, number) for number in range(options.rounds)]
    finally:
        scene.close()
    whole, resumed = (min(times) for times in zip(*rounds, strict=True))
    verdict = "as" if resumed / whole <= MOST else "NOT as"
    print(f"resume costs {resumed / whole:.0%} of a whole run, {verdict} wanted: at most about {MOST:.0%}")


if __name__ == "__main__":
    main()
