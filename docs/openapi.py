"""Write docs/openapi.json: the JSON API of the dashboard, from its routes and the values they show.

``make docs`` runs it. With ``--check`` it writes nothing, and exits with 1 when the file is not
what it would write.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

import antq_actors
from antq_actors.app.cron_handle import CronInfo
from antq_actors.flow.limits import LimitInfo
from antq_actors.insights.access import Access
from antq_actors.insights.as_json import NOT_SHOWN
from antq_actors.insights.chaos_plan import ChaosReport
from antq_actors.insights.charts import WINDOWS, Charts
from antq_actors.insights.composed import BatchView, WorkflowView
from antq_actors.insights.nodes import NodeView
from antq_actors.insights.overview import Overview
from antq_actors.insights.prediction import Prediction
from antq_actors.insights.queues import QueueDetail, QueueSummary
from antq_actors.insights.store import StoreView
from antq_actors.insights.trees import TreeView
from antq_actors.insights.values import BulkPreview, BulkView, ErrorGroup, JobItem, JobView
from antq_actors.insights.why import WhyView
from antq_actors.jobs.audit import AuditEntry
from antq_actors.web.routes import Page, Verb
from antq_actors.web.site import ALL_ROUTES

FILE: Final = Path(__file__).parent / "openapi.json"

ITEMS: Final = {
    "/jobs": JobItem,
    "/queues": QueueSummary,
    "/nodes": NodeView,
    "/errors": ErrorGroup,
    "/crons": CronInfo,
    "/limits": LimitInfo,
    "/batches": BatchView,
    "/workflows": WorkflowView,
    "/audit": AuditEntry,
}
"""What lists have as items, by their paths."""
VALUES: Final = {
    "/": Overview,
    "/jobs/{id}": JobView,
    "/jobs/{id}/why": WhyView,
    "/queue": QueueDetail,
    "/queue/why": WhyView,
    "/tree": TreeView,
    "/tree/predict": Prediction,
    "/tree/chaos": ChaosReport,
    "/error": ErrorGroup,
    "/charts": Charts,
    "/store": StoreView,
    "/bulk": BulkPreview,
    "/bulk/{id}": BulkView,
}
_NAME: Final = {"name": "its name"}
QUERIES: Final[dict[str, dict[str, str]]] = {
    "/jobs": {"q": "a filter", "order": "newest or oldest", "limit": "50, 100 or 200"},
    "/bulk": {"verb": "retry, cancel, delete or run-now", "q": "a filter", "id": "of a job"},
    "/tree": {"node": "its number"},
    "/tree/chaos": {"node": "its number"},
    "/tree/predict": {"node": "its number", "actor": "its id", "verb": "such as crash"},
    "/errors": {"q": "a filter of the jobs"},
    "/error": {"fingerprint": "of the failures"},
    "/charts": {
        "window": ", ".join(WINDOWS),
        "queue": "its name",
        "worker": "its stored name, or what follows the colon",
        "node": "its number",
        "compare": "week: also the series of the same window a week before",
    },
    **dict.fromkeys(("/queue", "/queue/why", "/cron", "/limit"), _NAME),
}
"""What the query of a GET may have, beside the cursors of lists."""
ABOUT: Final = {
    **dict.fromkeys(("queue", "cron", "limit"), ("name",)),
    "error": ("fingerprint",),
}
"""What says in the query of a verb what it is about, by the first part of its path."""
CURSORS: Final = {"after": "the next of an answer", "before": "the previous of an answer"}
_TYPES: Final = {"int": "integer", "str": "string", "float": "number", "bool": "boolean"}
_PARAMETER: Final = re.compile(r"\{(\w+)(?::\w+)?\}")


def schema_of(kind: type) -> dict[str, Any]:
    """Return what a value of insights is in JSON."""
    shown = [each for each in fields(kind) if each.metadata != NOT_SHOWN]
    return {
        "type": "object",
        "properties": {each.name.removesuffix("_"): property_of(str(each.type)) for each in shown},
    }


def property_of(annotation: str) -> dict[str, Any]:
    """Return the schema of an annotation, as far as it is one of JSON's own types."""
    plain = annotation.removesuffix(" | None")
    found: dict[str, Any] = {}
    if plain in _TYPES:
        found = {"type": _TYPES[plain]}
    elif plain == "datetime":
        found = {"type": "string", "format": "date-time"}
    elif plain.startswith(("tuple[", "Sequence[", "list[")):
        found = {"type": "array", "items": {}}
    elif plain.startswith(("Mapping[", "dict[")):
        found = {"type": "object"}
    if found and plain != annotation:
        found["type"] = [found["type"], "null"]
    return found


