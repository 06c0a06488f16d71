"""Requests made up from the OpenAPI documents, good and bad ones: all are answered, and as the documents say."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.e2e.kubectl.running import Api, running_api

EXAMPLES = int(os.environ.get("OPENAPI_EXAMPLES", "2"))
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
HERE = {"namespace": "default", "name": "here"}
"""Every second request goes to the namespace that is there: the others learn that theirs is not, and no more."""
OLDER = ("/v1alpha3", "/v1beta1")
"""Documents of older versions say the same."""


def described(session: requests.Session, url: str) -> Iterator[dict[str, Any]]:
    """The documents."""
    for path in session.get(f"{url}/openapi/v3").json()["paths"]:
        if not path.endswith(OLDER):
            yield session.get(f"{url}/openapi/v3/{path}").json()


def send_all(api: Api) -> int:
    """Sends requests for every operation. Gives how many operations there are; raises what does not conform."""
    session = requests.Session()
    session.trust_env = False  # a proxy or authorities of the shell would come first
    session.headers["Authorization"] = "Bearer admin-token"
    session.verify = str(api.home / "roots.pem")
    sent = 0
    for document in described(session, api.url):
        for result in schemathesis.openapi.from_dict(document).get_all_operations():
            assert isinstance(result, Ok)
            send_some(result.ok(), session, api.url)
            sent += 1
    return sent


def send_some(operation: Any, session: requests.Session, url: str) -> None:
    """Some requests of one operation."""
    number = iter(range(1_000_000))

    @settings(max_examples=EXAMPLES, database=None, deadline=None, derandomize=True, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(case=operation.as_strategy())
    def send(case: Case) -> None:
        if next(number) % 2:
            case.path_parameters.update({name: HERE[name] for name in case.path_parameters})
        case.query.pop("watch", None)  # it would last
        response = case.call(base_url=url, session=session, verify=session.verify)
        case.validate_response(response, checks=CHECKS)

    send()


async def test_whatever_is_asked_is_answered_as_the_documents_say(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        assert await asyncio.to_thread(send_all, api) > 100
