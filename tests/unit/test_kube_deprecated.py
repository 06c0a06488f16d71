"""Versions of kinds that others have replaced are served, and whoever uses one is told, whatever is answered."""

import json
from typing import Any

import pytest

from outrig.server.kinds import KINDS
from tests.unit.test_kube_api import GROUPS, MERGE, Api, api, group

__all__ = ["api"]

OLDER = GROUPS.replace("/v1/", "/v1beta1/")
TOLD = "networking.istio.io/v1beta1 WorkloadGroup is deprecated; use networking.istio.io/v1 WorkloadGroup"
APPLY = {"content-type": "application/apply-patch+yaml"}
WRITTEN = {**group(), "apiVersion": "networking.istio.io/v1beta1"}


def body(document: Any) -> dict[str, Any]:
    return {"content": json.dumps(document)}


def test_what_is_deprecated_is_served_and_is_not_the_version_that_clients_choose() -> None:
    assert {kind.name: kind.deprecated for kind in KINDS if kind.deprecated} == dict.fromkeys(
        ("WorkloadGroup", "WorkloadEntry", "ServiceEntry", "PeerAuthentication", "AuthorizationPolicy"),
        ("v1beta1",),
    )
    for kind in KINDS:
        assert set(kind.deprecated) <= set(kind.versions[1:]), kind.name


@pytest.mark.parametrize(
    ("method", "path", "more", "code"),
    [
        ("GET", OLDER, {}, 200),
        ("GET", f"{OLDER}/ratings", {}, 200),
        ("GET", f"{OLDER}?watch=true&timeoutSeconds=1&resourceVersion=999999", {}, 200),
        ("GET", f"{OLDER}/nobody", {}, 404),
        ("POST", OLDER, body({**WRITTEN, "metadata": {"name": "new"}}), 201),
        ("POST", f"{OLDER}?dryRun=All", body({**WRITTEN, "metadata": {"name": "new"}}), 201),
        ("POST", OLDER, body({}), 400),
        ("PUT", f"{OLDER}/ratings", body(WRITTEN), 422),
        ("PATCH", f"{OLDER}/ratings", {**body({"metadata": {"labels": {"a": "b"}}}), "headers": MERGE}, 200),
        ("PATCH", f"{OLDER}/ratings?fieldManager=me&force=true", {**body(WRITTEN), "headers": APPLY}, 200),
        ("PATCH", f"{OLDER}/ratings/status", {**body({"status": {}}), "headers": MERGE}, 200),
        ("DELETE", f"{OLDER}/ratings", {}, 200),
        ("DELETE", OLDER, {}, 200),
        ("PUT", OLDER, body({}), 405),
    ],
)
async def test_every_request_to_a_deprecated_version_is_told_what_replaced_it(
    api: Api, method: str, path: str, more: dict[str, Any], code: int
) -> None:
    await api.made(GROUPS, group())
    answer = await api.request(method, path, **more)
    assert (answer.status_code, answer.headers.get_list("warning")) == (code, [f'299 - "{TOLD}"']), answer.text


@pytest.mark.parametrize("version", ["v1", "v1alpha3"])
async def test_nobody_is_told_of_other_versions(api: Api, version: str) -> None:
    path = GROUPS.replace("/v1/", f"/{version}/")
    made = await api.post(path, json={**group(), "apiVersion": f"networking.istio.io/{version}"})
    assert (made.status_code, made.headers.get_list("warning")) == (201, [])
    assert "warning" not in (await api.get(path)).headers


async def test_what_is_doubtful_is_told_besides(api: Api) -> None:
    spec = {"template": {"serviceAcount": "ratings"}}
    answer = await api.post(OLDER, json={**WRITTEN, "spec": spec})
    assert answer.status_code == 201
    told = answer.headers.get_list("warning")
    assert f'299 - "{TOLD}"' in told
    assert any("serviceAcount" in one for one in told)
