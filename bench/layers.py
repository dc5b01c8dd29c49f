"""
CPU microseconds for one row inside the app, by layer: `python -m bench.layers`.

Each layer is called alone in a loop; the whole is a bare WSGI call. The best of several rounds counts, because the
machine is never quiet.
"""

from __future__ import annotations

import gc
import io
import os
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import falcon
from falcon.testing import create_environ

from bench.timing import microseconds
from service.app import create_app, open_repository
from service.http.context import Request
from service.resources.prediction import Predict
from service.settings import Settings

BODY = b'{"instances":[[5.1,3.5,1.4,0.2]]}'


class Empty:
    """A resource that does nothing, to measure the framework."""

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer a constant."""
        resp.data = b"{}"


def post(app: Any, path: str, body: bytes = BODY) -> Callable[[], Any]:
    """A POST to an app."""
    environ = create_environ(path, method="POST", headers={"Content-Type": "application/json"})
    environ["CONTENT_LENGTH"] = str(len(body))

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        if not status.startswith("200"):
            raise RuntimeError(status)

    return lambda: app({**environ, "wsgi.input": io.BytesIO(body)}, start_response)


def main() -> None:
    """Print the table."""
    gc.freeze()  # as the workers do
    settings = Settings()
    app = create_app(settings, open_repository(settings))
    model = app.repository.get()
    table = model.decoders.instances.decode_rows(BODY)
    prediction = model.runtime.predict(table)
    bare: falcon.App[falcon.Request, falcon.Response] = falcon.App()
    bare.add_route("/", Empty())
    encode, request = Predict(), create_environ("/")
    response = falcon.Response()

    class Ready:
        platform = ""

        def predict(self, table: Any) -> Any:
            return prediction

    from msgspec.structs import replace

    answered = replace(model, runtime=Ready())
    req = Request(request)
    layers = {
        "the whole app": post(app, "/prediction"),
        "  falcon, bare": post(bare, "/"),
        "  decode and validate": lambda: model.decoders.instances.decode_rows(BODY),
        "  runtime": lambda: model.runtime.predict(table),
        "  encode": lambda: encode.on_post(req, response, answered, table),
    }
    for name, call in layers.items():
        print(f"{name:24s}{microseconds(call):8.1f}")


if __name__ == "__main__":
    main()
