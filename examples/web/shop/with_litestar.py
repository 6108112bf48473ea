"""The shop on Litestar. Run: uvicorn shop.with_litestar:web, or hypercorn."""

from litestar import Litestar, Request, Response, get, post
from litestar.di import NamedDependency

from antq_actors import AntQ, JobNotFound, StorageError
from antq_actors.integrations.litestar import AntQPlugin
from shop.jobs import app, write_receipt


@post("/orders/{order:int}/receipt", status_code=202)
async def request_receipt(order: int, email: str) -> dict[str, object]:
    job = await write_receipt.aperform_async(order=order, email=email)
    return {"id": job.id, "status": job.status}


@get("/jobs/{job_id:int}", sync_to_thread=True)
def show_job(job_id: int, antq: NamedDependency[AntQ]) -> dict[str, object]:
    job = antq.get_job(job_id)
    return {"id": job.id, "status": job.status, "attempts": job.attempts}


def job_not_found(_: Request, error: JobNotFound) -> Response:
    return Response({"error": str(error)}, status_code=404)


def not_accepted(_: Request, error: StorageError) -> Response:
    return Response({"error": "not accepted, try again later"}, status_code=503)


web = Litestar(
    [request_receipt, show_job],
    plugins=[AntQPlugin(app, queues=False)],  # `litestar --app shop.with_litestar:web antq start`
    exception_handlers={JobNotFound: job_not_found, StorageError: not_accepted},
)
