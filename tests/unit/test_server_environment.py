"""Variables that look like settings and are none are pointed out; everybody else's pass without a word."""

import re
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from outrig.kit.spelling import slips
from outrig.server.environment import ELSEWHERE, check_mode, check_names, unused, warn_of_unused
from outrig.server.foreign import HONOURED, IGNORED
from outrig.server.settings import PREFIX, BadSetting, Settings

ROOT = Path(__file__).parent.parent.parent
SAMPLE = (
    "KMESH_AWSIAM_AUTHORIZEDACCOUNTIDS",
    "KMESH_LICENSE_PATH",
    "KMESH_MULTIZONE_ZONE_KDS_AUTH_CP_TOKEN_PATH",
    "KMESH_RUNTIME_AWS_ROUTE53_ENABLED",
    "KMESH_RUNTIME_AWS_ROUTE53_HOSTED_ZONE_ID",
    "KUMA_DEFAULTS_SKIP_HOSTNAME_GENERATORS",
    "KUMA_DNS_SERVER_CIDR",
    "KUMA_DNS_SERVER_DOMAIN",
    "KUMA_DNS_SERVER_SERVICE_VIP_PORT",
    "KUMA_DP_SERVER_AUTHN_DP_PROXY_TYPE",
    "KUMA_DP_SERVER_AUTHN_ENABLE_RELOADABLE_TOKENS",
    "KUMA_DP_SERVER_AUTHN_ZONE_PROXY_TYPE",
    "KUMA_EXPERIMENTAL_KDS_DELTA_ENABLED",
    "KUMA_GENERAL_TLS_CERT_FILE",
    "KUMA_GENERAL_TLS_KEY_FILE",
    "KUMA_IPAM_MESH_SERVICE_CIDR",
    "KUMA_MODE",
    "KUMA_MULTIZONE_ZONE_GLOBAL_ADDRESS",
    "KUMA_MULTIZONE_ZONE_KDS_TLS_SKIP_VERIFY",
    "KUMA_MULTIZONE_ZONE_NAME",
    "KUMA_STORE_POSTGRES_DB_NAME",
    "KUMA_STORE_POSTGRES_HOST",
    "KUMA_STORE_POSTGRES_PASSWORD",
    "KUMA_STORE_POSTGRES_PORT",
    "KUMA_STORE_POSTGRES_TLS_MODE",
    "KUMA_STORE_POSTGRES_USER",
    "KUMA_STORE_TYPE",
)


def test_a_misspelt_setting_is_pointed_out_with_the_nearest_one() -> None:
    with capture_logs() as logs:
        warn_of_unused({"OUTRIG_XDS_PRT": "secret", "OUTRIG_XDS_PORT": "1", "PATH": "/bin"})
    assert [(log["log_level"], log["name"], log["hint"]) for log in logs] == [
        ("warning", "OUTRIG_XDS_PRT", "did you mean 'OUTRIG_XDS_PORT'?")
    ]
    assert "secret" not in str(logs)


def test_each_setting_of_kuma_that_is_not_honoured_is_named_with_the_reason() -> None:
    environment = {
        "KUMA_MODE": "zone",
        "KMESH_LICENSE_PATH": "/x",
        "KUMA_DNS_SERVER_DOMAIN": "mesh.local",
        "KUMA_NO_SUCH_THING": "",
        "KUMA_STORE_TYPE": "postgres",
        "KUMAX": "",
    }
    assert dict(unused(environment)) == {
        "KUMA_MODE": "there is one control plane, of one zone",
        "KMESH_LICENSE_PATH": "no licence is needed",
        "KUMA_DNS_SERVER_DOMAIN": "no names or virtual addresses are made: services are called by outbounds",
        "KUMA_NO_SUCH_THING": "no such setting of Kuma or Kong Mesh is known",
    }


def test_a_setting_of_kuma_that_one_of_ours_overrules_is_named() -> None:
    environment = {"KUMA_STORE_TYPE": "postgres", "OUTRIG_STORE_TYPE": "sqlite"}
    assert dict(unused(environment)) == {"KUMA_STORE_TYPE": "OUTRIG_STORE_TYPE is set too, and is stronger"}


@pytest.mark.parametrize("variable", SAMPLE)
def test_every_variable_of_the_public_example_for_ecs_means_something_or_is_explained(variable: str) -> None:
    explained = dict(unused({variable: "x"}))
    assert (variable in HONOURED) != (variable in explained)
    assert "no such setting" not in explained.get(variable, "")


