"""The unified social credit code (统一社会信用代码, GB 32100-2015): its alphabet and its check character."""

from __future__ import annotations

ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
LENGTH = 18
_VALUE = {character: value for value, character in enumerate(ALPHABET)}
_WEIGHTS = tuple(pow(3, position, len(ALPHABET)) for position in range(LENGTH - 1))


def check_character(body: str) -> str:
    """The 18th character for a body of 17: 31 - sum(value * 3^i mod 31) mod 31, where 31 counts as 0.

    Raises ``KeyError`` for a character outside the alphabet.
    """
    total = sum(_VALUE[character] * weight for character, weight in zip(body, _WEIGHTS, strict=True))
    return ALPHABET[-total % len(ALPHABET)]


def uscc_problem(code: str) -> str | None:
    """What is wrong with a code, or ``None``."""
    if len(code) != LENGTH:
        return f"USCC {code!r} has {len(code)} characters instead of {LENGTH}"
    strange = sorted(set(code) - set(ALPHABET))
    if strange:
        return f"USCC {code!r} contains {''.join(strange)!r}, which no code uses"
    expected = check_character(code[:-1])
    return None if code[-1] == expected else f"USCC {code!r} ends in {code[-1]!r}, its check character is {expected!r}"
