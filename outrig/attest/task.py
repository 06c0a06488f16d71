"""The result of attestation."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VerifiedTask:
    """A running ECS task that proved who it is; every field was confirmed by AWS.

    `role_id` is the role's unique id, which a role made anew under the same name does not have. `address` is the first
    private IPv4 address of its network interface, `addresses` all addresses of it. `public_address` is known only if it
    was asked for, and the interface has one. `role_tags` are keys and values.
    """

    partition: str
    account: str
    region: str
    zone: str
    cluster: str
    role_name: str
    role_id: str
    role_arn: str
    task_id: str
    task_arn: str
    task_definition: str
    address: str
    addresses: tuple[str, ...]
    public_address: str = ""
    role_tags: tuple[tuple[str, str], ...] = ()
