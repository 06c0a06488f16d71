"""How much memory a process takes, as the kernel counts it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident and proportional set size in KiB: the first counts shared pages whole, the second by its share."""

    rss: int
    pss: int

    def __str__(self) -> str:
        return f"RSS {self.rss / 1024:.1f} MiB, PSS {self.pss / 1024:.1f} MiB"


def memory(pid: int | None = None) -> Memory:
    """Memory of a process, by default of this one; zeros if the kernel does not say."""
    try:
        lines = Path(f"/proc/{pid or 'self'}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return Memory(0, 0)
    sizes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    return Memory(sizes.get("Rss", 0), sizes.get("Pss", 0))
