"""What the agent is told, and how it says that it was told wrong."""

from pathlib import Path

import pytest

from outrig.agent.configuration import Endpoint, Onboarding, Output, read_agent, read_onboarding, read_roots
from outrig.agent.problems import InvalidConfiguration, NotInTask
from outrig.agent.setup import Flags, read_setup, read_task_address
from tests.unit.agent_server import Ca

HEAD = "apiVersion: config.agent.onboarding.tetrate.io/v1alpha1\nkind: OnboardingConfiguration\n"
MINIMAL = HEAD + "onboardingEndpoint: {host: cp.example}\nworkloadGroup: {namespace: bookinfo, name: ratings}\n"
AGENT = "apiVersion: config.agent.onboarding.tetrate.io/v1alpha1\nkind: AgentConfiguration\n"
TASK = {
    "ECS_CONTAINER_METADATA_URI_V4": "http://169.254.170.2/v4/abc",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/x",
}


def test_a_minimal_configuration_has_the_guides_defaults() -> None:
    assert read_onboarding("S", MINIMAL) == Onboarding(Endpoint("cp.example", 15443), "bookinfo", "ratings")


def test_every_field_is_read_from_json_too() -> None:
    text = (
        '{"apiVersion":"config.agent.onboarding.tetrate.io/v1alpha1","kind":"OnboardingConfiguration","metadata":{},'
        '"onboardingEndpoint":{"host":"cp","port":5678,"transportSecurity":{"tls":{"sni":"x.y","insecureSkipVerify":true}}},'
        '"workloadGroup":{"namespace":"a","name":"b"},"workload":{"labels":{"version":"v5"}},'
        '"settings":{"connectedOver":"INTERNET"}}'
    )
    found = read_onboarding("S", text)
    assert found.endpoint == Endpoint("cp", 5678, sni="x.y", verify=False)
    assert found.labels == {"version": "v5"}
    assert found.connected_over == "INTERNET"


def at(host: str) -> str:
    """The minimal configuration with another text where the host stands."""
    return MINIMAL.replace("cp.example", host)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "S: expected a YAML or JSON object, got nothing"),
        ("- a", "S: expected a YAML or JSON object"),
        ("a: [", "S: not YAML or JSON"),
        ("\x00", "S: not YAML or JSON"),
        ("!!python/object:os.system {}", "S: not YAML or JSON"),
        ("a: 1\na: 2", "the key 'a' is there twice"),
        ("kind: X", "S apiVersion: required field is missing"),
        (HEAD.replace("v1alpha1", "v2"), "S apiVersion: expected 'config.agent.onboarding.tetrate.io/v1alpha1'"),
        (HEAD.replace("Onb", "Omb"), "S kind: expected 'OnboardingConfiguration'"),
        (HEAD, "S onboardingEndpoint: required field is missing"),
        (MINIMAL.replace("host: ", "hosst: "), "host: required field is missing (did you mean 'hosst'?)"),
        (at("https://cp"), "no scheme, no path"),
        (at('""'), "S onboardingEndpoint.host: expected text, got nothing"),
        (at("12"), "S onboardingEndpoint.host: expected text, got int '12' (put it in quotes)"),
        (at('a, port: "1"'), "S onboardingEndpoint.port: expected a whole number from 1 to 65535"),
        (at("a, port: 65536"), "S onboardingEndpoint.port"),
        (at("a, transportSecurity: {none: {}}"), "a connection without TLS is not supported"),
        (at("a, transportSecurity: {tsl: {}}"), "unknown field (did you mean 'tls'?)"),
        (at("a, transportSecurity: {tls: {insecureSkipVerify: yes please}}"), "expected true or false"),
        (MINIMAL + "workloadgroup: {}", "S workloadgroup: unknown field (did you mean 'workloadGroup'?)"),
        (MINIMAL + "workload: {labels: {version: 5}}", "S workload.labels.version: expected text, got int '5' (put it"),
        (MINIMAL + "workload: {labels: [a]}", "S workload.labels: expected a map"),
        (MINIMAL + "settings: {connectedOver: PIGEON}", "expected one of VPC, INTERNET, got str 'PIGEON'"),
        (MINIMAL + "settings: []", "S settings: expected an object"),
        ("a: " + "x" * 70_000, "S: longer than 65536 characters"),
        ("[" * 500, "S: not YAML or JSON"),
    ],
)  # fmt: skip
def test_a_wrong_configuration_names_source_and_field(text: str, says: str) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        read_onboarding("S", text)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("host", ["auto", "custom", "{auto: {}}", "{custom: {}}"])
def test_an_agent_configuration_says_where_output_goes(host: str) -> None:
    text = f"{AGENT}host: {host}\nsidecar: {{istio: {{revision: x}}, stdout: {{filename: /var/log/a}}}}"
    assert read_agent("S", text) == Output(stdout="/var/log/a")
    assert read_agent("S", AGENT) == Output()


