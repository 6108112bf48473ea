"""What an application is told: every wrong setting is refused at once, by its name."""

import math
from datetime import timedelta

import pytest

from antq_actors import AntQ, Concurrency, ConfigError, QueueConfig, RateLimit
from antq_actors.app.config import read_toml


class Text(str):
    """A str of a user's own."""

    __slots__ = ()


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("path", 5, TypeError),
        ("path", b"store", TypeError),
        ("path", True, TypeError),
        ("path", "", ValueError),
        ("path", "a\0b", ValueError),
        ("path", "a\ud800b", ConfigError),
        ("queues", [("mail", 1)], TypeError),
        ("queues", ["mail"], TypeError),
        ("queues", "mail", TypeError),
        ("queues", {}, ValueError),
        ("queues", {"": 1}, ValueError),
        ("queues", {"x" * 101: 1}, ValueError),
        ("queues", {"a\0": 1}, ValueError),
        ("queues", {"\ud800": 1}, ValueError),
        ("queues", {1: 1}, TypeError),
        ("queues", {None: 1}, TypeError),
        ("start_queues", 1, TypeError),
        ("start_queues", None, TypeError),
        ("retention", "2 weeks", TypeError),
        ("retention", True, TypeError),
        ("retention", 0, ValueError),
        ("retention", -1.0, ValueError),
        ("retention", timedelta(0), ValueError),
        ("retention", timedelta(seconds=-1), ValueError),
        ("retention", math.nan, ValueError),
        ("retention", math.inf, ValueError),
        ("max_interruptions", 0, ValueError),
        ("max_interruptions", -3, ValueError),
        ("max_interruptions", 1.0, TypeError),
        ("max_interruptions", True, TypeError),
        ("max_interruptions", None, TypeError),
    ],
)
def test_a_wrong_argument_is_refused_by_its_name(option, value, error):
    with pytest.raises(error, match=option) as refused:
        AntQ(**{option: value})

    assert isinstance(refused.value, ConfigError)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (0, ValueError),
        (-1, ValueError),
        (10**30, ValueError),
        (1.0, TypeError),
        ("5", TypeError),
        (True, TypeError),
        (None, TypeError),
        ({"concurrency": 5}, TypeError),
    ],
)
def test_a_wrong_queue_is_refused_by_its_name(value, error):
    with pytest.raises(error, match="'mail'"):
        AntQ(queues={"default": 1, "mail": value})


@pytest.mark.parametrize(
    ("setting", "value", "error"),
    [
        ("concurrency", 0, ValueError),
        ("concurrency", "5", TypeError),
        ("concurrency", True, TypeError),
        ("concurrency", 1.0, TypeError),
        ("check_interval", 0, ValueError),
        ("check_interval", -1, ValueError),
        ("check_interval", math.nan, ValueError),
        ("check_interval", math.inf, ValueError),
        ("check_interval", "5", TypeError),
        ("check_interval", None, TypeError),
        ("executor", 5, TypeError),
        ("executor", "proces", ValueError),
        ("concurency", 5, TypeError),
        ("global_concurrency", 0, ValueError),
        ("global_concurrency", "5", TypeError),
        ("global_concurrency", True, TypeError),
        ("rate_limit", 5, TypeError),
        ("rate_limit", {"limit": 5, "per": 1}, TypeError),
        ("limits", Concurrency(5, name="all"), TypeError),
        ("limits", [Concurrency(5)], ValueError),
    ],
)
def test_a_wrong_setting_of_a_queue_is_refused_by_its_name(setting, value, error):
    with pytest.raises(error, match=setting):
        QueueConfig(**{setting: value})


def test_an_unknown_option_is_a_type_error():
    with pytest.raises(TypeError, match="concurrency"):
        AntQ(concurrency=5)


@pytest.mark.parametrize("seconds", [0.001, 10**400, 1e300, timedelta.max, None])
def test_any_positive_retention_will_do(seconds):
    with AntQ(retention=seconds) as app:
        assert app.count_workers() == 0


@pytest.mark.parametrize("seconds", [10**400, 1e300, timedelta.max, timedelta(seconds=3)])
def test_any_positive_check_interval_will_do(seconds):
    with AntQ(queues={"default": QueueConfig(check_interval=seconds)}) as app:
        assert app.queue("default").status().running == ()


def test_a_duration_is_seconds_or_a_timedelta():
    assert QueueConfig(check_interval=timedelta(minutes=1)).check_interval == 60.0


def test_a_queue_may_have_any_name_of_up_to_a_hundred_bytes():
    names = ["with space", "ünï", "a/b", "x" * 100, "storage", "queues", "workers.x", Text("own")]

    with AntQ(queues=dict.fromkeys(names, 1)) as app:
        assert [app.queue(name).status().name for name in names] == names


def test_the_mapping_of_queues_may_change_afterwards():
    queues = {"mail": 1}
    app = AntQ(queues=queues)
    queues["other"] = 0

    with app:
        assert app.queue("mail").status().concurrency == 1


# ---- TOML ------------------------------------------------------------------------------------


@pytest.fixture
def toml(tmp_path):
    def write(text):
        file = tmp_path / "antq.toml"
        file.write_text(text, encoding="utf-8")
        return file

    return write


