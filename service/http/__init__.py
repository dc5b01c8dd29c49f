"""
Steps that surround every request: its id, keys, validation, errors and measurement.

    middleware.py    the request's id
    context.py       the facts of a request: its id, key, model and prediction
    keys.py          API keys
    cors.py          pages of other origins
    deadline.py      deadlines that clients set
    body.py          reads a body, up to a limit
    validation.py    finds the model, and reads the body for it
    inference.py     a model predicts a table
    problems.py      the one shape of all errors
    measurement.py   counts each request, and logs slow ones
    tracing.py       spans, if OpenTelemetry started the process
    openapi/         the OpenAPI document
"""