def test_an_agent_configuration_is_as_strict() -> None:
    with pytest.raises(InvalidConfiguration, match=r"S sidecar\.stdin: unknown field"):
        read_agent("S", AGENT + "sidecar: {stdin: {}}")
    with pytest.raises(InvalidConfiguration, match="S host: expected one of auto, custom"):
        read_agent("S", AGENT + "host: maybe")


def test_roots_must_be_certificates() -> None:
    pem = Ca().pem
    assert read_roots("S", pem) == pem
    with pytest.raises(InvalidConfiguration, match="--root-certs FILE"):
        read_roots("S", "/etc/ssl/ca.pem")
    with pytest.raises(InvalidConfiguration, match="line breaks"):
        read_roots("S", pem.replace("\n", "\\n"))
    with pytest.raises(InvalidConfiguration, match="cannot be read"):
        read_roots("S", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")


def test_flags_win_over_the_environment(tmp_path: Path) -> None:
    file, roots, agent = tmp_path / "o.yaml", tmp_path / "ca.pem", tmp_path / "agent.yaml"
    file.write_text(MINIMAL)
    roots.write_text(Ca().pem)
    agent.write_text(AGENT)
    environment = {**TASK, "ONBOARDING_CONFIG": "nonsense", "ONBOARDING_AGENT_ROOT_CERTS": "x", "AGENT_CONFIG": "x"}
    flags = Flags(
        onboarding_config=str(file), root_certs=str(roots), agent_config=str(agent), directory="/d", envoy="/e"
    )
    setup = read_setup(flags, {**environment, "OUTRIG_AGENT_DIR": "/other", "OUTRIG_ENVOY": "/other"})
    assert (str(setup.seat), setup.directory, setup.envoy) == ("bookinfo/ratings", "/d", "/e")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ONBOARDING_CONFIG": ""}, "ONBOARDING_CONFIG: not set"),
        ({"ONBOARDING_AGENT_ROOT_CERTS": ""}, "ONBOARDING_AGENT_ROOT_CERTS: not set"),
        ({"OUTRIG_DRAIN_SECONDS": "-1"}, "OUTRIG_DRAIN_SECONDS: expected a whole number from 0 to 120, got '-1'"),
        ({"OUTRIG_DRAIN_SECONDS": "9" * 5000}, "OUTRIG_DRAIN_SECONDS: expected"),
        ({"OUTRIG_READINESS_PORT": "70000"}, "OUTRIG_READINESS_PORT: expected"),
        ({"OUTRIG_LOG_LEVEL": "loud"}, "OUTRIG_LOG_LEVEL: expected one of debug"),
        ({"ENVOY_LOG_LEVEL": "loud"}, "ENVOY_LOG_LEVEL: expected one of trace"),
    ],
)
def test_a_wrong_variable_is_named(change: dict[str, str], says: str) -> None:
    environment = {**TASK, "ONBOARDING_CONFIG": MINIMAL, "ONBOARDING_AGENT_ROOT_CERTS": Ca().pem, **change}
    with pytest.raises(InvalidConfiguration) as caught:
        read_setup(Flags(), environment)
    assert says in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration, match="No such file"):
        read_setup(Flags(onboarding_config=str(tmp_path / "none")), TASK)


@pytest.mark.parametrize(
    "change",
    [
        {"ECS_CONTAINER_METADATA_URI_V4": ""},
        {"ECS_CONTAINER_METADATA_URI_V4": "http://evil.example/v4/x"},
        {"ECS_CONTAINER_METADATA_URI_V4": "http://169.254.170.2.evil.example/v4/x"},
        {"ECS_CONTAINER_METADATA_URI_V4": "http://169.254.170.2/v4/@evil"},
        {"ECS_CONTAINER_METADATA_URI_V4": "https://169.254.170.2/v4/x"},
        {"ECS_CONTAINER_METADATA_URI_V4": "http://169.254.170.2/v4/x\r\nHost: evil"},
        {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": ""},
        {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "https://evil.example"},
        {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "@evil.example/v2"},
        {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": ".evil.example/v2"},
        {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/@evil"},
    ],
)
def test_no_host_but_the_link_local_one_is_ever_asked(change: dict[str, str]) -> None:
    with pytest.raises(NotInTask):
        read_task_address({**TASK, **change})


def test_a_full_uri_is_named_as_not_used() -> None:
    environment = {**TASK, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "x"}
    with pytest.raises(NotInTask, match="FULL_URI is not used"):
        read_task_address(environment)
