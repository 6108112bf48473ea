"""Arguments, names and errors that try to be more than text on a page, or too much of it."""

import threading

from support.apps import until

from antq_actors import Status, Worker

SCRIPT = "<script>document.title='taken'</script>"
TEXTS = {
    "a script": SCRIPT,
    "an image": "<img src=x onerror=\"document.title='taken'\">",
    "out of an attribute": '" autofocus onfocus="document.title=\'taken\'" x="',
    "a quote": "' onmouseover='document.title=1' x='",
    "out of a text": "</textarea></title></bdi></td></table><svg onload=alert(1)>",
    "out of a comment": "--><script>document.title='taken'</script><!--",
    "a link": "javascript:document.title='taken'",
    "a link to elsewhere": "https://evil.example/?a=1&lt;b",
    "a template": "{{ 7*7 }}{% raw %}${7*7}#{7*7}",
    "an attribute of htmx": "<div hx-get='/jobs' hx-trigger='load'></div>",
    "an entity": "&lt;b&gt;&#x3c;script&#x3e;",
    "from right to left": "invoice\u202egpj.exe\u202c",
    "isolated": "\u2066a\u2069\u2067b\u2069 \u061c\u200f\u200e",
    "Arabic": "\u0637\u0644\u0628 \u0664\u0662",
    "nothing seen": "a\u200b\u200c\u200d\ufeffb\u00ad",
    "control characters": "\x00\x01\x07\x08\x1b[31mred\x1b[0m\x7f\x85",
    "line ends": "one\r\ntwo\rthree\u2028four\u2029five",
    "surrogates": "\ud800 \udfff",
    "beyond the plane": "\U0001f600 \U0001f469\u200d\U0001f467 \U0001d518",
    "combining": "Z" + "\u0351\u0350" * 40,
    "blanks": " \t  \n ",
    "one long word": "x" * 20_000,
}
LARGE = {
    "ten megabytes": "0123456789" * 1_000_000,
    "ten thousand keys": {f"key {number}": number for number in range(10_000)},
    "deep": None,
    "a large number": 2**64 + 1,
    "a larger number": 10**4_000,
    "no number": [float("nan"), float("inf"), -float("inf"), -0.0],
    "bytes": b"\x00\xff<b>",
    "keys": {SCRIPT: 1, "": 2, 'a"b': 3, "a.b": 4, "__proto__": 5},
    "empty": [{}, [], "", None],
}
for _ in range(60):
    LARGE["deep"] = {"down": LARGE["deep"]}

NAME = 'q"><i onload=x>&amp;\u202e/..?#%41 '
"""Of a queue, a cron, a limit, an actor: names have no line ends, but any other character."""
ended = threading.Event()


class Odd(Worker, name=f"odd:{SCRIPT}", max_attempts=1):
    def perform(self, job):
        raise ValueError(next(iter(job.args.values())))


def fill(app):
    """Store a job for each of the corpus, each failed with it as the text of its error as well."""
    for what, text in TEXTS.items():
        app.enqueue(Odd, {what: text}, meta={"what": what})
    for what, value in LARGE.items():
        app.enqueue(Odd, {"given": "large", what: value})
    until(lambda: app.count_jobs(status=Status.FAILED) == len(TEXTS) + len(LARGE), "all of them")
    app.queue(NAME).pause(by=SCRIPT, reason=TEXTS["an image"])
    app.enqueue(Odd, {"key": SCRIPT}, queue=NAME)
