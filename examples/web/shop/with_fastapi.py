"""The shop on FastAPI. Run: uvicorn shop.with_fastapi:web."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from antq_actors import JobNotFound, StorageError
from shop.jobs import app, write_receipt


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    app.start(queues=False)  # no jobs run here; `antq start shop.jobs:app` runs them
    yield
    app.stop()


web = FastAPI(lifespan=lifespan)


@web.post("/orders/{order}/receipt", status_code=202)
async def request_receipt(order: int, email: str) -> dict[str, object]:
    job = await write_receipt.aperform_async(order=order, email=email)
    return {"id": job.id, "status": job.status}


@web.get("/jobs/{job_id}")
def show_job(job_id: int) -> dict[str, object]:
    job = app.get_job(job_id)
    return {"id": job.id, "status": job.status, "attempts": job.attempts}


@web.exception_handler(JobNotFound)
async def job_not_found(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": str(error)}, status_code=404)


@web.exception_handler(StorageError)
async def not_accepted(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": "not accepted, try again later"}, status_code=503)
