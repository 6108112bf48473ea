"""The shop on Flask. Run: gunicorn shop.with_flask:web, or flask --app shop.with_flask:web run."""

from flask import Flask, current_app, request

from antq_actors import JobNotFound, StorageError
from antq_actors.integrations.flask import AntQ
from shop.jobs import write_receipt

web = Flask(__name__)
web.config.update(ANTQ_PATH="jobs", ANTQ_QUEUES={"default": 10}, ANTQ_APP="shop.with_flask:web")
AntQ(web)  # `flask --app shop.with_flask:web antq start` runs the jobs


@web.post("/orders/<int:order>/receipt")
def request_receipt(order: int):
    job = write_receipt.perform_async(order=order, email=request.args["email"])
    return {"id": job.id, "status": job.status}, 202


@web.get("/jobs/<int:job_id>")
def show_job(job_id: int):
    job = current_app.extensions["antq"].get_job(job_id)
    return {"id": job.id, "status": job.status, "attempts": job.attempts}


@web.errorhandler(JobNotFound)
def job_not_found(error: JobNotFound):
    return {"error": str(error)}, 404


@web.errorhandler(StorageError)
def not_accepted(error: StorageError):
    return {"error": "not accepted, try again later"}, 503
