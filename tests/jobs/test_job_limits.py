"""Which gates a job passes: the keys and weights that its arguments have."""

import threading

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antq_actors import Worker, worker
from antq_actors.errors import ConfigError
from antq_actors.flow.limit_options import Concurrency, RateLimit
from antq_actors.flow.limits import GateKey, QueueLimit, gate_id
from antq_actors.jobs import declared_limits, instant, limits
from antq_actors.jobs.limits import (
    as_stored,
    from_stored,
    job_limits,
    key_text,
    queue_limits,
)
from antq_actors.jobs.new_job import JobTemplate
from antq_actors.jobs.options import Options, worker_options
from antq_actors.jobs.state import GateRef


def options(**given):
    return worker_options(given, Options(), owner="worker Mail")


def stored(cls, args, **given):
    """Return what the store gets of a job of the worker *cls*."""
    template = JobTemplate(cls, given, default_queue="default")
    return template.new_job(template.state(instant.now()), template.check(args), b"")


def gates(args, **given):
    """Return the keys of a job's gates, as people read them, by the names of its limits."""
    new = of_job(args, **given)
    return {key.name: key.text for key in new.keys}


def of_job(args, **given):
    class Mail(Worker, name="limited mail", **given):
        def perform(self, job):
            pass

    return stored(Mail, args)


def test_a_worker_without_limits_has_plain_jobs():
    new = of_job({"n": 1})

    assert (new.spec.flow, new.keys) == (None, ())
    assert Options().limits_of("Mail") == ()


def test_a_number_is_a_concurrency():
    assert options(concurrency=3) == options(concurrency=Concurrency(3))
    assert options(concurrency=None).concurrency is None


@pytest.mark.parametrize(
    ("given", "error", "texts"),
    [
        ({"concurrency": 0}, ValueError, ["concurrency", "pause(key)"]),
        ({"concurrency": True}, TypeError, ["concurrency", "True"]),
        ({"concurrency": "2"}, TypeError, ["concurrency"]),
        ({"concurrency": RateLimit(1, 1)}, TypeError, ["concurrency"]),
        ({"rate_limit": 5}, TypeError, ["rate_limit", "RateLimit("]),
        ({"rate_limit": Concurrency(5)}, TypeError, ["rate_limit"]),
        ({"limits": RateLimit(5, 1, name="api")}, TypeError, ["limits", "list"]),
        ({"limits": "api"}, TypeError, ["limits", "list"]),
        ({"limits": [5]}, TypeError, ["limits", "5"]),
        ({"limits": [RateLimit(5, 1)]}, ValueError, ["limits", "name"]),
    ],
)
def test_an_option_that_is_no_limit_is_refused(given, error, texts):
    with pytest.raises(error) as refused:
        options(**given)

    assert all(text in str(refused.value) for text in texts), refused.value


def test_limits_are_no_options_of_a_single_job():
    with pytest.raises(TypeError, match="concurrency is an option of workers"):
        stored(Base, {}, concurrency=1)


def test_a_limit_is_named_after_its_worker_and_its_gates_after_the_key():
    new = of_job({"account": "acme", "n": 1}, concurrency=Concurrency(2, key="account"))

    gate = gate_id("limited mail", limits.canonical("acme"))
    assert new.spec.flow.gates == (GateRef(gate, 1, "acme", is_own=True),)
    assert new.keys == (GateKey(gate, "limited mail", limits.canonical("acme"), "acme"),)


def test_concurrency_and_rate_of_a_worker_are_one_gate():
    new = of_job(
        {"account": "acme"},
        concurrency=Concurrency(2, key="account"),
        rate_limit=RateLimit(100, per=60, key="account", burst=10, weight=3),
    )

    assert [(gate.weight, len(gate.gate)) for gate in new.spec.flow.gates] == [(3, 24)]


