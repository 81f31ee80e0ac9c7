"""What a study expects of its runs beyond what is always expected."""

from typing import Annotated, Any, Literal

from pydantic import Field

from kpe_core.study.specs.base import Spec

Words = Annotated[str, Field(min_length=1)]


class ExpectationSpec(Spec):
    """One expectation of a table, as the suite files in ``tasks/quality/suites/`` write it too.

    It judges runs that are not yet visible, and is no part of what a run is: no id depends on it.
    """

    table: Words
    """Of which table: samples, steps, densities, …; each suite file says what its columns are."""
    means: Words
    """What is expected, in a sentence; this names it in the checks."""
    expectation: Words
    """Great Expectations' name of it, e.g. ``expect_column_values_to_be_between``."""
    args: dict[str, Any] = Field(default={})
    """Great Expectations' own arguments; a text ``$fact`` stands for what the run's spec and data say."""
    severity: Literal["error", "warning"] = "error"
    """An error quarantines the run, a warning is shown."""
    when: dict[str, Any] = Field(default={})
    """Facts that must hold of a run for this to be asked of it: each a value or a list of values."""
    allowed: str = ""
    """The threshold in words, where the arguments say it badly."""
