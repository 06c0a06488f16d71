"""Each way to protect the connection, against a real server that speaks TLS: whom it trusts and whom it refuses."""

import ssl
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from examples.postgres.server import PostgresServer, Tls
from outrig.store.connecting import explained, tls_context
from outrig.store.pool import PostgresDatabase
from outrig.store.postgres import migrate_postgres, open_postgres
from outrig.store.protocol import Unavailable
from outrig.store.settings import PostgresSettings, TlsMode
from tests.contract.store_making import create, resource
from tests.postgres_server import Server

pytestmark = pytest.mark.slow

SSL = "SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


async def refusal(settings: PostgresSettings) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        async with open_postgres(settings):
            pass
    return caught.value


class Authority:
    """A CA, and files of certificates it signs."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.file = directory / f"{name}.pem"
        self.file.write_bytes(self._signed(self._name, self._key, x509.BasicConstraints(ca=True, path_length=None)))

    def issue(self, name: str, *hosts: str) -> tuple[Path, Path]:
        """Certificate and key of a server with these names, or of a client."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        known = [x509.IPAddress(IPv4Address(host)) if host[0].isdigit() else x509.DNSName(host) for host in hosts]
        cert, file = self._directory / f"{name}-cert.pem", self._directory / f"{name}-key.pem"
        cert.write_bytes(self._signed(subject, key, x509.SubjectAlternativeName(known or [x509.DNSName(name)])))
        file.touch(0o600)
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return cert, file

    def _signed(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType) -> bytes:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        )
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), "right")


@pytest.fixture(scope="module")
def tls_server(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Server]:
    """A server that speaks TLS alone, and wants a certificate of who connects to database `strict`."""
    cert, key = authority.issue("server", "localhost")
    directory = tmp_path_factory.mktemp("tls")
    process = PostgresServer(directory / "data", password="Pa55-w0rd", tls=Tls(cert, key, clients=authority.file))
    process.start()
    process.stop()
    (directory / "data" / "pg_hba.conf").write_text(
        "hostssl strict all 127.0.0.1/32 scram-sha-256 clientcert=verify-ca\n"
        "hostssl all all 127.0.0.1/32 scram-sha-256\n"
    )
    process.start()
    try:
        yield Server(process)
    finally:
        process.kill()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
@pytest.mark.parametrize("mode", TlsMode)
@pytest.mark.parametrize("ca", ["right", "wrong", "system"])
async def test_each_mode_trusts_whom_it_says(
    tls_server: Server, authority: Authority, tmp_path: Path, *, mode: TlsMode, ca: str, host: str
) -> None:
    file = {"right": authority.file, "wrong": Authority(tmp_path, "wrong").file, "system": None}[ca]
    settings = tls_server.settings("postgres", host=host, tls_mode=mode, tls_ca=file)
    if mode is TlsMode.DISABLE:
        assert "no encryption" in (await refusal(settings)).problem
    elif mode is not TlsMode.VERIFY_NONE and ca != "right":
        assert "postgres_tls_ca_path" in (await refusal(settings)).hint
    elif mode is TlsMode.VERIFY_FULL and host != "localhost":
        refused = await refusal(settings)
        assert "mismatch" in refused.problem
        assert "verifyCa" in refused.hint
    else:
        assert await protection(settings) == (True, "TLSv1.3")


@pytest.mark.parametrize(
    ("found", "hint"),
    [
        ("certificate has expired", "renew the server's certificate"),
        ("certificate is not yet valid", "clock"),
        ("self-signed certificate", "postgres_tls_ca_path"),
    ],
)
def test_a_certificate_that_is_refused_for_its_time_is_not_blamed_on_its_ca(found: str, hint: str) -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = found
    with pytest.raises(Unavailable) as caught, explained("postgres"):
        raise error
    assert found in caught.value.problem
    assert hint in caught.value.hint


def test_a_certificate_of_our_own_without_its_key_is_told_what_is_missing(authority: Authority) -> None:
    cert, _ = authority.issue("keyless")
    with pytest.raises(Unavailable, match=r"keyless-cert\.pem cannot be used") as caught:
        tls_context(PostgresSettings(tls_mode=TlsMode.VERIFY_FULL, tls_cert=cert))
    assert "postgres_tls_key_path" in caught.value.hint


async def protection(settings: PostgresSettings) -> tuple[bool, str]:
    """Whether the server says that a session of ours is encrypted, and how."""
    database = PostgresDatabase(settings, patience=None)
    try:
        return tuple(await database.read(lambda connection: connection.exec_driver_sql(SSL).one()))
    finally:
        await database.close()


async def test_a_certificate_of_our_own_is_shown_where_the_server_asks_for_one(
    tls_server: Server, authority: Authority
) -> None:
    cert, key = authority.issue("replica")
    settings = tls_server.settings(
        "strict", host="localhost", tls_mode=TlsMode.VERIFY_FULL, tls_ca=authority.file, tls_cert=cert, tls_key=key
    )
    owner = replace(settings, database="postgres")
    database = PostgresDatabase(owner, patience=None)
    async with database.writing.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        await connection.exec_driver_sql("CREATE DATABASE strict")
    await database.close()
    await migrate_postgres(settings)
    async with open_postgres(settings) as store:
        await create(store, resource())
    assert "postgres_tls_cert_path" in (await refusal(replace(settings, tls_cert=None, tls_key=None))).hint
