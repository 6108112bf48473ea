"""The checks of the exercise crawler. Without a file, they check the worked answer."""

import threading
from collections import Counter
from contextlib import contextmanager

from checking import run, started

from antq_actors.otp import EventStream, chaos, monitor, whereis
from antq_actors.otp.events import GaveUp

CRAWL_TIMEOUT_SECONDS = 10
"""How long a crawl of a few pages may take."""


class Web:
    """Some pages and their links. It counts how often each was fetched, and keeps the reports."""

    def __init__(self, **links):
        self.links = links
        self.fetched = Counter()
        self.reports = []

    def fetch(self, page):
        self.fetched[page] += 1
        return self.links[page]  # raises for a page that does not exist

    def report(self, page, outcome):
        self.reports.append((page, outcome))

    def expect(self, *reports, fetched):
        """Compare the reports, in any order, and the numbers of fetches with what is expected."""
        missing, surplus = Counter(reports), Counter(self.reports)
        found = [
            *(f"not reported: {page} {outcome}" for page, outcome in missing - surplus),
            *(f"reported: {page} {outcome}" for page, outcome in surplus - missing),
            *(
                f"{page} was fetched {self.fetched[page]} times, and not {times}"
                for page, times in fetched.items()
                if self.fetched[page] != times
            ),
        ]
        assert not found, "; ".join(found[:3]) + (" …" if found[3:] else "")


@contextmanager
def crawl(crawler, web):
    """Run *crawler*. Leaving the block waits until the tree has ended by itself."""
    with (
        EventStream() as stream,
        started(crawler.start_crawler, web.fetch, "home", web.report) as (tree),
    ):
        yield tree
        try:
            monitor(tree).wait(CRAWL_TIMEOUT_SECONDS)
        except TimeoutError:
            raise AssertionError(
                f"the tree has not ended by itself in {CRAWL_TIMEOUT_SECONDS} s"
            ) from None
    for event in stream.waiting():
        assert not isinstance(event, GaveUp), (
            f"a supervisor has given up, after more than {event.max_restarts} restarts"
        )


def all_pages(crawler):
    """Every page that can be reached from the first is fetched, once."""
    web = Web(home=["news", "shop"], news=["home", "shop"], shop=["news", "cart"], cart=[])
    with crawl(crawler, web):
        pass
    web.expect(*((page, "fetched") for page in web.links), fetched=dict.fromkeys(web.links, 1))


class SlowWeb(Web):
    """Two pages. The fetch of the second blocks until it is released."""

    def __init__(self):
        super().__init__(home=["slow"], slow=[])
        self.reached, self.may_go_on = threading.Event(), threading.Event()

    def fetch(self, page):
        if page == "slow":
            self.reached.set()
            self.may_go_on.wait(CRAWL_TIMEOUT_SECONDS)
        return super().fetch(page)

    @contextmanager
    def fetching(self):
        """Wait until the second page is being fetched; release it when the block is left."""
        try:
            assert self.reached.wait(CRAWL_TIMEOUT_SECONDS), "the second page was not fetched"
            yield
        finally:
            self.may_go_on.set()


def ending(crawler):
    """When the work is done, the whole tree ends by itself, and not before."""
    web = SlowWeb()
    with crawl(crawler, web) as tree, web.fetching():
        assert tree.is_alive(), "the tree has ended too early"
    web.expect(("home", "fetched"), ("slow", "fetched"), fetched={})


def three_at_a_time(crawler):
    """Three pages are fetched at a time, if there are that many."""
    meeting = threading.Barrier(3)

    class Meeting(Web):
        def fetch(self, page):
            if page != "home":
                meeting.wait(3)
            return super().fetch(page)

    web = Meeting(home=["a", "b", "c"], a=[], b=[], c=[])
    with crawl(crawler, web):
        pass
    assert not meeting.broken, "three fetches did not run at the same time"


class HalfBrokenWeb(Web):
    """Two good pages that are being fetched while the fetcher of a broken one crashes."""

    def __init__(self, *links):
        super().__init__(home=links, a=[], b=[])
        self.begun = set()
        self.both = threading.Event()
        self.tried = threading.Event()
        self.held_up = []

    def fetch(self, page):
        if page == "broken":
            self.both.wait(5)
            if self.fetched[page] == 2:
                self.tried.set()
        elif page != "home":
            self.begun.add(page)
            if len(self.begun) == 2:
                self.both.set()
            if not self.tried.wait(5):
                self.held_up.append(page)
        return super().fetch(page)


def three_tries(crawler):
    """A page whose fetch raises is tried three times; no other page is affected."""
    for links in (["broken", "a", "b"], ["a", "broken", "b"], ["a", "b", "broken"]):
        web = HalfBrokenWeb(*links)
        with crawl(crawler, web):
            pass
        assert not web.held_up, f"broken was not tried three times beside {web.held_up[0]}"
        good = [(page, "fetched") for page in web.links]
        web.expect(*good, ("broken", "failed"), fetched={"broken": 3, "home": 1, "a": 1, "b": 1})


def many_broken(crawler):
    """The crawl goes on if there are twenty such pages."""
    broken = [f"broken {number}" for number in range(20)]
    web = Web(home=[*broken, "last"], last=[])
    with crawl(crawler, web):
        pass
    good = [("home", "fetched"), ("last", "fetched")]
    web.expect(*good, *((page, "failed") for page in broken), fetched=dict.fromkeys(broken, 3))


def a_new_frontier(crawler):
    """If the frontier crashes, the crawl starts again, and completes."""
    web = SlowWeb()
    with crawl(crawler, web), web.fetching():
        assert whereis("frontier"), 'there is no actor named "frontier"'
        chaos.crash("frontier")
    web.expect(("home", "fetched"), ("home", "fetched"), ("slow", "fetched"), fetched={})


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
# ok     Three pages are fetched at a time, if there are that many.
# ok     A page whose fetch raises is tried three times; no other page is affected.
# ok     The crawl goes on if there are twenty such pages.
# ok     If the frontier crashes, the crawl starts again, and completes.
# 6 of 6