def test_two_keys_on_one_worker_need_two_names():
    with pytest.raises(ConfigError, match=r"different keys, 'account' and 'region'.*name='…'"):
        of_job(
            {},
            concurrency=Concurrency(2, key="account"),
            rate_limit=RateLimit(100, per=60, key="region"),
        )

    assert gates(
        {"account": "acme", "region": "eu"},
        concurrency=Concurrency(2, key="account"),
        rate_limit=RateLimit(100, per=60, key="region", name="regions"),
    ) == {"limited mail": "acme", "regions": "eu"}


def test_two_limits_of_a_kind_need_two_names():
    with pytest.raises(ConfigError, match="one kind under the name 'api'"):
        of_job({}, limits=[RateLimit(1, 1, name="api"), RateLimit(9, 60, name="api")])


def test_a_job_passes_own_limits_first_and_shared_ones_by_name():
    new = of_job(
        {},
        concurrency=2,
        limits=[RateLimit(5, 1, name="zeta"), Concurrency(3, name="alpha")],
    )

    assert [key.name for key in new.keys] == ["limited mail", "alpha", "zeta"]
    assert [gate.gate for gate in new.spec.flow.gates] == [key.gate for key in new.keys]
    assert [(gate.text, gate.is_own) for gate in new.spec.flow.gates] == [
        *((None, True), (None, False), (None, False))
    ]


def test_limits_of_a_queue_stand_before_and_among_those_of_a_worker():
    of_queue = queue_limits("mail", RateLimit(9, 1, key="region"), [Concurrency(4, name="middle")])
    shared = [RateLimit(5, 1, name="zeta"), Concurrency(1, name="alpha")]
    of_worker = options(concurrency=2, limits=shared).limits_of("Mail")

    passed = job_limits(of_worker, of_queue)

    assert [rule.name for rule in passed.rules] == ["mail", "Mail", "alpha", "middle", "zeta"]


NAMES = st.lists(st.sampled_from("abcdef"), unique=True)


@given(NAMES, NAMES, NAMES, NAMES)
def test_all_jobs_pass_shared_limits_in_one_order(of_one, of_other, of_queue, of_other_queue):
    passed = []
    for shared, queue in ((of_one, of_queue), (of_other, of_other_queue)):
        given_limits = [Concurrency(1, name=name) for name in shared]
        of_worker = options(concurrency=1, limits=given_limits).limits_of("Mail")
        in_queue = queue_limits("mail", None, [Concurrency(1, name=name) for name in queue])
        names = [rule.name for rule in job_limits(of_worker, in_queue).rules]
        assert sorted(names) == sorted({"Mail", *shared, *queue})
        passed.append(names)

    both = set(passed[0]) & set(passed[1])
    assert [name for name in passed[0] if name in both] == [
        name for name in passed[1] if name in both
    ]


@given(
    key=st.none() | st.sampled_from(["a", ("a", "b")]),
    weight=st.integers(1, 3) | st.just("size"),
    is_shared=st.booleans(),
)
def test_the_limits_of_a_queue_are_read_as_they_were_stored(key, weight, is_shared):
    limit = RateLimit(5, 1, key=key, weight=weight, burst=3, name="s" if is_shared else None)
    of_queue = queue_limits("mail", None if is_shared else limit, [limit] if is_shared else [])

    stored = msgspec.msgpack.encode(as_stored(of_queue))
    read = from_stored("mail", msgspec.msgpack.decode(stored, type=tuple[QueueLimit, ...]))

    assert read == of_queue


@pytest.mark.parametrize("given_function", [{"key": len}, {"weight": len}])
def test_a_function_of_a_queue_cannot_be_read_from_the_store(given_function):
    of_queue = queue_limits("mail", RateLimit(5, 1, **given_function), ())

    with pytest.raises(ConfigError, match=r"queue 'mail'.*limit 'mail'.*a function"):
        from_stored("mail", as_stored(of_queue))


