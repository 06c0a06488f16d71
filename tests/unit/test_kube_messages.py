"""What is doubtful about an object stays readable in its status, for those who did not apply it."""

from typing import Any

from tests.unit.test_kube_api import MERGE, STRATEGIC, Api, api, service

__all__ = ["api"]

SERVICES = "/api/v1/namespaces/default/services"
POLICIES = "/apis/security.istio.io/v1/namespaces/istio-system/peerauthentications"


def messages(document: dict[str, Any]) -> list[str]:
    found = document.get("status", {}).get("validationMessages", [])
    assert all(one["level"] == "WARNING" for one in found)
    return [one["message"] for one in found]


async def test_a_headless_service_says_so_in_its_status_until_it_is_mended(api: Api) -> None:
    headless = service()
    headless["spec"]["clusterIP"] = "None"
    answer = await api.post(SERVICES, json=headless)
    (told,) = messages(answer.json())
    assert told.startswith("spec.clusterIP: a headless Service never has workloads behind it")
    assert any("headless" in warning for warning in answer.headers.get_list("warning"))
    path = f"{SERVICES}/ratings"
    labelled = (await api.patch(path, json={"metadata": {"labels": {"a": "b"}}}, headers=STRATEGIC)).json()
    assert messages(labelled) == [told]
    await api.delete(path)
    assert (await api.made(SERVICES, service()))["status"] == {"loadBalancer": {}}


async def test_an_ignored_peer_authentication_says_so_and_what_others_wrote_in_its_status_stays(api: Api) -> None:
    await api.made(
        "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "istio-system"}}
    )
    spec = {"selector": {"matchLabels": {"app": "a"}}, "mtls": {"mode": "DISABLE"}}
    document = {"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": {"name": "a"}}
    made = await api.made(POLICIES, {**document, "spec": spec})
    assert ["is ignored: in istio-system" in one for one in messages(made)] == [True]
    path, other = f"{POLICIES}/a", {"status": {"conditions": [{"type": "Other", "status": "True"}]}}
    await api.patch(f"{path}/status", json=other, headers=MERGE)
    mended = (await api.patch(path, json={"spec": {"selector": None}}, headers=MERGE)).json()
    assert mended["status"] == {**other["status"], "observedGeneration": 2}


async def test_writing_the_same_again_changes_nothing(api: Api) -> None:
    headless = service()
    headless["spec"]["clusterIP"] = "None"
    made = await api.made(SERVICES, headless)
    again = (await api.put(f"{SERVICES}/ratings", json=made)).json()
    assert again["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


async def test_the_messages_say_which_generation_they_are_about(api: Api) -> None:
    headless = service()
    headless["spec"]["clusterIP"] = "None"
    assert (await api.made(SERVICES, headless))["status"]["observedGeneration"] == 1
    change = {"spec": {"publishNotReadyAddresses": True}}
    changed = (await api.patch(f"{SERVICES}/ratings", json=change, headers=STRATEGIC)).json()
    assert (changed["status"]["observedGeneration"], changed["metadata"]["generation"]) == (2, 2)


async def test_the_observed_generation_follows_when_nothing_is_doubtful_any_more(api: Api) -> None:
    doubtful = service()
    doubtful["spec"]["publishNotReadyAddresses"] = True
    assert (await api.made(SERVICES, doubtful))["status"]["observedGeneration"] == 1
    for wanted, change in (
        (2, {"spec": {"publishNotReadyAddresses": False}}),
        (2, {"metadata": {"labels": {"a": "b"}}}),
        (3, {"spec": {"selector": {"app": "other"}}}),
    ):
        changed = (await api.patch(f"{SERVICES}/ratings", json=change, headers=STRATEGIC)).json()
        assert changed["metadata"]["generation"] == wanted
        assert changed["status"] == {"loadBalancer": {}, "observedGeneration": wanted}
