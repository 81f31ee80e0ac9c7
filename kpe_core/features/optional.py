"""Packages that not every installation has."""

import importlib
from typing import Any

from kpe_core.errors import UserError
from kpe_core.torchvision_ops import declare_torchvision_operators


def need(module: str, package: str) -> Any:
    """The module, imported.

    Raises
    ------
    UserError
        when its package is not installed.
    """
    declare_torchvision_operators()
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(
            f"{package} is not installed or cannot be imported ({error}); it comes with pip install -e '.[models]'"
        ) from None
