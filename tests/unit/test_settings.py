"""Settings: precedence, helpful refusals, and a documentation page that lists them all."""

from dataclasses import fields
from datetime import timedelta
from pathlib import Path

import pytest

from outrig.admission.settings import AdmissionSettings
from outrig.server.settings import OFF, PREFIX, BadSetting, Settings, admission_settings, as_text, load_settings

ROOT = Path(__file__).parent.parent.parent


def load(tmp_path: Path, *, file: str = "", environment: dict[str, str] | None = None, **flags: str) -> Settings:
    path = tmp_path / "settings.yaml"
    path.write_text(file)
    return load_settings(file=path, environment=environment or {}, flags=flags)


def test_flags_win_over_environment_over_file_over_defaults(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        file="xds_port: 1\nagents_port: 1\nbind: file\n",
        environment={"OUTRIG_XDS_PORT": "2", "OUTRIG_AGENTS_PORT": "2"},
        xds_port="3",
    )
    assert (settings.xds_port, settings.agents_port, settings.bind) == (3, 2, "file")
    assert settings.api_https_port == 5682


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("onboarding_port", "off", OFF),
        ("agents_port", "0", 0),
        ("certificate_lifetime", "1h30m", timedelta(minutes=90)),
        ("aws_accounts", "111111111111, 222222222222", ("111111111111", "222222222222")),
        ("loopback_is_admin", "true", True),
    ],
)
def test_each_form_is_read_and_written_back(tmp_path: Path, name: str, text: str, value: object) -> None:
    settings = load(tmp_path, **{name: text})
    assert getattr(settings, name) == value
    assert getattr(load(tmp_path, **{name: as_text(value)}), name) == value


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("xds_port", "many", "a port"),
        ("xds_port", "70000", "a port"),
        ("xds_port", "-1", "a port"),
        ("absence_grace", "5 minutes", "a duration"),
        ("absence_grace", "", "a duration"),
        ("xds_port", "off", "a port"),
        ("join_rate", "0", "a whole number"),
        ("join_burst", "1.5", "a whole number"),
        ("loopback_is_admin", "yes", "`true` or `false`"),
        ("trust_domain", "Cluster Local", "a trust domain"),
        ("certificate_lifetime", "1s", "a minute at least"),
        ("certificate_lifetime", "99999999h", "ten years at most"),
        ("drain_bound", "99999999999999999999h", "ten years at most"),
        ("aws_regions", "us-east-1,mars", "a list of AWS regions"),
        ("aws_accounts", "12345", "a list of AWS account ids"),
        ("aws_endpoint_url", "garbage", "URL"),
        ("advertised_hosts", "ok,\u00fc", "a list of hosts"),
        ("xds_host", "a b", "a host"),
        ("bind", "", "a host"),
        ("data_dir", "", "a path"),
    ],
)
def test_a_wrong_value_names_its_source_and_what_was_expected(
    tmp_path: Path, name: str, text: str, expected: str
) -> None:
    with pytest.raises(BadSetting) as refused:
        load(tmp_path, environment={PREFIX + name.upper(): text})
    assert PREFIX + name.upper() in str(refused.value)
    assert repr(text) in str(refused.value)
    assert expected in str(refused.value)


def test_an_unknown_name_is_refused_with_the_nearest_one(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="did you mean 'xds_port'"):
        load(tmp_path, file="xds_prt: 1")
    with pytest.raises(BadSetting, match="did you mean 'agents_port'"):
        load(tmp_path, agent_port="1")


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", "\x00"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadSetting):
        load(tmp_path, file=text)


def test_what_is_set_for_joining_reaches_admission(tmp_path: Path) -> None:
    flags = {"join_rate": "50", "join_burst": "7", "require_peer_address": "true", "xds_host": "mesh.example"}
    known = admission_settings(load(tmp_path, **flags), xds_port=1)
    assert (known.rate, known.burst, known.require_peer_address) == (50.0, 7, True)
    assert (known.xds_host, known.xds_port) == ("mesh.example", 1)
    untouched, as_made = admission_settings(load(tmp_path), xds_port=1), AdmissionSettings(1)
    assert untouched == as_made


def test_every_setting_is_documented_with_its_default() -> None:
    page = (ROOT / "docs/settings.md").read_text()
    rows = {line.split("|")[1].strip(): line for line in page.splitlines() if line.startswith("| `OUTRIG_")}
    for setting in fields(Settings):
        row = rows.pop(f"`{PREFIX}{setting.name.upper()}`")
        assert setting.metadata["about"] in row
        assert f"`{as_text(setting.default)}`" in row or as_text(setting.default) == ""
    assert not rows


@pytest.mark.parametrize("text", ["agents_port: -1", "data_dir:", "drain_bound: 1:30", "aws_accounts: [12345]"])
def test_a_value_that_yaml_reads_as_something_else_is_refused_and_not_guessed(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadSetting, match=text.partition(":")[0]):
        load(tmp_path, file=text)
