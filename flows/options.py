"""Options that more than one module of commands takes."""

from typing import Annotated

import typer

StoreUrl = Annotated[str, typer.Option("--store", envvar="KPE_STORE", help="folder or s3:// prefix")]
RunIds = Annotated[list[str], typer.Argument(help="runs' ids or their beginnings, as `kpe ls` lists them")]
