import tracemalloc
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antq_actors.demo.leads import MAX_LINE_BYTES, BadLine, Lead, read_leads, write_leads


def a_file(tmp_path, content: bytes):
    file = tmp_path / "leads.txt"
    file.write_bytes(content)
    return file


def read(file):
    bad = []
    return list(read_leads(file, bad.append)), bad


def test_made_up_leads_are_all_read_back_as_email_addresses(tmp_path):
    write_leads(tmp_path / "leads.txt", 500, seed=1)

    leads, bad = read(tmp_path / "leads.txt")

    assert [lead.line for lead in leads] == list(range(1, 501))
    assert len({lead.email for lead in leads}) == 500
    assert bad == []


def test_the_same_seed_makes_up_the_same_leads_and_another_seed_others(tmp_path):
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        write_leads(tmp_path / name, 50, seed)

    texts = [(tmp_path / name).read_text() for name in "abc"]

    assert texts[0] == texts[1] != texts[2]


def test_more_leads_begin_with_the_fewer(tmp_path):
    write_leads(tmp_path / "few", 10, seed=1)
    write_leads(tmp_path / "many", 20, seed=1)

    assert (tmp_path / "many").read_text().startswith((tmp_path / "few").read_text())


def test_a_line_that_is_no_email_address_is_reported_with_its_number_and_left_out(tmp_path):
    file = a_file(tmp_path, b"a@example.com\nJane Doe\n\nb@example.com\n")

    leads, bad = read(file)

    assert leads == [Lead(1, "a@example.com"), Lead(4, "b@example.com")]
    assert bad == [BadLine(2, "Jane Doe"), BadLine(3, "")]


@pytest.mark.parametrize(
    "line", ["@example.com", "a@", "a@b", "a b@example.com", "a@b@example.com", "<a@example.com>"]
)
def test_what_only_looks_like_an_email_address_is_left_out(tmp_path, line):
    leads, bad = read(a_file(tmp_path, f"{line}\n".encode()))

    assert leads == []
    assert bad == [BadLine(1, line)]


def test_line_ends_of_other_systems_a_byte_order_mark_and_spaces_do_no_harm(tmp_path):
    file = a_file(tmp_path, "\ufeffa@example.com\r\n  b@example.com \r\nc@example.com".encode())

    leads, bad = read(file)

    assert [lead.email for lead in leads] == ["a@example.com", "b@example.com", "c@example.com"]
    assert bad == []


def test_a_line_without_an_end_is_one_bad_line_and_fills_no_memory(tmp_path):
    file = a_file(tmp_path, b"x" * 20_000_000 + b"\na@example.com\n")
    tracemalloc.start()

    leads, bad = read(file)

    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert leads == [Lead(2, "a@example.com")]
    assert [line.line for line in bad] == [1]
    assert used < 1_000_000


def test_leads_are_read_only_as_far_as_they_are_asked_for(tmp_path):
    file = a_file(tmp_path, b"a@example.com\nnonsense\n")
    bad = []

    first = list(islice(read_leads(file, bad.append), 1))

    assert first == [Lead(1, "a@example.com")]
    assert bad == []


@given(content=st.binary(max_size=3 * MAX_LINE_BYTES))
def test_any_bytes_are_read_each_line_as_a_lead_or_as_a_bad_line(tmp_path_factory, content):
    file = a_file(tmp_path_factory.mktemp("any"), content)

    leads, bad = read(file)

    lines = len(content.removesuffix(b"\n").split(b"\n")) if content else 0
    assert sorted(each.line for each in (*leads, *bad)) == list(range(1, lines + 1))
