"""A task's life in the guide's scene: joined again by hand, killed in parts, scaled and stopped under load."""

import os
import re
import signal

import pytest

from tests.e2e.guide import EXAMPLE, Guide, condition, envoy_of, task_of
from tests.fixtures.local.lab import alive, eventually

pytestmark = pytest.mark.slow


def labels_of(guide: Guide, task: str) -> dict[str, str]:
    """The labels of the task's WorkloadEntry."""
    entries = [one for one in guide.get("workloadentries") if one["metadata"]["name"].endswith(task)]
    found: dict[str, str] = entries[0]["spec"]["labels"]
    return found


def test_a_deleted_registration_comes_back_by_itself_with_the_group_as_it_is_now(guide: Guide) -> None:
    (before,) = guide.registrations("ratings")
    task, name = task_of(before), before["metadata"]["name"]
    group = (EXAMPLE / "workloadgroup.yaml").read_text(encoding="utf-8")
    assert "configured" in guide.apply(group.replace("cloud: aws", "cloud: aws\n      edition: second"))
    try:
        assert "edition" not in labels_of(guide, task)
        guide.kubectl("delete", "war", "-n", "bookinfo", name)
        uids = guide.wait_serving("ratings")
        assert set(uids) == {task}
        assert uids[task] != before["metadata"]["uid"]
        assert labels_of(guide, task)["edition"] == "second"
        assert eventually(guide.call)
    finally:
        guide.apply(group)


def test_a_deleted_entry_comes_back_by_itself_and_serves_again(guide: Guide) -> None:
    uids = guide.wait_serving("ratings")
    (task,) = uids
    (before,) = [one for one in guide.get("workloadentries") if one["metadata"]["name"].endswith(task)]
    guide.kubectl("delete", "workloadentry", "-n", "bookinfo", before["metadata"]["name"])
    assert guide.wait_serving("ratings") == uids
    (after,) = [one for one in guide.get("workloadentries") if one["metadata"]["name"].endswith(task)]
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert after["spec"] == before["spec"]
    assert eventually(guide.call)


def test_a_killed_envoy_is_started_again_and_unready_meanwhile(guide: Guide) -> None:
    (task,) = guide.wait_serving("ratings")
    agent = guide.pid(task, "onboarding-agent")
    before, ready_lines = envoy_of(agent), guide.log(task).count("workload is ready")
    os.kill(before, signal.SIGKILL)
    after = eventually(lambda: (pid := envoy_of(agent)) != before and pid)
    assert eventually(lambda: guide.log(task).count("workload is ready") > ready_lines)
    assert re.search(r"workload is unhealthy: Envoy is not running(.|\n)*workload is ready", guide.log(task))
    assert guide.wait_serving("ratings").keys() == {task}
    assert (guide.pid(task, "onboarding-agent"), envoy_of(agent)) == (agent, after)
    assert eventually(guide.call)


@pytest.mark.parametrize("container", ["onboarding-agent", "ratings"])
def test_a_task_that_lost_a_part_is_replaced_and_its_registration_goes(guide: Guide, container: str) -> None:
    (task,) = guide.wait_serving("ratings")
    envoy = envoy_of(guide.pid(task, "onboarding-agent"))
    os.kill(guide.pid(task, container), signal.SIGKILL)

    def withdrawn() -> bool:
        entries = [one for one in guide.get("workloadentries") if one["metadata"]["name"].endswith(task)]
        return not any(condition(one, "Ready") == "True" for one in entries)

    eventually(withdrawn, seconds=20)
    eventually(lambda: not alive(envoy))
    (successor,) = guide.wait_serving("ratings")
    assert successor != task
    assert eventually(guide.call)


def test_scaling_up_and_down_under_load_loses_no_request(guide: Guide) -> None:
    (first,) = guide.wait_serving("ratings")
    load = guide.load()
    wait_for_calls(guide, first)
    guide.scale("ratings", 3)
    tasks = guide.wait_serving("ratings", 3)
    eventually(lambda: all(guide.calls_served(task) > 10 for task in tasks))
    guide.scale("ratings", 1)
    (last,) = guide.wait_serving("ratings")
    wait_for_calls(guide, last)
    account = load.account()
    assert account["failed"] == 0, account
    assert account["sent"] == account["ok"] > 50
    assert guide.running("ratings") == [last]


def wait_for_calls(guide: Guide, task: str) -> None:
    """Until the task has served some calls more."""
    before = guide.calls_served(task)
    eventually(lambda: guide.calls_served(task) > before + 10)


def test_a_task_stopped_under_load_loses_no_request_and_is_replaced(guide: Guide) -> None:
    guide.scale("ratings", 2)
    leaving, _ = guide.wait_serving("ratings", 2)
    load = guide.load()
    wait_for_calls(guide, leaving)
    guide.stop_task(leaving)
    eventually(lambda: leaving not in {task_of(one) for one in guide.registrations("ratings")})
    after = guide.wait_serving("ratings", 2)
    assert leaving not in after
    for task in after:
        wait_for_calls(guide, task)
    account = load.account()
    assert account["failed"] == 0, account
    assert account["sent"] == account["ok"] > 50
    guide.scale("ratings", 1)
    guide.wait_serving("ratings")