def listed(kind: type) -> dict[str, Any]:
    """Return the schema of a list with its cursors."""
    cursor = {"type": ["integer", "string", "null"]}
    items = {"type": "array", "items": {"$ref": f"#/components/schemas/{kind.__name__}"}}
    return {"type": "object", "properties": {"items": items, "next": cursor, "previous": cursor}}


def operation(route: Page | Verb, path: str) -> dict[str, Any]:
    """Return what is asked and answered at a route."""
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "integer"}}
        for name in _PARAMETER.findall(route.path)
    ]
    answer: dict[str, Any] = {"type": "object"}
    made: dict[str, Any] = {}
    if isinstance(route, Page):
        query = {**QUERIES.get(path, {}), **(CURSORS if path in ITEMS else {})}
        parameters += [
            {"name": name, "in": "query", "description": text, "schema": {"type": "string"}}
            for name, text in query.items()
        ]
        if path in ITEMS:
            answer = listed(ITEMS[path])
        elif path in VALUES:
            answer = {"$ref": f"#/components/schemas/{VALUES[path].__name__}"}
    else:
        about = ABOUT.get(path.split("/")[1], ())
        parameters += [
            {"name": name, "in": "query", "required": True, "schema": {"type": "string"}}
            for name in about
        ]
        body = {"type": "object", "properties": {n: {} for n in sorted({*route.fields, "reason"})}}
        made = {"requestBody": {"content": {"application/json": {"schema": body}}}}
    return {
        "summary": route.words if isinstance(route, Verb) else route.name,
        "description": f"Takes the level {Access(route.level).name}.",
        "parameters": parameters,
        **made,
        "responses": {
            "200": {"description": "done", "content": {"application/json": {"schema": answer}}},
            "default": {"$ref": "#/components/responses/Refused"},
        },
    }


def document() -> dict[str, Any]:
    """Return the whole description."""
    paths: dict[str, Any] = {}
    for route in ALL_ROUTES:
        if route.has_api:
            path = _PARAMETER.sub(r"{\1}", route.path)
            shown = "/overview" if path == "/" else path
            method = str(route.method).lower()
            paths.setdefault(shown, {})[method] = operation(route, path)
    text = {"type": "string"}
    error = {"code": text, "message": text, "hint": {"type": ["string", "null"]}}
    refused = {"type": "object", "properties": {"error": {"type": "object", "properties": error}}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "antq_actors, the JSON API of the dashboard",
            "version": antq_actors.__version__,
        },
        "servers": [{"url": "/api/v1"}],
        "security": [{"bearer": []}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "responses": {
                "Refused": {
                    "description": "It was refused, and nothing has changed.",
                    "content": {"application/json": {"schema": refused}},
                }
            },
            "schemas": {
                kind.__name__: schema_of(kind)
                for kind in sorted({*ITEMS.values(), *VALUES.values()}, key=lambda k: k.__name__)
            },
        },
    }


def main() -> int:
    """Write the file, or with ``--check`` compare it."""
    text = json.dumps(document(), indent=2) + "\n"
    if "--check" in sys.argv:
        return int(not FILE.exists() or FILE.read_text(encoding="utf-8") != text)
    FILE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
