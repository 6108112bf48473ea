"""gunicorn, with the application started before the first request of each worker."""


def post_fork(server, worker):
    from shop.with_flask import web

    web.extensions["antq"].start(queues=False)
