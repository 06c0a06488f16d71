"""How often each address may ask: token buckets, in bounded memory. The clock is the caller's."""

import ipaddress
from collections import OrderedDict

_MOST = 10_000  # addresses remembered; the one not seen for longest goes first


class Buckets:
    """A bucket per name: `burst` tokens at first, `rate` new ones a second."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate, self._burst = rate, burst
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str, now: float) -> float:
        """Take a token: 0 if there was one, else the seconds until there is. `now`: seconds of a monotonic clock."""
        level, since = self._levels.pop(name, (float(self._burst), now))
        level = min(self._burst, level + (now - since) * self._rate)
        granted = level >= 1
        self._levels[name] = (level - granted, now)
        if len(self._levels) > _MOST:
            self._levels.popitem(last=False)
        return 0.0 if granted else (1 - level) / self._rate


def network_of(ip: str) -> str:
    """What counts as one caller: an IPv4 address, or the /64 that an IPv6 address is in."""
    try:
        address = ipaddress.ip_address(ip.partition("%")[0])
    except ValueError:
        return ip
    return str(address if address.version == 4 else ipaddress.ip_network((address, 64), strict=False))
