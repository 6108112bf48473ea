"""Signing keys come from a private file or from the environment."""

import pytest

from antq_actors import AntQ, ConfigError
from antq_actors.app import signing_keys

OLD, NEW = "o" * 32, "n" * 40


@pytest.fixture
def key_file(tmp_path):
    file = tmp_path / "key"
    file.write_text(f"# the newest first\n{NEW}\n\n  {OLD}  \n")
    file.chmod(0o600)
    return file


def test_a_file_has_a_key_a_line_the_first_signs(key_file):
    assert signing_keys.load(key_file, {}) == (NEW.encode(), OLD.encode())


def test_without_a_file_they_are_in_the_environment_or_nowhere(key_file):
    assert signing_keys.load(None, {"ANTQ_SIGNING_KEYS": f"{NEW}\n{OLD}"}) == (
        NEW.encode(),
        OLD.encode(),
    )
    assert signing_keys.load(None, {}) == ()
    assert signing_keys.load(key_file, {"ANTQ_SIGNING_KEYS": OLD})[0] == NEW.encode()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o610])
def test_a_file_that_others_can_read_or_write_is_refused(key_file, mode):
    key_file.chmod(mode)

    with pytest.raises(ConfigError, match=rf"\(mode {mode:03o}\).*chmod 600"):
        signing_keys.load(key_file, {})


def test_a_short_key_is_refused_without_being_shown(key_file):
    key_file.write_text(f"{NEW}\nsecret\n")

    with pytest.raises(ConfigError, match=r"key 2 in .* has 6 characters.*needs 32") as info:
        signing_keys.load(key_file, {})

    assert "secret\n" not in str(info.value)


@pytest.mark.parametrize("text", ["", "\n# none\n"])
def test_no_key_where_one_is_looked_for_is_an_error(key_file, text):
    key_file.write_text(text)
    with pytest.raises(ConfigError, match="there is no signing key in"):
        signing_keys.load(key_file, {})
    with pytest.raises(ConfigError, match="no signing key in ANTQ_SIGNING_KEYS"):
        signing_keys.load(None, {"ANTQ_SIGNING_KEYS": text})


def test_a_missing_file_is_an_error_before_anything_starts(tmp_path):
    with pytest.raises(ConfigError, match="cannot read the signing keys"):
        AntQ(signing_key_file=tmp_path / "none")


def test_an_application_reads_them_when_it_is_described_and_never_shows_them(
    key_file, monkeypatch, tmp_path
):
    monkeypatch.setenv("ANTQ_SIGNING_KEYS", NEW)
    toml = tmp_path / "antq.toml"
    toml.write_text('[antq]\nsigning_key_file = "key"\n')

    for app in (AntQ(), AntQ(signing_key_file=key_file), AntQ.from_toml(toml)):
        assert app._config.signing_keys[0] == NEW.encode()
        assert NEW not in repr(app)
        assert NEW not in repr(app._config)


def test_keys_themselves_are_no_setting_of_a_file(tmp_path):
    toml = tmp_path / "antq.toml"
    toml.write_text(f'[antq]\nsigning_keys = ["{NEW}"]\n')

    with pytest.raises(ConfigError, match=r"unknown setting 'signing_keys'.*'signing_key_file'"):
        AntQ.from_toml(toml)
