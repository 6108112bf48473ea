"""Names that are made at run time: keys in a Registry.

``Via("rooms", 7)`` is both the name that an actor is started with and the address that others use
to reach it. A name belongs to one actor at a time. It is free again as soon as that actor ends.
"""

from antq_actors.otp import AlreadyStarted, GenServer, Registry, Via, call, stop, whereis


class Room(GenServer):
    def __init__(self, topic):
        super().__init__()
        self.topic = topic

    def handle_call(self, request):
        return f"we talk about {self.topic}"


with Registry.start(keys="unique", name="rooms"):
    Room.start("jazz", name=Via("rooms", 1))
    Room.start("rain", name=Via("rooms", 2))
    print("room 1:", call(Via("rooms", 1), "what is it about?"))
    print("room 2:", call(Via("rooms", 2), "what is it about?"))

    try:
        Room.start("chess", name=Via("rooms", 1))
    except AlreadyStarted as error:
        print("room 1 is taken:", error.ref is whereis(Via("rooms", 1)))

    stop(Via("rooms", 1))
    print("room 1 has closed:", whereis(Via("rooms", 1)))
    Room.start("chess", name=Via("rooms", 1))
    print("room 1:", call(Via("rooms", 1), "what is it about?"))

    for number in (1, 2):
        stop(Via("rooms", number))

# Output:
# room 1: we talk about jazz
# room 2: we talk about rain
# room 1 is taken: True
# room 1 has closed: None
# room 1: we talk about chess
