"""The environment of a user, as far as it may reach the programs of the local ECS.

In: environment variables. Out: those that do not lead `aws`, botocore or `kubectl` to another cloud or through a proxy.
"""

from collections.abc import Mapping

_PROXIES = frozenset({"http_proxy", "https_proxy", "all_proxy"})
MISLEADING = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")
"""What makes `aws` ignore the keys it is given, or doubt them."""


def neutral(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without AWS settings (profiles, tokens, endpoints) and proxies."""
    return {k: v for k, v in environment.items() if not k.startswith("AWS_") and k.lower() not in _PROXIES}
