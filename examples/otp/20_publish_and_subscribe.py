"""Publish and subscribe: actors register for topics, and a message goes to all that have.

A Registry with duplicate keys allows many actors under one key. ``dispatch`` passes all of them to
a function, which sends the messages. When an actor ends, its entries are removed.
"""

from antq_actors.otp import GenServer, Registry, call, cast, stop


class Reader(GenServer):
    def __init__(self, *topics):
        super().__init__()
        self.topics = topics
        self.news = []

    def init(self):
        for topic in self.topics:
            Registry.register("topics", topic)

    def handle_cast(self, news):
        self.news.append(news)

    def handle_call(self, request):
        return self.news


def publish(topic, news):
    Registry.dispatch("topics", topic, lambda pairs: [cast(ref, news) for ref, _ in pairs])


with Registry.start(keys="duplicate", name="topics"):
    ann = Reader.start("jazz", "rain", name="ann")
    bob = Reader.start("rain", name="bob")

    publish("jazz", "Ella sings tonight")
    publish("rain", "take an umbrella")
    publish("chess", "no actor has registered for this")
    print("Ann has read", call(ann, "what news?"))
    print("Bob has read", call(bob, "what news?"))

    stop(ann)
    publish("rain", "more rain")
    print("entries left after Ann has ended:", Registry.count("topics"))
    stop(bob)

# Output:
# Ann has read ['Ella sings tonight', 'take an umbrella']
# Bob has read ['take an umbrella']
# entries left after Ann has ended: 1
