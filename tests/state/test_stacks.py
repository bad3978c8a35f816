"""The states of stacks: each is kept, the last one is found, the oldest go."""

from __future__ import annotations

from orchestrator.model.address import Mode, WorkloadKey
from orchestrator.state import Store
from orchestrator.state.stacks import MOST_KEPT

QUEUE = WorkloadKey("lab", "shop", Mode.AGILE, "queue")
OTHER = WorkloadKey("lab", "shop", Mode.AGILE, "other")


def test_states_of_a_stack_are_kept_with_their_history_up_to_a_number(store: Store) -> None:
    assert store.newest_state(QUEUE) is None
    for serial in range(1, MOST_KEPT + 4):
        store.save_state(QUEUE, serial, f"state {serial}".encode(), {"resources": serial})
    store.save_state(OTHER, 1, b"other", {})
    assert store.newest_state(QUEUE) == (MOST_KEPT + 3, f"state {MOST_KEPT + 3}".encode(), {"resources": MOST_KEPT + 3})
    listed = store.states(str(QUEUE))
    assert [row.serial for row in listed] == list(range(MOST_KEPT + 3, 3, -1))
    assert store.state(listed[-1].number) == b"state 4"
    assert store.state(1) is None
    assert len(store.states()) == MOST_KEPT + 1
