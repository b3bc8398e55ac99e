"""Counter-based randomness: a number is a function of (stream, episode, draw), whatever was drawn before.

Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3, SC 2011).
Only sums, rotations and xors of 32-bit words held in int64, so compiled and interpreted agree to the last bit.
"""

from .jit import inlined_kernel, lean_kernel

_MASK = 0xFFFFFFFF
_PARITY = 0x1BD11BDA


@inlined_kernel
def _turn(word: int, by: int) -> int:
    return ((word << by) & _MASK) | (word >> (32 - by))


@inlined_kernel
def _mix(a: int, b: int, by: int) -> tuple[int, int]:
    a = (a + b) & _MASK
    return a, _turn(b, by) ^ a


@lean_kernel
def threefry(key0: int, key1: int, counter0: int, counter1: int) -> tuple[int, int]:
    """Two 32-bit words from two key words and two counter words."""
    key2 = key0 ^ key1 ^ _PARITY
    a, b = (counter0 + key0) & _MASK, (counter1 + key1) & _MASK
    for i in range(5):
        if i % 2 == 0:
            a, b = _mix(a, b, 13)
            a, b = _mix(a, b, 15)
            a, b = _mix(a, b, 26)
            a, b = _mix(a, b, 6)
        else:
            a, b = _mix(a, b, 17)
            a, b = _mix(a, b, 29)
            a, b = _mix(a, b, 16)
            a, b = _mix(a, b, 24)
        one, two = (key1, key2) if i % 3 == 0 else ((key2, key0) if i % 3 == 1 else (key0, key1))
        a, b = (a + one) & _MASK, (b + two + i + 1) & _MASK
    return a, b


@lean_kernel
def uniform(stream: int, episode: int, draw: int) -> float:
    """A float64 in [0, 1) with 53 random bits."""
    high, low = threefry((stream >> 32) & _MASK, stream & _MASK, episode & _MASK, draw & _MASK)
    return (high * 2097152 + (low >> 11)) / 9007199254740992.0


@lean_kernel
def below(count: int, stream: int, episode: int, draw: int) -> int:
    """An integer in [0, count)."""
    return min(int(uniform(stream, episode, draw) * count), count - 1)
