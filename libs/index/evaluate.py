"""Who satisfies a plan? The one switch from a plan's nodes to bitmaps.

Pure: the same plan, snapshot and as_of give the same customers, however events are split into parts.
"""

import numpy as np
from pyroaring import BitMap

from libs.index import access, roaring
from libs.index.condition import Condition, bind
from libs.index.plan import All, Any, Did, Holds, Not, Plan
from libs.index.snapshot import Snapshot


def evaluate(plan: Plan, snapshot: Snapshot, as_of: int) -> BitMap:
    """Return the customers that satisfy a plan at an instant, ms. Not to be changed by the caller."""
    match plan:
        case All(plans):
            return intersect(plans, snapshot, as_of)
        case Any(plans):
            return roaring.union([evaluate(each, snapshot, as_of) for each in plans])
        case Not(inner):
            return snapshot.universe(as_of) - evaluate(inner, snapshot, as_of)
        case Did():
            return did(plan, snapshot, as_of)
        case Holds(where):
            return holds(where, snapshot, as_of)


def every_node(plan: Plan, snapshot: Snapshot, as_of: int) -> list[BitMap]:
    """Return the customers of every node of a plan, in pre-order, each as if it were evaluated alone."""
    match plan:
        case All(plans) | Any(plans):
            below = [every_node(each, snapshot, as_of) for each in plans]
            heads = [nodes[0] for nodes in below]
            if isinstance(plan, Any):
                own = roaring.union(heads)
            else:
                own = BitMap.intersection(*heads) if heads else snapshot.universe(as_of)
            return [own, *(node for nodes in below for node in nodes)]
        case Not(inner):
            nodes = every_node(inner, snapshot, as_of)
            return [snapshot.universe(as_of) - nodes[0], *nodes]
    return [evaluate(plan, snapshot, as_of)]


def intersect(plans: tuple[Plan, ...], snapshot: Snapshot, as_of: int) -> BitMap:
    """Return the customers that satisfy every plan: complements are taken away, never built."""
    kept = [evaluate(each, snapshot, as_of) for each in plans if not isinstance(each, Not)]
    kept.sort(key=len)
    result = BitMap.intersection(*kept) if kept else snapshot.universe(as_of)
    for each in plans:
        if isinstance(each, Not) and result:
            result = result - evaluate(each.plan, snapshot, as_of)
    return result


def did(plan: Did, snapshot: Snapshot, as_of: int) -> BitMap:
    """Return the customers with a number of events in a range."""
    parts = snapshot.of_type(plan.event_type)
    condition = None if plan.where is None else bind(plan.where, snapshot.names, snapshot.values)
    end = min(plan.end, as_of + 1)
    if plan.maximum is None and plan.minimum <= 1:
        if plan.minimum <= 0:
            return snapshot.universe(as_of)
        return access.exists(parts, condition, plan.first, end, snapshot.customers)
    if plan.minimum > 0:
        wanted = (plan.minimum, plan.maximum)
        return access.counted(parts, condition, plan.first, end, wanted, snapshot.customers)
    if plan.maximum is None or plan.maximum < 0:
        return BitMap()
    if plan.maximum == 0:
        too_many = access.exists(parts, condition, plan.first, end, snapshot.customers)
    else:
        over = (plan.maximum + 1, None)
        too_many = access.counted(parts, condition, plan.first, end, over, snapshot.customers)
    return snapshot.universe(as_of) - too_many


def holds(where: Condition | None, snapshot: Snapshot, as_of: int) -> BitMap:
    """Return the customers of the universe whose profile satisfies a condition."""
    universe = snapshot.universe(as_of)
    if where is None:
        return universe
    condition = bind(where, snapshot.names, snapshot.values)
    return snapshot.profiles.matching(condition, snapshot.customers) & universe


def customers(bitmap: BitMap, first: int, limit: int) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    """Return a page of a bitmap: `limit` values behind the first `first`, ascending, (n,) uint32."""
    stop = min(first + limit, len(bitmap))
    return roaring.to_array(bitmap[first:stop]) if first < stop else np.empty(0, np.uint32)
