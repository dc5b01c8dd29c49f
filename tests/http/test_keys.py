"""API keys: the file, the headers, the answers, and revoked keys."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import falcon.testing
import pytest

from service.app import Service, create_app, open_repository
from service.errors import Fault
from service.http.keys import KeyFileError, new_key, read_keys
from service.repository.manifest import ONNX
from service.settings import Settings, SettingsError
from tests.support.app import assert_problem, make_client
from tests.support.versions import copy_version, truncated

ALICE, BOB = "first-key", "second-key"


def line(name: str, key: str, expiry: str = "") -> str:
    """A line of the file."""
    return f"{name} sha256:{sha256(key.encode()).hexdigest()} {expiry}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of two keys."""
    path = tmp_path / "keys"
    path.write_text("# the team's\n" + line("alice", ALICE) + "\n" + line("bob", BOB))
    return path


@pytest.fixture
def app(iris_dir: Path, file: Path) -> Service:
    """A service that asks for a key of the file."""
    settings = Settings(models_dir=iris_dir, api_keys_file=file)
    return create_app(settings, open_repository(settings))


@pytest.fixture
def locked(app: Service) -> falcon.testing.TestClient:
    """A client of that service."""
    return falcon.testing.TestClient(app)


def bearer(key: str) -> dict[str, str]:
    """The header of a key."""
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize("key", [ALICE, BOB])
@pytest.mark.parametrize("header", ["Authorization: Bearer {}", "Authorization: bearer {}", "X-API-Key: {}"])
def test_each_key_opens_in_either_header(locked: falcon.testing.TestClient, key: str, header: str) -> None:
    """The scheme is Bearer, in any case."""
    name, _, value = header.format(key).partition(": ")

    assert locked.simulate_get("/prediction", headers={name: value}).status_code == 200


@pytest.mark.parametrize("header", [None, "", ALICE, f"Basic {ALICE}", "Bearer", "Bearer "])
def test_a_missing_key_is_401(locked: falcon.testing.TestClient, header: str | None) -> None:
    """The answer says how to send a key. It comes before the body is read."""
    headers = {} if header is None else {"Authorization": header}
    result = locked.simulate_post("/prediction", body="{", headers=headers)

    assert "X-API-Key" in assert_problem(result, 401)["detail"]
    assert result.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("key", ["wrong", ALICE + "2", "# the team's", f"{ALICE} {BOB}", "sha256:" + "0" * 64])
def test_a_wrong_key_is_401_and_called_invalid(locked: falcon.testing.TestClient, key: str) -> None:
    """RFC 6750, section 3.1."""
    result = locked.simulate_get("/prediction", headers=bearer(key))

    assert_problem(result, 401)
    assert result.headers["www-authenticate"] == 'Bearer error="invalid_token"'


def test_probes_and_preflights_need_no_key(locked: falcon.testing.TestClient) -> None:
    """Probes of container engines and preflights of browsers send no key."""
    assert [locked.simulate_get(path).status_code for path in ("/", "/healthz", "/readyz")] == [200] * 3
    assert locked.simulate_options("/prediction").status_code == 200
    assert_problem(locked.simulate_get("/v1/models"), 401)


def test_a_key_ends_with_the_day_of_its_expiry(file: Path, iris_dir: Path) -> None:
    """The day is a day in UTC. If the expiry is a moment, the key ends at that moment."""
    now = datetime.now(UTC)
    file.write_text(
        line("today", "a", now.date().isoformat())
        + line("yesterday", "b", (now - timedelta(days=1)).date().isoformat())
        + line("soon", "c", (now + timedelta(hours=1)).isoformat())
        + line("past", "d", (now - timedelta(seconds=1)).isoformat())
    )
    client = make_client(Settings(models_dir=iris_dir, api_keys_file=file))

    found = [client.simulate_get("/prediction", headers=bearer(key)).status_code for key in "abcd"]

    assert found == [200, 401, 200, 401]


