"""One HTML file that shows a state without a server: script, style, image and answer inside."""

import json
from html import escape
from typing import Any

from kedge.files import finite
from kedge.live.page import page_file

_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; connect-src data:"
)


def saved_page(given: dict[str, Any], title: str) -> str:
    """The page with what it needs. ``given``: the answers to "open", "image" and "answer", with
    the ``state`` and the ``layers`` that these are for."""
    data = json.dumps(finite(given), allow_nan=False).replace("<", "\\u003c")
    script = page_file("live.js").replace("</script", "<\\/script")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"<title>Kedge: {escape(title)}</title>\n"
        f"<style>{page_file('live.css')}</style>\n</head>\n<body>\n"
        '<div id="kedge-live"></div>\n'
        f'<script type="application/json" id="kedge-data">{data}</script>\n'
        f'<script type="module">{script}</script>\n</body>\n</html>\n'
    )
