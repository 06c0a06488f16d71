"""Settings: precedence, helpful refusals, and a documentation page that lists them all."""

import json
from dataclasses import fields
from datetime import timedelta
from pathlib import Path

import pytest

from outrig.admission.settings import AdmissionSettings
from outrig.server.forms import OFF
from outrig.server.public_keys import token_settings
from outrig.server.settings import (
    PREFIX,
    BadSetting,
    Settings,
    admission_settings,
    as_text,
    load_settings,
    postgres_settings,
)
from outrig.store.settings import TlsMode
from outrig.tokens.keys import USER, dataplane_ring, new_signing_key, public_key
from outrig.tokens.settings import PublicKey

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


@pytest.mark.parametrize(("text", "kind"), [("[1]", "a list"), ("{a: 1}", "an object")])
def test_a_file_gives_one_value_where_one_is_expected(tmp_path: Path, text: str, kind: str) -> None:
    with pytest.raises(BadSetting, match=f"xds_port: is {kind}"):
        load(tmp_path, file=f"xds_port: {text}")
    assert load(tmp_path, file="aws_regions: [eu-west-1]").aws_regions == ("eu-west-1",)


def test_a_file_says_nothing_twice(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="'aws_accounts' is there twice, line 3"):
        load(tmp_path, file="aws_accounts: ['123456789012']\nxds_port: 0\naws_accounts: ['210987654321']")


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


ECS = {
    "KUMA_STORE_TYPE": "postgres",
    "KUMA_STORE_POSTGRES_HOST": "db.internal",
    "KUMA_STORE_POSTGRES_PORT": "5432",
    "KUMA_STORE_POSTGRES_USER": "mesh",
    "KUMA_STORE_POSTGRES_PASSWORD": "s3cret words",
    "KUMA_STORE_POSTGRES_DB_NAME": "mesh",
    "KUMA_STORE_POSTGRES_TLS_MODE": "verifyNone",
    "KUMA_DP_SERVER_AUTHN_DP_PROXY_TYPE": "aws-iam",
    "KUMA_DP_SERVER_AUTHN_ZONE_PROXY_TYPE": "aws-iam",
    "KMESH_AWSIAM_AUTHORIZEDACCOUNTIDS": "111111111111,222222222222",
}


def test_the_environment_of_a_kong_mesh_control_plane_is_taken(tmp_path: Path) -> None:
    settings = load(tmp_path, environment=ECS)
    database = postgres_settings(settings)
    assert database
    assert database.place == "postgres mesh@db.internal:5432/mesh"
    assert (database.password, database.tls_mode) == ("s3cret words", TlsMode.VERIFY_NONE)
    assert settings.aws_accounts == ("111111111111", "222222222222")
    known = admission_settings(settings, xds_port=1)
    assert known.dataplane_proofs == known.zone_proofs == {"aws-iam"}


def test_our_own_variable_is_stronger_than_kumas_and_kumas_than_the_file(tmp_path: Path) -> None:
    environment = {"KUMA_DP_SERVER_PORT": "2", "KUMA_API_SERVER_HTTP_PORT": "2", "OUTRIG_API_HTTP_PORT": "3"}
    settings = load(tmp_path, file="agents_port: 1\napi_http_port: 1\n", environment=environment)
    assert (settings.agents_port, settings.api_http_port) == (2, 3)


def test_whoever_only_says_postgres_in_kumas_way_means_kumas_database(tmp_path: Path) -> None:
    database = postgres_settings(load(tmp_path, environment={"KUMA_STORE_TYPE": "postgres"}))
    assert database
    assert database.place == "postgres kuma@127.0.0.1:15432/kuma"
    assert postgres_settings(load(tmp_path, environment={"KUMA_STORE_TYPE": "memory"})) is None


@pytest.mark.parametrize(
    ("variable", "text", "setting", "value"),
    [
        ("KUMA_API_SERVER_HTTP_ENABLED", "false", "api_http_port", OFF),
        ("KUMA_API_SERVER_HTTPS_ENABLED", "true", "api_https_port", 5682),
        ("KUMA_STORE_POSTGRES_CONNECTION_TIMEOUT", "7", "postgres_connection_timeout", timedelta(seconds=7)),
        ("KUMA_XDS_DATAPLANE_DEREGISTRATION_DELAY", "1m", "dataplane_deregistration_delay", timedelta(minutes=1)),
        ("KUMA_DP_SERVER_AUTHN_DP_PROXY_TYPE", "", "dp_authn", ("dpToken",)),
        ("KUMA_DP_SERVER_AUTHN_DP_PROXY_TYPE", "none", "dp_authn", ("none",)),
        ("KUMA_API_SERVER_AUTHN_LOCALHOST_IS_ADMIN", "true", "loopback_is_admin", True),
        ("KUMA_DEFAULTS_SKIP_MESH_CREATION", "true", "skip_mesh_creation", True),
    ],
)
def test_texts_of_kumas_become_ours(tmp_path: Path, variable: str, text: str, setting: str, value: object) -> None:
    assert getattr(load(tmp_path, environment={variable: text}), setting) == value


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("KUMA_DP_SERVER_AUTHN_DP_PROXY_TYPE", "serviceAccountToken"),
        ("KUMA_DP_SERVER_AUTHN_ZONE_PROXY_TYPE", "dpToken"),
        ("KUMA_STORE_TYPE", "kubernetes"),
        ("KUMA_STORE_POSTGRES_TLS_MODE", "require"),
        ("KMESH_AWSIAM_AUTHORIZEDACCOUNTIDS", "my-account"),
    ],
)
def test_a_value_of_kumas_that_cannot_be_is_refused_with_its_variable(tmp_path: Path, variable: str, text: str) -> None:
    with pytest.raises(BadSetting, match=f"environment: {variable}: '{text}'") as refused:
        load(tmp_path, environment={variable: text})
    assert ("`memory` or `postgres`" in str(refused.value)) is (variable == "KUMA_STORE_TYPE")


