"""``kedge live``"""

from pathlib import Path
from typing import Literal

from kedge.commands.words import Anchors, Root, Sides, height_and_width, say
from kedge.detectors import DETECTORS


def live(
    *,
    data: str | None = None,
    split: str | None = None,
    root: Root = None,
    run: Path | None = None,
    detector: Literal[*DETECTORS] = "retinanet",  # pyright: ignore[reportInvalidTypeForm]
    anchors: Anchors = None,
    image_size: Sides = None,
    port: int = 0,
    browser: bool = True,
) -> None:
    """A page that shows which anchor answers for which object, and changes as you drag.

    kedge live --data DIR --detector retinanet

    It runs on this machine alone, reads data and runs, and writes nothing. Ctrl+C ends it.

    Parameters
    ----------
    data
        Folder or file (COCO JSON, Pascal VOC, YOLO and more), or toy; by default that of --run, or
        toy.
    split
        Split to look at; by default the training split.
    run
        A folder of `kedge train`, finished or not: its anchors, its curves as they grow, and its
        predictions for the strategies that read them.
    detector
        Whose published anchors are the start, where no --run says.
    image_size
        Side, or height and width, of the network's input, where no --run says; by default
        the square that the anchors were published for, else 640.
    port
        Port to listen on; 0 takes any that is free.
    browser
        Open the page in the browser.
    """
    import secrets
    import webbrowser

    from kedge.live.opening import open_source
    from kedge.live.server import address, listen, serve

    if not 0 <= port <= 65535:
        raise ValueError(f"--port {port}: a port is a number from 0 to 65535")
    source, said = open_source(
        data,
        split=split,
        root=root,
        detector=detector,
        anchors=anchors,
        run=run,
        image_size=height_and_width(image_size),
    )
    say(said)
    token, sock = secrets.token_urlsafe(24), listen(port)
    sock.listen()
    place = address(sock, token)
    print(f"{source.title}\n{place}\nCtrl+C ends it", flush=True)
    if browser:
        webbrowser.open(place)
    serve(source, sock, token)
