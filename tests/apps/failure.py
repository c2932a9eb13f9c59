"""What a test says when something is not as it should be."""

import time


class Failure(Exception):
    """The text is for people: what was seen, and what was wanted."""


def expect(holds, otherwise):
    """Fails with the text `otherwise` unless `holds`."""
    if not holds:
        raise Failure(otherwise)


def expect_equal(seen, wanted, what):
    """Fails unless both are the same."""
    expect(seen == wanted, f"{what} is {seen!r}, wanted {wanted!r}")


def until(condition, what, seconds=20):
    """Waits until something is there, and returns it."""
    end = time.monotonic() + seconds
    while True:
        if found := condition():
            return found
        expect(time.monotonic() < end, f"no {what} after {seconds} s")
        time.sleep(0.02)
