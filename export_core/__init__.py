"""The engine of packmule: reads a project from a source, in parallel and resumable, into an archive.

Words used in all modules (source, snapshot, relation, part, segment, job, archive, strategy) are
defined in ``docs/architecture.md``. Nothing here prints, exits or draws; what happens is told as events.
"""

__version__ = "0.1.0"