@pytest.mark.parametrize("authn", ["dp_authn", "zone_authn"])
def test_roles_tags_are_not_asked_without_an_account_that_is_authorised(tmp_path: Path, authn: str) -> None:
    with pytest.raises(BadSetting, match="no account is authorised"):
        load(tmp_path, **{authn: "aws-iam"})
    with pytest.raises(BadSetting, match="no account is authorised"):
        load(tmp_path, environment={"KMESH_AWSIAM_AUTHORIZEDACCOUNTIDS": ""}, **{authn: "aws-iam"})
    assert load(tmp_path, aws_accounts="111111111111", **{authn: "aws-iam"})


def test_a_password_is_never_shown(tmp_path: Path) -> None:
    settings = load(tmp_path, environment=ECS)
    assert "s3cret" not in repr(settings) + as_text(settings.postgres_password)
    assert as_text(Settings().postgres_password) == ""


def test_a_certificate_comes_with_its_key(tmp_path: Path) -> None:
    for given, missing in (("TLS_CERT_FILE", "TLS_KEY_FILE"), ("TLS_KEY_FILE", "TLS_CERT_FILE")):
        with pytest.raises(BadSetting, match=f"set KUMA_GENERAL_{missing} or OUTRIG_{missing} too"):
            load(tmp_path, **{given.lower(): "/x.pem"})
        with pytest.raises(BadSetting, match=f"environment: KUMA_GENERAL_{given}: is set without {missing}"):
            load(tmp_path, environment={f"KUMA_GENERAL_{given}": "/x.pem"})


PEM = public_key(new_signing_key())


def keys(tmp_path: Path, text: str) -> tuple[PublicKey, ...]:
    (tmp_path / "key.pem").write_text(PEM)
    path = tmp_path / "keys.yaml"
    path.write_text(text.replace("THE_FILE", str(tmp_path / "key.pem")))
    return token_settings(load(tmp_path, token_public_keys=str(path))).public_keys


def test_public_keys_are_read_from_a_file(tmp_path: Path) -> None:
    inline = f"user: [{{kid: a, key: {json.dumps(PEM)}}}]"
    found = keys(tmp_path, f"dataplane: [{{kid: '1', mesh: default, keyFile: THE_FILE}}]\n{inline}\n")
    assert found == (PublicKey(dataplane_ring("default"), "1", PEM), PublicKey(USER, "a", PEM))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[]", "the file"),
        ("dataplane: [{kid: '1', keyFile: THE_FILE}]", "dataplane.0.mesh"),
        ("zone: [{kid: '1'}]", "zone.0"),
        ("zone: [{kid: '1', key: x, keyFile: THE_FILE}]", "zone.0"),
        ("zone: [{kid: '1', key: x}]", "zone.0"),
        ("zone: [{kid: '1', keyFile: /nowhere}]", "zone.0.keyFile"),
        ("zone: [{kid: '1', keyFile: THE_FILE}, {kid: '1', keyFile: THE_FILE}]", "listed twice"),
        ("zone: [{kid: 1, keyFile: THE_FILE}]", "zone.0.kid"),
        ("zones: []", "zones"),
        ("zone: []\nzone: []", "'zone' is there twice"),
        ("a: [", "cannot be read"),
    ],
)
def test_a_file_of_public_keys_that_is_wrong_is_refused_with_the_place(tmp_path: Path, text: str, place: str) -> None:
    with pytest.raises(BadSetting) as refused:
        keys(tmp_path, text)
    assert place in str(refused.value)


def test_tokens_that_are_not_issued_or_verified_here_are_known(tmp_path: Path) -> None:
    environment = {
        "KUMA_DP_SERVER_AUTHN_DP_PROXY_DP_TOKEN_ENABLE_ISSUER": "false",
        "KUMA_API_SERVER_AUTHN_TOKENS_VALIDATOR_USE_SECRETS": "false",
    }
    found = token_settings(load(tmp_path, environment=environment))
    assert (found.not_issued, found.no_secrets) == ({"dataplane"}, {"user"})
