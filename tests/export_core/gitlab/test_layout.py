"""Paths against hand-made examples of GitLab's documentation and coreutils' sha256sum."""

import subprocess
from datetime import UTC, datetime

from export_core.gitlab import layout


def sha256sum(text):
    return subprocess.run(["sha256sum"], input=text, capture_output=True, text=True, check=True).stdout[:64]


def test_hashed_storage_is_named_by_the_sha256_of_the_decimal_id():
    digest = sha256sum("93")
    assert layout.project_disk_path(93) == f"@hashed/{digest[:2]}/{digest[2:4]}/{digest}"
    assert layout.snippet_disk_path(93) == f"@snippets/{digest[:2]}/{digest[2:4]}/{digest}"


def test_repositories_of_a_project_lie_beside_each_other():
    path = "@hashed/b1/7e/b17e"
    assert layout.repository(path) == "@hashed/b1/7e/b17e.git"
    assert layout.wiki_repository(path) == "@hashed/b1/7e/b17e.wiki.git"
    assert layout.design_repository(path) == "@hashed/b1/7e/b17e.design.git"


def test_attachments_lie_in_the_project_directory_and_others_where_their_path_says():
    hashed = layout.project_directory("@hashed/b1/7e/b17e", "group/project", 2)
    legacy = layout.project_directory("@hashed/b1/7e/b17e", "group/project", 1)
    unset = layout.project_directory("@hashed/b1/7e/b17e", "group/project", None)
    path = layout.upload_path("0123456789abcdef0123456789abcdef", "a.png")
    attachment = layout.uploaded_file(path, layout.FILE_UPLOADER, hashed)
    assert attachment == "@hashed/b1/7e/b17e/0123456789abcdef0123456789abcdef/a.png"
    assert legacy == unset == "group/project"
    avatar = layout.avatar_path(7, "logo.png")
    assert avatar == "uploads/-/system/project/avatar/7/logo.png"
    assert (
        layout.uploaded_file(avatar, layout.AVATAR_UPLOADER, hashed) == "-/system/project/avatar/7/logo.png"
    )


def test_lfs_objects_and_external_diffs():
    oid = "91eff75a492a3ed0dfcb544d7f31326bc4014c8551849c192fd1e48d4dd2c897"
    rest = "75a492a3ed0dfcb544d7f31326bc4014c8551849c192fd1e48d4dd2c897"
    assert layout.lfs_object(oid) == f"91/ef/f{rest}"
    assert layout.external_diff(12, 34) == "merge_request_diffs/mr-12/diff-34"


def test_members_of_the_archive():
    assert layout.relation_member("issues") == "tree/project/issues.ndjson"
    assert layout.snippet_member("ab" * 32) == f"snippets/{'ab' * 32}.bundle"
    assert layout.upload_member("cd/a.png") == "uploads/cd/a.png"
    assert layout.lfs_member("ef" * 32) == f"lfs-objects/{'ef' * 32}"


def test_a_file_name_is_gitlabs_and_is_cut_to_51_characters():
    moment = datetime(2025, 9, 4, 15, 23, 35, 50_999, tzinfo=UTC)
    assert layout.archive_file_name("group/sub/a", moment) == "2025-09-04_15-23-050_group_sub_a_export.tar.gz"
    long = layout.archive_file_name("group/" + "x" * 80, moment)
    assert long == "2025-09-04_15-23-050_group_" + "x" * 24 + "_export.tar.gz"
    assert len(long) == 51 + len("_export.tar.gz")
