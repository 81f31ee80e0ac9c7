"""Decoding pictures from files: colour or grey, cropped, resized, as float32 in 0…255."""

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kpe_core.data.files import unreadable
from kpe_core.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
LUMA = np.array([0.2989, 0.587, 0.114], dtype=np.float32)
"""ITU-R BT.601, the weights of torchvision's Grayscale."""
EIGHT_BIT = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "La", "RGBa"})

Pixels = NDArray[np.float32]
Fit = Callable[[Pixels], Pixels]
"""What makes a decoded picture (H, W) or (3, H, W) square."""


def read_pictures(paths: Sequence[Path], colour: bool, fit: Fit) -> Pixels:
    """Pictures, (n, S, S) or (n, 3, S, S), decoded on all cores; the same whatever their number.

    Raises
    ------
    UserError
        when one is missing, truncated, no picture, or of another size than the rest; names it.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        pictures = list(pool.map(functools.partial(read_picture, colour=colour, fit=fit), paths))
    for path, picture in zip(paths, pictures, strict=True):
        if picture.shape != pictures[0].shape:
            raise UserError(
                f"{path} has shape {picture.shape} and {paths[0]} {pictures[0].shape}; set data.size to make all alike"
            )
    return np.stack(pictures)


def read_picture(path: Path, colour: bool, fit: Fit) -> Pixels:
    """One picture. Raises as ``read_pictures``."""
    return fit(_decoded(path, colour))


def _decoded(path: Path, colour: bool) -> Pixels:
    with _opened(path) as image:
        if image.mode not in EIGHT_BIT:
            raise unreadable(
                path, f"a picture of mode {image.mode}, not of 8 bits", "convert it, or use data set 'array'"
            )
        if image.mode in ("L", "1"):
            grey = np.asarray(image.convert("L"), dtype=np.float32)
            return np.stack([grey] * 3) if colour else grey
        rgb = np.asarray(image.convert("RGB"), dtype=np.float32)
    return np.ascontiguousarray(rgb.transpose(2, 0, 1)) if colour else rgb @ LUMA


def mode_of(path: Path) -> bool:
    """Whether a picture has colour. Raises as ``read_pictures``."""
    with _opened(path) as image:
        return image.mode not in ("L", "1", "LA", "La")


@contextlib.contextmanager
def _opened(path: Path) -> "Iterator[ImageFile]":
    """A picture, decoded as far as the block asks for; what goes wrong there is named."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            yield image
    except FileNotFoundError:
        raise unreadable(path, "no such file, though the data set's list names it", "put it there") from None
    except MemoryError:  # a cut file's chunk may say that it holds gigabytes
        raise unreadable(path, "cannot be decoded as a picture: it asks for more memory than there is") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise unreadable(path, f"cannot be decoded as a picture ({error})") from None


def as_it_is(picture: Pixels) -> Pixels:
    return picture


def shorter_side(picture: Pixels, size: int, crop: int | None = None) -> Pixels:
    """[BO]'s way: (a central ``crop`` first,) the shorter side resized to ``size``, bilinear with antialiasing, then the
    central square. Agrees with torchvision's Resize and CenterCrop on floats."""
    if crop is not None:
        height, width = picture.shape[-2:]
        if crop > min(height, width):
            raise UserError(f"data.crop = {crop} is larger than a picture of {height}×{width}")
        picture = _center(picture, crop)
    height, width = picture.shape[-2:]
    long = int(size * max(height, width) / min(height, width))
    target = (size, long) if height <= width else (long, size)
    return _center(_resized(picture, target, "bilinear"), size)


def halved_then_bicubic(picture: Pixels, size: int) -> Pixels:
    """The ImageNet way of Dhariwal and Nichol (arXiv 2105.05233): halved by box filtering while twice too large, the
    shorter side resized to ``size`` bicubically, the central square kept."""
    while min(picture.shape[-2:]) >= 2 * size:
        height, width = picture.shape[-2:]
        picture = _resized(picture, (height // 2, width // 2), "box")
    height, width = picture.shape[-2:]
    scale = size / min(height, width)
    picture = _resized(picture, (round(height * scale), round(width * scale)), "bicubic")
    return np.clip(_center(picture, size, down=True), 0.0, 255.0)


def _resized(picture: Pixels, size: tuple[int, int], filter_: str) -> Pixels:
    """To (height, width), each channel in floats."""
    from PIL import Image

    if picture.shape[-2:] == size:
        return picture
    how = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC, "box": Image.Resampling.BOX}
    channels = picture.reshape(-1, *picture.shape[-2:])

    def one(channel: Pixels) -> "Image.Image":
        return Image.fromarray(channel).resize(size[::-1], how[filter_])

    return np.stack([np.asarray(one(c), dtype=np.float32) for c in channels]).reshape(*picture.shape[:-2], *size)


def _center(picture: Pixels, side: int, down: bool = False) -> Pixels:
    """The central square; an odd margin's half is rounded to even, or ``down``."""
    height, width = picture.shape[-2:]
    half = (lambda n: n // 2) if down else (lambda n: round(n / 2))
    top, left = half(height - side), half(width - side)
    return picture[..., top : top + side, left : left + side]
