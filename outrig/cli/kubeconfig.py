"""How to reach the control plane's API: a kubeconfig, read as kubectl reads it.

In: $KUBECONFIG (several files, the first that says something counts), else ~/.kube/config. Out: `Access`. Refuses
(OUT902) what cannot be read or used: credentials by plug-in programs are kubectl's.
https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/
"""

import base64
import binascii
import os
import ssl
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from cryptography import x509

from outrig.errors import OutrigError, did_you_mean


class BadKubeconfig(OutrigError):
    """The kubeconfig cannot be read, or not be used."""

    code = "OUT902"


@dataclass(frozen=True, slots=True)
class Access:
    """`server`: URL of the API; `tls`: how to trust it, and to prove who is asking; `token`: a bearer token.

    `server_name`: what its certificate names, if not what the URL does. `authority`: who vouches for it (PEM), empty:
    whom the system trusts. `serial`: of the client certificate, hex as the control plane shows it; empty without one.
    """

    server: str
    tls: ssl.SSLContext
    token: str = ""
    server_name: str = ""
    authority: str = ""
    serial: str = ""


@dataclass(frozen=True, slots=True)
class _Named:
    """A part of a kubeconfig: paths in it are relative to its file."""

    place: str
    folder: Path
    fields: Mapping[str, Any]

    def text(self, field: str) -> str:
        """A field, empty if it is not there."""
        value = self.fields.get(field)
        return value if isinstance(value, str) else ""

    def content(self, field: str) -> bytes:
        """What `field-data` holds, or the file that `field` names; empty without either. Raises BadKubeconfig."""
        try:
            if data := self.text(f"{field}-data"):
                return base64.b64decode(data, validate=True)
            return (self.folder / self.text(field)).read_bytes() if self.text(field) else b""
        except (OSError, binascii.Error, ValueError) as error:
            raise BadKubeconfig(f"{self.place} {field}", f"cannot be read: {error}") from None


def read_access(files: Sequence[Path]) -> Access:
    """The access that the current context gives. Raises BadKubeconfig."""
    documents = [(path, _document(path)) for path in files if path.exists()]
    if not documents:
        listed = ", ".join(map(str, files))
        raise BadKubeconfig(listed, "there is no kubeconfig", "give --kubeconfig, or set KUBECONFIG")
    wanted = next((str(d["current-context"]) for _, d in documents if d.get("current-context")), "")
    if not wanted:
        raise BadKubeconfig(str(documents[0][0]), "has no current context", "`kubectl config use-context` sets it")
    chosen = _named(documents, "context", wanted)
    cluster = _named(documents, "cluster", chosen.text("cluster"))
    user = _named(documents, "user", chosen.text("user")) if chosen.text("user") else _Named("user", Path(), {})
    if not cluster.text("server"):
        raise BadKubeconfig(cluster.place, "names no server")
    if user.fields.get("exec") or user.fields.get("auth-provider"):
        hint = "use a client certificate or a token, as the control plane's own kubeconfig does"
        raise BadKubeconfig(user.place, "credentials come from a plug-in program, which only kubectl runs", hint)
    token = user.text("token") or user.content("tokenFile").decode(errors="replace").strip()
    authority = cluster.content("certificate-authority").decode(errors="replace")
    name = cluster.text("tls-server-name")
    return Access(cluster.text("server"), _tls(cluster, user), token, name, authority, _serial(user))


def kubeconfig_files(given: Path | None) -> list[Path]:
    """The files to read, first come first."""
    if given is not None:
        return [given]
    listed = [Path(part) for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    return listed or [Path.home() / ".kube" / "config"]


def _document(path: Path) -> Mapping[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadKubeconfig(str(path), f"cannot be read: {' '.join(str(error).split())}") from None
    if document is not None and not isinstance(document, Mapping):
        raise BadKubeconfig(str(path), "is no kubeconfig", _FORM)
    return document or {}


_FORM: Final = "it holds clusters, users and contexts"


def _named(documents: Sequence[tuple[Path, Mapping[str, Any]]], kind: str, name: str) -> _Named:
    """The first cluster, user or context of that name."""
    known = []
    for path, document in documents:
        entries = document.get(f"{kind}s") or ()
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, Mapping) and isinstance(entry.get(kind), Mapping):
                known.append(str(entry.get("name")))
                if known[-1] == name:
                    return _Named(f"{path} {kind} {name!r}", path.parent, entry[kind])
    raise BadKubeconfig(str(documents[0][0]), f"there is no {kind} {name!r}", did_you_mean(name, known))


def _tls(cluster: _Named, user: _Named) -> ssl.SSLContext:
    context = ssl.create_default_context()
    try:
        if authority := cluster.content("certificate-authority"):
            context = ssl.create_default_context(cadata=authority.decode("ascii"))
        if cluster.fields.get("insecure-skip-tls-verify") is True:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        chain, key = user.content("client-certificate"), user.content("client-key")
        if chain or key:
            _load(context, chain + b"\n" + key)
    except (ssl.SSLError, UnicodeDecodeError) as error:
        raise BadKubeconfig(f"{cluster.place}, {user.place}", f"holds no usable certificate: {error}") from None
    return context


def _serial(user: _Named) -> str:
    try:
        chain = user.content("client-certificate")
        return f"{x509.load_pem_x509_certificate(chain).serial_number:x}" if chain else ""
    except ValueError as error:
        raise BadKubeconfig(user.place, f"holds no usable certificate: {error}") from None


def _load(context: ssl.SSLContext, pem: bytes) -> None:
    """Python takes a client's key from a file only: one that nobody else can read, and that is gone at once."""
    with tempfile.NamedTemporaryFile(prefix="outrig-") as file:
        file.write(pem)
        file.flush()
        context.load_cert_chain(file.name)
