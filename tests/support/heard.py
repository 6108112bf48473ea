"""A listener to events that tests ask for what it has heard."""

import threading

TIMEOUT_SECONDS = 30


class Heard:
    """Keeps all events; ``wait`` returns when there are enough of a type."""

    def __init__(self):
        self.events = []
        self._changed = threading.Condition()

    def __call__(self, event):
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    def of(self, *types):
        with self._changed:
            return [each for each in self.events if isinstance(each, types)]

    def wait(self, type_, count=1, **values):
        """Return the first *count* events of a type with these values in their fields."""

        def found():
            return [
                each
                for each in self.events
                if isinstance(each, type_)
                and all(getattr(each, name) == value for name, value in values.items())
            ]

        with self._changed:
            if not self._changed.wait_for(lambda: len(found()) >= count, TIMEOUT_SECONDS):
                raise AssertionError(f"no {count} of {type_.__name__} {values} in {self.events}")
            return found()[:count]

    def wait_one(self, type_, **values):
        return self.wait(type_, **values)[0]
