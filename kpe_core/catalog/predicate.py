"""What a filter can tell before any state is read.

DuckDB hands its filter over as an Arrow expression. It is evaluated in three-valued logic with NULL for whatever is not
yet known: where the result is false, it is false whatever the unknown columns hold, and nothing has to be read there.
"""

import re
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from numpy.typing import NDArray

NO, YES, UNKNOWN = np.int8(0), np.int8(1), np.int8(2)


class Predicate:
    """A filter over the columns of ``schema``, none of which ever holds NULL; ``expression`` None keeps every row."""

    def __init__(self, expression: pc.Expression | None, schema: pa.Schema) -> None:
        self.expression = expression
        self._schema = schema
        text = str(expression)
        # NULL stands for the unknown, so a test for NULL would take the unknown for an answer. DuckDB writes IN as
        # if_else(is_valid(c), is_in(c, …), null), which does not.
        self._blind = "is_null(" in text or text.count("is_valid(") != text.count("if_else(is_valid(")
        self._text = text if expression is not None else ""

    def may_read(self, column: str) -> bool:
        """Whether the filter might need ``column``."""
        return re.search(rf"\b{column}\b", self._text) is not None

    def verdicts(self, rows: int, known: Mapping[str, pa.Array]) -> NDArray[np.int8]:
        """NO, YES or UNKNOWN for each of ``rows`` rows of which only some columns are known."""
        if self.expression is None:
            return np.full(rows, YES)
        if self._blind:
            return np.full(rows, UNKNOWN)
        columns = [known[f.name] if f.name in known else pa.nulls(rows, f.type) for f in self._schema]
        table = pa.Table.from_arrays(columns, schema=self._schema)
        answer = ds.dataset(table).to_table(columns={"verdict": self.expression})["verdict"]
        return answer.cast(pa.int8()).fill_null(int(UNKNOWN)).to_numpy()
