"""An actor never sleeps: it has a message sent to itself later, and stays open for others.

``send_after`` is a message on its way, and can be called back. ``idle_timeout`` is the other case:
nothing has arrived for so long. Both arrive in ``handle_info``. Here a session saves itself at
intervals, and ends when nobody has used it for a while.
"""

from antq_actors.otp import GenServer, IdleTimeout, Stop, call, cancel_timer, cast, monitor


class Session(GenServer):
    def init(self):
        self.saved = 0
        self.timer = self.send_after(0.001, "save")

    def handle_info(self, message):
        match message:
            case "save":
                self.saved += 1
                if self.saved < 3:
                    self.timer = self.send_after(0.001, "save")
            case IdleTimeout():
                print(f"saved {self.saved} times; nobody needs me any more")
                raise Stop

    def handle_call(self, request):
        left = cancel_timer(self.send_after(3600, "much later"))
        return f"an hour is {left / 60:.0f} minutes"

    def handle_cast(self, seconds):
        self.idle_timeout = seconds


session = Session.start()
print(call(session, "how long is an hour?"))
end = monitor(session)
cast(session, 0.5)
print("it ended with", end.wait().reason)

# Output:
# an hour is 60 minutes
# saved 3 times; nobody needs me any more
# it ended with Normal()
