"""The code stays as easy to find one's way in as it is: what may only shrink, measured."""

import json

import pytest
from support.benches import LONGEST, run

pytestmark = pytest.mark.timeout(1.1 * LONGEST)

MOST_CROSSED_FILES = 37
"""On the path of one lone durable job. These three are counts, and the same in each run, also on a
busy machine."""
MOST_CALLS = 340
MOST_CONCEPTS = 67
MOST_FILES = 432
"""A bound to raise only with a room that is new."""
MOST_SMALL_FILES = 19
"""Users import some of them by their names: those of Flask, Quart, Litestar; Django its apps."""
MOST_FILES = 432  # three in flow: limits, limit_options and its __init__; one in app: known_names;
# five in flow: cron, cron_expression, cron_options, cron_times, cron_turn;
# eleven of gates: flow/gates; gates, gate_tally, rooms, waiting_jobs, limited_jobs,
# limited_claims, strict_order, limit_reader, limit_verbs and limit_lines in storage;
# for explanations three in explain (reasons, judge, sentences), and explaining, explained and why
# in app, storage and cli
# seven of periodic jobs: app/crons, app/cron_handle, cli/crons, queues/services/cron,
# and cron_table, cron_turns and crons in storage/jobs; one of exports: storage/admin/lines;
# for changes in bulk two in app (bulk, bulk_verbs), and one each in storage/jobs and cli;
# five of limits: jobs/limits, jobs/declared_limits, app/limits, app/limit_handle, cli/limits;
# eleven of long files split by role: storage/lmdb/tables, scan, open_files and collector_pause,
# storage/idle_waiters and commit_watch, queues/outage and verdict, bulk_update, entry_reader
# and damaged_jobs in storage/jobs;
# one of applications in another process: app/remote, which was a part of app/job_process;
# eleven of groups of jobs: workflows/counters and its __init__; composition, groups, group_verbs,
# group_reader and arrivals in storage/jobs; jobs/batch; batches, batch_verbs in app, cli/batches;
# seven of what waits for others: workflows/edges; edges, dependents, upstreams, graph and tasks in
# storage/jobs; queues/services/flow;
# five of results: jobs/result, storage/jobs/results, storage/job_waiters, app/results and
# app/wait_verbs; two of progress: queues/progress and storage/jobs/progress;
# fourteen of workflows: workflows/graph and outputs; jobs/upstream; workflow_verbs, node_names,
# plan_items and workflow_reader in storage/jobs; workflow, workflow_nodes, workflow_plan,
# workflow_run, workflow_verbs and workflows in app; cli/workflows
# four of what is called around jobs: jobs/middleware, executors/sent_middleware, app/within and
# queues/services/cron_within;
# four of steps: jobs/steps, storage/format/kept_values, step_table and steps in storage/jobs;
# one of the demo: demo/summary
# one of groups that have not ended: storage/jobs/open_groups
# five of events: events/hub, telemetry/event_log, app/event_verbs, storage/jobs/journal and
# storage/jobs/tracker
# three of encryption: cipher and job_cipher in storage/format, app/encrypting
# four of exports: group_lines and resealing in storage/admin, exports and imports in storage/jobs
# nine of web frameworks: asgi, app_context, site_settings, flask, quart and litestar in
# integrations; embedded and site in cli; multiprocess/reload
# nine of the test kit: mode, performing, single, assertions, plugin, chaos and __init__ in testing,
# app/clock and storage/jobs/single_claims
# four of metrics: meter and prometheus in telemetry, storage/gauges, cli/metrics
# two of traces: telemetry/otel and telemetry/attempts
# one of middleware of the whole process: jobs/everywhere
# twelve of Django: admin, apps, backend, compat, connections, models, options, results, site,
# worker, __init__ and the command antq in integrations/django
# ten of the overview: overview, attention, queues, nodes, store, composed and rates in insights,
# storage/jobs/upkeep, storage/lmdb/file_facts, cli/overview
# four of charts: chart_counts and charts in storage/jobs, insights/charts, cli/charts
# one of errors: telemetry/sentry
# ten of insights: reader, source, filters, filter_values, as_json, search, candidates, items,
# redaction and values; storage/jobs/search
# three of failures: insights/errors, insights/fingerprints and cli/errors
# eight of trees: snapshot, predict, harm and recent in otp/inspect; node_report and node_socket in
# app; trees and prediction in insights
# five of changes that go on by themselves: bulk_table and bulk_tasks in storage/jobs; bulk and
# bulk_order in insights; cli/found
# three of histories: jobs/history, storage/jobs/history_table and insights/jobs
# nine of the audit: jobs/audit, storage/acting, app/audit_verbs, audit_table, audited, undo_table
# and undo in storage/jobs, insights/audit and cli/audit
# eight of queues that are let on job by job: jobs/stepping; breakpoint_table, rehearsal,
# stepped_claims, stepping and stops in storage/jobs; storage/lmdb/overlay; cli/stepping
# ten of insights: access, why, crons, limits, doing, fields, verbs, job_verbs, queue_verbs,
# flow_verbs; storage/jobs/copies, app/drain and web/verbs
MOST_SMALL_FILES = 19  # users import those of Flask, Quart and Litestar by their names; Django its
# sixteen of the terminal view: cli/top; details, frame, jobs_tab, keys, look, operator, pages,
# program, reading, screens, table, tabs, texts, view and __init__ in top
# four of insights: access, why, crons and limits; storage/jobs/copies and app/drain
MOST_SMALL_FILES = 19  # users import those of Flask, Quart and Litestar by their names; Django its
# apps and its command; and integrations/django/compat chooses between two libraries
MOST_END_NAMES = 12
MOST_END_UNIONS = 2


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What the benchmark has measured, as it writes it."""
    file = tmp_path_factory.mktemp("house") / "found.json"
    done = run("house.py", "--json", file)
    assert done.returncode == 0, done.stderr
    return json.loads(file.read_text())


def test_a_job_crosses_no_more_files_calls_and_concepts_than_it_did(found):
    path = found["path"]

    assert path["files"] <= MOST_CROSSED_FILES
    assert path["calls"] <= MOST_CALLS
    assert len(path["concepts"]) <= MOST_CONCEPTS


def test_there_are_no_more_files_and_small_files_than_there_were(found):
    shape = found["shape"]

    assert shape["files"] <= MOST_FILES
    assert len(shape["small_files"]) <= MOST_SMALL_FILES


def test_no_files_import_each_other_in_a_circle(found):
    assert found["shape"]["circles"] == []


def test_there_are_no_more_names_for_how_an_attempt_ended_than_there_were(found):
    shape = found["shape"]

    assert len(shape["end_names"]) <= MOST_END_NAMES
    assert len(shape["end_unions"]) <= MOST_END_UNIONS
