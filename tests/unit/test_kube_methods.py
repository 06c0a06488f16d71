"""Methods that a path does not take: whoever sends one is told which it takes."""

import pytest

from tests.unit.test_kube_api import GROUPS, Api, api

__all__ = ["api"]

REGISTERED = "/apis/runtime.onboarding.tetrate.io/v1alpha1/namespaces/default/workloadautoregistrations"


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        (GROUPS, "GET, HEAD, POST, DELETE"),
        (f"{GROUPS}/ratings", "GET, HEAD, PUT, PATCH, DELETE"),
        (f"{GROUPS}/ratings/status", "GET, HEAD, PUT, PATCH"),
        ("/apis/networking.istio.io/v1/workloadgroups", "GET, HEAD"),
        ("/api/v1/namespaces", "GET, HEAD, POST"),
        (REGISTERED, "GET, HEAD, DELETE"),
        (f"{REGISTERED}/a/status", "GET, HEAD"),
        ("/api/v1/namespaces/default/pods", "GET, HEAD"),
        ("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "POST"),
        ("/version", "GET, HEAD"),
    ],
)
async def test_a_method_that_is_not_taken_is_told_which_are(api: Api, path: str, allowed: str) -> None:
    answer = await api.options(path)
    assert (answer.status_code, answer.headers.get("allow")) == (405, allowed)
