"""What can go wrong in the agent, as users meet it. Codes OUT5xx, listed in `docs/errors.md`.

`Fatal` ends the agent, with its exit status; anything else is retried for ever.
"""

from typing import ClassVar

from outrig.errors import OutrigError

EXIT_CONFIGURATION = 78
EXIT_BANNED = 77


class Fatal(OutrigError):
    """Trying again cannot help: the agent ends with `status`."""

    status: ClassVar[int] = EXIT_CONFIGURATION


class InvalidConfiguration(Fatal):
    """A variable, file or flag is missing or wrong. `place`: source, then field."""

    code = "OUT501"


class NotInTask(Fatal):
    """The environment is not that of an ECS task with a task role, or points somewhere it must not."""

    code = "OUT502"


class UnusableDirectory(Fatal):
    """The directory for keys and sockets cannot be used, or another agent uses it."""

    code = "OUT503"


class NoEnvoy(Fatal):
    """There is no Envoy binary that runs."""

    code = "OUT504"


class Banned(Fatal):
    """The control plane shut this workload out."""

    code = "OUT505"
    status = EXIT_BANNED


class TaskEndpointFailed(OutrigError):
    """The metadata or credentials endpoint of ECS did not give what the agent needs."""

    code = "OUT511"


class Unreachable(OutrigError):
    """No connection to the control plane: name resolution, network, time-out."""

    code = "OUT512"


class Untrusted(OutrigError):
    """Whoever answered at the control plane's address could not be verified."""

    code = "OUT513"


class BadAnswer(OutrigError):
    """The control plane answered, but not in a form that this version of the agent understands."""

    code = "OUT514"


class JoinRefused(OutrigError):
    """The control plane refused the join. `retry_after`: seconds it asks to wait, 0 if none."""

    code = "OUT515"

    def __init__(self, place: str, problem: str, hint: str = "", *, retry_after: int = 0) -> None:
        super().__init__(place, problem, hint)
        self.retry_after = retry_after


class CannotWrite(OutrigError):
    """A file Envoy reads could not be written: a full disk, for example. What was there before stays."""

    code = "OUT517"


class TokenUnreadable(OutrigError):
    """The file that should hold this host's token does not. It may come: tried again."""

    code = "OUT518"


class EnvoyFailed(OutrigError):
    """Envoy ended by itself, or does not answer on its admin socket."""

    code = "OUT516"