def test_a_plain_key_works_and_is_warned_of(file: Path, iris_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Files of older releases hold plain keys."""
    file.write_text("plain-key\n")

    client = make_client(Settings(models_dir=iris_dir, api_keys_file=file))

    assert client.simulate_get("/prediction", headers=bearer("plain-key")).status_code == 200
    assert "plain text, the first in line 1" in caplog.text
    assert "plain-key" not in caplog.text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "the file has no key"),
        ("\n# the team's\n", "the file has no key"),
        ("alice sha256:12\n", "line 1 must be: name sha256:DIGEST"),
        ("alice md5:" + "0" * 64, "line 1 must be"),
        ("ali/ce sha256:" + "0" * 64, "line 1 must be"),
        (line("alice", "a", "tomorrow"), "line 1: the expiry must be a date"),
        (line("alice", "a", "2027-02-30"), "line 1: the expiry must be a date"),
        (line("alice", "a") + line("alice", "b"), "two keys have the name alice"),
        ("two words\n", "line 1 must be"),
    ],
)
def test_a_broken_file_ends_the_start(content: str, reason: str, iris_dir: Path, file: Path) -> None:
    """The sentence says where the fault is."""
    file.write_text(content)

    with pytest.raises(SettingsError, match=f"API_KEYS_FILE: {reason}"):
        make_client(Settings(models_dir=iris_dir, api_keys_file=file))


def test_a_reload_revokes_and_adds_keys(app: Service, locked: falcon.testing.TestClient, file: Path) -> None:
    """It takes effect from the next request on."""
    file.write_text(line("bob", BOB) + line("carol", "third-key"))
    app.reload_keys()

    found = [locked.simulate_get("/prediction", headers=bearer(key)).status_code for key in (ALICE, BOB, "third-key")]

    assert found == [401, 200, 200]


def test_a_broken_file_keeps_the_keys_of_before(
    app: Service, locked: falcon.testing.TestClient, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says so."""
    file.write_text("two words\n")
    app.reload_keys()

    assert locked.simulate_get("/prediction", headers=bearer(ALICE)).status_code == 200
    assert "the old keys stay valid" in caplog.text


def test_a_process_forked_before_a_reload_refuses_a_revoked_key(
    app: Service, locked: falcon.testing.TestClient, file: Path
) -> None:
    """This also holds for workers that are about to end."""
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.read(told, 1)
        status = locked.simulate_get("/prediction", headers=bearer(ALICE)).status_code
        os._exit(status == 401)
    file.write_text(line("bob", BOB))
    app.reload_keys()
    os.write(tell, b"x")

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1


def test_a_new_key_is_random_and_its_line_opens(tmp_path: Path) -> None:
    """The line holds no key."""
    key, made = new_key("alice", "2099-12-31")
    path = tmp_path / "keys"
    path.write_text(made)

    assert key not in made
    assert [each.name for each in read_keys(path).values()] == ["alice"]
    assert read_keys(path).keys() == {sha256(key.encode()).digest()}
    assert new_key("alice")[0] != key
    with pytest.raises(KeyFileError, match="A name has up to 63 letters"):
        new_key("a b")


def test_only_those_with_a_key_read_the_reasons_of_refusals(iris_dir: Path, file: Path, tmp_path: Path) -> None:
    """A probe without a key only sees the states."""
    copy_version(iris_dir / "iris" / "1", tmp_path / "models", version=1)
    truncated(copy_version(iris_dir / "iris" / "1", tmp_path / "models", version=2) / ONNX)
    client = make_client(Settings(models_dir=tmp_path / "models", api_keys_file=file))

    found = [
        client.simulate_get("/readyz", headers=headers).json["models"]["iris"]["refused"]["2"]
        for headers in ({}, bearer("wrong"), bearer(ALICE))
    ]

    assert found[:2] == ["Send an API key to read the reason."] * 2
    assert found[2] == Fault.FILES


def test_the_name_of_a_key_is_counted_and_logged(iris_dir: Path, file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The key itself is neither counted nor logged."""
    settings = Settings(models_dir=iris_dir, api_keys_file=file, slow_request_seconds=1e-9)
    client = make_client(settings)
    client.simulate_get("/prediction", headers=bearer(ALICE))

    assert [getattr(record, "key", None) for record in caplog.records] == ["alice"]
    assert 'inference_key_requests_total{key="alice"} 1.0' in client.simulate_get("/metrics").text
    assert ALICE not in caplog.text
