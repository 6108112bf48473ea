"""A box office catches every error and carries on. Soon its records are wrong, with no warning.

This is plain Python, without actors. ``sell`` does two things, and an error can come between them:
the seat is no longer free, but it is not sold either. The ``except`` keeps the program running, but
it cannot undo what was half done.
"""

SEATS = ["A1", "A2", "A3", "A4"]


class BoxOffice:
    def __init__(self):
        self.free = list(SEATS)
        self.sold = {}

    def sell(self, customer):
        seat = self.free.pop(0)
        self.sold[seat] = customer.title()
        return seat


box_office = BoxOffice()

for customer in ["ann", None, "bob", None, "cleo", "dan"]:
    try:
        print(f"{customer} gets seat", box_office.sell(customer))
    except Exception as error:  # noqa: BLE001 - this is the habit the program is about
        print(f"{customer}: {type(error).__name__}, but the show must go on")

print("sold:", box_office.sold)
print("free:", box_office.free, "of", len(SEATS), "seats")

# Output:
# ann gets seat A1
# None: AttributeError, but the show must go on
# bob gets seat A3
# None: AttributeError, but the show must go on
# cleo: IndexError, but the show must go on
# dan: IndexError, but the show must go on
# sold: {'A1': 'Ann', 'A3': 'Bob'}
# free: [] of 4 seats
