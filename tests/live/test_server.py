"""The server: who may ask, how much, and what is never written or told."""

import threading
import urllib.request

import pytest

pytest.importorskip("fastapi")
from starlette.testclient import TestClient

from kedge import cli
from kedge.data import toy
from kedge.live import server
from kedge.live.server import HOST, TOKEN, address, listen, make_app

KEY = "right"


@pytest.fixture(scope="module")
def client(source):
    with TestClient(make_app(source, KEY), base_url=f"http://{HOST}") as client:
        yield client


@pytest.mark.parametrize("given", [{}, {TOKEN: "wrong"}, {TOKEN: ""}, {TOKEN: KEY + "x"}])
@pytest.mark.parametrize(
    "path", ["open", "answer", "image", "upload", "watch", "nothing", "", "../api/open"]
)
def test_without_the_token_nothing_is_answered(client, given, path):
    for ask in (client.post, client.get):
        reply = ask(f"/api/{path}", headers=given)
        assert reply.status_code in (401, 403), reply.text
        assert "token" in reply.text


def test_with_the_token_it_answers(client, source):
    reply = client.post("/api/open", json={}, headers={TOKEN: KEY})
    assert reply.status_code == 200
    assert reply.json()["images"] == 400


def test_the_page_itself_needs_no_token_and_holds_none(client):
    for path in ("/", "/live.js", "/live.css"):
        reply = client.get(path)
        assert reply.status_code == 200
        assert KEY not in reply.text or path != "/"
        assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
        assert reply.headers["Referrer-Policy"] == "no-referrer"


def test_another_host_is_refused(client):
    """A page elsewhere cannot reach the server by a name of its own that points here."""
    reply = client.post("/api/open", json={}, headers={TOKEN: KEY, "Host": "evil.example"})
    assert reply.status_code == 400


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/redoc", "/page_files/built.json"])
def test_nothing_else_is_served(client, path):
    assert client.get(path).status_code == 404


@pytest.mark.parametrize(
    ("body", "status"), [(b"{", 400), (b"[]", 422), (b'"x"', 422), (b"[" * 100_000, 400)]
)
def test_a_request_that_is_none(client, body, status):
    reply = client.post("/api/answer", content=body, headers={TOKEN: KEY})
    assert reply.status_code == status
    assert reply.json()["error"]


def test_uploads_and_questions_are_bounded(client, monkeypatch):
    monkeypatch.setattr(server, "MOST_UPLOAD", 1000)
    monkeypatch.setattr(server, "MOST_REQUEST", 1000)
    for path in ("upload", "answer"):
        reply = client.post(f"/api/{path}", content=b"x" * 1001, headers={TOKEN: KEY})
        assert reply.status_code == 413
        parts = (b"x" * 100 for _ in range(20))  # without a length
        reply = client.post(f"/api/{path}", content=parts, headers={TOKEN: KEY})
        assert reply.status_code == 413


def test_an_upload_is_kept_in_memory_and_shown(client, source):
    from io import BytesIO

    from PIL import Image

    picture = BytesIO()
    Image.new("RGB", (60, 40), "red").save(picture, "PNG")
    names = []
    for _ in range(10):
        reply = client.post("/api/upload", content=picture.getvalue(), headers={TOKEN: KEY})
        names.append(reply.json()["image"])
    assert len(set(names)) == 10
    for name, status in ((names[-1], 200), (names[0], 400)):  # the oldest are gone
        reply = client.post("/api/image", json={"image": name}, headers={TOKEN: KEY})
        assert reply.status_code == status
    state = source.start.model_dump(mode="json") | {"image": names[-1]}
    state |= {"boxes": [[5, 5, 40, 30]], "labels": [0]}
    reply = client.post("/api/answer", json={"state": state}, headers={TOKEN: KEY})
    assert reply.json()["panels"][0]["positives"] > 0


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n" + b"0" * 50])
def test_an_upload_that_is_no_image(client, content):
    reply = client.post("/api/upload", content=content, headers={TOKEN: KEY})
    assert reply.status_code == 400
    assert "no image" in reply.json()["error"]


def test_an_upload_of_too_many_pixels(client, monkeypatch):
    from io import BytesIO

    from PIL import Image

    monkeypatch.setattr("kedge.live.source.MOST_PIXELS", 100)
    picture = BytesIO()
    Image.new("RGB", (60, 40)).save(picture, "PNG")
    reply = client.post("/api/upload", content=picture.getvalue(), headers={TOKEN: KEY})
    assert reply.status_code == 400
    assert "pixels are more than" in reply.json()["error"]


# -- the command


def test_it_listens_on_the_loopback_address_alone():
    sock = listen(0)
    assert sock.getsockname()[0] == "127.0.0.1"
    assert address(sock, "abc") == f"http://127.0.0.1:{sock.getsockname()[1]}/?token=abc"
    sock.close()


def test_the_command_prints_its_address_and_serves(monkeypatch, tmp_path, capsys):
    data = toy.write(tmp_path / "mini", train=3, val=1, size=(64, 96))
    before = sorted(path.stat().st_mtime_ns for path in data.rglob("*"))
    seen = {}

    def serve(source, sock, token):
        """In place of serving for ever: one page, and out."""
        app_server = server.uvicorn.Server(
            server.uvicorn.Config(make_app(source, token), log_level="error", lifespan="off")
        )
        thread = threading.Thread(target=app_server.run, kwargs={"sockets": [sock]}, daemon=True)
        thread.start()
        place = address(sock, token)
        with urllib.request.urlopen(place, timeout=20) as reply:
            seen["page"] = reply.read().decode()
        app_server.should_exit = True
        thread.join(20)

    monkeypatch.setattr(server, "serve", serve)
    assert cli.run(["live", "--data", str(data), "--image-size", "64", "96", "--no-browser"]) == 0
    out = capsys.readouterr().out
    assert "http://127.0.0.1:" in out
    assert "?token=" in out
    assert "kedge-live" in seen["page"]
    assert sorted(path.stat().st_mtime_ns for path in data.rglob("*")) == before


def test_a_port_that_is_taken(capsys):
    sock = listen(0)
    sock.listen()
    port = str(sock.getsockname()[1])
    assert cli.run(["live", "--port", port, "--no-browser"]) == 2
    assert f"--port {port}" in capsys.readouterr().err
    sock.close()


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--port", "99999"], "from 0 to 65535"),
        (["--run", "nowhere"], "holds no run"),
        (["--detector", "rcnn"], "has no anchors"),
        (["--data", "nowhere"], "does not exist"),
    ],
)
def test_words_that_cannot_be(words, problem, capsys):
    assert cli.run(["live", "--no-browser", *words]) == 2
    assert problem in capsys.readouterr().err
