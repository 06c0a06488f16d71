"""Bodies come back as they went in, whatever JSON they hold."""

from collections.abc import Mapping
from types import MappingProxyType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outrig.resources import Key, Owner, Resource
from outrig.store.documents import decode, detached, encode
from outrig.store.protocol import Store
from tests.contract.store_making import create, key, resource

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)
OBJECTS = st.dictionaries(st.text(), JSON)


@pytest.mark.parametrize(
    "value",
    [
        "é ж \U0001f600 \x00 \u2028 \ud800 \\ \" '",
        2**70,
        -(10**300),
        0.1 + 0.2,
        5e-324,
        -0.0,
        1e308,
        {"": {"a b": [[], {}, [None, True, False]]}},
        "x" * 1_000_000,
    ],
    ids=["unicode", "big", "huge", "float", "tiny", "minus zero", "large", "nested", "long"],
)
async def test_a_value_comes_back_exactly(store: Store, value: object) -> None:
    await create(store, resource(body={"spec": value}, status={"deep": [value]}))
    read = await store.get(key())
    assert repr(read.body) == repr({"spec": value})
    assert repr(read.status) == repr({"deep": [value]})


async def test_a_read_only_mapping_is_stored_as_an_object(store: Store) -> None:
    body: Mapping[str, object] = MappingProxyType({"spec": MappingProxyType({"x": (1, 2)})})
    await create(store, resource(body=body))
    assert (await store.get(key())).body == {"spec": {"x": [1, 2]}}


@pytest.mark.slow
@given(body=OBJECTS, status=OBJECTS, labels=st.dictionaries(st.text(), st.text()))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_json_value_survives_its_document(
    body: dict[str, object], status: dict[str, object], labels: dict[str, str]
) -> None:
    wanted = Resource(Key("", "K", "", "", "n"), body=body, status=status, labels=labels)
    for copy in (decode(wanted.key, encode(wanted)), detached(wanted)):
        assert repr(copy) == repr(wanted)


OLD = (
    '{"body":{},"status":{},"labels":{},"annotations":{},"owners":[[["","K","","","o"],"u","v1",true],'
    '[["","K","","","o"],"u","v1",true,false]],"finalizers":[],"uid":"","generation":0,"revision":0,'
    '"created":null,"deleting":null}'
)


def test_documents_of_earlier_versions_are_read_and_new_parts_are_written_only_where_they_say_something() -> None:
    key, owner = Key("", "K", "", "", "n"), Key("", "K", "", "", "o")
    old = Resource(key, owners=(Owner(owner, "u", "v1"), Owner(owner, "u", "v1", blocks=False)))
    assert decode(key, OLD) == old
    assert encode(Resource(key)) == OLD[: OLD.index("[[[")] + "[]" + OLD[OLD.index(',"finalizers"') :]
    new = Resource(key, owners=(Owner(owner, "u", "v1", unknown=True),), generate_name="n-")
    assert decode(key, encode(new)) == new
