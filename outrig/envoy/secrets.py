"""The one secret that travels: the authorities of a mesh, which are public."""

from collections.abc import Sequence

from outrig.envoy import api
from outrig.envoy.tls import trust_name


def trust_bundle(mesh: str, authorities: Sequence[str]) -> api.Secret:
    """The certificates (PEM) that members of a mesh accept as roots."""
    bundle = "".join(f"{pem.strip()}\n" for pem in authorities)
    return api.Secret(name=trust_name(mesh), validation_context={"trusted_ca": {"inline_string": bundle}})
