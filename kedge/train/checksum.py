"""Checksums inside the files of a run: a bit that flipped anywhere is found before it is used.

Two kinds of file, one SHA-256 each. ``seal`` puts it behind the last byte of any file; ``stamp``
into the metadata of a safetensors file, which every reader of safetensors goes on understanding.
Either covers all other bytes of its file, lengths and headers too.
"""

import hashlib
from pathlib import Path

_MARK = b"\nkedge:sha256:"
_DIGITS = 64
EMPTY = "0" * _DIGITS  # holds the place of a checksum that ``stamp`` fills in
_HEAD = b'{"__metadata__":{"kedge":"{\\"sha256\\": \\"'  # what follows a safetensors file's length
_START, _END = 8 + len(_HEAD), 8 + len(_HEAD) + _DIGITS


def seal(path: Path) -> None:
    """Append the checksum of a file's content to it. ``torch.load`` still reads a sealed file."""
    with path.open("r+b") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0, 2)
        file.write(_MARK + digest.encode())


def unsealed(data: bytes) -> bytes:
    """The content of a sealed file. ``ValueError`` unless it is what was sealed."""
    end = len(data) - _DIGITS - len(_MARK)
    body, mark, digest = data[: max(end, 0)], data[max(end, 0) : -_DIGITS], data[-_DIGITS:]
    if mark != _MARK:
        raise ValueError("it does not end in a checksum of Kedge's")
    _compare(hashlib.sha256(body).hexdigest(), digest)
    return body


def stamped(data: bytes) -> bytes:
    """A safetensors file with its checksum filled in.

    `data`: as safetensors writes it, with one key of metadata, "kedge", whose JSON begins with
    ``"sha256": EMPTY``. The checksum covers the file without its own digits.
    """
    assert data[8:_END] == _HEAD + EMPTY.encode(), "safetensors lays out its header otherwise"
    digest = _of_the_rest(data).encode()
    return data[:_START] + digest + data[_END:]


def check_stamp(data: bytes) -> None:
    """``ValueError`` unless `data` is, byte for byte, what ``stamped`` returned."""
    if data[8:_START] != _HEAD:
        raise ValueError("it has no checksum of Kedge's at its head")
    _compare(_of_the_rest(data), data[_START:_END])


def _of_the_rest(data: bytes) -> str:
    view, digest = memoryview(data), hashlib.sha256()
    digest.update(view[:_START])
    digest.update(view[_END:])
    return digest.hexdigest()


def _compare(found: str, stated: bytes) -> None:
    if found.encode() != stated:
        raise ValueError("its content does not match its checksum")
