"""What a key says is secret is hidden at any depth; what redact hides, or raises at, as well."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antq_actors.insights.redaction import REDACTED, SECRET_WORDS, NotShown, Redactor
from antq_actors.storage.format.cipher import Encrypted
from antq_actors.storage.format.display import Opaque

HIDDEN = "not for all"


@pytest.mark.parametrize("word", SECRET_WORDS)
def test_a_key_that_contains_a_word_hides_all_below_it(word):
    for key in (word, word.upper(), f"user_{word.title()}2"):
        args = {"a": [{key: {"deep": [HIDDEN]}}, 1]}

        assert Redactor().mapping("args", args) == {"a": [{key: REDACTED}, 1]}
        with pytest.raises(NotShown):
            Redactor().find("args", args["a"][0], (key, "deep"))


@pytest.mark.parametrize("key", [b"token", ("Token", 1), frozenset({"api_key"})])
def test_a_key_that_is_no_text_hides_all_below_it_as_well(key):
    assert Redactor().mapping("args", {"a": {key: HIDDEN, 7: 1}}) == {"a": {key: REDACTED, 7: 1}}


nested = st.recursive(
    st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["a", "b", "Token"]), inner),
)


@given(st.dictionaries(st.sampled_from(["a", "password"]), nested))
def test_what_is_below_a_secret_key_is_nowhere_in_what_is_shown(args):
    def below(value, *, is_secret):
        if isinstance(value, dict):
            return {
                key: below(each, is_secret=is_secret or key in ("Token", "password"))
                for key, each in value.items()
            }
        if isinstance(value, list):
            return [below(each, is_secret=is_secret) for each in value]
        return HIDDEN if is_secret else 7

    args = below(args, is_secret=False)

    assert HIDDEN not in repr(Redactor().mapping("args", args))
    if "password" not in repr(args) and "Token" not in repr(args):
        assert Redactor().mapping("args", args) is args


def test_redact_is_given_each_remaining_leaf_with_its_path():
    seen = []
    redactor = Redactor(lambda path, value: seen.append((path, value)) or value)

    redactor.mapping("args", {"user": {"id": 7, "token": 1}, "tags": ["a", ("b",)], "n": None})
    redactor.text("error", "no")
    redactor.text("stack_trace", None)

    assert seen == [
        *(("args.user.id", 7), ("args.tags.0", "a"), ("args.tags.1.0", "b")),
        *(("args.n", None), ("error", "no")),
    ]


def test_where_redact_raises_the_value_is_hidden_and_it_is_logged(caplog):
    def redact(path, value):
        raise KeyError(path)

    redactor = Redactor(redact)
    with caplog.at_level(logging.ERROR, "antq_actors.insights"):
        assert redactor.mapping("meta", {"tenant": "acme"}) == {"tenant": REDACTED}
        assert redactor.text("error", "no") == REDACTED

    assert len(caplog.records) == 1, "the first one of a request tells enough"
    assert caplog.records[0].getMessage() == (
        "redact('meta.tenant', …) raised, so the value is shown as <redacted>"
    )
    assert "KeyError" in caplog.text
    assert "acme" not in caplog.records[0].getMessage()


def test_a_value_that_redact_returns_equal_may_be_looked_for():
    redactor = Redactor(lambda path, value: "".join(list(value)))
    args = {"a": {"b": "another object"}}

    assert redactor.find("args", args, ("a", "b")) == "another object"
    assert redactor.find("args", args, ("a",)) == {"b": "another object"}
    assert redactor.mapping("args", args) is args


def test_redact_is_given_the_same_path_where_a_value_is_looked_for():
    seen = []
    redactor = Redactor(lambda path, value: seen.append(path) or value)

    redactor.find("args", {"user": {"id": 7, "tags": ["a"]}}, ("user", "id"))
    redactor.find("args", {"user": {"id": 7, "tags": ["a"]}}, ("user", "tags"))

    assert seen == ["args.user.id", "args.user.tags.0"]


def test_a_tuple_stays_one_where_a_part_of_it_is_hidden():
    shown = Redactor().mapping("args", {"pair": (1, {"token": 2}), "list": [{"token": 2}]})

    assert shown == {"pair": (1, {"token": REDACTED}), "list": [{"token": REDACTED}]}


@pytest.mark.parametrize(
    ("args", "keys"),
    [
        ({"a": 1}, ("b",)),
        ({"a": 1}, ("a", "b")),
        ({"a": [1]}, ("a", "0")),
        ({"a": Opaque("shop.Cart")}, ("a",)),
        ({"a": {"token": 1}}, ("a",)),
        (Encrypted(), ("a",)),
    ],
)
def test_what_is_not_there_or_may_not_be_seen_is_not_found(args, keys):
    with pytest.raises(NotShown):
        Redactor().find("args", args, keys)


def test_one_that_redact_takes_for_another_type_is_changed():
    assert Redactor(lambda *_: True).mapping("args", {"n": 1})["n"] is True
    with pytest.raises(NotShown):
        Redactor(lambda *_: True).find("args", {"n": 1}, ("n",))


def test_what_is_encrypted_stays_as_it_is():
    assert repr(Redactor(lambda *_: 1).mapping("args", Encrypted())) == "<encrypted>"
