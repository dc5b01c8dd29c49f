"""HTTPS: nginx with a certificate, the renewal of the certificate, and certificates with faults."""

from __future__ import annotations

import json
import re
import signal
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.serving.conftest import Gunicorn, free_port, wait_until
from tests.support.certificates import Authority, openssl
from tests.support.load import Load
from tests.support.nginx import Nginx, refusal, rendered
from tests.support.slow import SlowClients
from tests.support.wire import Answer, assert_problem, exchange, get, read_answer

GET = "GET {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class Secured(Nginx):
    """Nginx with TLS, and its first certificate."""

    def __init__(self, upstream: int, directory: Path, authority: Authority, **settings: object) -> None:
        self.directory = directory
        self.authority = authority
        self.serial = authority.issue(directory)
        self.tls_port = free_port()
        ports = {"LISTEN_TLS": f"127.0.0.1:{self.tls_port}", "HTTPS_PORT": self.tls_port}
        super().__init__(upstream, TLS=1, TLS_DIRECTORY=directory, **ports, **settings)

    def connect(self, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
        """A connection over TLS."""
        plain = socket.create_connection(("127.0.0.1", self.tls_port), timeout=30)
        with plain:  # a socket that TLS has taken over is detached from this one
            return (context or self.authority.context).wrap_socket(plain, server_hostname="localhost")

    def ask(self, path: str) -> Answer:
        """GET over TLS."""
        with self.connect() as client:
            client.sendall(GET.format(path).encode())
            return read_answer(client)

    def shown(self) -> str:
        """The serial number of the certificate that nginx shows."""
        with self.connect() as client:
            return str((client.getpeercert() or {})["serialNumber"])[-4:].rjust(4, "0")

    def curl(self, *arguments: str, **options: str) -> tuple[int, str]:
        """The status and the version of HTTP that curl gets for /prediction."""
        url = f"https://localhost:{self.tls_port}/prediction"
        shown = [
            "-s",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code} %{http_version}",
            "--cacert",
            str(self.authority.certificate),
        ]
        command = ["curl", *shown, "--http2", "-H", "Content-Type: application/json", *arguments, url]
        made = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30, **options)  # type: ignore[call-overload]
        status, version = made.stdout.split()
        return int(status), version


@pytest.fixture(scope="module")
def gunicorn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    """Gunicorn for all tests here."""
    with Gunicorn(tmp_path_factory.mktemp("gunicorn") / "log", {}) as server:
        yield server


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that clients trust."""
    return Authority(tmp_path_factory.mktemp("authority"))


def open_directory() -> Iterator[Path]:
    """A directory that other users may read. They may not read pytest's own directory."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


directory = pytest.fixture(open_directory)
shared_directory = pytest.fixture(scope="module")(open_directory)


@pytest.fixture(scope="module")
def nginx(gunicorn: Gunicorn, shared_directory: Path, authority: Authority) -> Iterator[Secured]:
    """Nginx for the tests that do not change it."""
    with Secured(gunicorn.port, shared_directory, authority, HSTS_SECONDS=31536000) as server:
        yield server


def test_a_prediction_comes_over_tls(nginx: Secured) -> None:
    """With HSTS, if it is set."""
    answer = nginx.ask("/prediction")

    assert answer.status == 200
    assert json.loads(answer.body)["prediction"] == "Virginica"
    assert answer.all("Strict-Transport-Security") == ["max-age=31536000"]


def test_errors_over_tls_are_problems(nginx: Secured) -> None:
    """Also the error for a client that speaks plain HTTP on this port."""
    assert_problem(nginx.ask("/metrics"), 404, "/metrics")
    assert_problem(exchange(nginx.tls_port, GET.format("/").encode()), 400, "/")


@pytest.mark.parametrize("path", ["/prediction?sepal_length=5.1&x=%20", "/readyz", "/"])
def test_plain_http_leads_to_https(nginx: Secured, path: str) -> None:
    """The method stays (308), and so do path and query. Only answers over TLS have HSTS."""
    answer = get(nginx.port, path)

    assert answer.status == 308
    assert answer.all("Location") == [f"https://localhost:{nginx.tls_port}{path}"]
    assert answer.all("Strict-Transport-Security") == []
    assert "return 308 https://$host$request_uri;" in rendered(TLS=1, HTTPS_PORT=443)


def test_an_authority_finds_its_challenge_on_port_80(nginx: Secured) -> None:
    """Nginx serves files of conf/tls/acme, and no other file of conf/tls."""
    challenges = nginx.directory / "acme" / ".well-known" / "acme-challenge"
    challenges.mkdir(parents=True)
    (challenges / "token").write_text("proof")

    assert get(nginx.port, "/.well-known/acme-challenge/token").body == b"proof"
    assert_problem(get(nginx.port, "/.well-known/acme-challenge/none"), 404, "/")
    assert get(nginx.port, "/.well-known/acme-challenge/../../../privkey.pem").status == 400


