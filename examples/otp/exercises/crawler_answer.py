"""A worked answer to the exercise crawler: two supervisors, because there are two strategies.

Fetchers do not depend on each other (one_for_one), but they depend on the frontier: a new frontier
does not know them, so they have to be started after it (rest_for_one). The end of the work moves up
the tree: the fetchers are significant for their supervisor, and that supervisor for its own.
"""

import logging

from antq_actors.otp import (
    AutoShutdown,
    Down,
    GenServer,
    Restart,
    Stop,
    Strategy,
    Supervisor,
    cast,
    monitor,
)


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
    fetcher_supervisor = Supervisor.child_spec(
        [
            Fetcher.child_spec(
                fetch, id=f"fetcher {number}", restart=Restart.TRANSIENT, significant=True
            )
            for number in range(fetchers)
        ],
        id="fetchers",
        max_restarts=100,
        auto_shutdown=AutoShutdown.ALL_SIGNIFICANT,
        restart=Restart.TRANSIENT,
        significant=True,
    )
    return Supervisor.start(
        [Frontier.child_spec(first, report, name="frontier"), fetcher_supervisor],
        strategy=Strategy.REST_FOR_ONE,
        auto_shutdown=AutoShutdown.ANY_SIGNIFICANT,
    )


if __name__ == "__main__":
    logging.disable()  # delete this line to see the three crashes
    web = {"home": ["news", "shop"], "news": ["home", "broken"], "shop": ["cart"], "cart": []}
    outcomes = {}
    crawler = start_crawler(web.__getitem__, "home", outcomes.__setitem__)
    monitor(crawler).wait(30)
    print("the crawler has ended by itself")
    for page in sorted(outcomes):
        print(page, outcomes[page])

# Output:
# the crawler has ended by itself
# broken failed
# cart fetched
# home fetched
# news fetched
# shop fetched
