"""Requests made up from the OpenAPI documents, good and bad ones: all are answered, and as the documents say."""

import asyncio
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.e2e.kubectl.running import Api, running_api

EXAMPLES = int(os.environ.get("OPENAPI_EXAMPLES", "1"))
"""For each operation, as many again of requests that do not fit its description."""
SEED = int(os.environ.get("OPENAPI_SEED", "1"))
HEADERS: tuple[dict[str, str], ...] = (
    {},
    {"Accept": "application/yaml"},
    {},
    {"Accept": "text/html"},
    {},
    {"Content-Type": "text/plain"},
    {},
)
CALLERS = ("admin-token", "admin-token", "viewer-token", "admin-token", "")
CONFORMANCE = [status_code_conformance, content_type_conformance, response_schema_conformance]
HERE = {"namespace": "default", "name": "here"}
"""Every second request goes to the namespace that is there, and to an object that is: the others learn that theirs is
not, and no more.
"""
BODIES: dict[str, dict[str, Any]] = {
    "Namespace": {},
    "ServiceAccount": {},
    "Service": {"spec": {"ports": [{"name": "a", "port": 80, "targetPort": 8080}, {"name": "b", "port": 81}]}},
    "WorkloadGroup": {"spec": {"template": {"serviceAccount": "a"}, "probe": {"tcpSocket": {"port": 80}}}},
    "WorkloadEntry": {"spec": {"address": "10.0.0.1", "ports": {"http": 8080}}},
    "ServiceEntry": {
        "spec": {"hosts": ["a.example"], "ports": [{"number": 443, "name": "tls", "protocol": "TLS"}],
                 "resolution": "DNS"},
    },
    "Sidecar": {"spec": {"egress": [{"bind": "127.0.0.2", "port": {"number": 80}, "hosts": ["./*"]}]}},
    "PeerAuthentication": {"spec": {"mtls": {"mode": "STRICT"}, "portLevelMtls": {"80": {"mode": "PERMISSIVE"}},
                                    "selector": {"matchLabels": {"a": "b"}}}},
    "AuthorizationPolicy": {"spec": {"rules": [{"to": [{"operation": {"ports": ["80"]}}]}]}},
    "OnboardingPolicy": {"spec": {"allow": [{"workloads": [{"aws": {"accounts": ["123456789012"], "ecs": {}}}],
                                             "onboardTo": [{"workloadGroupSelector": {}}]}]}},
    "Role": {"rules": [{"apiGroups": [""], "resources": ["services"], "verbs": ["get"]}]},
    "ClusterRole": {"rules": [{"nonResourceURLs": ["/version"], "verbs": ["get"]}]},
    "RoleBinding": {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
                    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "ann"}]},
}  # fmt: skip
BODIES["ClusterRoleBinding"] = BODIES["RoleBinding"]
OLDER = ("/v1alpha3", "/v1beta1")
"""Documents of older versions say the same."""


def described(session: requests.Session, url: str) -> Iterator[dict[str, Any]]:
    """The documents."""
    for path in session.get(f"{url}/openapi/v3").json()["paths"]:
        if not path.endswith(OLDER):
            yield session.get(f"{url}/openapi/v3/{path}").json()


def signed_in(api: Api, token: str) -> requests.Session:
    """Somebody's session; nobody's without a token."""
    session = requests.Session()
    session.trust_env = False  # a proxy or authorities of the shell would come first
    session.headers.update({"Authorization": f"Bearer {token}"} if token else {})
    session.verify = str(api.home / "roots.pem")
    return session


@dataclass
class Sending:
    """Sends requests, and counts the answers by their codes."""

    url: str
    admin: requests.Session
    sessions: Iterator[requests.Session]
    headers: Iterator[dict[str, str]]
    codes: Counter[int] = field(default_factory=Counter)
    number: int = 0

    def make(self, operation: Any) -> None:
        """Make the object that it is about, if that is not there."""
        group, version, kind = operation.definition.raw["x-kubernetes-group-version-kind"].values()
        if kind not in BODIES or "/{name}" not in operation.path:
            return
        document = {"apiVersion": f"{group}/{version}".lstrip("/"), "kind": kind, **BODIES[kind]}
        path = operation.path.partition("/{name}")[0].format_map(HERE)
        made = self.admin.post(f"{self.url}{path}", json={**document, "metadata": {"name": HERE["name"]}})
        assert made.status_code in (201, 409), made.text

    def send(self, case: Case) -> None:
        """Send one. Raises what does not conform."""
        self.number += 1
        if self.number % 2:
            case.path_parameters.update({name: HERE[name] for name in case.path_parameters})
        case.query.pop("watch", None)  # it would last
        session = next(self.sessions)
        response = case.call(base_url=self.url, session=session, verify=session.verify, headers=next(self.headers))
        is_to_come = "ResourceVersionTooLarge" in response.text  # a revision; that is 504, as in Kubernetes
        case.validate_response(response, checks=CONFORMANCE if is_to_come else [not_a_server_error, *CONFORMANCE])
        self.codes[response.status_code] += 1

    def send_some(self, operation: Any, mode: GenerationMode) -> None:
        """Some of one operation."""
        self.make(operation)
        limits = settings(
            max_examples=EXAMPLES, database=None, deadline=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        seed(SEED)(limits(given(case=operation.as_strategy(generation_mode=mode))(lambda case: self.send(case))))()


def send_all(api: Api) -> Sending:
    """Sends requests for every operation. Raises what does not conform."""
    admin = signed_in(api, CALLERS[0])
    sending = Sending(api.url, admin, cycle([signed_in(api, token) for token in CALLERS]), cycle(HEADERS))
    for document in described(admin, api.url):
        schema = schemathesis.openapi.from_dict(document)
        schema.config.generation.update(with_security_parameters=False)  # each session has its own
        for result in schema.get_all_operations():
            assert isinstance(result, Ok)
            for mode in GenerationMode:
                sending.send_some(result.ok(), mode)
    return sending


async def test_whatever_is_asked_is_answered_as_the_documents_say(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        sending = await asyncio.to_thread(send_all, api)
    assert sending.number > 400
    assert {200, 201, 400, 403, 404, 405, 406, 415, 422} <= set(sending.codes)
