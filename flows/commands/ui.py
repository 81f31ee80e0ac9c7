"""``kpe ui``: the Prefect UI over a store's past runs."""

import time

from flows.server import home, running_url, start, ui_url
from kpe_core.store.store import Store


def serve(store_url: str) -> None:
    """Serve until interrupted; says where, also when a server is already running."""
    store = Store.create_or_open(store_url)
    if (running := running_url(home(store))) is not None:
        print(f"Prefect UI is already at {ui_url(running)}")
        return
    with start(home(store)) as url:
        print(f"Prefect UI at {ui_url(url)}  (Ctrl-C stops it; `kpe run` uses it meanwhile)", flush=True)
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            print("stopped")
