"""The application: collaborators in, routes out."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import falcon

from service.codecs.row_decoders import RowDecoders
from service.http import middleware, problems
from service.http.context import EXCHANGE
from service.http.measurement import Measurement
from service.http.validation import JSONValidation
from service.monitoring.metrics import Metrics
from service.monitoring.model_gauges import Inventory
from service.monitoring.multiprocess import DIRECTORY, Slots, SlotsTaken
from service.repository.loader import Loader
from service.repository.repository import ModelRepository
from service.resources import invocations, open_inference, prediction, probes, statistics
from service.settings import Settings, SettingsError


class Service(falcon.App[falcon.Request, falcon.Response]):
    """A Falcon app that measures its requests, and knows its repository, so that a rollout can refresh it."""

    def __init__(self, settings: Settings, repository: ModelRepository, metrics: Metrics) -> None:
        self._measurement = Measurement(metrics, settings.slow_request_seconds)
        super().__init__(middleware=[self._measurement, *_middleware(settings, repository)], cors_enable=False)
        self.repository = repository
        self.metrics = metrics
        self.max_body_bytes = settings.max_body_bytes
        self.inventory = Inventory(repository)
        metrics.lives = self.inventory.has
        metrics.registry.register(self.inventory)

    def __call__(self, env: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request (PEP 3333)."""
        exchange = env[EXCHANGE] = self._measurement.begin()
        try:
            exchange.body = super().__call__(env, start_response)
        except BaseException:
            self._measurement.abort(exchange)
            raise
        return exchange


def create_app(settings: Settings, repository: ModelRepository, metrics: Metrics | None = None) -> Service:
    """Build the app around a repository."""
    metrics = metrics or Metrics()
    app = Service(settings, repository, metrics)
    problems.install(app)
    predict, status = prediction.Predict(), prediction.ModelStatus(repository)
    _add_vertex_ai(app, settings, repository)
    app.add_route("/", probes.Root())
    app.add_route("/healthz", probes.Health())
    app.add_route("/readyz", probes.Readiness(repository))
    app.add_route("/metrics", probes.Scrape(metrics))
    app.add_route("/ping", probes.Readiness(repository))
    app.add_route("/invocations", invocations.Invocations())
    app.add_route("/prediction", prediction.DefaultPredict(repository))
    app.add_route("/v1/models", prediction.Models(repository))
    app.add_route("/v1/models/{name}", status)
    app.add_route("/v1/models/{name}/versions/{version}", status)
    app.add_route("/v1/models/{name}:predict", predict)
    app.add_route("/v1/models/{name}/versions/{version}:predict", predict)
    _add_inference(app, settings, repository, metrics)
    return app


def _add_vertex_ai(app: Service, settings: Settings, repository: ModelRepository) -> None:
    """The paths that Vertex AI chooses; where it chooses one of those that there are anyway, these are added later."""
    if settings.aip_predict_route:
        app.add_route(settings.aip_predict_route, prediction.DefaultPredict(repository))
    if settings.aip_health_route:
        app.add_route(settings.aip_health_route, probes.Readiness(repository))


def _add_inference(app: Service, settings: Settings, repository: ModelRepository, metrics: Metrics) -> None:
    server = open_inference.Server()
    app.add_route("/v2", server)
    app.add_route("/v2/", server)
    app.add_route("/v2/health/live", open_inference.Live())
    app.add_route("/v2/health/ready", open_inference.Ready(repository))
    app.add_route("/v2/models", prediction.Models(repository))
    app.add_route("/v2/repository/index", open_inference.RepositoryIndex(repository, settings))
    app.add_route("/v2/repository/models/{name}/load", open_inference.Rollout())
    app.add_route("/v2/repository/models/{name}/unload", open_inference.Rollout())
    for model in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        app.add_route(model, open_inference.ModelMetadata(repository, metrics))
        app.add_route(f"{model}/ready", open_inference.ModelReady(repository))
        app.add_route(f"{model}/config", open_inference.ModelConfig(repository, settings))
        app.add_route(f"{model}/stats", statistics.Statistics(repository, metrics))
        app.add_route(f"{model}/infer", open_inference.Infer(repository, settings), compile=True)


def main(*, forks: bool = False) -> Service:
    """
    Build the app that the environment describes, its models loaded: what Gunicorn calls.

    Args:
        forks: whether this process will fork the workers, which then count in the slots that it gives them.
    """
    try:
        settings = Settings.from_environ(os.environ)
        metrics = Metrics(Slots.open(os.environ.get(DIRECTORY)) if forks else None)
        return create_app(settings, open_repository(settings, metrics), metrics)
    except (SettingsError, SlotsTaken) as ex:
        raise SystemExit(str(ex)) from None


def open_repository(settings: Settings, metrics: Metrics | None = None) -> ModelRepository:
    """The repository that the settings name, with all that it has loaded or refused."""
    repository = ModelRepository(settings.models_dir, Loader(settings, RowDecoders), settings.default_model, metrics)
    repository.refresh()
    return repository


def _middleware(settings: Settings, repository: ModelRepository) -> list[Any]:
    authentication = []
    if settings.api_keys_file:
        open_paths = middleware.OPEN_PATHS | {settings.aip_health_route or "/ping"}
        authentication.append(middleware.Authentication.from_file(settings.api_keys_file, open_paths))
    validation = JSONValidation(repository, settings.max_body_bytes)
    return [middleware.RequestId(), *authentication, validation]
