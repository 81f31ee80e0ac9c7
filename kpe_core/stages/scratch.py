"""A temporary store in which every sound object of another is there by a link, so that stages may make the rest again."""

import contextlib
import os

from kpe_core.store.store import Store


class Scratch:
    """``copy`` is the temporary store, in ``folder``; without the objects to ``leave_out``.

    Objects are links where ``store`` is on disk, copies where it is not. The stages write through neither: they put
    objects in place of what is there.
    """

    def __init__(self, store: Store, folder: str, leave_out: set[str]) -> None:
        self.store, self.copy = store, Store(folder)
        for each in store.objects(""):
            if each.path in leave_out or each.path.startswith("locks/"):
                continue
            if store.is_local:
                _link(store.path(each.path), self.copy.path(each.path))
            else:
                self.copy.receive(store, each.path)

    def take(self, path: str) -> None:
        """Put what was made here in place of the store's own object."""
        self.store.receive(self.copy, path)

    def set_aside(self, folder: str, parts: tuple[str, ...]) -> dict[str, str]:
        """Where the links below ``folder``'s ``parts`` lead, by path: laying out begins with an empty folder."""
        found = [o.path for part in parts for o in self.copy.objects(f"{folder}/{part}")]
        return {path: os.path.realpath(self.copy.path(path)) for path in found}

    def put_back(self, kept: dict[str, str]) -> None:
        """The links that ``set_aside`` found."""
        for path, target in kept.items():
            _link(target, self.copy.path(path))


def _link(target: str, name: str) -> None:
    os.makedirs(os.path.dirname(name), exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name)
    os.symlink(target, name)
