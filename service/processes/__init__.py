"""
Gunicorn's master and workers, and the watcher of the models directory.

    hooks.py              the functions that Gunicorn calls in master and workers
    startup.py            signals while the models load
    stop_signals.py       signals that ask for a stop, in the queue of the master
    announcement.py       tells people and `reload` which versions serve
    rollouts.py           loads new versions, and keeps the watcher running
    watcher.py            sends SIGHUP if models or keys are new
    extra_workers.py      adds workers while all others are busy
    worker.py             the worker: calls the app for each request
    event_loop.py         reads and writes all connections of a worker
    accepting.py          takes new connections
    connection.py         one client's connection
    queues.py             connections by their deadlines
    chunks.py             chunked bodies
    sending.py            sends answers
    unsent.py             answers that wait for the others of a turn
    budget.py             the memory for bytes that wait
    relay.py              gives connections to another worker
    crashes.py            notes which requests crashed workers
    plain_request.py      reads plain requests by llhttp, the short way
    plain_environ.py      the WSGI environment of a plain request
    plain_response.py     the answer to a plain request, written at once
    gunicorn_patches.py   Gunicorn's request and response, adapted
    confinement.py        takes rights away from workers
    memory.py             gives memory back, and limits the number of workers
"""
