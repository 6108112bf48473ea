"""A shop whose store has jobs in every state, for pages to show."""

import threading
from datetime import timedelta

from support.apps import until

from antq_actors import (
    AntQ,
    Concurrency,
    Cron,
    Every,
    QueueConfig,
    RateLimit,
    Status,
    Worker,
    Workflow,
    otp,
)
from antq_actors.insights import Access, Insights, Visitor

QUEUES = {
    "default": 4,
    "mail": QueueConfig(concurrency=2, rate_limit=RateLimit(500, per=60, burst=100)),
    "billing": 2,
    "reports": 1,
}
ended = threading.Event()
"""Set where the jobs that run may end."""


class SendReceipt(Worker, name="shop.mail:SendReceipt", queue="mail"):
    def perform(self, job):
        job.progress(1.0, "sent")


class ChargeCard(Worker, name="shop.billing:ChargeCard", max_attempts=1):
    def perform(self, job):
        raise TimeoutError(f"payment gateway did not answer for order {job.args['order']}")


class ImportRow(Worker, name="shop.stock:ImportRow", max_attempts=1):
    def perform(self, job):
        if job.args["row"] % 4 == 0:
            raise ValueError(f"row {job.args['row']}: the price is no number")


class SyncStock(Worker, name="shop.stock:SyncStock", max_attempts=20, retry_delay=3600):
    def perform(self, job):
        raise ConnectionError("the warehouse refused the connection")


class RenderReport(
    Worker, name="shop.reports:RenderReport", concurrency=Concurrency(2, key="region")
):
    def perform(self, job):
        job.progress(0.4, f"page 4 of 10, {job.args['region']}")
        ended.wait()


class Invoice(Worker, name="shop.billing:Invoice", queue="billing"):
    def perform(self, job):
        pass


CRONS = [
    Cron("0 3 * * *", tz="Europe/Berlin", worker=SendReceipt, name="nightly receipts"),
    Cron("*/5 8-18 * * mon-fri", worker=ImportRow, name="import", args={"row": 1}),
    Every(86_400, worker=SyncStock, name="sync"),
]


def application(path):
    """Return the application of the shop; it runs its queues."""
    return AntQ(path, queues=QUEUES, crons=CRONS)


def fill(app):
    """Store jobs in every state, and wait until they have it."""
    app.queue("billing").pause(by="ada", reason="deploy of the ledger")
    for order in range(1, 31):
        app.enqueue(SendReceipt, {"order": order, "email": f"customer{order}@example.com"})
    with app.batch("import of the price list") as batch:
        batch.enqueue_many(ImportRow, ({"row": row} for row in range(1, 13)))
    app.batch("import of tomorrow").enqueue_many(ImportRow, [{"row": 1}, {"row": 2}])
    for order, user in ((101, 42), (102, 42), (103, 7)):
        app.enqueue(ChargeCard, {"order": order, "user": {"id": user, "token": "s3cret"}})
    app.enqueue_many(SyncStock, [{"warehouse": name} for name in ("east", "west")])
    app.enqueue_many(Invoice, ({"order": order} for order in range(1, 13)), priority=2)
    until(lambda: app.count_jobs(status=[Status.ENQUEUED, Status.RUNNING]) == 12, "the plain jobs")
    for region in ("eu", "us", "us", "us"):
        app.enqueue(RenderReport, {"region": region}, queue="default")
    for hours in (1, 5, 24):
        app.enqueue(SendReceipt, {"newsletter": hours}, schedule_in=timedelta(hours=hours))
    for _ in range(2):
        app.cancel_job(app.enqueue(SendReceipt, {"newsletter": 0}, schedule_in=3600))
    app.start_workflow(closing_the_month())
    until(lambda: app.count_jobs(status=Status.RUNNING) == 3, "the reports that run")
    # A change of many jobs, all of which refuse it.
    verbs = Insights(app).verbs(Visitor(Access.OPERATE, "ada"))
    number = verbs.bulk(verb="run-now", q="status:cancelled", expect="2").more["id"]
    until(lambda: Insights(app).bulk(number).state == "done", "the change of many jobs")


def closing_the_month():
    """Return a workflow that waits for its first node."""
    flow = Workflow("closing the month")
    ledger = flow.add(Invoice, {"order": 0}, name="ledger")
    rows = [flow.add(ImportRow, {"row": n}, name=f"row {n}", after=ledger) for n in (1, 2, 3)]
    flow.add(RenderReport, {"region": "eu"}, name="report", after=rows)
    return flow


class Till(otp.GenServer):
    """An actor of the shop, which one may crash."""

    def handle_call(self, request):
        return request


class Tills(otp.Supervisor):
    """Tills that restart together with what was opened after them."""

    def init_children(self):
        children = [Till.child_spec(name=f"till-{n}", id=f"till {n}") for n in (1, 2, 3)]
        return children, {"strategy": otp.Strategy.REST_FOR_ONE, "max_restarts": 5}
