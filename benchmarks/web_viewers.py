"""Viewers of a served dashboard: each has a page open, its stream, and keeps its live part fresh.

    python benchmarks/web_viewers.py URL /PAGE /PAGE…

They do what ``static/antq.js`` does: a signal about a topic of the live part makes it due, it is
fetched two seconds after the last time at the earliest, and what is not newer is answered 304. It
writes a line when all streams are open; told to end, how many parts each has fetched.
"""

from __future__ import annotations

import html
import json
import re
import sys
import threading
import time
from http.client import HTTPConnection, HTTPException
from typing import Final
from urllib.parse import urlsplit

LEAST_SECONDS: Final = 2.0
"""From one fetch to the next, as in the browser."""
TIMEOUT_SECONDS: Final = 60.0
_REGION: Final = re.compile(r'data-region="([^"]*)" data-topics="([^"]*)"')


class Viewer:
    """Someone with a page open."""

    def __init__(self, url: str, page: str) -> None:
        self._site = urlsplit(url)
        self._page = page
        self._due, self._gone = threading.Event(), threading.Event()
        self._threads: list[threading.Thread] = []
        self.fetched = 0
        """Parts, without those that had not changed."""

    def open(self) -> None:
        """Load the page, and open its stream."""
        entry = self._connect()
        entry.request("GET", f"/?{self._site.query}")
        answer = entry.getresponse()
        answer.read()
        cookie = (answer.getheader("set-cookie") or "").partition(";")[0]
        self._headers = {"cookie": cookie, "accept-encoding": "gzip"}
        entry.request("GET", self._page, headers={"cookie": cookie})
        answer = entry.getresponse()
        found = _REGION.search(answer.read().decode())
        if answer.status != 200 or found is None:
            raise RuntimeError(f"{self._page} was answered {answer.status}, without a live part")
        self._region, self._topics = html.unescape(found[1]), set(html.unescape(found[2]).split())
        self._stream = self._connect()
        self._stream.request("GET", "/live", headers=self._headers)
        stream = self._stream.getresponse()
        for work in (self._hear, self._fetch_when_due):
            arguments = (stream,) if work == self._hear else (entry,)
            self._threads.append(threading.Thread(target=work, args=arguments, daemon=True))
            self._threads[-1].start()

    def close(self) -> None:
        """Close both."""
        self._gone.set()
        self._due.set()
        self._threads[1].join(TIMEOUT_SECONDS)

    def _connect(self) -> HTTPConnection:
        return HTTPConnection(self._site.hostname, self._site.port, timeout=TIMEOUT_SECONDS)

    def _hear(self, stream: object) -> None:
        name = ""
        try:
            while line := stream.readline().decode():
                field, _, value = line.strip().partition(": ")
                if field == "event":
                    name = value
                elif name == "signal" and field == "data":
                    topics = set(json.loads(value)["topics"])
                    if self._topics & topics:
                        self._due.set()
        except (OSError, ValueError):
            pass  # the server has ended it

    def _fetch_when_due(self, connection: HTTPConnection) -> None:
        begun, tag = 0.0, None
        while True:
            self._due.wait()
            if self._gone.wait(max(0.0, begun + LEAST_SECONDS - time.monotonic())):
                return
            self._due.clear()
            begun = time.monotonic()
            more = {} if tag is None else {"if-none-match": tag}
            try:
                connection.request("GET", f"/region/{self._region}", headers=self._headers | more)
                answer = connection.getresponse()
                answer.read()
            except (OSError, HTTPException):
                return  # the server has ended it
            if answer.status == 200:
                tag = answer.getheader("etag")
                self.fetched += 1


def main() -> None:
    """Look, until told to end."""
    viewers = [Viewer(sys.argv[1], page) for page in sys.argv[2:]]
    for each in viewers:
        each.open()
    print("open", flush=True)
    sys.stdin.readline()
    print(json.dumps([each.fetched for each in viewers]), flush=True)
    for each in viewers:
        each.close()


if __name__ == "__main__":
    main()
