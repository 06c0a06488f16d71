"""Roles as their users meet them: kubectl's own questions, kubeconfigs that are issued and taken back."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.kubectl.running import PINNED, Api, Kubectl, binaries, running_api

NEWEST = binaries()[PINNED[-1]]
SIGNED_IN = "system:authenticated]"
ROLE = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: groups, namespace: default}
rules:
- {apiGroups: [networking.istio.io], resources: [workloadgroups], verbs: [get, list, watch, create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: groups, namespace: default}
subjects: [{kind: User, name: alice}]
roleRef: {kind: Role, name: groups, apiGroup: rbac.authorization.k8s.io}
"""
GROUP = """
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: ratings}
spec: {template: {serviceAccount: ratings}}
"""


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(tmp_path) as running:
        yield running


async def outrig(api: Api, *arguments: str) -> str:
    """The command, as the administrator."""
    command = (sys.executable, "-m", "outrig", "kubeconfig", *arguments, "--kubeconfig", str(api.home / "kubeconfig"))
    piped = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=piped, stderr=piped, env={**os.environ})
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


async def test_a_user_gets_a_kubeconfig_and_a_role_and_loses_them(api: Api) -> None:
    (api.home / "alice").write_text(await outrig(api, "--user", "alice", "--group", "dev", "--valid-for", "1h"))
    admin, alice = api.kubectl(NEWEST), Kubectl(NEWEST, api.home, api.home / "alice")
    assert (await alice.ok("auth", "whoami", user="alice")).split()[3:] == ["alice", "Groups", "[dev", SIGNED_IN]
    for written in (ROLE.replace(", create]", "]"), ROLE):  # created, then updated, both in protobuf
        await admin.ok("auth", "reconcile", "-f", "-", stdin=written)
    assert "workloadgroups.networking.istio.io" in await alice.ok("auth", "can-i", "--list", user="alice")
    watch = await alice.start("get", "wg", "-w", user="alice")
    assert watch.stdout
    await alice.ok("create", "-f", "-", stdin=GROUP, user="alice")
    async with asyncio.timeout(30):
        while b"ratings" not in await watch.stdout.readline():
            pass
    assert "alice" in await outrig(api, "revoke", "--user", "alice")
    async with asyncio.timeout(30):
        await watch.communicate()
    assert "is revoked" in await alice.refused("get", "wg", user="alice")
