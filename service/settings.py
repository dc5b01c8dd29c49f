"""Every environment variable that the service reads. conf/gunicorn.py reads the variables of the processes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

Positive = Annotated[int, Meta(ge=1)]
Port = Annotated[int, Meta(ge=1, le=65535)]
Route = Annotated[str, Meta(pattern=r"^(/[A-Za-z0-9._~:@-]+)+$")]
Origins = Annotated[
    str, Meta(pattern=r"^(\*|https?://[a-z0-9.-]+(:[0-9]{1,5})?([ ,]+https?://[a-z0-9.-]+(:[0-9]{1,5})?)*)$")
]
Names = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}( *, *[A-Za-z0-9][A-Za-z0-9_-]{0,62})*$")]
Level = Literal["debug", "info", "warning", "error", "critical"]


class SettingsError(Exception):
    """The value of an environment variable is not allowed."""


class Settings(Struct, frozen=True, kw_only=True):
    """
    The settings; each field is an environment variable in upper case.

    Attributes:
        models_dir: the directory of the models: <name>/<version>/manifest.json.
        default_model: the model behind /prediction. If unset: the only model, or iris if there are several.
        max_body_bytes: larger request bodies are answered 413.
        max_rows: requests with more rows are answered 413.
        ready: "all": the service is ready once all models serve; "any": once one model serves.
        models_poll_seconds: how often the watcher looks for new models; 0 is never.
        api_keys_file: a file of API keys, one key a line. If unset, requests need no key.
        allow_pickle: whether a model may be unpickled, which runs code from its file.
        trust_code: names of models, joined by commas, whose versions may run code of their own.
        skops_types_file: a file of types that skops may build, in addition to conf/skops-types.txt.
        runtime: serve through this runtime only; "auto" takes the runtime that each manifest names.
        trial_seconds: how long a model may take to load and to answer its golden rows.
        slow_request_seconds: requests that take this long or longer are logged.
        request_seconds: how long a request may take. Then the proxy answers 504; 5 s later the worker is replaced.
        log_level: the least severe level that is logged.
        arrow: True if /invocations takes Parquet files and Arrow streams. This needs pyarrow.
        cors_origins: the origins whose pages may call the service, joined by commas, or *. Its own page always may.
        extensions: your own modules, joined by commas. The function `extend` of each module gets the app.
        docs: True if the page, the API browser and the OpenAPI document are served.
        aip_predict_route: a second path for the predictions of the default model. Vertex AI sets it.
        aip_health_route: a second path for readiness. Vertex AI sets it.
    """

    models_dir: Path = Path("models")
    default_model: str | None = None
    max_body_bytes: Positive = 16 * 1024 * 1024
    max_rows: Positive = 100_000
    ready: Literal["all", "any"] = "all"
    models_poll_seconds: Annotated[float, Meta(ge=0)] = 0.0
    api_keys_file: Path | None = None
    allow_pickle: bool = False
    trust_code: Names | None = None
    skops_types_file: Path | None = None
    runtime: Literal["auto", "onnx", "sklearn"] = "auto"
    trial_seconds: Annotated[float, Meta(gt=0)] = 60.0
    slow_request_seconds: Annotated[float, Meta(gt=0)] = 1.0
    request_seconds: Annotated[int, Meta(ge=1, le=999)] = 25
    log_level: Level = "info"
    arrow: bool = False
    cors_origins: Origins | None = None
    extensions: str | None = None
    docs: bool = True
    aip_predict_route: Route | None = None
    aip_health_route: Route | None = None

    def trusts(self, model: str) -> bool:
        """Whether the versions of a model may run code of their own."""
        return self.trust_code is not None and model in map(str.strip, self.trust_code.split(","))

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """
        Read the settings from the environment. An empty variable counts as unset.

        Raises:
            SettingsError: a value is not allowed; the sentence names the variable.
        """
        names = {name.upper(): name for name in cls.__struct_fields__}
        given = {names[key]: value for key, value in environ.items() if key in names and value}
        try:
            return msgspec.convert(given, cls, strict=False, dec_hook=lambda kind, value: kind(value))
        except msgspec.ValidationError as ex:
            name = str(ex).rpartition("$.")[2].rstrip("`")
            raise SettingsError(f"{name.upper()}: {_wanted(name) or str(ex).partition(' - at ')[0]}.") from None


def _wanted(name: str) -> str | None:
    """A sentence on the values that a setting takes; None if every text is a value."""
    kind = get_type_hints(Settings, include_extras=True).get(name)
    if kind is bool:
        return "It must be 1 or 0"
    if get_origin(kind) is Literal:
        return f"It must be one of {', '.join(get_args(kind))}"
    if Names in get_args(kind):
        return "It must be names of models, joined by commas, such as churn,iris"
    if Origins in get_args(kind):
        return "It must be * or origins in lower case, such as https://app.example.com, http://localhost:3000"
    if Route in get_args(kind):
        return "It must be a path, such as /predict"
    return _number(*get_args(kind)) if get_origin(kind) is Annotated else None


def _number(kind: type, limits: Meta) -> str:
    least = f"{limits.ge} or more" if limits.gt is None else f"more than {limits.gt}"
    return f"It must be a {'whole ' * (kind is int)}number, {least}{f', up to {limits.le}' * bool(limits.le)}"


OTHERS = frozenset(
    {"CONNECTIONS_PER_ADDRESS", "HSTS_SECONDS", "HTTPS_PORT", "HTTP_PORT", "PORT", "PROMETHEUS_MULTIPROC_DIR",
     "RATE_LIMIT", "SAGEMAKER_BIND_TO_PORT", "TLS", "TLS_DIRECTORY", "TRUSTED_PROXIES", "WEB_CONCURRENCY"}
)  # fmt: skip
"""The variables that the processes, the containers and the proxy read."""

_ALIKE = 0.85
"""Two names are alike if their similarity is at least this: MODEL_DIR and MODELS_DIR have 0.95."""


def misspelled(environ: Mapping[str, str]) -> list[str]:
    """A sentence for each environment variable that is no setting, but whose name is nearly the name of a setting."""
    from difflib import get_close_matches

    known = {name.upper() for name in Settings.__struct_fields__} | OTHERS
    others = [name for name in environ if name not in known and not name.startswith("AIP_")]
    found = {name: get_close_matches(name, known, 1, _ALIKE) for name in sorted(others)}
    return [f"{name} is not a setting: did you mean {alike[0]}?" for name, alike in found.items() if alike]


def platform_port(environ: Mapping[str, str]) -> int | None:
    """
    The port on which a platform expects the service; None if no platform set a port.

    Cloud Run, Knative and Heroku set `PORT`. SageMaker sets `SAGEMAKER_BIND_TO_PORT`. Vertex AI sets `AIP_HTTP_PORT`.

    Raises:
        SettingsError: the value is no port.
    """
    for name in ("PORT", "SAGEMAKER_BIND_TO_PORT", "AIP_HTTP_PORT"):
        if given := environ.get(name):
            try:
                return msgspec.convert(given, Port, strict=False)
            except msgspec.ValidationError:
                raise SettingsError(f"{name}: It must be a port from 1 to 65535.") from None
    return None
