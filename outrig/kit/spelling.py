"""How far two words are from each other, in slips of a hand."""


def slips(one: str, other: str) -> int:
    """Letters to add, drop or change, and neighbours to swap, that make one word of the other.

    This is the optimal string alignment distance: no piece is changed twice.
    """
    before: list[int] = []
    last = list(range(len(other) + 1))
    for row, letter in enumerate(one, start=1):
        here = [row]
        for column, beside in enumerate(other, start=1):
            best = min(last[column] + 1, here[-1] + 1, last[column - 1] + (letter != beside))
            if row > 1 and column > 1 and letter == other[column - 2] and one[row - 2] == beside:
                best = min(best, before[column - 2] + 1)
            here.append(best)
        before, last = last, here
    return last[-1]
