"""How long others wait to write while a document of many objects is applied.

The peer is the same document applied within one transaction, object by object.
"""

import argparse
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tunnelcloud.store import document_planning, documents, sites
from tunnelcloud.store.document_sections import Document
from tunnelcloud.store.engine import Store, open_store
from tunnelcloud.web.models.document import WholeDocument


def timed(work: Callable[..., Any]) -> Callable[..., Any]:
    """Print how long the processor is at work in the thread that writes."""

    def both(*given: Any) -> Any:
        began = time.thread_time()
        done = work(*given)
        print(f"the thread that writes: {time.thread_time() - began:.2f} s of CPU")
        return done

    return both


def planned(store: Store, document: Document) -> None:
    """Apply a document as the pod does."""
    plan = document_planning.plan(store.read(document_planning.take_snapshot), document)
    store.write(timed(document_planning.carry_out), plan)


def at_once(store: Store, document: Document) -> None:
    """Apply a document within one transaction."""
    store.write(timed(documents.apply), document)


def measure(apply: Callable[[Store, Document], None], count: int) -> tuple[float, float]:
    """Apply a document beside somebody who writes all the time.

    :return: seconds that it took, and the longest that a write of others' took.
    """
    users = {f"u{one}": {"email": f"u{one}@example.com"} for one in range(count)}
    document = WholeDocument.model_validate({"users": users}).entries()
    with tempfile.TemporaryDirectory() as directory:
        store = open_store("sqlite", Path(directory))
        site = store.write(sites.create, name="paris")
        over, longest = threading.Event(), 0.0

        def write() -> None:
            nonlocal longest
            while not over.is_set():
                began = time.monotonic()
                # No setting changes, so no plan is outdated.
                store.write(sites.SITES.lock, site.id)
                longest = max(longest, time.monotonic() - began)
                time.sleep(0.01)

        other = threading.Thread(target=write)
        other.start()
        began = time.monotonic()
        apply(store, document)
        took = time.monotonic() - began
        over.set()
        other.join()
        store.close()
    return took, longest


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=16_000)
    count = parser.parse_args().objects
    for name, apply in (("planned", planned), ("object by object", at_once)):
        took, longest = measure(apply, count)
        print(f"{name}: {count} objects in {took:.1f} s, others wait {longest * 1000:.0f} ms")


if __name__ == "__main__":
    main()
