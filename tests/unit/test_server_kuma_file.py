"""A configuration file of Kuma's control plane: its keys mean what its variables mean, or are named with the reason."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from outrig.cli.main import assembled
from outrig.server.foreign import HONOURED
from outrig.server.kuma_file import read_kuma_file
from outrig.server.settings import BadSetting, Settings, load_settings

WHOLE = """
mode: zone
store:
  type: postgres
  postgres: {host: db, dbName: mesh, connectionTimeout: 7, tls: {mode: verifyCa, caPath: /ca.pem},
    maxIdleConnections: 3}
  cache: {enabled: true, expirationTime:}
dpServer: {port: 15678, authn: {dpProxy: {type: aws-iam, dpToken: {validator: {publicKeys: [{kid: a}]}}}}}
apiServer: {http: {enabled: false}, authn: {localhostIsAdmin: true}}
awsIam: {authorizedAccountIds: ["012345678901", "123456789012"]}
xdsServer: {dataplaneDeregistrationDelay: 3s, nackBackoff: 5s}
multizone: {zone: {name: east}}
stroe: {type: memory}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "kuma-cp.yaml"
    path.write_text(WHOLE)
    return path


def settings_of(path: Path, **environment: str) -> Settings:
    read = read_kuma_file(path)
    places = {name: place for name, place in read.places.items() if name not in environment}
    return load_settings(file=None, environment={**read.variables, **environment}, flags={}, places=places)


def test_keys_mean_what_the_variables_mean(file: Path) -> None:
    found = settings_of(file)
    assert (found.store_type, found.postgres_host, found.postgres_db_name) == ("postgres", "db", "mesh")
    assert (found.postgres_port, found.postgres_user) == (15432, "kuma"), "what is left out is as in Kuma"
    assert (found.postgres_tls_mode, found.postgres_tls_ca_path) == ("verifyCa", "/ca.pem")
    assert found.postgres_connection_timeout == timedelta(seconds=7)
    assert (found.agents_port, found.api_http_port, found.loopback_is_admin) == (15678, -1, True)
    assert (found.dp_authn, found.aws_accounts) == (("aws-iam",), ("012345678901", "123456789012"))
    assert found.dataplane_deregistration_delay == timedelta(seconds=3)


def test_a_variable_is_stronger_than_the_file(file: Path) -> None:
    assert settings_of(file, KUMA_STORE_POSTGRES_HOST="other").postgres_host == "other"
    assert settings_of(file, OUTRIG_POSTGRES_HOST="ours").postgres_host == "ours"


def test_each_key_that_is_not_honoured_is_named_with_the_reason(file: Path) -> None:
    assert dict(read_kuma_file(file).ignored) == {
        "store.postgres.maxIdleConnections": "there is one pool of connections, to one server",
        "store.cache.enabled": "changes are pushed: nothing is polled, and nothing is cached for a time",
        "dpServer.authn.dpProxy.dpToken.validator.publicKeys": (
            "it does not exist outside of Kubernetes, or is read from OUTRIG_TOKEN_PUBLIC_KEYS"
        ),
        "xdsServer.nackBackoff": "changes are pushed: nothing is polled, and nothing is cached for a time",
        "multizone.zone.name": "there is one control plane, of one zone",
        "stroe.type": "did you mean KUMA_STORE_TYPE?",
    }


@pytest.mark.parametrize("variable", HONOURED)
def test_the_words_of_every_variable_are_a_key(tmp_path: Path, variable: str) -> None:
    first, *rest = variable.removeprefix("KUMA_").removeprefix("KMESH_").lower().split("_")
    path = tmp_path / "file.yaml"
    path.write_text(f"{first}: {{{''.join([rest[0], *map(str.title, rest[1:])])}: some}}")
    assert read_kuma_file(path).variables == {variable: "some"}


@pytest.mark.parametrize("text", ["- a", "{", "\x00", "just words", "a: 2026-13-45"])
def test_what_is_no_mapping_is_refused_with_the_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(text)
    with pytest.raises(BadSetting, match=re.escape(f"OUT001 {path}: ")):
        read_kuma_file(path)


def test_a_wrong_value_is_refused_with_its_key(file: Path) -> None:
    file.write_text(WHOLE.replace("15678", "many"))
    with pytest.raises(BadSetting, match=re.escape(f"{file}: dpServer.port: 'many' is not a port")):
        settings_of(file)


def test_the_command_takes_such_a_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUMA_MODE", raising=False)
    file.write_text("mode: global")
    refused = CliRunner().invoke(assembled(["cp"]), ["cp", "settings", "-c", str(file)])
    assert str(refused.exception).startswith(f"OUT001 {file}: mode: 'global' is not supported yet")


def test_a_misspelt_key_that_decides_who_is_let_in_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "kuma-cp.yaml"
    file.write_text("dpServer: {authn: {dpProxy: {tpye: aws-iam}}}")
    with pytest.raises(BadSetting, match=r"dpServer\.authn\.dpProxy\.tpye: is no setting") as refused:
        read_kuma_file(file)
    assert "the key of KUMA_DP_SERVER_AUTHN_DP_PROXY_TYPE" in refused.value.hint
