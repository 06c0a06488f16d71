"""A clock of its own for the control plane: so many seconds ahead of everybody else's, or behind it.

No namespace gives a process another time of day, so a few lines of C are preloaded into it (`clock.c`): they need a C
compiler. The control plane is started through `with-clock`, which reads the file that is written here.
"""

import http.client
import ssl
import subprocess
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

COMPILER = "cc"
_HERE = Path(__file__).parent
LAUNCHER = _HERE / "with-clock"


def write_clock(file: Path, ahead: int) -> None:
    """From its next start on, what `with-clock` runs with this file is so many seconds ahead; 0 is the right time.

    Raises OSError without a compiler.
    """
    file.unlink(missing_ok=True)
    if ahead:
        library = file.with_suffix(".so")
        subprocess.run([COMPILER, "-O2", "-shared", "-fPIC", "-o", library, _HERE / "clock.c"], check=True)
        file.write_text(f"export SECONDS_AHEAD={ahead} LD_PRELOAD={library}\n", encoding="utf-8")


def read_clock(port: int) -> float:
    """How many seconds ahead the clock of an HTTPS server of this machine is. Raises OSError if nobody answers."""
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=anybody)
    try:
        connection.request("GET", "/")
        date = parsedate_to_datetime(connection.getresponse().headers["Date"])
    except http.client.HTTPException as error:  # it ended while it answered
        raise ConnectionError(str(error)) from error
    finally:
        connection.close()
    return (date - datetime.now(UTC)).total_seconds()
