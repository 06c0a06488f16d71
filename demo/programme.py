"""What the demo plays, in order: two scenes and an epilogue. The first two steps set the stage for all others."""

from typing import Final

from demo import bookinfo, counter, steps
from demo.steps import Step

BOOKINFO: Final[list[Step]] = [
    steps.the_control_plane_starts,
    steps.the_three_documents_apply,
    steps.one_ecs_service_joins,
    bookinfo.the_rest_joins,
    steps.traffic_to_the_task,
    steps.traffic_from_the_task,
    steps.the_access_log,
    bookinfo.stars_on_the_page,
    bookinfo.every_hop_is_known,
    steps.strangers_are_turned_away,
    steps.a_role_that_is_not_allowed,
    steps.stolen_proofs,
    steps.policy_deleted,
    steps.control_plane_killed,
    steps.certificates_renewed,
    bookinfo.ratings_scaled,
    bookinfo.everything_deployed_anew,
    bookinfo.a_sick_task,
    bookinfo.a_misrouted_call,
]
COUNTER: Final[list[Step]] = [
    counter.two_replicas_one_database,
    counter.dataplanes_join,
    counter.one_mesh,
    counter.a_permission_taken_away,
    counter.a_replica_killed,
]
SCENES: Final[dict[str, list[Step]]] = {
    "Scene one: the guide, and the whole of Bookinfo": BOOKINFO,
    "Scene two: Kong Mesh's counter, in the same mesh": COUNTER,
    "At the end": [steps.bad_input, steps.memory],
}
STEPS: Final[list[Step]] = [step for scene in SCENES.values() for step in scene]