def test_the_rate_of_a_queue_as_a_whole_is_no_gate_of_its_jobs():
    assert queue_limits("mail", RateLimit(9, 1), ()) == ()
    assert [limit.rule.name for limit in queue_limits("mail", RateLimit(9, 1, key="a"), ())] == [
        "mail"
    ]
    weighted = RateLimit(9, 1, weight="size", burst=3)
    assert [limit.rule.name for limit in queue_limits("mail", weighted, ())] == ["mail"]
    assert job_limits((), ()) is None


class Base(
    Worker,
    concurrency=Concurrency(2, key="n"),
    rate_limit=RateLimit(5, 1, key="n", name="base rate"),
):
    def perform(self, job):
        pass


class Heir(Base):
    pass


class Free(Base, concurrency=None, rate_limit=None):
    pass


def test_limits_are_inherited_under_a_name_of_its_own():
    assert [key.name for key in stored(Base, {"n": 1}).keys] == [Base.antq_name, "base rate"]
    assert [key.name for key in stored(Heir, {"n": 1}).keys] == [Heir.antq_name, "base rate"]


def test_none_switches_an_inherited_limit_off():
    assert stored(Free, {}).spec.flow is None


# ---- keys ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, 1.0, True),
        (1, True, True),
        (1, "1", False),
        ([1], (1,), False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({1, 2}, {2, 1}, True),
        (None, "None", False),
        ("acme", b"acme", False),
    ],
)
def test_keys_are_equal_as_arguments_of_unique_jobs_are(one, other, same):
    ids = [
        of_job({"n": value}, concurrency=Concurrency(1, key="n")).spec.flow.gates[0].gate
        for value in (one, other)
    ]

    assert (ids[0] == ids[1]) is same


def test_several_arguments_are_one_key():
    given = {"concurrency": Concurrency(1, key=["account", "region"])}

    assert gates({"account": "acme", "region": 5}, **given) == {"limited mail": "('acme', 5)"}
    new = of_job({"account": "acme", "region": 5}, **given)
    assert new.keys[0] == limits.gate_key("limited mail", ("acme", 5))


def test_a_function_makes_the_key_where_the_job_is_enqueued():
    threads = []

    def domain(args):
        threads.append(threading.current_thread())
        return args["email"].rpartition("@")[2]

    found = gates({"email": "ann@acme.test"}, concurrency=Concurrency(1, key=domain))

    assert found == {"limited mail": "acme.test"}
    assert threads == [threading.current_thread()]


def test_a_function_that_returns_none_limits_nothing():
    new = of_job({}, concurrency=Concurrency(1, key=lambda args: args.get("account")))

    assert (new.spec.flow, new.keys) == (None, ())


def test_what_the_function_of_a_key_raises_is_raised():
    with pytest.raises(KeyError, match="account"):
        of_job({}, concurrency=Concurrency(1, key=lambda args: args["account"]))


def test_an_argument_that_is_none_is_a_key():
    assert gates({"n": None}, concurrency=Concurrency(1, key="n")) == {"limited mail": "None"}


@pytest.mark.parametrize("key", ["account", ["n", "account"]])
def test_a_missing_argument_is_a_type_error_that_names_it(key):
    with pytest.raises(TypeError, match="'account'"):
        of_job({"n": 1}, concurrency=Concurrency(1, key=key))


@pytest.mark.parametrize("key", ["account", ["n", "account"]])
def test_what_cannot_be_compared_is_a_type_error_that_names_the_argument(key):
    with pytest.raises(TypeError, match="argument 'account' cannot be a key"):
        of_job({"n": 1, "account": threading.Lock()}, concurrency=Concurrency(1, key=key))


def test_what_a_function_returns_must_be_comparable_too():
    with pytest.raises(TypeError, match="limit 'limited mail'"):
        of_job({}, concurrency=Concurrency(1, key=lambda args: threading.Lock()))


