"""Files that nobody vouches for: bytes, text, JSON, YAML, XML, npz and tables.

Every function here turns whatever its parser raises into one `ValueError` that names the file (and
the row and column, where there are any), reads regular files only, and refuses a small file that
would grow large. Nothing here knows what a data set is.
"""

from kedge.parse.json_text import read_json, read_json_lines
from kedge.parse.npz_file import names_in_npz, read_npz
from kedge.parse.numbers import flag, number, side, whole
from kedge.parse.text import read_bytes, read_lines, read_text, read_utf8, shown
from kedge.parse.xml_file import UnsafeXML, read_xml
from kedge.parse.yaml_file import read_yaml

__all__ = [
    "UnsafeXML",
    "flag",
    "names_in_npz",
    "number",
    "read_bytes",
    "read_json",
    "read_json_lines",
    "read_lines",
    "read_npz",
    "read_text",
    "read_utf8",
    "read_xml",
    "read_yaml",
    "shown",
    "side",
    "whole",
]
