"""Projects, groups, people, members and settings: what relations.json's rules look at around the tree."""

from __future__ import annotations

from typing import Any

from tests.export_core.sources.gitlab_db.world import Row, World

GONE = 999_999
"""A key of no row."""
GROUP, SUBGROUP, PERSONAL = 10, 11, 12
PATHS = ("top/sub/full", "top/sub/second", "someone/fork", "someone/empty")
"""Full paths of the projects 1 to 4."""


def add_people(world: World) -> None:
    """Users 1 to 9 with names of all kinds; number 8 is an administrator."""
    names = ("Ada", 'Q"uote', "ü 🦉", "", None, "<b>", "\u2028", "Admin", "Owner")
    for number, name in enumerate(names):
        email = (f"user{number}@example.com", "", None)[number % 3]
        world.add("users", name=name, username=f"user{number + 1}", public_email=email, admin=number == 7)


def project_row(world: World, number: int) -> Row:
    """Project ``number`` + 1 with its namespaces, route and repository."""
    id = number + 1
    in_group = number < 2
    hashed = f"@hashed/{id}"
    world.add("routes", source_type="Project", source_id=id, path=PATHS[number])
    if number != 3:
        world.add(
            "project_repositories",
            project_id=id,
            shard_id=1,
            disk_path=hashed,
            object_format=(0, 1, 0, 0)[number],
        )
    told: dict[str, Any] = {
        "id": id,
        "namespace_id": SUBGROUP if in_group else PERSONAL,
        "project_namespace_id": 100 + id,
        "storage_version": 2,
        "repository_storage": "default",
        "organization_id": 1 + number % 2,
        "marked_for_deletion_at": "2024-01-01" if number == 1 else None,
        "archived": number < 3,
    }
    return world.add("projects", **told)


def add_surroundings(world: World) -> None:
    """Everything else."""
    world.add("shards", id=1, name="default")
    _namespaces(world)
    _settings(world)
    _members(world)
    _rest(world)


def _namespaces(world: World) -> None:
    for id, kind, ids in (
        (GROUP, "Group", [GROUP]),
        (SUBGROUP, "Group", [GROUP, SUBGROUP]),
        (PERSONAL, "User", [PERSONAL]),
        *((100 + n, "Project", [100 + n]) for n in range(1, 5)),
    ):
        world.add("namespaces", id=id, type=kind, traversal_ids=ids, state=2 if id == 103 else 0)
    world.add("namespace_settings", namespace_id=SUBGROUP, default_branch_name="")
    world.add("namespace_settings", namespace_id=GROUP, default_branch_name="of-the-root-group")


def _settings(world: World) -> None:
    world.add(
        "application_settings",
        id=1,
        default_branch_name="old",
        external_authorization_service_default_label="old",
    )
    world.add(
        "application_settings",
        id=2,
        default_branch_name="of-the-instance",
        external_authorization_service_default_label='default "label"',
        disable_overriding_approvers_per_merge_request=False,
        prevent_merge_requests_author_approval=False,
        prevent_merge_requests_committers_approval=True,
        password_authentication_enabled_for_web=True,
    )
    world.add(
        "group_merge_request_approval_settings",
        group_id=GROUP,
        allow_author_approval=True,
        allow_committer_approval=True,
        allow_overrides_to_approver_list_per_merge_request=False,
        retain_approvals_on_push=True,
        require_password_to_approve=True,
    )
    for id in (1, 2):
        world.add("project_settings", project_id=id, squash_option=(2, 77)[id - 1])
    world.add(
        "push_rules",
        project_id=None,
        is_sample=True,
        reject_unsigned_commits=True,
        commit_committer_check=True,
    )
    world.add(
        "organization_push_rules",
        organization_id=1,
        reject_unsigned_commits=False,
        commit_committer_check=None,
    )


