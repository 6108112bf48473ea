"""A shop to test: its application, its jobs and its web server in one module."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from antq_actors import AntQ, Job, Worker, worker

app = AntQ(os.environ["SHOP_JOBS"] or None)  # empty in tests, to keep jobs in memory
sent: list[str] = []


@worker(max_attempts=3)
def send_receipt(email: str) -> None:
    if "@" not in email:
        raise ValueError(f"not an address: {email}")
    sent.append(email)


class Remind(Worker, max_attempts=2, retry_delay=600):
    def perform(self, job: Job) -> None:
        raise ConnectionError(f"cannot reach the server of {job.args['email']}")


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    app.start(queues=False)
    yield
    app.stop()


web = FastAPI(lifespan=lifespan)


@web.post("/receipts", status_code=202)
def request_receipt(email: str) -> int:
    Remind.perform_async({"email": email}, schedule_in=86_400)
    return send_receipt.perform_async(email=email).id
