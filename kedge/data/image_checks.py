"""The checks of image files: readable, of the size that is said, and how their pixels are meant.

What one file cannot tell is decided for the data set as a whole: whether boxes were drawn on the
stored pixels or on the picture turned upright (EXIF), and which values are black and white where
the file's type does not say it.
"""

import numpy as np

from kedge.counted import count
from kedge.data import images as image_files
from kedge.data.images import Look
from kedge.data.pixel_range import black_white
from kedge.data.problems import Problems
from kedge.data.raw import RawImage


def check_images(images: list[RawImage], problems: Problems) -> np.ndarray:
    """Look at every image file; fill in sizes that are not said. Returns which to keep, (n,)."""
    looks = [_look(image, problems) for image in images]
    stored = _boxes_of_stored_pixels(images, looks, problems)
    keep = np.array([look is not None or image.file is None for image, look in zip(images, looks)])
    for i, (image, look) in enumerate(zip(images, looks)):
        if look is not None:
            image.upright = not stored[i]
            keep[i] = _check_size(image, look, problems)
    _note_frames(images, looks, problems)
    _note_ranges(images, looks, problems)
    return keep.astype(bool)


def _look(image: RawImage, problems: Problems) -> Look | None:
    if image.file is None:
        return None
    try:
        return image_files.look(image.file)
    except OSError as problem:
        message = f"unreadable or truncated ({problem}): replace {image.file}"
        problems.add("unreadable image", image.name, "", message)
        return None


def _boxes_of_stored_pixels(
    images: list[RawImage], looks: list[Look | None], problems: Problems
) -> list[bool]:
    """Whether each image's boxes are those of the stored pixels, its EXIF orientation apart.

    An annotated size proves it for an image that the orientation would turn on its side and that
    is not square; of the others (mirrored, upside down, square, no size said) the proofs of the
    set decide, and without any they are turned upright.
    """
    found = [False] * len(images)
    proofs = {True: 0, False: 0}
    open_cases = []
    for i, (image, look) in enumerate(zip(images, looks)):
        if look is None or look.orientation == 1:
            continue
        size, said = (look.width, look.height), (image.width, image.height)
        if look.swaps and size != size[::-1] and said in (size, size[::-1]):
            found[i] = said == size
            proofs[found[i]] += 1
        else:
            open_cases.append(i)
    decided = proofs[True] > proofs[False]
    for i in open_cases:
        found[i] = decided
    turned = [i for i, is_stored in enumerate(found) if is_stored]
    if turned:
        first = images[turned[0]]
        message = (
            f"{count(proofs[True], 'annotated size is', 'annotated sizes are')} of the stored "
            f"pixels, {proofs[False]} of the picture turned upright; the boxes are taken to be "
            "those of the stored pixels"
        )
        kind = "EXIF orientation not applied"
        problems.note(kind, first.name, "", message, count=len(turned))
    if open_cases and not decided:
        proof = "the sizes of other images say so" if proofs[False] else "no size proves it"
        message = f"turned upright by their EXIF orientation, and the boxes with them; {proof}"
        kind, first = "EXIF orientation applied", images[open_cases[0]]
        problems.note(kind, first.name, "", message, count=len(open_cases))
    return found


def _check_size(image: RawImage, look: Look, problems: Problems) -> bool:
    size = (look.width, look.height)
    if look.swaps and image.upright:
        size = size[::-1]
    said = (image.width, image.height)
    if 0 in said:
        image.width, image.height = size
    elif said != size:
        message = (
            f"annotated as {said[0]} x {said[1]}, but the file is {size[0]} x {size[1]}: "
            "correct the annotated size, and check that its boxes fit the file"
        )
        problems.add("wrong image size", image.name, "", message, clipped=True)
        image.width, image.height = size
        return problems.on_bad_box == "clip"  # its boxes are then checked against the true size
    return True


def _note_frames(images: list[RawImage], looks: list[Look | None], problems: Problems) -> None:
    several = [image.name for image, look in zip(images, looks) if look and look.more_frames]
    message = "only the first frame or page of these is used"
    problems.unused("frames after the first", several, message)


def _note_ranges(images: list[RawImage], looks: list[Look | None], problems: Problems) -> None:
    """One range for all images of a mode, so that brightness means the same in all of them."""
    groups: dict[str, list[int]] = {}
    for i, look in enumerate(looks):
        if look is not None and look.extremes is not None:
            groups.setdefault(look.mode, []).append(i)
    for mode, rows in groups.items():
        extremes = np.array([looks[i].extremes for i in rows])  # pyright: ignore
        low, high = float(extremes[:, 0].min()), float(extremes[:, 1].max())
        shown = black_white(mode, low, high)
        if shown is None:
            continue
        for i in rows:
            images[i].black_white = shown
        message = (
            f"the values go from {low:g} to {high:g}, which is not the range of their type (Pillow "
            f"calls it {mode}): {shown[0]:g} is shown as black and {shown[1]:g} as white"
        )
        name = images[rows[0]].name
        problems.note("pixel range", name, "", message, count=len(rows))
