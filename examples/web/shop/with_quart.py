"""The shop on Quart. Run: hypercorn shop.with_quart:web, or quart --app shop.with_quart:web run."""

from quart import Quart, current_app, request

from antq_actors import JobNotFound, StorageError
from antq_actors.integrations.quart import AntQ
from shop.jobs import write_receipt

web = Quart(__name__)
web.config.update(ANTQ_PATH="jobs", ANTQ_QUEUES={"default": 10}, ANTQ_APP="shop.with_quart:web")
AntQ(web)  # `quart --app shop.with_quart:web antq start` runs the jobs


@web.post("/orders/<int:order>/receipt")
async def request_receipt(order: int):
    job = await write_receipt.aperform_async(order=order, email=request.args["email"])
    return {"id": job.id, "status": job.status}, 202


@web.get("/jobs/<int:job_id>")
async def show_job(job_id: int):
    job = await current_app.extensions["antq"].aget_job(job_id)
    return {"id": job.id, "status": job.status, "attempts": job.attempts}


@web.errorhandler(JobNotFound)
async def job_not_found(error: JobNotFound):
    return {"error": str(error)}, 404


@web.errorhandler(StorageError)
async def not_accepted(error: StorageError):
    return {"error": "not accepted, try again later"}, 503
