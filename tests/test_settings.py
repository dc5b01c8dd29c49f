"""Settings come from the environment. A wrong setting gets a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.app import main
from service.settings import OTHERS, Settings, SettingsError, misspelled, platform_port


def test_without_variables_the_defaults_hold() -> None:
    """The defaults of the contract."""
    settings = Settings.from_environ({})

    assert settings == Settings()
    assert (settings.models_dir, settings.default_model) == (Path("models"), None)
    assert (settings.max_body_bytes, settings.max_rows) == (16777216, 100000)
    assert (settings.allow_pickle, settings.api_keys_file, settings.log_level) == (False, None, "info")


def test_variables_are_read_by_type() -> None:
    """Text becomes paths, numbers and booleans. An empty variable counts as unset. Other variables are ignored."""
    settings = Settings.from_environ(
        {"MODELS_DIR": "/m", "MAX_ROWS": "5", "ALLOW_PICKLE": "1", "API_KEYS_FILE": "", "max_rows": "7", "PATH": "/bin"}
    )

    assert (settings.models_dir, settings.max_rows, settings.allow_pickle) == (Path("/m"), 5, True)
    assert settings.api_keys_file is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_ROWS", "many"),
        ("MAX_ROWS", "0"),
        ("MAX_BODY_BYTES", "-1"),
        ("LOG_LEVEL", "loud"),
        ("TRIAL_SECONDS", "0"),
        ("RUNTIME", "java"),
    ],
)
def test_a_wrong_value_is_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service does not start, and the sentence names the variable."""
    with pytest.raises(SettingsError, match=f"^{name}: "):
        Settings.from_environ({name: value})
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match=f"^{name}: "):
        main()


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("LOG_LEVEL", "INFO", "LOG_LEVEL: It must be one of debug, info, warning, error, critical."),
        ("RUNTIME", "tf", "RUNTIME: It must be one of auto, onnx, sklearn."),
        ("ALLOW_PICKLE", "maybe", "ALLOW_PICKLE: It must be 1 or 0."),
        ("AIP_PREDICT_ROUTE", "predict", "AIP_PREDICT_ROUTE: It must be a path, such as /predict."),
        ("MAX_ROWS", "0", "MAX_ROWS: It must be a whole number, 1 or more."),
        ("REQUEST_SECONDS", "x", "REQUEST_SECONDS: It must be a whole number, 1 or more, up to 999."),
        ("TRIAL_SECONDS", "x", "TRIAL_SECONDS: It must be a number, more than 0."),
        ("MODELS_POLL_SECONDS", "-1", "MODELS_POLL_SECONDS: It must be a number, 0 or more."),
        ("TRUST_CODE", "a b", "TRUST_CODE: It must be names of models, joined by commas, such as churn,iris."),
        ("TRUST_CODE", "*", "TRUST_CODE: It must be names of models, joined by commas, such as churn,iris."),
    ],
)
def test_what_would_be_right_is_said(name: str, value: str, sentence: str) -> None:
    """The sentence says which values are right."""
    with pytest.raises(SettingsError) as raised:
        Settings.from_environ({name: value})

    assert str(raised.value) == sentence


def test_the_port_is_the_platforms() -> None:
    """PORT comes before SageMaker's variable, SageMaker's before Vertex AI's. Without these there is no port."""
    assert platform_port({}) is platform_port({"PORT": "", "AIP_HTTP_PORT": "", "SAGEMAKER_BIND_TO_PORT": ""}) is None
    assert platform_port({"AIP_HTTP_PORT": "8081"}) == 8081
    assert platform_port({"AIP_HTTP_PORT": "8081", "SAGEMAKER_BIND_TO_PORT": "8082"}) == 8082
    assert platform_port({"AIP_HTTP_PORT": "8081", "SAGEMAKER_BIND_TO_PORT": "8082", "PORT": "8083"}) == 8083


@pytest.mark.parametrize("name", ["PORT", "AIP_HTTP_PORT", "SAGEMAKER_BIND_TO_PORT"])
@pytest.mark.parametrize("value", ["http", "0", "65536", "8080/tcp", "-1"])
def test_what_is_no_port_is_named(name: str, value: str) -> None:
    """The sentence names the variable, as for other settings."""
    with pytest.raises(SettingsError, match=f"^{name}: .+[.]$"):
        platform_port({name: value})


@pytest.mark.parametrize(
    ("name", "meant"),
    [("MAX_BODY_BYTE", "MAX_BODY_BYTES"), ("MODEL_DIR", "MODELS_DIR"), ("API_KEY_FILE", "API_KEYS_FILE"),
     ("WEB_CONCURENCY", "WEB_CONCURRENCY"), ("RATE_LIMITS", "RATE_LIMIT")],
)  # fmt: skip
def test_a_name_that_is_nearly_one_of_ours_is_told(name: str, meant: str) -> None:
    """The warning has the name that is probably meant."""
    assert misspelled({name: "1"}) == [f"{name} is not a setting: did you mean {meant}?"]


def test_other_names_are_nobodys_business() -> None:
    """There is no warning for the settings themselves, or for variables that platforms set."""
    ours = dict.fromkeys([*(name.upper() for name in Settings.__struct_fields__), *OTHERS], "1")
    others = dict.fromkeys(["PATH", "HOME", "LANG", "HOSTNAME", "AIP_STORAGE_URI", "KUBERNETES_PORT", "LOGNAME"], "1")

    assert misspelled({**ours, **others}) == []


def test_code_is_trusted_by_the_models_name() -> None:
    """The whole name, and no part of it."""
    settings = Settings.from_environ({"TRUST_CODE": "churn, iris"})

    assert [settings.trusts(name) for name in ("churn", "iris", "chur", "churn, iris", "")] == [
        True,
        True,
        *[False] * 3,
    ]
    assert not Settings.from_environ({}).trusts("")
