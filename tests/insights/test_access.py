"""Levels include those below them; a visitor is refused by the name of the level that it takes."""

import pytest

from antq_actors.insights import Access, Forbidden, Visitor

LEVELS = [Access.NONE, Access.READ, Access.OPERATE, Access.CHAOS]


def test_levels_are_ordered_from_nothing_to_chaos():
    assert sorted(Access) == LEVELS


@pytest.mark.parametrize("needed", LEVELS)
@pytest.mark.parametrize("level", LEVELS)
def test_visitor_passes_at_their_level_and_below(level, needed):
    visitor = Visitor(level)

    if level >= needed:
        visitor.check(needed)
    else:
        with pytest.raises(Forbidden, match=f"takes the level {needed.name}.* is {level.name}$"):
            visitor.check(needed)


@pytest.mark.parametrize("name", ["read", "READ", "Read"])
def test_level_is_found_by_its_name_in_any_case(name):
    assert Access.named(name) is Access.READ


@pytest.mark.parametrize("name", ["", "admin", "rea", "__class__", "<script>"])
def test_unknown_level_is_refused_with_the_names(name):
    with pytest.raises(ValueError, match="one of none, read, operate, chaos, got") as raised:
        Access.named(name)
    assert name in str(raised.value)


def test_name_of_a_visitor_is_not_known_unless_it_is_given():
    assert Visitor(Access.READ).name is None
    assert Visitor(Access.READ, "ada").name == "ada"


@pytest.mark.parametrize("access", [True, 2, "operate", None])
def test_visitor_takes_a_level_alone(access):
    with pytest.raises(TypeError, match="access must be an Access, got") as raised:
        Visitor(access)
    assert repr(access) in str(raised.value)


@pytest.mark.parametrize("name", [b"ada", 7, ["ada"]])
def test_name_of_a_visitor_is_text(name):
    with pytest.raises(TypeError, match="name must be a str, got") as raised:
        Visitor(Access.READ, name)
    assert repr(name) in str(raised.value)