@pytest.mark.parametrize("mode", ["global", "Zone", "federated"])
def test_a_mode_that_this_control_plane_cannot_have_is_refused(mode: str) -> None:
    with pytest.raises(BadSetting) as refused:
        check_mode({"KUMA_MODE": mode}, {})
    assert str(refused.value).startswith(f"OUT001 environment: KUMA_MODE: {mode!r} is not supported yet")
    assert "set KUMA_MODE=zone or leave it out" in refused.value.hint


@pytest.mark.parametrize("environment", [{}, {"KUMA_MODE": ""}, {"KUMA_MODE": "zone"}, {"KUMA_MODE": "standalone"}])
def test_a_zone_of_its_own_is_what_this_control_plane_is(environment: dict[str, str]) -> None:
    check_mode(environment, {})


def test_the_documentation_lists_what_is_honoured_and_what_is_not() -> None:
    page = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in page.splitlines() if line.startswith(("| `KUMA_", "| `KMESH_"))]
    listed = {row[1].strip().strip("`"): row[2].strip() for row in rows}
    honoured = {name: f"`{PREFIX}{setting.upper()}`" for name, (setting, _) in HONOURED.items()}
    reasons = {f"{name}\N{HORIZONTAL ELLIPSIS}" if name.endswith("_") else name: why for name, why in IGNORED.items()}
    assert listed == honoured | reasons


def test_every_variable_that_outrig_reads_is_known() -> None:
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "outrig").rglob("*.py")]
    named = {name for text in texts for name in re.findall(PREFIX + r"[A-Z]\w*", text)}
    assert named >= ELSEWHERE
    assert list(unused(dict.fromkeys(named, ""))) == []


def test_a_variable_of_another_part_is_no_setting() -> None:
    assert not {name.removeprefix(PREFIX).lower() for name in ELSEWHERE} & set(Settings.__dataclass_fields__)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("KUMA_DP_SERVER_AUTHN_DP_PROXY_TPYE", "KUMA_DP_SERVER_AUTHN_DP_PROXY_TYPE"),
        ("KUMA_DP_SERVER_AUTH_ZONE_PROXY_TYPE", "KUMA_DP_SERVER_AUTHN_ZONE_PROXY_TYPE"),
        ("KMESH_AWSIAM_AUTHORIZEDACCOUNTID", "KMESH_AWSIAM_AUTHORIZEDACCOUNTIDS"),
        ("KMESH_AWSIAM_AUTHORIZED_ACCOUNT_IDS", "KMESH_AWSIAM_AUTHORIZEDACCOUNTIDS"),
        ("KUMA_API_SERVER_AUTHN_LOCALHOST_IS_ADMN", "KUMA_API_SERVER_AUTHN_LOCALHOST_IS_ADMIN"),
        ("OUTRIG_DP_AUTN", "OUTRIG_DP_AUTHN"),
        ("OUTRIG_AWS_ACCOUNT", "OUTRIG_AWS_ACCOUNTS"),
    ],
)
def test_a_misspelt_name_never_leaves_who_is_let_in_as_nobody_meant_it(name: str, meant: str) -> None:
    with pytest.raises(BadSetting) as refused:
        check_names({name: "aws-iam", "PATH": "/bin"})
    assert str(refused.value).startswith(f"OUT001 environment: {name}: is no setting")
    assert f"did you mean {meant}?" in refused.value.hint


def test_names_that_mean_something_or_are_explained_are_not_taken_for_misspelt_ones() -> None:
    check_names({*HONOURED, *IGNORED, *SAMPLE, *ELSEWHERE, "KUMA_STORE_POSTGRES_PASSWRD", "AUTHN"})
    explained = dict(unused(dict.fromkeys(IGNORED, "")))
    assert not [name for name, why in explained.items() if "did you mean" in why]
    assert dict(unused({"KUMA_STORE_POSTGRES_PASSWRD": ""})) == {
        "KUMA_STORE_POSTGRES_PASSWRD": "did you mean KUMA_STORE_POSTGRES_PASSWORD?"
    }


@pytest.mark.parametrize(
    ("one", "other", "apart"), [("", "ab", 2), ("tpye", "type", 1), ("kitten", "sitting", 3), ("same", "same", 0)]
)
def test_slips_of_a_hand_are_counted(one: str, other: str, apart: int) -> None:
    assert slips(one, other) == slips(other, one) == apart
