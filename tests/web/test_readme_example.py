"""The FastAPI example of README.md, served by uvicorn, with its jobs run by ``antq start``."""

import re
from pathlib import Path

import pytest
from shop_servers import http, stop
from support.apps import until

README = Path(__file__).parent.parent.parent / "README.md"


@pytest.fixture
def example():
    blocks = re.findall(r"^```python.*?\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)
    (example,) = (block for block in blocks if block.startswith("# shop.py\n"))
    return example


def test_the_web_example_of_the_readme_has_about_fifteen_lines(example):
    code = [line for line in example.splitlines() if line and not line.startswith("#")]

    assert len(code) <= 16


def test_the_web_example_of_the_readme_enqueues_and_runs(shop, example):
    (shop.folder / "shop").rename(shop.folder / "other")
    (shop.folder / "shop.py").write_text(example)
    server = shop.serve(["uvicorn", "shop:web", "--port", "{port}"])
    jobs = shop.start("antq_actors", "start", "shop:app")

    answer = http.post(f"{shop.url}/customers", params={"email": "jane@example.com"})

    assert (answer.status_code, answer.json()) == (202, 1)
    until(lambda: "Dear jane@example.com, welcome!" in jobs.log.read_text(), "the welcome")
    assert stop(jobs) == 0
    stop(server)
