"""A study for a checkpoint: the template with its path put in, under a name of its own."""

import json
from pathlib import Path

from kpe_core.data.datasets import load
from kpe_core.errors import UserError
from kpe_core.identity import digest
from kpe_core.stages.requirements import require_all_possible, require_model
from kpe_core.study.load import load_study, read_study
from kpe_core.study.runs import cells
from kpe_core.study.specs import PretrainedField, Study

LONGEST = 55
"""Characters of the template's name that are kept; the checkpoint's hash comes after it."""


class Refused(Exception):
    """The checkpoint, and not the template, is at fault. Says why in a sentence."""


class Template:
    """A study whose pretrained fields a checkpoint's path is put into; ``into``: one of them, as ``--set`` spells it.

    Raises
    ------
    UserError
        when it is no study, or has no such field.
    """

    def __init__(self, name_or_path: str, overrides: tuple[str, ...] = (), into: str | None = None) -> None:
        self.name_or_path, self.overrides = name_or_path, overrides
        self.study = load_study(name_or_path, overrides)
        document = read_study(name_or_path, overrides)
        self.places = [into] if into is not None else _places(self.study, document)
        if not self.places:
            raise UserError(
                f"study {self.study.name!r} has no pretrained field that a checkpoint could be put into; it needs "
                "fields: {kind: pretrained, layout: …, path: …}"
            )
        fields = [f for e in self.study.experiments for f in e.fields if isinstance(f, PretrainedField)]
        layouts = sorted({f.layout for f in fields})
        if "function" in layouts:
            raise UserError(f"study {self.study.name!r}: a field of layout function is code, not a checkpoint")
        self.folders = layouts == ["diffusers"]
        """Whether its models are folders."""
        self.id = digest(self.study.model_dump(mode="json"), self.places)
        """Changes with everything in it: what it was refused for may be mended."""

    def overrides_for(self, checkpoint: Path, sha256: str) -> tuple[str, ...]:
        """What makes the template the checkpoint's study."""
        title = f"{self.study.title or self.study.name}: {checkpoint.name}"
        return (
            *self.overrides,
            f"name={self.study.name[:LONGEST]}-{sha256[:8]}",
            f"title={json.dumps(title)}",
            *(f"{place}={json.dumps(str(checkpoint))}" for place in self.places),
        )

    def study_for(self, checkpoint: Path, sha256: str) -> Study:
        """The checkpoint's study, its model loaded and asked once.

        Raises
        ------
        Refused
            when the checkpoint is broken, or not what the template says of it.
        UserError
            when anything else of the study cannot be had, which is no fault of the checkpoint's.
        """
        study = load_study(self.name_or_path, self.overrides_for(checkpoint, sha256))
        for cell in cells(study):
            load(cell.data)
        try:
            for cell in cells(study):
                require_model(cell)
        except UserError as error:
            raise Refused(str(error)) from None
        except Exception as error:  # a broken file may make its reader fail in any way
            raise Refused(f"{checkpoint.name} cannot be used: {type(error).__name__}: {error}") from None
        require_all_possible(study)
        return study


def _places(study: Study, document: dict[str, object]) -> list[str]:
    """Where the paths of the study's pretrained fields are in its file."""
    found = []
    raw = document["experiments"]
    assert isinstance(raw, list)
    for i, experiment in enumerate(study.experiments):
        for j, field in enumerate(experiment.fields):
            if isinstance(field, PretrainedField):
                item = f"fields.{j}" if isinstance(raw[i]["fields"], list) else "fields"
                found.append(f"experiments.{i}.{item}.path")
    return found