@pytest.mark.parametrize(
    ("version", "spoken"), [("tls1", False), ("tls1_1", False), ("tls1_2", True), ("tls1_3", True)]
)
def test_only_current_versions_of_tls_are_spoken(nginx: Secured, version: str, spoken: bool) -> None:
    """1.2 and 1.3, even if the client also offers older versions."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{nginx.tls_port}", f"-{version}"]
    ended = subprocess.run(
        [*command, "-cipher", "ALL:@SECLEVEL=0"], input="", capture_output=True, text=True, check=False
    )

    assert (ended.returncode == 0) == spoken, ended.stderr


def test_every_cipher_of_tls_1_2_keeps_yesterdays_traffic_secret(nginx: Secured) -> None:
    """Of all ciphers of openssl, nginx takes only those with ephemeral keys and authenticated encryption."""
    taken = {name for name in openssl("ciphers", "-tls1_2", "ALL:@SECLEVEL=0").strip().split(":") if takes(nginx, name)}

    assert taken == {
        f"ECDHE-ECDSA-{cipher}" for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
    }


def takes(nginx: Secured, cipher: str) -> bool:
    """Whether a connection with this cipher alone can be made."""
    context = nginx.authority.context
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.set_ciphers(f"{cipher}:@SECLEVEL=0")
        with nginx.connect(context) as client:
            return (client.cipher() or ("",))[0] == cipher
    except (ssl.SSLError, ConnectionError):
        return False


def test_http_2_is_spoken(nginx: Secured) -> None:
    """Clients that ask for it in the handshake get HTTP/2; others get HTTP/1.1."""
    assert nginx.curl() == (200, "2")
    assert nginx.curl("--http1.1") == (200, "1.1")


def test_a_body_without_a_length_counts_as_the_longest(
    gunicorn: Gunicorn, directory: Path, authority: Authority
) -> None:
    """HTTP/2 needs no length. A body with a length counts in the class of its length."""
    rows = '{"instances": [[5.1, 3.5, 1.4, 0.2]]}'
    with Secured(gunicorn.port, directory, authority, MAX_BODY_BYTES=400_000_000) as nginx:
        assert nginx.curl("-X", "POST", "-T", "-", input=rows) == (200, "2")
        wait_until(lambda: len(nginx.lines()) == 1)  # its place is free again, or the slow client would be refused
        with SlowClients(nginx.tls_port, "chunked", 1, tls=authority.context):
            wait_until(lambda: nginx.curl("-X", "POST", "-T", "-", input=rows) == (503, "2"))
            assert nginx.curl("-d", rows) == nginx.curl() == (200, "2")


def test_the_body_of_a_get_must_be_short(nginx: Secured) -> None:
    """HTTP/2 does not tell its length, and the service does not read it."""
    assert nginx.curl("-X", "GET", "-T", "-", input="x" * 5000) == (413, "2")
    assert nginx.curl("-X", "GET", "-T", "-", input="x") == (200, "2")


def test_a_certificate_is_renewed_without_a_lost_request(
    gunicorn: Gunicorn, directory: Path, authority: Authority
) -> None:
    """By SIGHUP, under load."""
    with Secured(gunicorn.port, directory, authority) as nginx:
        assert nginx.shown() == nginx.serial
        # One connection for each request: this nginx may be too old for keepalive_min_timeout, which newer ones have.
        with Load(nginx.tls_port, keep_alive=False, tls=authority.context) as load:
            for _ in range(3):
                serial = authority.issue(directory)
                nginx.reload()
                wait_until(lambda serial=serial: nginx.shown() == serial)  # type: ignore[misc]
                load.wait_for_answers()
    assert load.failures == []


def broken(directory: Path) -> None:
    """A file that is no certificate."""
    (directory / "fullchain.pem").write_text("no certificate")


def another(directory: Path) -> None:
    """The key of another certificate."""
    openssl(
        "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-out", directory / "privkey.pem"
    )
    (directory / "privkey.pem").chmod(0o644)


def closed(directory: Path) -> None:
    """A key that nginx may not read."""
    (directory / "privkey.pem").chmod(0o600)


def gone(directory: Path) -> None:
    """The key is missing."""
    (directory / "privkey.pem").unlink()


def locked(directory: Path) -> None:
    """A key with a passphrase."""
    key = directory / "privkey.pem"
    openssl("pkey", "-in", key, "-aes256", "-passout", "pass:secret", "-out", directory / "locked.pem")
    (directory / "locked.pem").rename(key)
    key.chmod(0o644)


BROKEN: dict[Callable[[Path], None], str] = {
    broken: r"TLS: fullchain\.pem in conf/tls is no certificate in PEM\.",
    another: r"TLS: privkey\.pem in conf/tls is not the key of fullchain\.pem\.",
    closed: r"TLS: user \d+, who runs nginx, cannot read conf/tls/privkey\.pem: chown \d+ [^ ]+ lets it\.",
    gone: r"TLS: there is no privkey\.pem in conf/tls\.",
    locked: r"TLS: privkey\.pem in conf/tls is no key without a passphrase in PEM\.",
}


@pytest.mark.parametrize("breaks", BROKEN)
def test_a_certificate_that_cannot_be_used_is_a_sentence(
    directory: Path, authority: Authority, breaks: Callable[[Path], None]
) -> None:
    """At the start."""
    authority.issue(directory)
    breaks(directory)

    assert re.fullmatch(BROKEN[breaks] + "\n", refusal(TLS=1, TLS_DIRECTORY=directory, UPSTREAM="127.0.0.1:1"))


@pytest.mark.parametrize("breaks", BROKEN)
def test_a_certificate_that_cannot_be_used_keeps_the_old_one(
    gunicorn: Gunicorn, directory: Path, authority: Authority, breaks: Callable[[Path], None]
) -> None:
    """At a renewal; the log says why."""
    with Secured(gunicorn.port, directory, authority) as nginx:
        authority.issue(directory)
        breaks(directory)
        nginx.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "[emerg]" in nginx.errors.read_text())

        assert nginx.shown() == nginx.serial
        assert nginx.ask("/prediction").status == 200
