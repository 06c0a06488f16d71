"""What the control plane writes to its data directory for others to use: certificates, kubeconfig, ports.

In: authorities and settings. Out: files, each replaced as a whole and, where it holds a key, for its owner only.
"""

import base64
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from outrig.api.serving import Tls
from outrig.ca.authorities import Authorities, KeyPair
from outrig.errors import OutrigError
from outrig.server.kubeconfigs import Cluster, Credential, written
from outrig.server.settings import Settings, in_brackets

ADMIN_LIFETIME = timedelta(days=365)
_UNREADABLE = (OSError, ValueError, TypeError, KeyError, IndexError, yaml.YAMLError)
LOOPBACK_OF = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where one that serves on every address is found


class BadDataDir(OutrigError):
    """The data directory cannot be used."""

    code = "OUT003"


@dataclass(frozen=True, slots=True)
class Given:
    """A server certificate that was not made here (PEM), and the first name in it."""

    pem: str
    name: str


@dataclass(frozen=True, slots=True)
class DataDir:
    """The data directory and the names in it."""

    path: Path

    @property
    def database(self) -> Path:
        """The store."""
        return self.path / "outrig.db"

    @property
    def agents_tls(self) -> Tls:
        """For the agents' ports: clients are control identities."""
        return Tls(self._tls("server.pem"), self._tls("server-key.pem"), self._tls("control-ca.pem"))

    @property
    def api_tls(self) -> Tls:
        """For the API: clients are users, who are told when their certificate has ended."""
        files = (self._tls("server.pem"), self._tls("server-key.pem"), self._tls("clients-ca.pem"))
        return Tls(*files, at_any_time=True)

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.path / "kubeconfig"

    @property
    def onboarding_root(self) -> Path:
        """What agents get as ONBOARDING_AGENT_ROOT_CERTS."""
        return self.path / "onboarding-root.pem"

    @property
    def admin_token(self) -> Path:
        """A bearer token of the administrator."""
        return self.path / "admin-token"

    def prepare(self) -> None:
        """Make the directory, for its owner only. Raises BadDataDir."""
        try:
            for directory in (self.path, self.path / "tls"):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            hint = "give another with --data-dir, or make it writable for this user"
            raise BadDataDir(str(self.path), f"cannot be made: {error.strerror}", hint) from None

    def write_roots(self, authorities: Authorities) -> None:
        """The roots that others need, none of them secret."""
        _write(self._tls("control-ca.pem"), authorities.control.pem, 0o644)
        _write(self._tls("clients-ca.pem"), authorities.clients.pem, 0o644)
        _write(self.onboarding_root, authorities.control.pem, 0o644)

    def write_server(self, pair: KeyPair) -> None:
        """The control plane's own certificate and key."""
        _write(self._tls("server-key.pem"), pair.key, 0o600)
        _write(self._tls("server.pem"), pair.certificate.chain, 0o644)

    def write_ports(self, ports: Mapping[str, int]) -> None:
        """The ports in use."""
        _write(self.path / "ports.json", json.dumps(ports, indent=2) + "\n", 0o644)

    def own_certificate(self) -> x509.Certificate | None:
        """The administrator's, in the kubeconfig; None if there is none that can be read."""
        try:
            return _certificate_in(yaml.safe_load(self.kubeconfig.read_text(encoding="utf-8")))
        except _UNREADABLE:
            return None

    def write_kubeconfig(
        self, authorities: Authorities, *, server: str, now: datetime, given: Given | None = None
    ) -> None:
        """A kubeconfig of the administrator, by client certificate, for the API at that URL.

        `given`: the certificate that the API serves with, if it is not one made here. One that still serves is left as
        it is.
        """
        root = given.pem if given else authorities.control.pem
        if self.kubeconfig.exists() and _serves(self.kubeconfig, authorities, (root, server), now):
            return
        admin = authorities.issue_client("admin", group="outrig:admins", lifetime=ADMIN_LIFETIME)
        _write(self.kubeconfig, kubeconfig(root, admin, server, name=given.name if given else ""), 0o600)

    def read_admin_token(self) -> str:
        """The administrator's bearer token; empty if there is none. Raises BadDataDir."""
        try:
            return self.admin_token.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            hint = "remove it to have another made"
            raise BadDataDir(str(self.admin_token), f"cannot be read: {error}", hint) from None

    def write_admin_token(self, token: str) -> None:
        """The administrator's bearer token."""
        _write(self.admin_token, token + "\n", 0o600)

    def _tls(self, name: str) -> Path:
        return self.path / "tls" / name


def read_given(file: str) -> Given | None:
    """The certificate in that file; None if no file is named. Raises BadDataDir."""
    if not file:
        return None
    try:
        pem = Path(file).expanduser().read_text(encoding="ascii")
        leaf = x509.load_pem_x509_certificates(pem.encode())[0]
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound) as error:
        problem = f"is no certificate with names: {error}"
        raise BadDataDir(file, problem, "PEM, the server's own certificate first") from None
    hosts = (*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress)))
    return Given(pem, next(iter(hosts), ""))


def kubeconfig(root: str, user: KeyPair, server: str, *, name: str = "") -> str:
    """The administrator's kubeconfig. `name`: in the server's certificate, if it is not the URL's."""
    return written(Cluster(server, root, name), Credential("admin", user.certificate.chain, user.key))


def _serves(path: Path, authorities: Authorities, at: tuple[str, str], now: datetime) -> bool:
    """Whether a kubeconfig reaches this control plane (root and URL) with a certificate that holds for a while yet."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        cluster, certificate = document["clusters"][0]["cluster"], _certificate_in(document)
        root = base64.b64decode(cluster["certificate-authority-data"]).decode()
        certificate.verify_directly_issued_by(authorities.clients.certificate)
    except (*_UNREADABLE, InvalidSignature):
        return False
    lasts = certificate.not_valid_after_utc - now > ADMIN_LIFETIME / 12
    return lasts and (root, cluster["server"]) == at


def _certificate_in(document: Any) -> x509.Certificate:
    """The client certificate in a kubeconfig. Raises what is in _UNREADABLE."""
    return x509.load_pem_x509_certificate(base64.b64decode(document["users"][0]["user"]["client-certificate-data"]))


def server_hosts(settings: Settings) -> tuple[str, ...]:
    """The names and addresses in the server certificate: those advertised, those bound, those of this machine."""
    bound = (host for host in (settings.bind, settings.api_bind) if host not in LOOPBACK_OF)
    here = (socket.gethostname(), "localhost", "127.0.0.1", "::1")
    return tuple(dict.fromkeys((*settings.advertised_hosts, *bound, *here)))


def api_url(settings: Settings, port: int) -> str:
    """Where somebody on this machine reaches the API over HTTPS."""
    host = LOOPBACK_OF.get(settings.api_bind, settings.api_bind)
    return f"https://{in_brackets(host)}:{port}"


def _write(path: Path, text: str, mode: int) -> None:
    temporary = path.with_name(f".{path.name}.new")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
        temporary.replace(path)
    except OSError as error:
        hint = "make room on its disk, or make the directory writable for this user"
        raise BadDataDir(str(path), f"cannot be written: {error.strerror}", hint) from None
