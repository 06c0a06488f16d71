"""Messages become bytes once, and are forgotten with the last that holds them."""

import gc

from outrig.envoy import Encodings, encode_assignment, encode_trust
from outrig.envoy.api import Any, ClusterLoadAssignment, Resource
from outrig.snapshot import ENDPOINTS, version_of
from outrig.view import Assignment, Endpoint

ONE = Endpoint(0, "", "10.0.0.1", 80, draining=False, plain=False, weight=1)


def test_a_piece_is_encoded_once_and_gives_one_object() -> None:
    encodings = Encodings()
    first = encode_assignment(Assignment("a", (ONE,)), encodings)
    assert encode_assignment(Assignment("a", (ONE,)), encodings) is first
    assert encodings.count == 1


def test_different_pieces_with_equal_bytes_give_one_object() -> None:
    encodings = Encodings()
    first = encode_trust("m", ("pem\n",), encodings)
    assert encode_trust("m", (" pem",), encodings) is first
    assert (encodings.count, encodings.held) == (2, 1)


def test_what_nobody_holds_is_forgotten() -> None:
    encodings = Encodings()
    held = encode_assignment(Assignment("a", (ONE,)), encodings)
    encode_assignment(Assignment("b", ()), encodings)
    gc.collect()
    assert encodings.held == 1
    assert encode_assignment(Assignment("a", (ONE,)), encodings) is held


def test_an_encoding_is_a_resource_of_delta_xds_whose_version_is_its_content() -> None:
    encoded = encode_assignment(Assignment("a", (ONE,)), Encodings())
    resource = Resource.FromString(encoded.body)
    assert (
        (resource.name, resource.version)
        == (encoded.name, encoded.version)
        == ("a", version_of(resource.resource.value))
    )
    assert resource.resource.type_url == ENDPOINTS
    assert ClusterLoadAssignment.FromString(resource.resource.value).cluster_name == "a"


def test_encoding_anew_gives_the_same_bytes() -> None:
    first, second = (encode_assignment(Assignment("a", (ONE,)), Encodings()) for _ in range(2))
    assert first.body == second.body
    assert isinstance(Resource.FromString(first.body).resource, Any)
