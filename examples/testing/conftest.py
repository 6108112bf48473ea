"""The fixtures antq, antq_running and antq_clock come with antq_actors."""

import os

os.environ["SHOP_JOBS"] = ""  # before the first import of shop
