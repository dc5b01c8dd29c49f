"""The application: settings, repository and metrics go in; the routes come out."""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any

import falcon

from service.codecs.row_decoders import RowDecoders
from service.http import problems
from service.http.context import EXCHANGE, Request
from service.http.measurement import Measurement
from service.http.middleware import RequestId
from service.http.validation import JSONValidation
from service.monitoring.metrics import Metrics
from service.monitoring.model_gauges import ModelGauges
from service.monitoring.multiprocess import DIRECTORY, SlotsTaken, WorkerSlots
from service.repository.loader import Loader
from service.repository.repository import ModelRepository
from service.resources import api_docs, invocations, open_inference, prediction, probes, static, statistics
from service.settings import Settings, SettingsError

if TYPE_CHECKING:
    from service.http.cors import CrossOrigin
    from service.http.keys import Authentication


class Service(falcon.App[Request, falcon.Response]):
    """
    A Falcon app that measures its requests. It holds the repository, so that a rollout can refresh it.

    Attributes:
        routes: maps the template of a route to its resource, in the order of the route table.
        openapi: the resource that describes these routes.
        repository: the models that are served.
        metrics: counts the requests and the predictions.
        max_body_bytes: larger request bodies are refused.
        may_be_late: whether answers may be late. An extension might look at the content earlier.
        gauges: the gauges of the versions that serve.
    """

    def __init__(self, settings: Settings, repository: ModelRepository, metrics: Metrics) -> None:
        self.routes: dict[str, object] = {}
        self.openapi = api_docs.OpenAPI(self.routes, repository, settings)
        self._measurement = Measurement(metrics, settings.slow_request_seconds)
        self._authentication = _authentication(settings)
        self._validation = JSONValidation(repository, settings.max_body_bytes)
        optional = [each for each in (_cross_origin(settings), self._authentication) if each]
        middleware = [self._measurement, RequestId(), *optional, self._validation]
        super().__init__(request_type=Request, middleware=middleware, cors_enable=False)
        self.repository = repository
        self.metrics = metrics
        self.max_body_bytes = settings.max_body_bytes
        self.may_be_late = not settings.extensions
        self.gauges = ModelGauges(repository)
        metrics.lives = self.gauges.serves
        metrics.registry.register(self.gauges)

    def add_route(self, uri_template: str, resource: object, **kwargs: Any) -> None:
        """
        Add a route, and keep it for the OpenAPI document.

        Raises:
            TypeError: the resource takes a model, but does not name the decoder of its bodies.
        """
        self._validation.add(uri_template, resource)
        super().add_route(uri_template, resource, **kwargs)
        self.routes[uri_template] = resource

    def __call__(self, env: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request (PEP 3333)."""
        exchange = env[EXCHANGE] = self._measurement.begin()
        try:
            exchange.body = super().__call__(env, start_response)
        except BaseException:
            self._measurement.abort(exchange)
            raise
        return exchange

    def watched_files(self) -> list[tuple[str, object]]:
        """The files that the service reads again while it runs. Each has the fingerprint of its last reading."""
        return self._authentication.files if self._authentication else []

    def reload_keys(self) -> None:
        """Read the file of API keys again for this process and all workers. Does nothing if no file is set."""
        if self._authentication is not None:
            self._authentication.reload()


def create_app(settings: Settings, repository: ModelRepository, metrics: Metrics | None = None) -> Service:
    """Build the app around a repository."""
    metrics = metrics or Metrics()
    app = Service(settings, repository, metrics)
    problems.install(app, app.routes)
    predict, status = prediction.Predict(), prediction.ModelStatus(repository)
    _add_vertex_ai(app, settings, repository)
    _add_pages(app, settings)
    app.add_route("/healthz", probes.Health())
    app.add_route("/readyz", probes.Readiness(repository, settings))
    app.add_route("/metrics", probes.Scrape(metrics))
    app.add_route("/ping", probes.Readiness(repository, settings))
    app.add_route("/prediction", prediction.DefaultPredict(repository))
    app.add_route("/v1/models", prediction.Models(repository))
    app.add_route("/v1/models/{name}", status)
    app.add_route("/v1/models/{name}/versions/{version}", status)
    app.add_route("/v1/models/{name}:predict", predict)
    app.add_route("/v1/models/{name}/versions/{version}:predict", predict)
    app.add_route("/invocations", invocations.Invocations(settings))
    _add_inference(app, settings, repository, metrics)
    return app


def _add_pages(app: Service, settings: Settings) -> None:
    """Add the page, the API browser and the OpenAPI document."""
    if not settings.docs:
        app.add_route("/", probes.Root())
        return
    files = static.read_files()
    app.add_route("/", static.Page(files.pop(static.PAGE)))
    app.add_route("/static/{name}", static.Static(files))
    app.add_route("/openapi.json", app.openapi)
    browser = api_docs.Browser()
    app.add_route("/docs", browser)
    app.add_route("/docs/{name}", browser)


def _add_vertex_ai(app: Service, settings: Settings, repository: ModelRepository) -> None:
    """Add the paths that Vertex AI chooses. If it chooses a path of the route table, that route is added later."""
    if settings.aip_predict_route:
        app.add_route(settings.aip_predict_route, prediction.DefaultPredict(repository))
    if settings.aip_health_route:
        app.add_route(settings.aip_health_route, probes.Readiness(repository, settings))


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
        app.add_route(f"{model}/infer", open_inference.Infer(settings), compile=True)


def main(*, forks: bool = False) -> Service:
    """
    Build the app from the environment, and load its models. Gunicorn calls this.

    Args:
        forks: True if this process will fork the workers. Each worker then counts in a slot, and /metrics shows the
            sums over all slots.

    Raises:
        SystemExit: a setting is wrong, or another service uses the directory of the counters.
    """
    try:
        settings = Settings.from_environ(os.environ)
        metrics = Metrics(WorkerSlots.open(os.environ.get(DIRECTORY)) if forks else None)
        app = create_app(settings, open_repository(settings, metrics), metrics)
        _extend(app, settings.extensions or "")
    except (SettingsError, SlotsTaken) as ex:
        raise SystemExit(str(ex)) from None
    return app


def _extend(app: Service, modules: str) -> None:
    """
    Give the app to the function `extend` of each module, so that it can add endpoints, middleware and error handlers.

    Raises:
        SettingsError: a module cannot be found, or has no such function.
    """
    for name in filter(None, map(str.strip, modules.split(","))):
        try:
            module = import_module(name)
        except ModuleNotFoundError as ex:
            raise SettingsError(f"EXTENSIONS: there is no module {ex.name}; add its directory to PYTHONPATH.") from None
        if not callable(getattr(module, "extend", None)):
            raise SettingsError(f"EXTENSIONS: {name} has no function extend(app).")
        module.extend(app)


def open_repository(settings: Settings, metrics: Metrics | None = None) -> ModelRepository:
    """Open the repository that the settings name, and load or refuse each of its versions."""
    load, any_is_enough = Loader(settings, RowDecoders), settings.ready == "any"
    default = settings.default_model
    repository = ModelRepository(settings.models_dir, load, default, metrics, any_is_enough=any_is_enough)
    repository.refresh()
    return repository


def _cross_origin(settings: Settings) -> CrossOrigin | None:
    if settings.cors_origins is None:
        return None
    from service.http.cors import CrossOrigin

    return CrossOrigin(settings.cors_origins)


def _authentication(settings: Settings) -> Authentication | None:
    if settings.api_keys_file is None:
        return None
    from service.http.keys import Authentication, open_paths

    return Authentication(settings.api_keys_file, open_paths(settings) | api_docs.OPEN_PATHS)
