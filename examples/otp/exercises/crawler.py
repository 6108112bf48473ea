"""Exercise: a crawler. Its parts are here. You write the tree that keeps them running.

Write the function at the end, so that:

1. Every page that can be reached from the first is fetched, once.
2. When the work is done, the whole tree ends by itself, and not before.
3. Three pages are fetched at a time, if there are that many.
4. A page whose fetch raises is tried three times; no other page is affected.
5. The crawl goes on if there are twenty such pages.
6. If the frontier crashes, the crawl starts again, and completes.

``fetch(page)`` returns the links on a page, or raises. ``report(page, outcome)`` is called once for
each page; the outcome is "fetched", or "failed" after three tries.
"""

from antq_actors.otp import Down, GenServer, Stop, cast, monitor


class Frontier(GenServer):
    """Knows which pages are still to be fetched. Fetchers reach it by the name "frontier"."""

    def __init__(self, first, report):
        super().__init__()
        self.report = report
        self.known = {first}
        self.to_fetch = [first]
        self.tries = {}
        self.busy = {}  # fetcher: the page it fetches
        self.idle = []  # fetchers without a page

    def handle_cast(self, message):
        match message:
            case ("ready", fetcher):
                monitor(fetcher)
            case ("fetched", fetcher, links):
                self.report(self.busy.pop(fetcher), "fetched")
                new = [link for link in dict.fromkeys(links) if link not in self.known]
                self.known.update(new)
                self.to_fetch.extend(new)
        self.idle.append(fetcher)
        self.hand_out()

    def handle_info(self, message):
        match message:
            case Down(_monitor, fetcher, _reason):
                self.idle = [each for each in self.idle if each is not fetcher]
                if fetcher in self.busy:
                    self.try_again(self.busy.pop(fetcher))
                self.hand_out()

    def try_again(self, page):
        self.tries[page] = self.tries.get(page, 0) + 1
        if self.tries[page] < 3:
            self.to_fetch.append(page)
        else:
            self.report(page, "failed")

    def hand_out(self):
        while self.to_fetch and self.idle:
            fetcher, page = self.idle.pop(0), self.to_fetch.pop(0)
            self.busy[fetcher] = page
            cast(fetcher, page)
        if not self.to_fetch and not self.busy:
            for fetcher in self.idle:
                cast(fetcher, None)  # no more pages


class Fetcher(GenServer):
    """Fetches one page at a time. It ends normally when there are no more."""

    def __init__(self, fetch):
        super().__init__()
        self.fetch = fetch

    def init(self):
        cast("frontier", ("ready", self.ref))

    def handle_cast(self, page):
        if page is None:
            raise Stop
        links = self.fetch(page)
        cast("frontier", ("fetched", self.ref, links))


def start_crawler(fetch, first, report, fetchers=3):
    """Start the tree, which begins with the page *first*, and return its supervisor."""
    raise NotImplementedError


if __name__ == "__main__":
    print("Write the tree, then check it: antq course crawler --check crawler.py")

# Output:
# Write the tree, then check it: antq course crawler --check crawler.py
