"""A learner's answer before the prediction: whom it asks about, and what of it is right."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from insights.test_chaos_plan import a_tree, actor

from antq_actors.insights.prediction import JobsHit, Prediction
from antq_actors.insights.quiz import MOST_SIBLINGS, Guess, choices, grade

ASKED = ("shop", "shop/tills", "shop/tills/a", "shop/tills/b")


def an_outcome(*restarted, gives_up=False):
    return Prediction(
        restarted=restarted,
        stopped=(),
        budget=None,
        gives_up=gives_up,
        parent="stays",
        jobs=JobsHit(),
    )


def test_the_question_is_about_the_supervisors_above_and_the_siblings():
    tills = actor("shop/tills", actor("shop/tills/a"), actor("shop/tills/b"))
    tree = a_tree(actor("antq"), actor("shop", tills, actor("shop/door")))

    assert [each.id for each in choices(tree, "shop/tills/b")] == [*ASKED]
    assert [each.id for each in choices(tree, "shop")] == ["shop"]
    with pytest.raises(LookupError, match="no actor shop/none"):
        choices(tree, "shop/none")


def test_of_many_siblings_the_actor_itself_is_always_asked_about():
    shelf = actor("shelf", *(actor(f"shelf/{number}") for number in range(40)))

    asked = [each.id for each in choices(a_tree(shelf), "shelf/39")]

    assert len(asked) == 1 + MOST_SIBLINGS
    assert asked[0] == "shelf"
    assert asked[-1] == "shelf/39"


def test_an_answer_is_right_missed_or_wrong_for_each_actor():
    guess = Guess(frozenset({"shop/tills/a", "shop"}), gives_up=True)

    found = grade(guess, an_outcome("shop/tills/a", "shop/tills/b"), ASKED)

    assert (found.right, found.missed, found.wrong) == (
        ("shop/tills/a",),
        ("shop/tills/b",),
        ("shop",),
    )
    assert not found.supervisor_is_right
    assert not found.is_right


@pytest.mark.parametrize("named", [(), ("shop/tills/a",), ("shop/tills/a", "shop/tills/b")])
def test_what_is_below_an_actor_that_restarts_may_be_named_or_left_out(named):
    guess = Guess(frozenset({"shop/tills", *named}), gives_up=True)

    assert grade(guess, an_outcome("shop/tills", gives_up=True), ASKED).is_right


@given(st.sets(st.sampled_from(ASKED)), st.sets(st.sampled_from(ASKED)), st.booleans())
def test_each_actor_is_graded_once_and_the_outcome_itself_is_right(guessed, restarted, gives_up):
    outcome = an_outcome(*sorted(restarted), gives_up=gives_up)

    found = grade(Guess(frozenset(guessed), gives_up), outcome, ASKED)
    exact = grade(Guess(frozenset(restarted), gives_up), outcome, ASKED)

    graded = [*found.right, *found.missed, *found.wrong]
    assert len(graded) == len(set(graded))
    assert restarted == {*found.right, *found.missed}
    assert {*found.wrong} <= guessed - restarted
    assert exact.is_right
