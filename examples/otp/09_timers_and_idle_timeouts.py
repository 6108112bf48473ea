"""An actor must not sleep. It sends itself a message for later, and handles others in between.

``send_after`` sends a message after a delay. ``idle_timeout`` does the opposite: it tells the actor
that no message has arrived for that long. Both arrive in ``handle_info``. This session saves itself
at intervals, and ends when it has not been used for a while.
"""

from antq_actors.otp import GenServer, IdleTimeout, Stop, call, monitor


class Session(GenServer):
    def init(self):
        self.saved = 0
        self.send_after(0.001, "save")

    def handle_info(self, message):
        match message:
            case "save":
                self.saved += 1
                if self.saved < 3:
                    self.send_after(0.001, "save")
                else:
                    self.idle_timeout = 0.5
            case IdleTimeout():
                print(f"saved {self.saved} times, and not used for 0.5 seconds")
                raise Stop

    def handle_call(self, name):
        return f"hello, {name}"


session = Session.start()
end = monitor(session)
print(call(session, "Ann"))
print("the session ended with", end.wait().reason)

# Output:
# hello, Ann
# saved 3 times, and not used for 0.5 seconds
# the session ended with Normal()