@given(st.text())
def test_a_key_that_is_text_is_shown_as_it_is(text):
    assert key_text(text).encode() == text.encode("utf-8", "backslashreplace")


class Unshowable:
    def __repr__(self):
        raise RuntimeError("not shown")


def test_a_key_that_cannot_be_shown_is_a_key_all_the_same():
    assert key_text(Unshowable()) == "a Unshowable"


def test_a_long_key_is_shown_in_part():
    assert len(key_text(list(range(1000)))) == 201


# ---- weights ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weight", "args", "counted"),
    [
        (1, {}, 1),
        (3, {}, 3),
        ("size", {"size": 2}, 2),
        (lambda args: len(args["ids"]), {"ids": [1, 2, 3, 4]}, 4),
    ],
)
def test_a_job_counts_as_heavy_as_its_weight(weight, args, counted):
    new = of_job(args, rate_limit=RateLimit(5, 1, burst=4, weight=weight))

    assert [gate.weight for gate in new.spec.flow.gates] == [counted]


@pytest.mark.parametrize(
    ("size", "error"),
    [(5, ValueError), (0, ValueError), (-1, ValueError), (1.0, TypeError), (True, TypeError)],
)
@pytest.mark.parametrize("weight", ["size", lambda args: args["size"]])
def test_a_weight_that_could_never_start_is_refused(weight, size, error):
    with pytest.raises(error, match="weight"):
        of_job({"size": size}, rate_limit=RateLimit(5, 1, burst=4, weight=weight))


def test_a_missing_weight_is_a_type_error_that_names_it():
    with pytest.raises(TypeError, match=r"weight.*'size'"):
        of_job({}, rate_limit=RateLimit(5, 1, burst=4, weight="size"))


def test_the_key_of_a_function_worker_must_be_one_of_its_arguments():
    with pytest.raises(ValueError, match=r"'acount'.*did you mean 'account'"):

        @worker(concurrency=Concurrency(1, key="acount"))
        def mail(account):
            pass


def test_building_a_job_checks_its_keys():
    with pytest.raises(TypeError, match="'n'"):
        Base.build({})


# ---- one name, one meaning ----------------------------------------------------------------------


def test_one_name_with_two_numbers_in_a_process_is_refused():
    class One(Worker, name="one", limits=[RateLimit(50, 1, name="two numbers")]):
        pass

    with pytest.raises(ConfigError, match=r"'two numbers'.*50 in 1 s.*worker one"):

        class Two(Worker, name="two", limits=[RateLimit(60, 1, name="two numbers")]):
            pass

    class Three(Worker, name="three", limits=[RateLimit(50, 1, name="two numbers")]):
        pass


def test_a_worker_that_is_defined_again_may_have_other_numbers():
    for n in (1, 2, 3):

        class Again(Worker, name="limits:Again", limits=[RateLimit(n, 1, name="defined again")]):
            pass

    (rule,) = (rule for rule in declared_limits.declared_rules() if rule.name == "defined again")
    assert rule.rate.limit == 3


def defines(number):
    class Local(Worker, limits=[RateLimit(number, 1, name="of functions")]):
        pass


def other_defines(number):
    class Local(Worker, limits=[RateLimit(number, 1, name="of functions")]):
        pass


def test_a_worker_of_a_function_that_has_returned_is_in_nobodys_way():
    defines(1)
    other_defines(2)
    defines(3)

    (rule,) = (rule for rule in declared_limits.declared_rules() if rule.name == "of functions")
    assert rule.rate.limit == 3


def test_a_queue_that_contradicts_a_worker_is_refused():
    class Here(Worker, name="here", limits=[Concurrency(3, name="contradicted")]):
        pass

    (limit,) = queue_limits("mail", None, [Concurrency(4, name="contradicted")])
    with pytest.raises(ConfigError, match="4 at once for queue mail, and 3 at once for worker"):
        declared_limits.refuse_other(limit.rule, "queue mail")
