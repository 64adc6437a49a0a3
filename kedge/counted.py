"""Numbers of things in sentences."""


def count(number: int, noun: str, plural: str = "") -> str:
    """``1 box``, ``2,345 boxes``: a number with its word, by default with an s."""
    word = noun if number == 1 else plural or f"{noun}s"
    return f"{number:,} {word}"
