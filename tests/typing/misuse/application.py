"""A misused application: mypy and pyright refuse each line that is marked, and no other one."""

from antq_actors import AntQ, Job, QueueConfig, Worker, worker
from antq_actors.telemetry import JobEnded, JobStarted, log_events


class Mail(Worker):
    def perform(self, job: Job) -> None: ...


@worker
def send(email: str) -> None: ...


def plain(email: str) -> None: ...


AntQ(que={"mail": 5})  # refused
AntQ(queues={"mail": "5"})  # refused
app = AntQ()

QueueConfig(concurency=5)  # refused
QueueConfig(executor="proces")  # refused
QueueConfig(max_jobs="100")  # refused

app.enqueue(send, email="x")  # refused
app.enqueue(send, {"email": "x"}, prioritiy=5)  # refused
app.enqueue(plain, {"email": "x"})  # refused
app.enqueue(Mail, {"email": "x"}, schedule_in="60")  # refused
app.enqueue_many(Mail, {"email": "x"}, max_atempts=2)  # refused
app.list_jobs(status="fialed")  # refused
app.list_jobs(status=["completed", "fialed"])  # refused
app.list_jobs(queue_name="mail")  # refused
app.list_jobs(failed_after="2026-01-01")  # refused
app.list_workers(status="fialed")  # refused
app.count_jobs(status="bogus")  # refused
app.count_workers(status={"bogus"})  # refused
app.export_jobs(status="bogus")  # refused
app.get_job("1")  # refused
app.run_now("1")  # refused
app.retry_jobs(status="fialed")  # refused
app.cancel_jobs(queue_name="mail")  # refused
app.delete_jobs(spread=5)  # refused
app.cancel_workers(queue="mail")  # refused
app.reschedule(1, schedule_in="60")  # refused
app.get_job(1).id = 5  # refused
assert app.get_job(1).stauts  # refused


def on_end(event: JobEnded) -> None: ...


app.subscribe(on_end, JobStarted)  # refused
app.subscribe(on_end, "JobEnded")  # refused
log_events("xml")  # refused


async def enqueue() -> None:
    await app.aenqueue(Mail, {"email": "x"}, que="mail")  # refused
    await app.aenqueue_many(Mail, [{"email": "x"}], que="mail")  # refused
    await app.alist_jobs(status="fialed")  # refused
    await app.alist_jobs(queue_name="mail")  # refused
