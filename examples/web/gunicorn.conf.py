"""gunicorn, with the application started before the first request of each worker."""


def post_fork(server, worker):
    from shop.jobs import app

    app.start(queues=False)
