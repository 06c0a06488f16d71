"""Credentials as kubectl and `outrig` meet them: certificates that have ended or are others', acting as somebody."""

import asyncio
import os
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from outrig.ca.authorities import Authorities, open_authorities
from outrig.server.kubeconfigs import Cluster, Credential, written
from outrig.store.memory import MemoryStore
from tests.e2e.kubectl.running import ENDS, PINNED, Api, Kubectl, binaries, yesterday

ENDED = "the client certificate of 'bert' ended at "
MORE = " UTC: `outrig kubeconfig` makes another"


def kubeconfig_of(api: Api, user: str, authorities: Authorities) -> Path:
    """A kubeconfig of somebody with a certificate of those authorities, for an hour from their time on."""
    pair = authorities.issue_client(user, group="dev", lifetime=timedelta(hours=1))
    given = Credential(user, pair.certificate.chain, pair.key)
    file = api.home / user
    file.write_text(written(Cluster(api.url, (api.home / "roots.pem").read_text()), given))
    return file


async def outrig_says(*arguments: str) -> str:
    """What a command complains."""
    pipe, command = asyncio.subprocess.PIPE, (sys.executable, "-m", "outrig", *arguments)
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, env={**os.environ})
    _, err = await process.communicate()
    assert process.returncode != 0
    return " ".join(err.decode().split())


async def test_whose_certificate_has_ended_or_is_of_another_authority_is_told_so(api: Api) -> None:
    ended = kubeconfig_of(api, "bert", replace(api.authorities, clock=yesterday))
    foreign = kubeconfig_of(api, "eve", await open_authorities(MemoryStore()))
    for version in ENDS:
        binary = binaries()[version]
        said = await Kubectl(binary, api.home / version, ended).refused("get", "wg", user="bert")
        assert "error: You must be logged in to the server" in said, "also where it asks for discovery first"
        await api.kubectl(binary).ok("get", "wg")
        said = await Kubectl(binary, api.home, ended).refused("get", "wg", user="bert")
        assert f"error: You must be logged in to the server ({ENDED}" in said
        assert MORE in said
        said = await Kubectl(binary, api.home, foreign).refused("get", "wg", user="eve")
        last = said.splitlines()[-1]
        assert last == "Unable to connect to the server: remote error: tls: unknown certificate authority"
    said = await outrig_says("get", "workloadgroups", "--kubeconfig", str(ended))
    assert ENDED in said
    assert MORE in said
    said = await outrig_says("get", "workloadgroups", "--kubeconfig", str(foreign))
    assert "the client certificate is none of this control plane's" in said


async def test_a_service_account_is_acted_as_with_its_groups_and_a_uid(api: Api) -> None:
    kubectl = api.kubectl(binaries()[PINNED[-1]])
    said = await kubectl.ok("auth", "whoami", "--as", "system:serviceaccount:default:ci", "--as-uid", "7")
    told = dict(line.split(maxsplit=1) for line in said.splitlines())
    assert told["Username"] == "system:serviceaccount:default:ci"
    assert told["UID"] == "7"
    assert told["Groups"] == "[system:serviceaccounts system:serviceaccounts:default system:authenticated]"
