from prefect import flow
@flow(name="kpe watch")
def watch(folder: str, study: str, store: str = "store") -> None:
    """x"""
