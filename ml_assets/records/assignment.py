"""Which arm an entity is sent to: the same everywhere, without a table of assignments.

An entity's position from 0 to 1 is a hash of its name and the salt; arms divide that
interval in the order of the plan. No process keeps state, so replicas and restarts
agree, and when shares change only those entities move whose position lies between an
old and a new boundary: with two arms exactly the share that is moved.
"""

from bisect import bisect_right
from collections.abc import Sequence
from hashlib import blake2b
from itertools import accumulate
from math import isfinite

POSITIONS = 2**64
# Shares that people wrote with decimals need not add up to the last bit.
ROUNDING = 1e-9


class Assignment:
    """Shares of traffic under one salt.

    Parameters
    ----------
    salt : str
        Names the experiment. The same salt gives the same positions, so that shares can
        be changed; another salt shuffles all entities anew, so that it is not always
        the same ones that meet a challenger first.
    shares : sequence of float, of length n_arms
        Share of each arm, 0 to 1, together 1.

    Raises
    ------
    ValueError
        If a share is negative or no number, or they do not add up to 1.

    Examples
    --------
    >>> arms = Assignment("census_income/20261123T020000Z", [0.9, 0.1])
    >>> arms.arm_of("person-17") == arms.arm_of("person-17")
    True
    >>> sum(arms.arm_of(f"person-{i}") for i in range(10_000))
    973
    """

    __slots__ = ("_boundaries", "_hasher")

    def __init__(self, salt: str, shares: Sequence[float]) -> None:
        self._boundaries = _boundaries(shares)
        # As long as blake2b's own salt may be; any text is hashed down to it.
        seed = blake2b(salt.encode(), digest_size=blake2b.SALT_SIZE).digest()
        self._hasher = blake2b(digest_size=8, salt=seed)

    def arm_of(self, entity: str) -> int:
        """Index of the arm that `entity` is sent to."""
        hasher = self._hasher.copy()
        hasher.update(entity.encode())
        return bisect_right(self._boundaries, int.from_bytes(hasher.digest()))


def _boundaries(shares: Sequence[float]) -> tuple[int, ...]:
    """Where each arm but the last ends."""
    wrong = [share for share in shares if not (isfinite(share) and share >= 0)]
    if wrong:
        raise ValueError(f"a share must be a number from 0 to 1, found {wrong[0]}")
    total = sum(shares)
    if abs(total - 1) > ROUNDING:
        raise ValueError(f"shares must add up to 1, found {total:g} in {list(shares)}")
    ends = [min(round(end * POSITIONS), POSITIONS) for end in accumulate(shares)]
    # An arm without traffic at the end gets none, whatever its predecessors rounded to.
    while len(ends) > 1 and shares[len(ends) - 1] == 0:
        ends.pop()
    return tuple(ends[:-1])