def test_an_application_is_described_by_a_toml_file(toml, tmp_path):
    file = toml("""
        [antq]
        path = "data/jobs"
        start_queues = true
        retention = 3600
        max_interruptions = 5

        [antq.queues.default]

        [antq.queues.mail]
        concurrency = 10
        check_interval = 0.5
        executor = "thread"
    """)

    with AntQ.from_toml(file) as app:
        assert app.path == tmp_path / "data" / "jobs"
        assert app.path.is_dir()
        assert app.queue("mail").status().concurrency == 10
        assert app.queue("default").status().concurrency == 5
        assert app.default_queue == "default"


def test_a_file_has_the_limits_of_a_queue(toml):
    file = toml("""
        [antq.queues.mail]
        global_concurrency = 3
        rate_limit = {limit = 100, per = 60, burst = 10, name = "of the file"}
    """)

    (mail,) = read_toml(file)["queues"].values()

    assert mail.global_concurrency == 3
    assert mail.rate_limit == RateLimit(100, per=60, burst=10, name="of the file")


@pytest.mark.parametrize(
    ("table", "error", "text"),
    [
        ("5", TypeError, "rate_limit"),
        ("{limit = 5}", ValueError, "rate_limit needs per"),
        ("{per = 5}", ValueError, "rate_limit needs limit"),
        ("{limit = 0, per = 5}", ValueError, "limit"),
        ("{limit = 5, per = '5'}", TypeError, "per"),
        ("{limit = 5, pre = 5}", TypeError, "unknown setting 'pre' in rate_limit"),
    ],
)
def test_a_wrong_limit_in_a_file_is_refused_by_its_name(toml, table, error, text):
    file = toml(f"[antq.queues.mail]\nrate_limit = {table}")

    with pytest.raises(error, match=text) as refused:
        AntQ.from_toml(file)

    assert "[antq.queues.mail]" in str(refused.value)
    assert isinstance(refused.value, ConfigError)


def test_a_relative_path_is_relative_to_the_file_wherever_the_program_runs(
    toml, tmp_path, monkeypatch
):
    toml('[antq]\npath = "jobs"')
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)

    assert AntQ.from_toml("../antq.toml").path.resolve() == tmp_path / "jobs"
    assert AntQ.from_toml(tmp_path / "antq.toml").path == tmp_path / "jobs"


def test_an_absolute_path_stays_as_it_is(toml, tmp_path):
    file = toml(f'[antq]\npath = "{tmp_path}/there"')

    assert AntQ.from_toml(file).path == tmp_path / "there"


def test_an_empty_section_gives_the_defaults(toml):
    with AntQ.from_toml(toml("[antq]\n")) as app:
        assert app.queue("default").status().concurrency == 5


def test_from_toml_answers_the_class_it_is_called_on(toml):
    class Ours(AntQ):
        pass

    assert type(Ours.from_toml(toml("[antq]"))) is Ours


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[antq", "antq.toml"),
        ("", "[antq]"),
        ("[ant]\n", "[antq]"),
        ("antq = 5", "[antq]"),
        ('[antq]\npaht = "x"', "did you mean 'path'"),
        ("[antq]\npath = 5", "path"),
        ("[antq]\npath = ''", "path"),
        ("[antq]\nqueues = 5", "queues"),
        ("[antq.queues]", "queues"),
        ("[antq.queues.mail]\nconcurency = 5", "did you mean 'concurrency'"),
        ("[antq.queues.mail]\nconcurrency = 0", "mail"),
        ('[antq.queues.mail]\nconcurrency = "5"', "concurrency"),
        ("[antq.queues.mail]\ncheck_interval = -1", "mail"),
        ('[antq.queues.mail]\nexecutor = "gpu"', "executor"),
        ('[antq.queues]\nmail = "5"', "mail"),
        ("[antq.queues]\nmail = true", "mail"),
        ('[antq]\nretention = "2 weeks"', "retention"),
        ("[antq]\nretention = 0", "retention"),
        ("[antq]\nstart_queues = 1", "start_queues"),
        ("[antq]\nmax_interruptions = 0", "max_interruptions"),
    ],
)
def test_a_wrong_file_is_a_config_error_that_says_what_is_wrong(toml, text, named):
    with pytest.raises(ConfigError) as refused:
        AntQ.from_toml(toml(text))

    assert named in str(refused.value)


def test_a_setting_of_the_wrong_type_in_a_file_is_a_type_error_too(toml):
    with pytest.raises(TypeError, match="start_queues"):
        AntQ.from_toml(toml("[antq]\nstart_queues = 1"))
    with pytest.raises(TypeError, match="unknown setting 'colour'"):
        AntQ.from_toml(toml("[antq]\ncolour = 1"))


def test_a_file_that_is_not_there_is_a_config_error_with_its_name(tmp_path):
    with pytest.raises(ConfigError, match=r"nothing\.toml"):
        AntQ.from_toml(tmp_path / "nothing.toml")
    with pytest.raises(ConfigError, match=str(tmp_path)):
        AntQ.from_toml(tmp_path)


def test_a_file_that_is_not_utf8_is_a_config_error(tmp_path):
    (tmp_path / "antq.toml").write_bytes(b'[antq]\npath = "\xff"')

    with pytest.raises(ConfigError, match=r"antq\.toml"):
        AntQ.from_toml(tmp_path / "antq.toml")


def test_an_application_described_without_any_queue_learns_how_to_run_none():
    with pytest.raises(ConfigError, match=r"call app\.start\(queues=False\)"):
        AntQ(queues={})
