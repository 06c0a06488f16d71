"""What a task sees of the machine's files: all of it, but a private /run, /tmp and home, its own resolver, no secrets.

A container runs as any user, yet the interpreter may lie under a closed home directory: such directories are
replaced by views in which only what the task needs appears. Raises `OSError`.
"""

import os
import socket
import sys
from pathlib import Path

import outrig
from outrig.local.namespaces import appears, bind, closed_ancestors, make_mounts_private, mount_proc, show_only
from outrig.local.network import RESOLVER, internal_domain
from outrig.local.orders import LaunchOrder

_PRIVATE = {"/run": 0o755, "/root": 0o755, "/tmp": 0o1777, "/var/tmp": 0o1777}  # noqa: S108 - replaced, not used


def enter_private_view(order: LaunchOrder) -> None:
    """Turn the current mount namespace into that of the task ordered."""
    keep = [Path(path) for path in (*order.visible, *interpreter_paths())]
    make_mounts_private()
    mount_proc()
    resolver = Path(os.path.realpath("/etc/resolv.conf"))
    private = {Path(path): mode for path, mode in _PRIVATE.items() if Path(path).is_dir()}
    closed = dict.fromkeys(closed_ancestors(path for path in keep if appears(path)), 493)
    for directory, mode in {**closed, **private}.items():
        show_only(directory, keep, mode=mode)
    show_only(Path(order.hidden), keep)
    domain = internal_domain(order.region)
    _place(resolver, f"nameserver {RESOLVER}\nsearch {domain}\n")
    _place(Path("/etc/hosts"), f"127.0.0.1 localhost\n{order.address} {order.hostname}.{domain} {order.hostname}\n")
    socket.sethostname(order.hostname)


def open_low_ports() -> None:
    """Let any user of this network namespace bind any port, as containers on Fargate may."""
    Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").write_text("0", encoding="ascii")


def refuse_to_forward() -> None:
    """Let this network namespace say "no route" for addresses outside the VPC: not forwarding would be silence."""
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1", encoding="ascii")


def interpreter_paths() -> list[str]:
    """Where this Python and this package live."""
    package = Path(outrig.__file__).resolve().parents[1]
    return [sys.prefix, sys.base_prefix, os.path.realpath(sys.base_prefix), str(package)]


def _place(path: Path, content: str) -> None:
    """Show a file of the task's own at `path`; one that the machine lacks, and that we may not make, stays away."""
    if path.is_relative_to("/run"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="ascii")
    elif path.exists():
        own = Path("/run/outrig") / path.name
        own.parent.mkdir(exist_ok=True)
        own.write_text(content, encoding="ascii")
        bind(str(own), str(path))
