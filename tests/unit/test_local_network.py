"""The VPC's links: what neighbours remember about the gateway stays true when tasks come and go."""

import subprocess
import sys

from tests.fixtures.local.lab import in_namespaces

SCRIPT = """
import os, socket, struct
from fcntl import ioctl
from outrig.local.network import Rtnetlink, build_vpc

def link_address():
    return ioctl(socket.socket(), 0x8927, struct.pack("256s", b"vpc0"))[18:24].hex()  # SIOCGIFHWADDR

own, bridge = os.open("/proc/self/ns/net", os.O_RDONLY), build_vpc()
before = link_address()
with Rtnetlink() as link:
    link.create_veth("task", bridge=bridge, peer_mac=b"\\x02\\0\\0\\0\\0\\1", peer_namespace=own)
print(before, link_address())
"""


def test_the_bridge_keeps_its_link_address_when_a_task_joins() -> None:
    done = subprocess.run([*in_namespaces(), sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    before, after = done.stdout.split()
    assert before == after == "02000a070001"
