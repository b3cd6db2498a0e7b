"""Placement: what must hold, against every placement there is where few blocks allow it, and whatever the seed."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from operator_cases import examples

from driftc.codegen.plan.place import ALIGN, Block, Problem, greedy
from driftc.codegen.plan.solve import solve

pytest.importorskip("ortools", reason="ortools is not installed")


@st.composite
def problems(draw: st.DrawFn, most: int = 12, largest: int = 400, rooms: tuple[int | None, ...] = (None,)) -> Problem:
    """Blocks in use for a few steps; some that die where another begins may come closer than their sizes."""
    count = draw(st.integers(1, most))
    blocks = []
    for _ in range(count):
        first = draw(st.integers(0, count))
        blocks.append(Block(draw(st.integers(1, largest)), first, first + draw(st.sampled_from([0, 1, 1, 2, 5]))))
    gaps: dict[tuple[int, int], int] = {}
    same: set[tuple[int, int]] = set()
    for dying, born in product(range(count), repeat=2):
        follows = blocks[dying].first < blocks[dying].last == blocks[born].first
        if follows and draw(st.booleans()):
            gaps[born, dying] = draw(st.integers(-16, blocks[born].bytes))
            if draw(st.booleans()):
                gaps[dying, born] = draw(st.integers(-16, blocks[dying].bytes))
        if follows and draw(st.booleans()):
            same.add((born, dying))
    return Problem(tuple(blocks), gaps, frozenset(same), rooms)


def least(problem: Problem, most: int) -> int:
    """The fewest bytes, by trying every offset below `most`; one room."""
    best = most

    def extend(offsets: list[int]) -> None:
        nonlocal best
        number = len(offsets)
        if number == len(problem.blocks):
            best = min(best, max(at + problem.size(n) for n, at in enumerate(offsets)))
            return
        for place in range(0, best - problem.size(number), ALIGN):
            apart = all(
                at + problem.gap(n, number) <= place
                or place + problem.gap(number, n) <= at
                or (problem.alike(n, number) and place == at)
                for n, at in enumerate(offsets)
                if problem.blocks[n].meets(problem.blocks[number])
            )
            if apart:
                extend([*offsets, place])

    extend([])
    return best


@given(problems())
@examples(40)
def test_optimal_holds_and_is_proven(problem: Problem) -> None:
    quick, best = greedy(problem), solve(problem)
    assert quick is not None
    assert best is not None
    assert problem.holds(quick)
    assert problem.holds(best)
    assert problem.bound() <= best.bytes <= quick.bytes
    assert best.proven


@given(problems(most=5, largest=24))
@examples(40)
def test_optimal_is_the_least_of_all(problem: Problem) -> None:
    best = solve(problem)
    assert best is not None
    assert best.bytes == least(problem, best.bytes + ALIGN)


@given(problems(), st.integers(1, 1000))
@examples(15)
def test_the_seed_changes_nothing(problem: Problem, seed: int) -> None:
    assert solve(problem) == solve(problem, seed)


@given(problems(most=8))
@examples(25)
def test_two_rooms(problem: Problem) -> None:
    """Where one room is too small: no room is overfilled, and no more bytes are used in all than in one."""
    single = solve(problem)
    assert single is not None
    widest = max(problem.size(n) for n in range(len(problem.blocks)))
    rooms = (max(widest, single.bytes // 2 // ALIGN * ALIGN), single.bytes)
    narrow = Problem(problem.blocks, problem.gaps, problem.same, rooms)
    found = solve(narrow)
    assert found is not None
    assert narrow.holds(found)
    assert solve(narrow, seed=7) == found


def test_rooms_that_are_too_small() -> None:
    blocks = (Block(100, 0, 1), Block(100, 0, 1), Block(100, 1, 2))
    assert solve(Problem(blocks, {}, rooms=(200, 96))) is None
    found = solve(Problem(blocks, {}, rooms=(200, 100)))
    assert found is not None
    assert found.sizes == (200, 100)


def test_a_chain_that_overlaps_both_ways_does_not_creep() -> None:
    """Each step may move down by 8 or up by 12 bytes: the arena grows by one of them once, not by their sum."""
    blocks = tuple(Block(100, n, n + 1) for n in range(9))
    gaps = {(n + 1, n): 8 for n in range(8)} | {(n, n + 1): 12 for n in range(8)}
    found = solve(Problem(blocks, gaps))
    assert found is not None
    assert found.bytes == 112
    assert found.proven


def test_greedy_may_be_worse_and_says_so() -> None:
    blocks = (Block(40, 0, 3), Block(40, 2, 5), Block(20, 0, 1), Block(60, 4, 7), Block(20, 6, 9), Block(40, 8, 9))
    quick, best = greedy(Problem(blocks)), solve(Problem(blocks))
    assert quick is not None
    assert best is not None
    assert best.bytes == best.bound <= quick.bytes
    assert quick.proven == (quick.bytes == quick.bound)
