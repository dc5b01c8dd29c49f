"""How resources that predict get their model and body."""

from __future__ import annotations

from pathlib import Path

import falcon
import falcon.testing
import numpy as np
import pytest

from service.app import Service, create_app, open_repository
from service.http.context import Request
from service.http.inference import predict
from service.http.validation import RowResource
from service.repository.model import Model
from service.settings import Settings
from service.table import Table

ROW = [5.1, 3.5, 1.4, 0.2]


class Labels(RowResource):
    """Answers with the labels alone; its body has a row on each line, without brackets."""

    decoders = {"text/plain": lambda model, body: model.decoders.csv.decode_rows(body)}  # noqa: RUF012

    def on_post(self, req: Request, resp: falcon.Response, model: Model, table: Table) -> None:
        """Answer with them."""
        resp.media = predict(req, model, table).predict.tolist()


class Forgetful:
    """A resource that takes a model, but has no `read`."""

    def on_post(self, req: Request, resp: falcon.Response, model: Model) -> None:
        """Answer with the name."""
        resp.media = model.name


@pytest.fixture
def service(iris_dir: Path) -> Service:
    """The service of iris."""
    settings = Settings(models_dir=iris_dir)
    return create_app(settings, open_repository(settings))


def test_a_resource_gets_the_model_and_the_table(service: Service) -> None:
    """The table comes from the decoder of the content type, and the prediction is counted for the model."""
    service.add_route("/labels/{name}", Labels())

    answer = falcon.testing.TestClient(service).simulate_post(
        "/labels/iris", body=",".join(map(str, ROW)), content_type="text/plain"
    )

    model = service.repository.get("iris")
    expected = model.runtime.predict(Table.from_matrix(model.signature, np.array([ROW]))).predict.tolist()
    assert answer.json == expected
    assert b'inference_rows_total{model="iris",version="1"} 1.0' in service.metrics.exposition()


def test_a_resource_that_takes_a_model_must_read_bodies(service: Service) -> None:
    """Adding the route fails with a sentence, so that no request can fail later."""
    with pytest.raises(TypeError, match=r"Forgetful\.on_post takes a model, so the class needs a method `read`"):
        service.add_route("/forgetful/{name}", Forgetful())


def test_a_part_of_the_path_may_be_called_model(service: Service) -> None:
    """Such a resource of a user's own predicts nothing, and needs no method `read`."""

    class Cars:
        def on_post(self, req: Request, resp: falcon.Response, model: str) -> None:
            resp.media = {"model": model}

    service.add_route("/cars/{model}", Cars())

    assert falcon.testing.TestClient(service).simulate_post("/cars/beetle").json == {"model": "beetle"}


def test_an_extension_may_note_more_of_a_request(service: Service) -> None:
    """The context also takes attributes of other middleware."""

    class Tenant:
        def process_request(self, req: Request, resp: falcon.Response) -> None:
            req.context.tenant = "blue"  # type: ignore[attr-defined]

        def process_response(self, req: Request, resp: falcon.Response, resource: object, succeeded: bool) -> None:
            resp.set_header("X-Tenant", req.context.tenant)  # type: ignore[attr-defined]

    service.add_middleware(Tenant())

    assert falcon.testing.TestClient(service).simulate_get("/healthz").headers["x-tenant"] == "blue"
