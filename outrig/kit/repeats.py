"""Which of many equal reasons are worth a line: the first, and every tenth with its count."""

SAY_EVERY = 10  # how many equal reasons make another line


class Repeats:
    """What is told over and over, by somebody who tries again."""

    def __init__(self) -> None:
        self._last, self._count = "", 0

    def heard(self, reason: str) -> str:
        """The line to write, or nothing. A reference differs each time; it does not make a reason new."""
        known = reason.partition(", reference ")[0]
        self._count = self._count + 1 if known == self._last else 1
        self._last = known
        if self._count == 1:
            return reason
        return f"{reason} ({self._count} times)" if self._count % SAY_EVERY == 0 else ""
