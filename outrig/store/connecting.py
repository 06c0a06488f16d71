"""One connection to PostgreSQL, and what its errors mean.

In: the settings of a database. Out: a connection of the driver, protected as they say; `Unavailable`, with a way out,
in place of whatever goes wrong with the server, the network or the certificate. What is a mistake of ours stays as it
is. No message holds a password or what was written.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
import sqlalchemy as sa

from outrig.store.protocol import OutcomeUnknown, Unavailable
from outrig.store.settings import PostgresSettings, TlsMode

SESSION = {
    "application_name": "outrig",
    "jit": "off",  # compiles for longer than our statements run
    # A replica that stands still, or that a cut network keeps from us, holds up the others no longer than this.
    "idle_in_transaction_session_timeout": "8s",
    "lock_timeout": "10s",
}

ERRORS = (sa.exc.DBAPIError, sa.exc.TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError)

BUGS = ("22", "23", "42")
"""Classes of states that say the statement was wrong: https://www.postgresql.org/docs/current/errcodes-appendix.html"""

LOST = ("", "08", "57")
"""Classes of states, if there is one at all, that say the session ended: of a commit they do not tell how."""

MIGRATE = "run `outrig cp migrate up` with the same settings first"
GRANT = "let the user have it: GRANT, as docs/postgres.md shows"
RESTARTING = "it is starting or stopping, or the network between is cut: wait; or something else listens there"
HINTS = {
    "28P01": "check postgres_user and postgres_password",
    "28": "its pg_hba.conf does not let us in so: check postgres_user, postgres_tls_mode and postgres_tls_cert_path",
    "3D000": "create it, or set postgres_db_name to the one that is meant",
    "42501": GRANT,
    "42P01": MIGRATE,
    "42703": MIGRATE,
    "42P07": "it holds tables of another program: give Outrig a database of its own",
    "53300": "allow more connections on the server, or lower postgres_max_connections of all replicas",
    "53100": "free some space on the server's disk",
    "25006": "it is a standby or read-only: postgres_host must be the primary",
    "55P03": "another replica, or somebody's own transaction, holds the counter: see pg_stat_activity",
    "08": RESTARTING,
    "57": RESTARTING,
}
"""What to do, by the state, or the class of states, that the server gave."""


class ConnectionLost(Unavailable):
    """A connection ended that had been there; another one may work."""


def tls_context(settings: PostgresSettings) -> ssl.SSLContext | None:
    """How to speak TLS; None for plain text. Raises Unavailable where a file cannot be used."""
    if settings.tls_mode is TlsMode.DISABLE:
        return None
    context = ssl.create_default_context()
    context.check_hostname = settings.tls_mode is TlsMode.VERIFY_FULL
    context.verify_mode = ssl.CERT_NONE if settings.tls_mode is TlsMode.VERIFY_NONE else ssl.CERT_REQUIRED
    file = settings.tls_ca
    try:
        if file is not None:
            context.load_verify_locations(file)
        if (file := settings.tls_cert) is not None:
            context.load_cert_chain(file, settings.tls_key, password="")
    except OSError as error:
        problem = f"{file} cannot be used: {error.strerror or error}"
        hint = "a PEM file that this user may read"
        if file == settings.tls_cert and settings.tls_key is None:
            hint += ", with its key in it; or set postgres_tls_key_path to the file of its key"
        raise Unavailable(settings.place, problem, hint) from None
    return context


async def connect(settings: PostgresSettings, context: ssl.SSLContext | None, *, patience: float | None) -> Any:
    """A new connection; `patience`: seconds until a statement without an answer counts as failed.

    Raises what `explained` explains.
    """
    return await asyncpg.connect(
        host=settings.host,
        port=settings.port,
        user=settings.user,
        password=settings.password,
        database=settings.database,
        ssl=context or False,
        timeout=settings.connection_timeout,
        command_timeout=patience,
        server_settings=SESSION,
        target_session_attrs="any",
    )


@contextmanager
def explained(place: str, *, committing: bool = False) -> Iterator[None]:
    """Turn what the driver raises into Unavailable; OutcomeUnknown if a commit was under way."""
    try:
        yield
    except ERRORS as error:
        cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
        state = str(getattr(cause, "sqlstate", None) or "")
        if committing and state[:2] in LOST:
            problem = f"the connection was lost within a commit: {_words(cause)}"
            raise OutcomeUnknown(place, problem, "look whether it is there before you repeat it") from error
        hint = HINTS.get(state) or HINTS.get(state[:2]) or _network_hint(cause)
        if not hint and (state[:2] in BUGS or isinstance(error, sa.exc.ProgrammingError)):
            raise
        lost = state[:2] in LOST and not isinstance(cause, OSError | sa.exc.TimeoutError)
        raise (ConnectionLost if lost else Unavailable)(place, _words(cause), hint or RESTARTING * lost) from error


def _words(cause: object) -> str:
    if isinstance(cause, sa.exc.TimeoutError):
        return "all our connections to it are in use"
    if isinstance(cause, TimeoutError):
        return "there was no answer in time"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"the server's certificate was refused: {cause.verify_message}"
    # The adapter puts the name of the driver's class before its words.
    text = str(getattr(cause, "__cause__", None) or cause)
    return " ".join(text.split()) or type(cause).__name__


def _network_hint(cause: object) -> str:
    match cause:
        case ssl.SSLCertVerificationError() if "ismatch" in cause.verify_message:
            return "set postgres_host to a name in the certificate, or postgres_tls_mode to verifyCa"
        case ssl.SSLCertVerificationError() if "expired" in cause.verify_message:
            return "renew the server's certificate, or its CA's; or set this machine's clock"
        case ssl.SSLCertVerificationError() if "not yet valid" in cause.verify_message:
            return "set the clock that is wrong, this machine's or that of whoever made the certificate"
        case ssl.SSLCertVerificationError():
            return "set postgres_tls_ca_path to the file of the CA that signed it"
        case ConnectionError() if "SSL upgrade" in str(cause):
            return "turn on TLS in the server, or set postgres_tls_mode to disable"
        case sa.exc.TimeoutError():
            return "see in pg_stat_activity what they wait for, or raise postgres_max_connections"
        case OSError():
            return "check postgres_host and postgres_port, and that the network lets us through"
        case _:
            return ""
