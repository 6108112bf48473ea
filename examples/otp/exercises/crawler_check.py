"""The checks of the exercise crawler. Without a file, they check the worked answer."""

import threading
from collections import Counter

from checking import run, started

from antq_actors.otp import chaos, monitor, whereis

PATIENCE = 10
"""Seconds that a crawl of a few pages may take."""


class Web:
    """Some pages and their links. It counts how often each was fetched, and keeps the reports."""

    def __init__(self, **links):
        self.links = links
        self.fetched = Counter()
        self.reports = []

    def fetch(self, page):
        self.fetched[page] += 1
        return self.links[page]  # raises for a page that is not there

    def report(self, page, outcome):
        self.reports.append((page, outcome))

    def crawl(self, crawler, first="home"):
        """Let *crawler* crawl until it ends by itself."""
        tree = started(crawler.start_crawler, self.fetch, first, self.report)
        await_end(tree)


def await_end(tree):
    with tree:  # stops it, if it has not ended
        try:
            monitor(tree).wait(PATIENCE)
        except TimeoutError:
            raise AssertionError(f"the tree has not ended by itself in {PATIENCE} s") from None


def expect(found, expected, what):
    assert found == expected, f"{what}: {found}, and not {expected}"


def all_pages(crawler):
    """Every page that can be reached from the first is fetched, once."""
    web = Web(home=["news", "shop"], news=["home", "shop"], shop=["news", "cart"], cart=[])
    web.crawl(crawler)
    expect(dict(web.fetched), dict.fromkeys(web.links, 1), "fetched")
    expect(sorted(web.reports), [(page, "fetched") for page in sorted(web.links)], "reported")


class SlowWeb(Web):
    """Two pages; the second is fetched until it is told to go on."""

    def __init__(self):
        super().__init__(home=["slow"], slow=[])
        self.reached, self.may_go_on = threading.Event(), threading.Event()

    def fetch(self, page):
        if page == "slow":
            self.reached.set()
            self.may_go_on.wait(PATIENCE)
        return super().fetch(page)

    def crawl_meanwhile(self, crawler, do):
        """Let *crawler* crawl until it ends by itself; *do* something while it fetches."""
        with started(crawler.start_crawler, self.fetch, "home", self.report) as tree:
            try:
                assert self.reached.wait(PATIENCE), "the second page was not fetched"
                do(tree)
            finally:
                self.may_go_on.set()
            await_end(tree)


def ending(crawler):
    """When the work is done, the whole tree ends by itself, and not before."""

    def look(tree):
        assert tree.is_alive(), "it has ended too early"

    web = SlowWeb()
    web.crawl_meanwhile(crawler, look)
    expect(web.reports, [("home", "fetched"), ("slow", "fetched")], "reported")


def three_at_a_time(crawler):
    """Three pages are fetched at a time, if there are as many."""
    meeting = threading.Barrier(3)
    met = []

    def fetch(page):
        if page == "home":
            return ["a", "b", "c"]
        met.append(meeting.wait(3))
        return []

    await_end(started(crawler.start_crawler, fetch, "home", lambda _page, _outcome: None))
    assert len(met) == 3, "three fetches did not run at the same time"


def three_tries(crawler):
    """A page whose fetch raises is tried three times; no other page suffers from that."""
    web = Web(home=["a", "broken", "b"], a=[], b=[])
    tried = threading.Event()

    def fetch(page):
        if page in ("a", "b"):
            tried.wait(2)  # is being fetched while the fetcher of the broken page crashes
        if page == "broken" and web.fetched[page] == 2:
            tried.set()
        return web.fetch(page)

    await_end(started(crawler.start_crawler, fetch, "home", web.report))
    expect(dict(web.fetched), {"broken": 3, "home": 1, "a": 1, "b": 1}, "fetched")
    good = [(page, "fetched") for page in web.links]
    expect(sorted(web.reports), sorted([*good, ("broken", "failed")]), "reported")


def many_broken(crawler):
    """The crawl goes on if there are twenty such pages."""
    broken = [f"broken {number}" for number in range(20)]
    web = Web(home=[*broken, "last"], last=[])
    web.crawl(crawler)
    expected = [("home", "fetched"), ("last", "fetched"), *((page, "failed") for page in broken)]
    expect(sorted(web.reports), sorted(expected), "reported")


def a_new_frontier(crawler):
    """If the frontier crashes, the crawl begins anew, and comes to its end."""

    def crash(_tree):
        assert whereis("frontier"), 'there is no actor named "frontier"'
        chaos.crash("frontier")

    web = SlowWeb()
    web.crawl_meanwhile(crawler, crash)
    pages = [page for page, _outcome in web.reports]
    expect(pages, ["home", "home", "slow"], "reported")


CHECKS = [
    all_pages,
    ending,
    three_at_a_time,
    three_tries,
    many_broken,
    a_new_frontier,
]

if __name__ == "__main__":
    run(CHECKS, "crawler_answer.py")

# Output:
# ok     Every page that can be reached from the first is fetched, once.
# ok     When the work is done, the whole tree ends by itself, and not before.
# ok     Three pages are fetched at a time, if there are as many.
# ok     A page whose fetch raises is tried three times; no other page suffers from that.
# ok     The crawl goes on if there are twenty such pages.
# ok     If the frontier crashes, the crawl begins anew, and comes to its end.
# 6 of 6
