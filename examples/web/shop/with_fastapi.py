"""The shop on FastAPI. Run: uvicorn shop.with_fastapi:web."""

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from antq_actors import JobNotFound, StorageError
from antq_actors.integrations import asgi
from antq_actors.integrations.asgi import AntQDep
from shop.jobs import app, write_receipt

web = FastAPI(lifespan=asgi.lifespan(app, queues=False))  # `antq start shop.jobs:app` runs the jobs


@web.post("/orders/{order}/receipt", status_code=202)
async def request_receipt(order: int, email: str) -> dict[str, object]:
    job = await write_receipt.aperform_async(order=order, email=email)
    return {"id": job.id, "status": job.status}


@web.get("/jobs/{job_id}")
def show_job(job_id: int, antq: AntQDep) -> dict[str, object]:
    job = antq.get_job(job_id)
    return {"id": job.id, "status": job.status, "attempts": job.attempts}


@web.exception_handler(JobNotFound)
async def job_not_found(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": str(error)}, status_code=404)


@web.exception_handler(StorageError)
async def not_accepted(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": "not accepted, try again later"}, status_code=503)
