"""Uploads, avatar and LFS objects, on disk and in object storage."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from export_core.deferred import file_blocks
from export_core.errors import RelationFailed, SourceUnavailable
from export_core.gitlab import layout
from export_core.source import Selection
from export_core.sources.embedded.namespaces import ProjectShell
from export_core.sources.gitlab_db.planning import MissingInSource
from tests.export_core.sources.gitlab_db_files.s3 import SECRET, Store, moto, store  # noqa: F401
from tests.export_core.sources.gitlab_db_files.world import Exported, World, export, make_repository, put

HEX = "0123456789abcdef0123456789abcdef"
FILES = ("uploads", "avatar", "lfs_objects")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def remote(world: World, store: Store) -> Any:  # noqa: F811
    return world.source(object_storage=store.settings)


class TestLocal:
    """Below ``uploads`` and ``shared``."""

    def test_everything_at_its_place(self, world: World) -> None:
        shell = world.project()
        number = shell.project_id
        data = bytes(range(256)) * 50
        world.upload(shell, f"{HEX}/über uns.png", secret=HEX)
        put(world.uploads / shell.disk_path / HEX / "über uns.png", data)
        for name in ("old.png", "new.png"):
            path = f"uploads/-/system/project/avatar/{number}/{name}"
            world.upload(shell, path, uploader="AvatarUploader", mount_point="avatar")
            put(world.uploads / "-" / "system" / "project" / "avatar" / str(number) / name, name.encode())
        world.run("UPDATE projects SET avatar = 'new.png' WHERE id = %s", number)
        oid = sha256(data)
        world.lfs(shell, oid, len(data), kind=0)
        world.lfs(shell, oid, len(data), kind=2)
        put(world.shared / "lfs-objects" / oid[:2] / oid[2:4] / oid[4:], data)
        found = world.export(shell, *FILES)
        system = f"uploads/-/system/project/avatar/{number}"
        assert found.members == {
            f"uploads/{HEX}/über uns.png": data,
            f"uploads/{system}/old.png": b"old.png",
            f"avatar/{system}/new.png": b"new.png",
            "lfs-objects.json": json.dumps({oid: [0, 2]}, separators=(",", ":")).encode(),
            f"lfs-objects/{oid}": data,
        }
        assert found.plan.warnings == ()
        assert {part.relation for part in found.deferred} == {*FILES}

    def test_legacy_storage_lies_below_the_full_path(self, world: World) -> None:
        shell = world.project()
        world.run("UPDATE projects SET storage_version = 1 WHERE id = %s", shell.project_id)
        world.upload(shell, f"{HEX}/a.txt", secret=HEX)
        put(world.uploads / shell.full_path / HEX / "a.txt", b"a")
        assert world.export(shell, "uploads").members == {f"uploads/{HEX}/a.txt": b"a"}

    def test_an_avatar_without_a_row(self, world: World) -> None:
        shell = world.project()
        world.run("UPDATE projects SET avatar = 'x.png' WHERE id = %s", shell.project_id)
        path = f"-/system/project/avatar/{shell.project_id}/x.png"
        put(world.uploads / path, b"x")
        assert world.export(shell, *FILES).members == {
            f"avatar/uploads/{path}": b"x",
            "lfs-objects.json": b"{}",
        }

    def test_other_models_and_other_projects_are_not_in_it(self, world: World) -> None:
        shell, other = world.project(), world.project()
        world.upload(other, f"{HEX}/a.txt", secret=HEX)
        world.run(
            "INSERT INTO uploads (size, path, model_id, model_type, uploader, version)"
            " VALUES (1, 'x/y', %s, 'Note', 'AttachmentUploader', 1)",
            shell.project_id,
        )
        assert world.export(shell, *FILES).members == {"lfs-objects.json": b"{}"}


class TestMissing:
    """Fail naming them; with ``--allow-missing`` list them."""

    @pytest.fixture
    def holes(self, world: World) -> tuple[World, Any, str]:
        shell = world.project()
        world.upload(shell, f"{HEX}/gone.txt", secret=HEX)
        world.upload(shell, f"{HEX}/there.txt", secret=HEX)
        put(world.uploads / shell.disk_path / HEX / "there.txt", b"!")
        oid = sha256(shell.full_path.encode())
        world.lfs(shell, oid, 3)
        return world, shell, oid

    @pytest.mark.parametrize("relation", ["uploads", "lfs_objects"])
    def test_the_export_fails_before_the_work(self, holes: tuple[World, Any, str], relation: str) -> None:
        world, shell, oid = holes
        with pytest.raises(MissingInSource) as error:
            world.export(shell, relation)
        assert error.value.exit_code == 3
        assert {"uploads": "gone.txt", "lfs_objects": oid}[relation] in error.value.message
        assert "--allow-missing" in (error.value.hint or "")

    def test_what_is_left_is_exported(self, holes: tuple[World, Any, str]) -> None:
        world, shell, oid = holes
        found = world.export(shell, *FILES, allow_missing=True)
        assert found.members == {f"uploads/{HEX}/there.txt": b"!", "lfs-objects.json": b"{}"}
        missing = [warning for warning in found.plan.warnings if warning.startswith("missing: ")]
        assert len(missing) == 2 == len(found.plan.warnings)
        assert any("gone.txt" in warning for warning in missing)
        assert any(oid in warning for warning in missing)


class TestHostileRows:
    """The database names what it likes; the archive holds what lies where it should."""

    @pytest.mark.parametrize(
        "path",
        ["../../../../etc/passwd", f"{HEX}/../../../../../../../../etc/passwd", f"{HEX}/../x", "/etc/passwd"],
    )
    def test_outside(self, world: World, path: str) -> None:
        shell = world.project()
        world.upload(shell, path, secret=HEX)
        put(world.uploads / shell.disk_path / "x", b"a detour inside")
        self.refused(world, shell, "uploads", path.rsplit("/", 1)[-1])

    def test_a_link_that_leads_out(self, world: World, tmp_path: Path) -> None:
        shell = world.project()
        world.upload(shell, f"{HEX}/x", secret=HEX)
        put(tmp_path / "secret", b"s")
        (world.uploads / shell.disk_path / HEX).mkdir(parents=True)
        (world.uploads / shell.disk_path / HEX / "x").symlink_to(tmp_path / "secret")
        self.refused(world, shell, "uploads", f"{HEX}/x")

    @pytest.mark.parametrize("kept", [1, 2])
    def test_an_lfs_object_that_is_none(self, world: World, kept: int) -> None:
        shell = world.project()
        put(world.shared / "x", b"s")
        world.lfs(shell, "..x/../etc", 1, store=kept)
        self.refused(world, shell, "lfs_objects", "..x/../etc")
        world.run("DELETE FROM lfs_objects WHERE oid LIKE '..%%'")

    def test_an_avatar_outside(self, world: World) -> None:
        shell = world.project()
        world.run("UPDATE projects SET avatar = '../../x.png' WHERE id = %s", shell.project_id)
        put(world.uploads / "-/system/project/x.png", b"another's")
        self.refused(world, shell, "avatar", "../../x.png")

    def test_a_repository_outside(self, world: World) -> None:
        shell = world.project()
        make_repository(world.root / "elsewhere.git")
        world.run("DELETE FROM project_repositories WHERE project_id = %s", shell.project_id)
        shard = world.shard("default")
        world.insert(
            "project_repositories", project_id=shell.project_id, shard_id=shard, disk_path="../elsewhere"
        )
        self.refused(world, shell, "repository", "../elsewhere")

    def refused(self, world: World, shell: ProjectShell, relation: str, named: str) -> None:
        """Never read: named as missing, and listed with ``--allow-missing``."""
        with pytest.raises(MissingInSource) as error:
            world.export(shell, relation)
        assert "outside" in error.value.message
        assert named in error.value.message
        found = world.export(shell, relation, allow_missing=True)
        assert set(found.members) <= {"lfs-objects.json"}
        assert found.members.get("lfs-objects.json", b"{}") == b"{}"
        missing = [warning for warning in found.plan.warnings if warning.startswith("missing: ")]
        assert len(missing) == 1
        assert named in missing[0]

    def test_a_fifo_is_no_file(self, world: World) -> None:
        shell = world.project()
        world.upload(shell, f"{HEX}/x", secret=HEX)
        os.mkfifo(put(world.uploads / shell.disk_path / HEX / "y", b"").with_name("x"))
        with pytest.raises(MissingInSource):
            world.export(shell, "uploads")


def test_a_damaged_lfs_object_fails_naming_it(world: World) -> None:
    shell = world.project()
    oid = sha256(b"right")
    world.lfs(shell, oid, 5)
    put(world.shared / "lfs-objects" / oid[:2] / oid[2:4] / oid[4:], b"wrong")
    source = world.source()
    with closing(source.open(shell.full_path, {})) as snapshot:
        (part,) = (part for part in snapshot.plan(Selection(("lfs_objects",))).parts if part.deferred)
        (file,) = source.reader(snapshot.token).files(part)
    with pytest.raises(RelationFailed) as error:
        list(file_blocks("lfs_objects", file))
    assert oid in error.value.message
    assert sha256(b"wrong") in error.value.message


@pytest.mark.parametrize(("relation", "setting"), [("uploads", "uploads"), ("lfs_objects", "shared")])
def test_a_directory_that_is_not_mounted(world: World, relation: str, setting: str) -> None:
    shell = world.project()
    world.upload(shell, f"{HEX}/x", secret=HEX)
    world.lfs(shell, sha256(b"m"), 1)
    with pytest.raises(SourceUnavailable) as error:
        export(world.source(**{setting: "/nowhere"}), shell.full_path, (relation,), {})
    assert "/nowhere" in error.value.message
    assert f"--skip {relation}" in (error.value.hint or "")


class TestRemote:
    """In object storage, ``bucket/prefix``."""

    def filled(self, world: World, store: Store) -> tuple[Any, dict[str, bytes]]:  # noqa: F811
        shell = world.project()
        directory = shell.disk_path
        old = HEX[:31] + "0"
        rows = {
            f"{directory}/{HEX}/a b.png": ({"secret": HEX}, f"uploads/{HEX}/a b.png"),
            f"{directory}/{old}/c.txt": ({}, f"uploads/{old}/c.txt"),
            "system/note.txt": ({"uploader": "AttachmentUploader"}, "uploads/note.txt"),
            f"{directory}/other/note.txt": ({"uploader": "AttachmentUploader"}, None),
        }
        expected = {}
        for number, (path, (values, member)) in enumerate(rows.items()):
            world.upload(shell, path, **{"store": 2, **values})
            data = os.urandom(1000 + number)
            store.put(path, data)
            expected[member or "second"] = data
        avatar = f"project/avatar/{shell.project_id}/logo.png"
        world.upload(shell, avatar, store=2, uploader="AvatarUploader", mount_point="avatar")
        world.run("UPDATE projects SET avatar = 'logo.png' WHERE id = %s", shell.project_id)
        store.put(avatar, b"logo")
        big = os.urandom(3_000_000)
        world.lfs(shell, sha256(big), len(big), store=2, kind=None)
        store.put(layout.lfs_object(sha256(big)), big)
        expected |= {"avatar/logo.png": b"logo", f"lfs-objects/{sha256(big)}": big}
        expected["lfs-objects.json"] = json.dumps({sha256(big): [None]}, separators=(",", ":")).encode()
        return shell, expected

    def test_all_of_it(self, world: World, store: Store) -> None:  # noqa: F811
        shell, expected = self.filled(world, store)
        found: Exported = export(remote(world, store), shell.full_path, FILES, {})
        (second,) = set(found.members) - set(expected)
        members = {("second" if name == second else name): data for name, data in found.members.items()}
        assert members == expected
        assert second.endswith("/note.txt")
        assert len(second.split("/")[1]) == 32, "a second file of that name lies below a secret of its own"
        assert store.requests().count("HeadObject") == store.requests().count("GET object") == 6
        assert SECRET not in repr(found.plan)

    def test_missing(self, world: World, store: Store) -> None:  # noqa: F811
        shell = world.project()
        world.upload(shell, f"{shell.disk_path}/{HEX}/gone", store=2, secret=HEX)
        with pytest.raises(MissingInSource) as error:
            export(remote(world, store), shell.full_path, FILES, {})
        assert "gone" in error.value.message
        found = export(remote(world, store), shell.full_path, FILES, {"allow_missing": True})
        assert found.members == {"lfs-objects.json": b"{}"}
        assert len(found.plan.warnings) == 1

    def test_refused_is_not_missing(self, world: World, store: Store) -> None:  # noqa: F811
        shell = world.project()
        world.upload(shell, f"{shell.disk_path}/{HEX}/x", store=2, secret=HEX)
        store.proxy.refusals["HeadObject"] = (403, "AccessDenied")
        with pytest.raises(SourceUnavailable) as error:
            export(remote(world, store), shell.full_path, FILES, {"allow_missing": True})
        assert SECRET not in error.value.message

    def test_not_configured(self, world: World) -> None:
        shell = world.project()
        world.upload(shell, f"{shell.disk_path}/{HEX}/x", store=2, secret=HEX)
        with pytest.raises(SourceUnavailable) as error:
            world.export(shell, "uploads")
        assert "object_storage" in (error.value.hint or "")
