"""``kpe ui``: the Prefect UI over a store's past runs."""

import time

from flows.server import home, shared_server, ui_url
from kpe_core.store.store import Store


def serve(store_url: str) -> None:
    """Serve until interrupted; shares the server of a running command."""
    store = Store.create_or_open(store_url)
    with shared_server(home(store)) as url:
        print(f"Prefect UI at {ui_url(url)}  (Ctrl-C stops it; `kpe run` uses it meanwhile)", flush=True)
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            print("stopped")
