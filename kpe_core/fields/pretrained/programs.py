"""Models that are programs: exported ones, TorchScript, and functions. Loading them runs what they hold, by definition."""

import hashlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export.passes import move_to_device_pass

from kpe_core.devices import CPU
from kpe_core.errors import UserError
from kpe_core.fields.pretrained.conventions import Habits
from kpe_core.fields.pretrained.network import Network


def load_exported(path: Path, dtype: torch.dtype, device: torch.device = CPU) -> Network:
    """On ``device``, a ``torch.export.save`` file (.pt2), called as (x, t) or, by class, (x, t, label)."""
    try:
        program = torch.export.load(path)
        if device != CPU:  # its graph may name the device it was exported on
            program = move_to_device_pass(program, device)
        module = program.module()
    except Exception as error:
        raise UserError(f"{path} is no program of torch.export that this torch can read: {_said(error)}") from None
    parameters = sum(p.numel() for p in module.parameters())
    return Network(_positional(module.to(dtype)), Habits(), parameters)


def load_torchscript(path: Path, dtype: torch.dtype, device: torch.device = CPU) -> Network:
    """On ``device``, a ``torch.jit.save`` file, called as (x, t) or, by class, (x, t, label)."""
    try:
        module = torch.jit.load(str(path), map_location=device)
    except Exception as error:
        raise UserError(f"{path} is no TorchScript program that this torch can read: {_said(error)}") from None
    module = module.eval().to(dtype)
    return Network(_positional(module), Habits(), sum(p.numel() for p in module.parameters()))


def load_function(path: str) -> Network:
    """``module:function`` or ``file.py:function``, called as (x, t, label), label None where no class is asked for."""
    function = _found(path)
    return Network(lambda z, time, label: function(z, time, label), Habits(), None)


def source_of(path: str) -> Path:
    """The source file of a function's module, found without importing the module itself.

    Raises
    ------
    UserError
        when there is none.
    """
    module = path.rpartition(":")[0]
    if module.endswith(".py"):
        if not os.path.isfile(module):
            raise UserError(f"the function's file is missing; looked for {module}")
        return Path(module)
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        spec = None
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        raise UserError(
            f"fields.path = {path!r}: there is no Python module {module!r} on the import path; "
            "install it, set PYTHONPATH, or give file.py:function"
        )
    return Path(spec.origin)


def _found(path: str) -> Callable[..., Any]:
    module_name, _, name = path.rpartition(":")
    source = source_of(path)
    try:
        if module_name.endswith(".py"):
            module_name = "kpe_function_" + hashlib.sha256(str(source).encode()).hexdigest()[:12]
            spec = importlib.util.spec_from_file_location(module_name, source)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[module_name] = module
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(module_name)
    except Exception as error:
        raise UserError(f"{source} cannot be imported: {type(error).__name__}: {error}") from None
    function = getattr(module, name, None)
    if not callable(function):
        raise UserError(f"{source} has no function {name!r}")
    return function


def _positional(module: Callable[..., Any]) -> Callable[[Tensor, Tensor, Tensor | None], Tensor]:
    def ask(z: Tensor, time: Tensor, label: Tensor | None) -> Tensor:
        return module(z, time) if label is None else module(z, time, label)

    return ask


def _said(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
