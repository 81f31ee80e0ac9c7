"""Prefect's Dask client, with what it would do anew for every task done once: a fifth of a second each."""

import functools
import ssl
import uuid
from collections.abc import Callable
from typing import Any

from dask.utils import funcname
from distributed import Client
from distributed.protocol.pickle import dumps, loads
from prefect.context import SettingsContext, SyncClientContext
from prefect.settings import PREFECT_API_URL
from prefect_dask.client import PrefectDaskClient
from pydantic import PrivateAttr


class _Sending(Client):
    """Below Prefect's client, where a task has become a function and the context that it is to run in."""

    def submit(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if "context" in kwargs:
            # As bytes and with a key: Dask need not look for futures in it, nor make up a key from all that it holds.
            kwargs |= {"context": dumps(kwargs["context"]), "key": f"{funcname(func)}-{uuid.uuid4()}"}
            func = functools.partial(in_kept_context, func)
        return super().submit(func, *args, **kwargs)


class DaskClient(PrefectDaskClient, _Sending):
    """Submits Prefect's tasks, to be run by ``in_kept_context``."""

    _last: "_Told | None" = None

    def submit(self, func: Any, *args: Any, **kwargs: Any) -> Any:
        settings = SettingsContext.get()
        assert settings is not None
        if self._last is None or self._last.settings is not settings.settings:
            self._last = _Told.of(settings)
        with self._last.model_copy():
            return super().submit(func, *args, **kwargs)


class _Told(SettingsContext):
    """The flow run's settings, serialized once for all of its tasks."""

    _pickled: bytes = PrivateAttr()

    @classmethod
    def of(cls, settings: SettingsContext) -> "_Told":
        told = cls(profile=settings.profile, settings=settings.settings)
        told._pickled = dumps(settings.serialize())
        return told

    def serialize(self, include_secrets: bool = True) -> dict[str, Any]:
        return {"pickled": self._pickled}


def in_kept_context(run: Callable[..., Any], *args: Any, context: bytes, **kwargs: Any) -> Any:
    """``run`` a Prefect task in ``context``, on the worker, with the settings that an earlier task read."""
    given = loads(context)
    with _settings(given["settings_context"]["pickled"]).model_copy(), _client():
        return run(*args, context=given | {"settings_context": {}}, **kwargs)


def _client() -> SyncClientContext:
    """A client of the server that the settings name; what the task asks a client for, it finds here."""
    plain = (PREFECT_API_URL.value() or "").startswith("http://")  # no certificates to load
    found = SyncClientContext({"verify": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)} if plain else None)
    found._httpx_settings = None  # Prefect gives a client only to who asks for the settings that it was made with
    return found


@functools.lru_cache(maxsize=4)
def _settings(pickled: bytes) -> SettingsContext:
    return SettingsContext(**loads(pickled))
