"""The first view of both portals' pages: time and bytes, in Debian's chromium.

The peer is Python's own file server with the same page and files: what a browser takes for them
when nothing has to be looked up, decided or rendered.
"""

import argparse
import functools
import http.server
import re
import statistics
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path

from benchmarks.processes import Bench
from tests.browser.portal import Portal, Visitor

RUNS = 20


def first_views(visitor: Visitor, address: str, runs: int) -> tuple[float, float, int]:
    """Load a page, each time as if for the first time.

    :return: median milliseconds to the load event and to the first byte, and bytes.
    """
    page = visitor.page
    session = visitor.chromium.context.new_cdp_session(page)
    whole, first, size = [], [], 0
    for _ in range(runs):
        session.send("Network.clearBrowserCache")
        page.goto(address)
        page.wait_for_load_state("load")
        page.wait_for_timeout(50)
        loaded, answered, size = page.evaluate(
            """() => {
              const [page] = performance.getEntriesByType("navigation");
              const files = performance.getEntriesByType("resource");
              const size = [page, ...files].reduce((sum, one) => sum + one.transferSize, 0);
              return [page.loadEventEnd, page.responseStart, size];
            }"""
        )
        whole.append(loaded)
        first.append(answered)
    return statistics.median(whole), statistics.median(first), size


def copy_of(visitor: Visitor, directory: Path) -> None:
    """Keep the page and its files, unpacked, as a file server has them."""
    content = visitor.page.content()
    (directory / "index.html").write_text(content)
    for address in set(re.findall(r'"(/static/[^"?]+)\?', content)):
        target = directory / address.lstrip("/")
        target.parent.mkdir(exist_ok=True)
        with urllib.request.urlopen(visitor.chromium.origin + address) as answer:
            target.write_bytes(answer.read())


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def serve(directory: Path) -> tuple[int, Callable[[], None]]:
    """Serve a directory; give the port, and what ends it."""
    handler = functools.partial(_Quiet, directory=str(directory))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1], server.shutdown


def main() -> None:
    """Measure, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tunnels", type=int, default=12)
    parser.add_argument("--runs", type=int, default=RUNS)
    options = parser.parse_args()
    with Bench() as bench:
        portal = Portal()
        bench.callback(portal.close)
        for number in range(options.tunnels - len(portal.tunnels)):
            portal.add_tunnel(f"tunnel-{number}", f"10.0.{number // 250}.{number % 250}", ["5432"])
        visitor = Visitor(portal)
        bench.callback(visitor.close)
        admin = portal.api("POST", "/users", name="boss", role="admin")["id"]
        administrator = Visitor(portal, admin)
        bench.callback(administrator.close)
        theirs = ("", "/tunnels", f"/tunnels/{portal.tunnels['db']}", "/users", "/policies/new",
                  "/sessions", "/audit", "/settings")  # fmt: skip
        pages = [(visitor, path) for path in ("/", portal.panel("db"), "/keys", "/sessions")]
        for visitor, path in [*pages, *((administrator, f"/admin{path}") for path in theirs)]:
            visitor.chromium.visit(path)
            copy = bench.directory / path.strip("/").replace("/", "-")
            copy.mkdir(exist_ok=True)
            copy_of(visitor, copy)
            port, end = serve(copy)
            ours = first_views(visitor, visitor.chromium.origin + path, options.runs)
            peer = first_views(visitor, f"http://127.0.0.1:{port}/", options.runs)
            end()
            name = re.sub(r"[a-z]+_\w{26}", "…", path)
            print(
                f"{name:18} {ours[0]:4.0f} ms to the end, {ours[1]:3.0f} ms to the first byte, "
                f"{ours[2] / 1024:3.0f} KiB; files alone {peer[0]:4.0f} ms; "
                f"{ours[0] / peer[0]:.2f} times"
            )


if __name__ == "__main__":
    main()
