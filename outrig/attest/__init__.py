"""Who is calling: from a proof to the one running ECS task that made it.

In: the fields of `wire.join` (a signature, never a request). Out: `VerifiedTask`, every part of it confirmed by AWS.
Refused: what AWS does not vouch for, what disagrees with itself, and everything that could not be checked. An outage
is never a denial: it raises `AwsUnavailable`, and nobody gets in meanwhile.
"""
