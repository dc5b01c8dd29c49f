"""
Gunicorn's master and workers, and the watcher of the models directory.

    hooks.py              what Gunicorn calls in the life of master and workers
    startup.py            signals while the models load
    announcement.py       what the master says at its start, for people and `reload`
    rollouts.py           rolls out, and looks after the watcher
    watcher.py            sends SIGHUP if models or keys are new
    extra_workers.py      adds workers while all others are busy
    worker.py             the worker: has the app answer
    event_loop.py         reads and writes all connections of a worker
    accepting.py          takes new connections
    connection.py         one client's connection
    queues.py             connections by their deadlines
    chunks.py             chunked bodies
    sending.py            sends answers
    budget.py             the memory for bytes that wait
    relay.py              gives connections to another worker
    crashes.py            notes which requests crashed workers
    plain_request.py      the short way of plain requests, by llhttp
    plain_environ.py      the WSGI environment of a plain request
    plain_response.py     the answer to a plain request, written at once
    gunicorn_patches.py   Gunicorn's request and response, adapted
    confinement.py        the rights that workers keep
    memory.py             memory that is given back
"""
