"""Roles as their users meet them: kubectl's own questions, kubeconfigs that are issued and taken back."""

import asyncio
import os
import sys

from tests.e2e.kubectl.running import PINNED, Api, Kubectl, binaries

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


async def outrig(api: Api, *arguments: str, by: str = "kubeconfig") -> str:
    """All that the command prints, as the administrator."""
    command = (sys.executable, "-m", "outrig", "kubeconfig", *arguments, "--kubeconfig", str(api.home / by))
    piped, both = asyncio.subprocess.PIPE, asyncio.subprocess.STDOUT
    process = await asyncio.create_subprocess_exec(*command, stdout=piped, stderr=both, env={**os.environ})
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
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
    assert "alice" in (told := await outrig(api, "revoke", "--user", "alice"))
    assert "your own" not in told
    async with asyncio.timeout(30):
        await watch.communicate()
    assert "is revoked" in await alice.refused("get", "wg", user="alice")


async def test_who_revokes_his_own_certificate_is_told_that_it_was(api: Api) -> None:
    (api.home / "zoe").write_text(await outrig(api, "--user", "zoe", "--group", "outrig:admins"))
    told = await outrig(api, "revoke", "--user", "zoe", by="zoe")
    assert "this was your own certificate: the kubeconfig that this command used lets nobody in any more" in told
    zoe = Kubectl(NEWEST, api.home, api.home / "zoe")
    assert "You must be logged in" in await zoe.refused("get", "wg", user="zoe")