def _members(world: World) -> None:
    """Every rule by which group members are chosen, told apart by who wins."""
    project = {"source_type": "Project", "type": "ProjectMember", "requested_at": None}
    group = {"source_type": "Namespace", "type": "GroupMember", "requested_at": None, "invite_email": None}
    for told in (
        {**project, "source_id": 1, "user_id": 1, "access_level": 30},
        {**project, "source_id": 1, "user_id": 2, "access_level": 40, "requested_at": "2024-01-01"},
        {**project, "source_id": 1, "user_id": None, "invite_email": "invited@example.com"},
        {**project, "source_id": 2, "user_id": None, "invite_email": "only@example.com"},
        {**project, "source_id": 3, "user_id": 5},
        # Inherited, of user 1: a project member already.
        {**group, "source_id": GROUP, "user_id": 1, "access_level": 50},
        # Of user 2 (only asks for access to the project): the highest level wins.
        {**group, "source_id": SUBGROUP, "user_id": 2, "access_level": 20},
        {**group, "source_id": GROUP, "user_id": 2, "access_level": 40},
        # Of user 3: a tie; the project's own group wins.
        {**group, "source_id": GROUP, "user_id": 3, "access_level": 30},
        {**group, "source_id": SUBGROUP, "user_id": 3, "access_level": 30},
        # Of user 4: minimal access does not count. Of user 5: asks only.
        {**group, "source_id": GROUP, "user_id": 4, "access_level": 5},
        {**group, "source_id": GROUP, "user_id": 5, "access_level": 30, "requested_at": "2024-01-01"},
        # Of user 6: the same level in the same group; the lower member role wins, then the later expiry.
        {**group, "source_id": GROUP, "user_id": 6, "access_level": 30, "member_role_id": None},
        {**group, "source_id": GROUP, "user_id": 6, "access_level": 30, "member_role_id": 9},
        {
            **group,
            "source_id": GROUP,
            "user_id": 6,
            "access_level": 30,
            "member_role_id": 4,
            "expires_at": "2030-01-01",
        },
        {
            **group,
            "source_id": GROUP,
            "user_id": 6,
            "access_level": 30,
            "member_role_id": 4,
            "expires_at": "2031-01-01",
        },
        # Invitations of groups, and the owner.
        {
            **group,
            "source_id": GROUP,
            "user_id": None,
            "invite_email": "group@example.com",
            "access_level": 30,
        },
        {
            **group,
            "source_id": SUBGROUP,
            "user_id": None,
            "invite_email": "group@example.com",
            "access_level": 10,
        },
        {**group, "source_id": GROUP, "user_id": 9, "access_level": 50},
        # Elsewhere.
        {**group, "source_id": 99, "user_id": 7, "access_level": 50},
        {**group, "source_id": 1, "user_id": 7, "access_level": 50},
        {**project, "source_id": GROUP, "user_id": 7, "access_level": 50},
    ):
        world.add(
            "members", **{"created_at": "2020-01-01", "expires_at": None, "member_role_id": None, **told}
        )


def _rest(world: World) -> None:
    """A few rows of every table that nothing above has touched."""
    for label in (1, 2):
        world.add("labels", type="GroupLabel", project_id=label, group_id=None)
        world.add("snippets", type="PersonalSnippet", project_id=label)
        world.add("badges", type="GroupBadge", project_id=label)
        world.add("protected_branches", project_id=None, namespace_id=GROUP)
    for table, rows in world.rows.items():
        if not rows and table not in ("project_uploads", "uploads_9ba88c4165"):
            for _ in range(2):
                world.add(table, **_keys(world, table))


def _keys(world: World, table: str) -> Row:
    """Distinct keys for tables without an id."""
    number = len(world.rows[table])
    names = [column.name for column in world.facts.tables[table] if column.key and column.name != "id"]
    keys: Row = {name: 8_000 + number for name in names if name != "partition_id"}
    if table in ("ar_internal_metadata", "schema_migrations"):
        keys = dict.fromkeys(names, f"key{number}")
    return keys | ({"partition_id": 100} if "partition_id" in names else {})
