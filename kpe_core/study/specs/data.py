"""Which data, how split, how prepared."""

import difflib
import os
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from kpe_core.study.names import DATASETS
from kpe_core.study.specs.base import Count, Fraction, Seed, Spec

OPTIONS = (
    "root", "split", "reference", "size", "crop", "colour", "labels", "class_names", "scale_factor", "vae", "value_range",
)  # fmt: skip
"""Choices that some sets take and others refuse."""
HELD_OUT = 0.2
IMAGENET = "imagenet"
"""The word for ImageNet's own class names."""


class PrepareSpec(Spec):
    """How raw data become the field's coordinates, in this order: pool, scaling, scale.

    The energy–density relation depends on it (METHOD §7), so it belongs to a run's identity.
    """

    pool: Annotated[int, Field(strict=True, ge=2)] | None = None
    """Side in pixels after mean pooling; must divide the data's side."""
    scaling: Literal["raw", "unit", "symmetric", "centered"] = "centered"
    """``unit`` [0, 1]; ``symmetric`` [−1, 1]; ``centered``: per-coordinate mean 0, one global std 1 (train split)."""
    scale: Annotated[float, Field(strict=True, gt=0, le=100)] = 1.0
    """Factor applied last."""


class DataSpec(Spec):
    """A data set, its split and its preparation.

    Where its publisher parts train from test, that split is the default; other sets are split at random. Choices a set
    does not take are refused, and those it takes have its own defaults (kpe_core.study.names).
    """

    name: str
    n_train: Annotated[int, Field(strict=True, ge=2)] | None = None
    """Training points the field sees: the first ``n_train`` of the train split, classes in turn. None: all that is read."""
    held_out: Fraction | None = None
    """Share of the data no field ever sees, drawn at random; 0.2 unless given. Not with ``split: own``."""
    seed: Seed = 0
    """Seed of the split's order, and of the points of the 2-D sets."""
    prepare: PrepareSpec = PrepareSpec()

    root: str | None = None
    """Folder or file where the data lie; a relative one counts from the current folder. None: ``$KPE_DATA/<name>``, and
    ``data/<name>`` without that variable. No part of a run's identity: the data's fingerprint is."""
    split: Literal["own", "random"] | None = None
    """``own``: the publisher's train and test parts; ``random``: everything there is, parted by ``held_out``."""
    reference: Count | Literal["all"] | None = None
    """Points read at most of the train part (at least ``n_train``) and of the held-out part, classes in turn: what
    classifiers learn from and generated samples are held against. None: the set's default."""
    size: Annotated[int, Field(strict=True, ge=4, le=4096)] | None = None
    """Side in pixels that pictures are resized to, their centre kept."""
    crop: Annotated[int, Field(strict=True, ge=4)] | None = None
    """Side in pixels of a square cut out of the centre before resizing; None: the largest."""
    colour: Annotated[bool, Field(strict=True)] | None = None
    """Whether pictures keep their colour; grey is 0.2989 R + 0.587 G + 0.114 B."""
    labels: str | None = None
    """``array``: a .npy file, or a name inside the .npz or .zarr; ``celeba``: ``identity``, or an attribute such as
    ``Smiling``. None: one class, or what the set itself says."""
    class_names: str | None = None
    """A file of the classes' names: one a line in the order of their numbers, or lines such as "n01440764 tench"; JSON,
    a list or names by number or synset, or a diffusers pipeline's model_index.json. Or ``imagenet``: the 1000 names that
    CLIP's authors use (in open_clip). None: classes.txt, classes.json or LOC_synset_mapping.txt beside the data, where one
    is. No part of a run's identity but where prompts hold them."""
    scale_factor: Annotated[float, Field(strict=True, gt=0)] | None = None
    """What stored latents are multiplied by (Stable Diffusion's VAE: 0.18215; 1 where that is done already)."""
    vae: str | None = None
    """Folder of the diffusers AutoencoderKL that latents were encoded by, such as a pipeline's ``vae``: wherever pictures
    are looked at or shown, they are decoded by it. Of features' identity its SHA-256 is part, and its place is not."""
    value_range: tuple[float, float] | None = None
    """Lowest and highest value an ``array`` can hold, for ``unit`` and ``symmetric`` scaling."""

    @field_validator("name")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in DATASETS:
            near = difflib.get_close_matches(value, DATASETS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"unknown data set {value!r}; available: {', '.join(sorted(DATASETS))}{hint}")
        return value

    @field_validator("root", "vae", "class_names")
    @classmethod
    def _absolute(cls, value: str | None) -> str | None:
        """Workers may run in another folder."""
        return value if value in (None, IMAGENET) else os.path.abspath(os.path.expanduser(value))

    @field_validator("value_range", mode="before")
    @classmethod
    def _two_numbers(cls, value: Any) -> Any:
        if value is None:
            return None
        if not isinstance(value, list | tuple) or len(value) != 2 or not all(_is_number(v) for v in value):
            raise ValueError(f"{value!r} should be a pair of numbers such as [0, 255]")
        low, high = (float(v) for v in value)
        if not low < high:
            raise ValueError(f"{value!r}: the first number must be below the second")
        return low, high

    @model_validator(mode="after")
    def _only_what_the_set_takes(self) -> Self:
        known = DATASETS[self.name]
        given = [option for option in OPTIONS if getattr(self, option) is not None]
        for option in given:
            if option == "split" and not known.own_split:
                if self.split == "own":
                    raise ValueError(f"split: own is for sets with a test part of their own; {self.name!r} has none")
                object.__setattr__(self, "split", None)
            elif option not in known.options:
                takes = ", ".join(o for o in OPTIONS if o in known.options) or "none of these choices"
                raise ValueError(f"{option!r} is not a choice of data set {self.name!r}; it takes {takes}")
        for option, value in known.defaults.items():
            if getattr(self, option) is None:
                object.__setattr__(self, option, value)
        return self

    @model_validator(mode="after")
    def _one_split(self) -> Self:
        if DATASETS[self.name].own_split and self.split is None:
            object.__setattr__(self, "split", "own")
        if self.split == "own" and self.held_out is not None:
            raise ValueError(
                f"held_out is for a random split, and {self.name!r} brings its own test part; "
                "remove it, or say split: random"
            )
        if self.split != "own" and self.held_out is None:
            object.__setattr__(self, "held_out", HELD_OUT)
        if self.crop is not None and self.size is not None and self.size > self.crop:
            raise ValueError(f"size = {self.size} would enlarge a crop of {self.crop}; make crop at least size")
        return self

    def identity(self) -> dict[str, Any]:
        """What of it belongs to a run's identity: not where the data lie, which their fingerprint speaks for."""
        said = self.model_dump(mode="json", exclude={"root", "labels", "class_names", "vae"})
        return {name: value for name, value in said.items() if value is not None or name not in (*OPTIONS, "held_out")}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
