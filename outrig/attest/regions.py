"""The regions that exist, and the partition each is in: a table, never a guess from a name's look."""

from collections.abc import Mapping

import botocore.session


def known_regions(chosen: tuple[str, ...] = ()) -> Mapping[str, str]:
    """Region → partition, from botocore's data; only the chosen ones if any are. Raises ValueError on unknown ones."""
    session = botocore.session.Session()
    table = {
        region: partition
        for partition in session.get_available_partitions()
        for region in session.get_available_regions("sts", partition)
    }
    if unknown := sorted(set(chosen) - table.keys()):
        raise ValueError(f"regions: there is no AWS region {unknown[0]!r}")
    return {region: table[region] for region in chosen} if chosen else table
