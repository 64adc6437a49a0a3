"""XML, by defusedxml: no entities, no external files."""

from pathlib import Path
from typing import Any

from kedge.parse.text import read_bytes


class UnsafeXML(ValueError):
    """XML with entities: it may be an attack, and no annotation needs them."""


def read_xml(file: Path) -> Any:
    """The root element. Raises `UnsafeXML` for entities, `ValueError` for what is not XML."""
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    content = read_bytes(file)
    try:
        return fromstring(content)
    except DefusedXmlException as problem:
        raise UnsafeXML(f"{file}: {problem!r}: remove its entities") from problem
    except (ParseError, LookupError, ValueError) as problem:  # LookupError: an unknown encoding
        raise ValueError(f"{file}: is not XML ({problem}): rewrite it") from problem
