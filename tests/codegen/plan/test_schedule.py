"""The order of layers: the least RAM of all orders there are, the model's own order where it is as good."""

from __future__ import annotations

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st
from operator_cases import examples

from driftc.codegen.plan.overlap import Distance
from driftc.codegen.plan.schedule import Memory, Step, peak, problem_of, schedule


@st.composite
def programs(draw: st.DrawFn, most: int = 7) -> tuple[list[Step], Memory]:
    """Steps that read some of what came before and write one or two storages."""
    sizes = {"x": draw(st.integers(1, 50)) * 4}
    steps: list[Step] = []
    for number in range(draw(st.integers(1, most))):
        reads = draw(st.lists(st.sampled_from(sorted(sizes)), min_size=1, max_size=2, unique=True))
        writes = tuple(f"t{number}_{n}" for n in range(draw(st.sampled_from([1, 1, 1, 2]))))
        sizes.update({name: draw(st.integers(1, 50)) * 4 for name in writes})
        closer = {(reads[0], writes[0]): Distance(4 * draw(st.integers(-2, 8)), sizes[reads[0]])}
        steps.append(Step(tuple(reads), writes, closer if draw(st.booleans()) else {}))
    outputs = draw(st.lists(st.sampled_from(sorted(sizes)), min_size=1, max_size=2, unique=True))
    return steps, Memory(sizes, ("x",), tuple(outputs))


def valid(steps: list[Step], order: tuple[int, ...]) -> bool:
    known = {"x"}
    for number in order:
        if not known.issuperset(steps[number].reads):
            return False
        known.update(steps[number].writes)
    return True


@given(programs())
@examples(80)
def test_no_order_needs_less(program: tuple[list[Step], Memory]) -> None:
    steps, memory = program
    found = schedule(steps, memory)
    assert sorted(found) == list(range(len(steps)))
    assert valid(steps, tuple(found))
    orders = (order for order in permutations(range(len(steps))) if valid(steps, order))
    assert peak(steps, memory, found) == min(peak(steps, memory, order) for order in orders)


@given(programs())
@examples(80)
def test_the_peak_is_the_bound_of_placement(program: tuple[list[Step], Memory]) -> None:
    steps, memory = program
    problem, _ = problem_of(steps, memory)
    assert problem.bound() == peak(steps, memory, range(len(steps)))


def branches(count: int, length: int) -> tuple[list[Step], Memory]:
    """`count` chains that grow and then shrink, given side by side, and one step that joins them."""
    sizes = {"x": 400, "y": 4}
    steps: list[Step] = []
    for place in range(length):
        for branch in range(count):
            source = "x" if place == 0 else f"b{branch}_{place - 1}"
            sizes[f"b{branch}_{place}"] = 4 if place == length - 1 else 1000
            steps.append(Step((source,), (f"b{branch}_{place}",)))
    steps.append(Step(tuple(f"b{branch}_{length - 1}" for branch in range(count)), ("y",)))
    return steps, Memory(sizes, ("x",), ("y",))


def test_branches_are_run_one_after_another() -> None:
    steps, memory = branches(3, 3)
    found = schedule(steps, memory)
    assert peak(steps, memory, found) == 400 + 4 + 2 * 1000  # the last of them no longer needs x
    assert peak(steps, memory, range(len(steps))) == 3 * 1000 + 1000


def test_sixty_steps_are_exact() -> None:
    steps, memory = branches(6, 10)
    found = schedule(steps, memory)
    assert len(found) == 61
    assert peak(steps, memory, found) == 400 + 4 * 4 + 2 * 1000


def test_many_more_steps_are_good() -> None:
    steps, memory = branches(30, 6)
    found = schedule(steps, memory)
    assert valid(steps, tuple(found))
    assert peak(steps, memory, found) <= 400 + 29 * 4 + 2 * 1000


def test_the_given_order_is_kept_where_none_is_better() -> None:
    steps = [Step(("x",), ("a",)), Step(("x",), ("b",)), Step(("a", "b"), ("y",))]
    memory = Memory({"x": 8, "a": 8, "b": 8, "y": 8}, ("x",), ("y",))
    assert schedule(steps, memory) == [0, 1, 2]
