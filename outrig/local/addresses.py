"""Which addresses of the VPC are free for tasks: 10.7.1.0 upwards; 10.7.0.0/24 belongs to instances."""

from itertools import cycle, product


class Addresses:
    """Hands out free addresses in turn, so that one just given back is the last to be used again."""

    def __init__(self) -> None:
        self._next = cycle(f"10.7.{third}.{fourth}" for third, fourth in product(range(1, 255), range(1, 255)))
        self._taken: set[str] = set()

    def take(self) -> str:
        address = next(one for one in self._next if one not in self._taken)
        self._taken.add(address)
        return address

    def give_back(self, address: str) -> None:
        self._taken.discard(address)
