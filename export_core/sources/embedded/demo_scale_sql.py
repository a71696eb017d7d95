"""The statements that fill a project of any size, one after the other; ``demo_scale.py`` runs them.

``$base`` precedes every id (row number i of a table has id base + i), ``$issues`` and ``$tenth`` are counts,
``$day`` is what passes from one issue to the next. ``paragraph`` and ``hunk`` are temporary tables of texts;
prime factors spread them, so that equal texts are far from each other, as in real projects.
"""

from __future__ import annotations

from collections.abc import Mapping
from string import Template

STATEMENTS = """
INSERT INTO users (id, email, name, username, public_email, projects_limit, state, organization_id)
SELECT $base + i, 'porter-' || i || '@example.com', 'Porter ' || i, 'porter-' || ($base + i),
  'porter-' || i || '@example.com', 0, 'active', 1 FROM generate_series(1, 20) i;

INSERT INTO members (id, access_level, source_id, source_type, user_id, notification_level, type, created_at,
  updated_at)
SELECT $base + i, (ARRAY[20, 30, 40, 50])[1 + i % 4], $project, 'Project', $base + i, 3, 'ProjectMember',
  $start, $start FROM generate_series(1, 20) i;

INSERT INTO labels (id, title, color, project_id, created_at, updated_at, description, type)
SELECT $base + i, 'label ' || i, '#' || left(md5(i::text), 6), $project, $start, $start,
  'Everything of kind ' || i, 'ProjectLabel' FROM generate_series(1, 40) i;

INSERT INTO label_priorities (id, project_id, label_id, priority, created_at, updated_at)
SELECT $base + i, $project, $base + i, i, $start, $start FROM generate_series(1, 10) i;

INSERT INTO milestones (id, title, project_id, description, created_at, updated_at, state, iid, start_date,
  due_date)
SELECT $base + i, 'crossing ' || i, $project, body, $start, $start, 'active', i, '2022-01-03', '2024-12-31'
FROM generate_series(1, 20) i JOIN paragraph p ON p.id = i;

INSERT INTO issues (id, title, author_id, project_id, namespace_id, created_at, updated_at, description,
  milestone_id, iid, weight, relative_position, state_id, closed_at, closed_by_id, work_item_type_id)
SELECT $base + i, 'Issue ' || i || ': ' || left(body, 50), $base + 1 + i % 20, $project, $namespace,
  $start + i * $day, $start + i * $day * 1.001, body, CASE WHEN i % 3 > 0 THEN $base + 1 + i % 20 END, i,
  CASE WHEN i % 4 = 0 THEN i % 9 END, i % 1000000 * 513, 1 + i % 2,
  CASE WHEN i % 2 = 1 THEN $start + (i + 9) * $day END, CASE WHEN i % 2 = 1 THEN $base + 1 + i % 19 END, 1
FROM generate_series(1, $issues) i JOIN paragraph p ON p.id = i * 7919 % $paragraphs;

INSERT INTO work_item_descriptions (work_item_id, namespace_id, description)
SELECT id, namespace_id, description FROM issues WHERE project_id = $project;

INSERT INTO issue_assignees (user_id, issue_id)
SELECT $base + 1 + i % 20, $base + i FROM generate_series(1, $issues, 2) i;

INSERT INTO merge_requests (id, target_branch, source_branch, source_project_id, target_project_id, author_id,
  title, created_at, updated_at, milestone_id, merge_status, iid, description, merge_params, state_id,
  merge_user_id, merge_commit_sha, latest_merge_request_diff_id)
SELECT $base + i, 'main', 'feature-' || i % 20, $project, $project, $base + 1 + i % 20,
  'Merge request ' || i || ': ' || left(body, 40), $start + i * 10 * $day, $start + i * 10.01 * $day,
  CASE WHEN i % 3 > 0 THEN $base + 1 + i % 20 END, 'can_be_merged', i, body,
  E'---\\nforce_remove_source_branch: ''1''\\n', CASE WHEN i % 4 = 0 THEN 1 ELSE 3 END,
  CASE WHEN i % 4 > 0 THEN $base + 1 + i % 19 END,
  CASE WHEN i % 4 > 0 THEN $sha_merge END, $base + i
FROM generate_series(1, $tenth) i JOIN paragraph p ON p.id = i * 104729 % $paragraphs;

INSERT INTO merge_request_diffs (id, state, merge_request_id, created_at, updated_at, base_commit_sha,
  head_commit_sha, start_commit_sha, real_size, commits_count, files_count, sorted, diff_type, project_id)
SELECT $base + i, 'collected', $base + i, $start + i * 10 * $day, $start + i * 10 * $day, $sha_base,
  $sha_head, $sha_base, '5', 3, 5, true, 1, $project FROM generate_series(1, $tenth) i;

INSERT INTO merge_request_diff_commit_users (id, name, email, organization_id)
SELECT $base + i, 'Porter ' || i, 'porter-' || i || '@example.com', 1 FROM generate_series(1, 20) i;

INSERT INTO merge_request_diff_commits (merge_request_diff_id, relative_order, authored_date, committed_date,
  sha, message, commit_author_id, committer_id, project_id)
SELECT $base + i, k, $start + i * 10 * $day, $start + i * 10 * $day,
  substr(sha256((i || '/' || k)::bytea), 1, 20), left(body, 200), $base + 1 + (i + k) % 20,
  $base + 1 + i % 20, $project
FROM generate_series(1, $tenth) i CROSS JOIN generate_series(0, 2) k
JOIN paragraph p ON p.id = (i * 31 + k) % $paragraphs;

INSERT INTO merge_request_diff_files (merge_request_diff_id, relative_order, new_file, renamed_file,
  deleted_file, too_large, a_mode, b_mode, new_path, old_path, diff, "binary", project_id)
SELECT $base + i, k, false, false, false, false, '100644', '100644',
  'src/part_' || (i * 5 + k) % 997 || '.py', 'src/part_' || (i * 5 + k) % 997 || '.py', body, false, $project
FROM generate_series(1, $tenth) i CROSS JOIN generate_series(0, 4) k
JOIN hunk h ON h.id = (i * 5 + k) % $hunks;

INSERT INTO merge_request_metrics (id, merge_request_id, created_at, updated_at, merged_at, merged_by_id,
  commits_count, added_lines, removed_lines, target_project_id)
SELECT $base + i, $base + i, $start + i * 10 * $day, $start + i * 10 * $day,
  CASE WHEN i % 4 > 0 THEN $start + i * 10.01 * $day END, CASE WHEN i % 4 > 0 THEN $base + 1 + i % 19 END,
  3, i % 300, i % 100, $project FROM generate_series(1, $tenth) i;

INSERT INTO approvals (id, merge_request_id, user_id, created_at, updated_at)
SELECT $base + i, $base + i, $base + 1 + i % 19, $start + i * 10 * $day, $start + i * 10 * $day
FROM generate_series(1, $tenth) i;

INSERT INTO merge_request_assignees (id, user_id, merge_request_id, created_at, project_id)
SELECT $base + i, $base + 1 + i % 20, $base + i, $start + i * 10 * $day, $project
FROM generate_series(1, $tenth) i;

INSERT INTO merge_request_reviewers (id, user_id, merge_request_id, created_at, state, project_id)
SELECT $base + i, $base + 1 + i % 19, $base + i, $start + i * 10 * $day, i % 4, $project
FROM generate_series(1, $tenth) i;

INSERT INTO notes (id, note, noteable_type, noteable_id, author_id, created_at, updated_at, project_id,
  discussion_id, system, namespace_id)
SELECT $base + i, CASE WHEN i % 4 = 0 THEN 'added ~label ' || i % 40 ELSE body END, 'Issue',
  $base + 1 + i % $issues, $base + 1 + i % 20, $start + i * 0.2 * $day, $start + i * 0.2 * $day, $project,
  md5('d' || i) || left(md5('e' || i), 8), i % 4 = 0, $namespace
FROM generate_series(1, 5 * $issues) i JOIN paragraph p ON p.id = i * 15485863 % $paragraphs;

INSERT INTO notes (id, note, noteable_type, noteable_id, author_id, created_at, updated_at, project_id,
  discussion_id, type, line_code, position, original_position, namespace_id)
SELECT $base + 5 * $issues + i, body, 'MergeRequest', $base + 1 + i % $tenth, $base + 1 + i % 20,
  $start + i * 2.5 * $day, $start + i * 2.5 * $day, $project, md5('m' || i) || left(md5('n' || i), 8),
  CASE WHEN i % 8 = 0 THEN 'DiffNote' END, CASE WHEN i % 8 = 0 THEN $line_code END,
  CASE WHEN i % 8 = 0 THEN $position END, CASE WHEN i % 8 = 0 THEN $position END, $namespace
FROM generate_series(1, 4 * $tenth) i JOIN paragraph p ON p.id = i * 1299709 % $paragraphs;

INSERT INTO notes (id, note, noteable_type, commit_id, author_id, created_at, updated_at, project_id,
  discussion_id, namespace_id)
SELECT $base + 5 * $issues + 4 * $tenth + i, body, 'Commit', $sha_head, $base + 1 + i % 20,
  $start + i * 20 * $day, $start + i * 20 * $day, $project, md5('c' || i) || left(md5('b' || i), 8),
  $namespace
FROM generate_series(1, $tenth / 2) i JOIN paragraph p ON p.id = i * 31 % $paragraphs;

INSERT INTO note_diff_files (id, diff_note_id, diff, new_file, renamed_file, deleted_file, a_mode, b_mode,
  new_path, old_path)
SELECT $base + i, $base + 5 * $issues + i, left(body, 400), false, false, false, '100644', '100644',
  'src/part_1.py', 'src/part_1.py'
FROM generate_series(8, 4 * $tenth, 8) i JOIN hunk h ON h.id = i % $hunks;

INSERT INTO system_note_metadata (id, note_id, action, created_at, updated_at)
SELECT $base + i, $base + i, 'label', $start + i * 0.2 * $day, $start + i * 0.2 * $day
FROM generate_series(4, 5 * $issues, 4) i;

INSERT INTO award_emoji (id, name, user_id, awardable_type, awardable_id, created_at, updated_at)
SELECT $base + i, (ARRAY['thumbsup', 'racehorse', 'mountain', 'heart'])[1 + i % 4], $base + 1 + i % 20,
  CASE WHEN i % 2 = 0 THEN 'Issue' ELSE 'Note' END,
  CASE WHEN i % 2 = 0 THEN $base + 1 + i / 2 ELSE $base + i END, $start + i * $day, $start + i * $day
FROM generate_series(1, $issues) i;

INSERT INTO label_links (id, label_id, target_id, target_type, created_at, updated_at)
SELECT $base + 2 * i + k, $base + 1 + (i * 7 + k * 11) % 40, $base + i, 'Issue', $start + i * $day,
  $start + i * $day FROM generate_series(1, $issues) i CROSS JOIN generate_series(0, 1) k;
INSERT INTO label_links (id, label_id, target_id, target_type, created_at, updated_at)
SELECT $base + 2 * $issues + 1 + i, $base + 1 + i * 7 % 40, $base + i, 'MergeRequest', $start + i * 10 * $day,
  $start + i * 10 * $day FROM generate_series(1, $tenth) i;

INSERT INTO events (id, project_id, author_id, target_id, target_type, action, created_at, updated_at)
SELECT $base + i, $project, $base + 1 + i % 20, $base + 1 + (i - 1) % $issues, 'Issue',
  CASE WHEN i <= $issues THEN 1 ELSE 3 END, $start + i * $day, $start + i * $day
FROM generate_series(1, 3 * $issues / 2) i;
INSERT INTO events (id, project_id, author_id, target_id, target_type, action, created_at, updated_at)
SELECT $base + 3 * $issues / 2 + i, $project, $base + 1 + i % 20, $base + i, 'Note', 6,
  $start + i * 0.2 * $day, $start + i * 0.2 * $day FROM generate_series(1, 3 * $issues) i;
INSERT INTO events (id, project_id, author_id, target_id, target_type, action, created_at, updated_at)
SELECT $base + 9 * $issues / 2 + i, $project, $base + 1 + i % 20, $base + 5 * $issues + i, 'Note', 6,
  $start + i * 2.5 * $day, $start + i * 2.5 * $day FROM generate_series(1, 2 * $tenth) i;
INSERT INTO events (id, project_id, author_id, target_id, target_type, action, created_at, updated_at)
SELECT $base + 5 * $issues + i, $project, $base + 1 + i % 20, $base + 1 + (i - 1) % $tenth, 'MergeRequest',
  CASE WHEN i <= $tenth THEN 1 ELSE 7 END, $start + i * 5 * $day, $start + i * 5 * $day
FROM generate_series(1, 5 * $tenth / 2) i;

INSERT INTO timelogs (id, time_spent, user_id, issue_id, project_id, created_at, updated_at, spent_at,
  summary)
SELECT $base + i, i % 7200, $base + 1 + i % 20, $base + i, $project, $start + i * $day, $start + i * $day,
  $start + i * $day, 'on the way' FROM generate_series(1, $issues, 4) i;
INSERT INTO resource_label_events (id, action, issue_id, label_id, user_id, created_at, namespace_id)
SELECT $base + i, 1, $base + i, $base + 1 + i * 7 % 40, $base + 1 + i % 20, $start + i * $day, $namespace
FROM generate_series(1, $issues) i;
INSERT INTO resource_state_events (id, user_id, issue_id, created_at, state, namespace_id)
SELECT $base + i, $base + 1 + i % 19, $base + i, $start + (i + 9) * $day, 2, $namespace
FROM generate_series(1, $issues, 2) i;
INSERT INTO resource_milestone_events (id, user_id, issue_id, milestone_id, action, state, created_at,
  namespace_id)
SELECT $base + i, $base + 1 + i % 20, $base + i, $base + 1 + i % 20, 1, 1, $start + i * $day, $namespace
FROM generate_series(1, $issues, 3) i;

INSERT INTO p_ci_pipelines (id, partition_id, ref, sha, created_at, updated_at, started_at, finished_at,
  project_id, status, duration, user_id, source, config_source, iid, merge_request_id)
SELECT $base + i, 100, 'main', $sha_head, $start + i * 10 * $day, $start + i * 10 * $day,
  $start + i * 10 * $day, $start + i * 10 * $day, $project,
  CASE WHEN i % 7 = 0 THEN 'failed' ELSE 'success' END, i % 3600,
  $base + 1 + i % 20, 1, 1, i, CASE WHEN i % 4 = 0 THEN $base + i END FROM generate_series(1, $tenth) i;
INSERT INTO ci_pipeline_metadata (project_id, pipeline_id, name, partition_id)
SELECT $project, $base + i, 'Pipeline ' || i, 100 FROM generate_series(1, $tenth, 2) i;
INSERT INTO p_ci_stages (id, partition_id, project_id, pipeline_id, name, status, position, created_at,
  updated_at)
SELECT $base + i * 3 + k, 100, $project, $base + i, (ARRAY['check', 'pack', 'go'])[1 + k], 3, k,
  $start + i * 10 * $day, $start + i * 10 * $day
FROM generate_series(1, $tenth) i CROSS JOIN generate_series(0, 2) k;
INSERT INTO p_ci_builds (id, partition_id, project_id, stage_id, commit_id, name, status, created_at,
  updated_at, started_at, finished_at, queued_at, coverage, stage_idx, ref, type, "when", user_id, retried,
  scheduling_type, yaml_variables, options)
SELECT $base + i * 8 + k, 100, $project, $base + i * 3 + k / 3, $base + i, 'job ' || k, 'success',
  $start + i * 10 * $day, $start + i * 10 * $day, $start + i * 10 * $day, $start + i * 10 * $day,
  $start + i * 10 * $day, 50 + (i + k) % 50 + 0.5, k / 3, 'main',
  CASE WHEN k = 7 THEN 'Ci::Bridge' WHEN k = 6 THEN 'GenericCommitStatus' ELSE 'Ci::Build' END, 'on_success',
  $base + 1 + i % 20, false, 0, '[]', '{}'
FROM generate_series(1, $tenth) i CROSS JOIN generate_series(0, 7) k;

INSERT INTO releases (id, tag, description, project_id, created_at, updated_at, author_id, name, sha,
  released_at)
SELECT $base + i, 'v0.' || i, body, $project, $start, $start, $base + i, 'Release ' || i, $sha_head, $start
FROM generate_series(1, 20) i JOIN paragraph p ON p.id = i;
INSERT INTO release_links (id, release_id, url, name, created_at, updated_at, project_id)
SELECT $base + i, $base + i, 'https://example.com/' || i, 'map ' || i, $start, $start, $project
FROM generate_series(1, 20) i;
INSERT INTO boards (id, project_id, created_at, updated_at, name) VALUES
  ($base + 1, $project, $start, $start, 'Crossings');
INSERT INTO lists (id, board_id, label_id, list_type, position, created_at, updated_at)
SELECT $base + i, $base + 1, $base + i, 1, i - 1, $start, $start FROM generate_series(1, 10) i;
INSERT INTO protected_branches (id, project_id, name, created_at, updated_at) VALUES
  ($base + 1, $project, 'main', $start, $start);
INSERT INTO protected_branch_merge_access_levels (id, protected_branch_id, access_level, created_at,
  updated_at) VALUES ($base + 1, $base + 1, 40, $start, $start);
INSERT INTO protected_branch_push_access_levels (id, protected_branch_id, access_level, created_at,
  updated_at) VALUES ($base + 1, $base + 1, 40, $start, $start);
INSERT INTO project_features (id, project_id, pages_access_level, created_at, updated_at) VALUES
  ($base + 1, $project, 20, $start, $start);
INSERT INTO project_ci_cd_settings (id, project_id) VALUES ($base + 1, $project);
INSERT INTO project_auto_devops (id, project_id, created_at, updated_at, enabled) VALUES
  ($base + 1, $project, $start, $start, false);
INSERT INTO container_expiration_policies (project_id, created_at, updated_at, enabled) VALUES
  ($project, $start, $start, false)
"""


def statements(values: Mapping[str, str]) -> str:
    """All statements with their numbers and literals in place. Raises KeyError for one that is not given."""
    return Template(STATEMENTS).substitute(values)
