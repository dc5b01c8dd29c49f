"""A certificate authority for the tests, made by openssl."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

_NAMES = "subjectAltName=DNS:localhost,IP:127.0.0.1"


def openssl(*arguments: str | Path) -> str:
    """Run a command of openssl."""
    command = ["openssl", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout


class Authority:
    """Issues certificates for this machine."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.certificate = directory / "ca.pem"
        self._key = directory / "ca.key"
        self._issued = 0
        subject = ["-subj", "/CN=an authority of the tests", "-addext", "keyUsage=critical,keyCertSign"]
        self._make(self.certificate, self._key, "-x509", "-days", "2", *subject)

    @property
    def context(self) -> ssl.SSLContext:
        """The context of a client that trusts this authority alone."""
        return ssl.create_default_context(cafile=str(self.certificate))

    def issue(self, directory: Path) -> str:
        """Put a new certificate and its key where nginx looks, by a rename; return the serial number."""
        self._issued += 1
        request, serial = self._directory / "request.pem", f"{self._issued:04X}"
        certificate, key = directory / "new.pem", directory / "new.key"
        self._make(request, key, "-subj", "/CN=localhost", "-addext", _NAMES)
        signed: list[str | Path] = ["-CA", self.certificate, "-CAkey", self._key, "-set_serial", f"0x{serial}"]
        openssl("x509", "-req", "-in", request, *signed, "-copy_extensions", "copy", "-days", "2", "-out", certificate)
        key.chmod(0o644)
        key.rename(directory / "privkey.pem")
        certificate.rename(directory / "fullchain.pem")
        return serial

    def _make(self, output: Path, key: Path, *options: str) -> None:
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        openssl("req", *curve, "-keyout", key, "-out", output, *options)
