"""Three ways to find an actor: a local name, a key in a Registry of unique keys, a topic.

A Registry of unique keys gives names that only exist at run time: ``Via(registry, key)`` is a name
and an address. One of duplicate keys tells who is interested in what, for publish and subscribe.
Entries go with their actors, before anyone hears of the end.
"""

from antq_actors.otp import GenServer, Registry, Via, call, cast, stop, whereis

rooms = Registry.start(keys="unique", name="rooms")
topics = Registry.start(keys="duplicate", name="topics")


class Room(GenServer):
    def __init__(self, *interests):
        super().__init__()
        self.interests = interests
        self.heard = []

    def init(self):
        for topic in self.interests:
            Registry.register("topics", topic)

    def handle_call(self, _request):
        return self.heard

    def handle_cast(self, news):
        self.heard.append(news)


def publish(topic, news):
    Registry.dispatch("topics", topic, lambda pairs: [cast(ref, news) for ref, _ in pairs])


Room.start("jazz", "rain", name=Via("rooms", 1))
Room.start("rain", name=Via("rooms", 2))
publish("jazz", "Ella sings")
publish("rain", "take an umbrella")
publish("chess", "nobody hears this")

for number in (1, 2):
    print(f"room {number} heard", call(Via("rooms", number), "what did you hear?"))

stop(Via("rooms", 1))
print(
    "room 1 is", whereis(Via("rooms", 1)), "and the topics have", Registry.count("topics"), "left"
)
for each in (Via("rooms", 2), rooms, topics):
    stop(each)

# Output:
# room 1 heard ['Ella sings', 'take an umbrella']
# room 2 heard ['take an umbrella']
# room 1 is None and the topics have 1 left
