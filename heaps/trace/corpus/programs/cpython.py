"""CPython: a small set of programs of the kinds that pyperformance has, one after the other in one process.

Orbits (floats), JSON documents, regular expressions, a cache of objects (dict, set, ``__slots__``), rewriting of
expressions (tuples and recursion) and a search tree that changes. What each leaves behind stays alive until the end, as
a program's own data would. Same work each time: everything random has a seed (and set PYTHONHASHSEED=0).
"""

import json
import random
import re
import sys
from collections import OrderedDict


def orbits(steps: int) -> float:
    """Five bodies: floats, few objects."""
    chance = random.Random(1)
    bodies = [
        [[chance.uniform(-30, 30) for _ in range(3)], [chance.uniform(-1, 1) for _ in range(3)]] for _ in range(5)
    ]
    for _ in range(steps):
        for at, (place, speed) in enumerate(bodies):
            for other, other_speed in bodies[at + 1 :]:
                apart = [a - b for a, b in zip(place, other, strict=True)]
                pull = 0.01 / (sum(each * each for each in apart) + 0.1) ** 1.5
                for axis in range(3):
                    speed[axis] -= apart[axis] * pull
                    other_speed[axis] += apart[axis] * pull
        for place, speed in bodies:
            for axis in range(3):
                place[axis] += 0.01 * speed[axis]
    return sum(place[0] for place, _ in bodies)


def documents(rounds: int) -> list[str]:
    """JSON written and read."""
    chance = random.Random(2)
    kept = []
    for number in range(rounds):
        document = {
            "id": number,
            "items": [
                {"name": f"item {chance.randrange(10_000)}", "price": chance.random(), "tags": ["a", "b", str(at)]}
                for at in range(120)
            ],
            "more": {str(at): [None, True, at, {"deep": at}] for at in range(60)},
        }
        text = json.dumps(document, sort_keys=True)
        again = json.loads(text)
        again["seen"] = len(text)
        kept.append(json.dumps(again, indent=1))
        if len(kept) > 300:
            kept[chance.randrange(300)] = kept.pop()
    return kept


def expressions_of_text(rounds: int) -> int:
    """Regular expressions over a text of 200 KB."""
    chance = random.Random(3)
    words = ["".join(chance.choices("abcdefghijklmnop", k=chance.randrange(2, 10))) for _ in range(3_000)]
    text = " ".join(
        f"{chance.choice(words)}@{chance.choice(words)}.org {chance.randrange(10**6)}" for _ in range(8_000)
    )
    patterns = [re.compile(each) for each in (r"(\w+)@(\w+)\.org", r"\b\d{3,5}\b", r"(a|e|i|o)+[b-d]", r"(?:p\w)+")]
    found = 0
    for at in range(rounds):
        pattern = patterns[at % len(patterns)]
        found += sum(len(match.group()) for match in pattern.finditer(text))
        text = patterns[0].sub(r"\2@\1.org", text)
    return found


class Entry:
    """What the cache holds."""

    __slots__ = ("key", "size", "uses", "value")

    def __init__(self, key: int, value: str) -> None:
        self.key, self.value, self.uses, self.size = key, value, 0, len(value)


def cache(operations: int) -> "OrderedDict[int, Entry]":
    """The least recently used entries go; a set says what was ever there, a dict how often."""
    chance = random.Random(4)
    entries: OrderedDict[int, Entry] = OrderedDict()
    ever: set[int] = set()
    asked: dict[int, int] = {}
    for number in range(operations):
        # Some keys are asked for much more often than others.
        key = int(chance.paretovariate(0.15) % 300_000)
        asked[key] = asked.get(key, 0) + 1
        if (entry := entries.get(key)) is not None:
            entry.uses += 1
            entries.move_to_end(key)
            continue
        ever.add(key)
        entries[key] = Entry(key, f"value {key} of {number}")
        if len(entries) > 60_000:
            entries.popitem(last=False)
    return entries


def derived(expression: object) -> object:
    """The derivative of an expression of nested tuples by ``x``."""
    match expression:
        case "x":
            return 1
        case ("+", left, right):
            return ("+", derived(left), derived(right))
        case ("*", left, right):
            return ("+", ("*", derived(left), right), ("*", left, derived(right)))
    return 0


def simplified(expression: object) -> object:
    """Without what does nothing."""
    match expression:
        case (sign, left, right):
            left, right = simplified(left), simplified(right)
            if isinstance(left, int) and isinstance(right, int):
                return (left + right if sign == "+" else left * right) % 1_000_003
            if sign == "*" and 0 in (left, right):
                return 0
            if (sign == "*" and left == 1) or (sign == "+" and left == 0):
                return right
            if (sign == "*" and right == 1) or (sign == "+" and right == 0):
                return left
            return (sign, left, right)
    return expression


def rewriting(rounds: int) -> list[object]:
    """Expressions are made, derived twice and simplified; the latest are kept."""
    chance = random.Random(5)

    def made(depth: int) -> object:
        if depth == 0 or chance.random() < 0.05:
            return "x" if chance.random() < 0.5 else chance.randrange(10)
        return (chance.choice("+*"), made(depth - 1), made(depth - 1))

    kept: list[object] = [0] * 64
    for at in range(rounds):
        kept[at % 64] = simplified(derived(simplified(derived(made(7)))))
    return kept


class Node:
    """Of a treap: a search tree by keys, a heap by weights."""

    def __init__(self, key: int, weight: float) -> None:
        self.key, self.weight = key, weight
        self.left: Node | None = None
        self.right: Node | None = None


def split(node: "Node | None", key: int) -> tuple["Node | None", "Node | None"]:
    """What is below ``key`` and what is not."""
    if node is None:
        return None, None
    if node.key < key:
        node.right, rest = split(node.right, key)
        return node, rest
    rest, node.left = split(node.left, key)
    return rest, node


def merged(left: "Node | None", right: "Node | None") -> "Node | None":
    """Two trees in one, all of the first's keys before all of the second's."""
    if left is None or right is None:
        return left or right
    if left.weight > right.weight:
        left.right = merged(left.right, right)
        return left
    right.left = merged(left, right.left)
    return right


def tree(operations: int) -> "Node | None":
    """Keys come, and ranges of them go."""
    chance = random.Random(6)
    root: Node | None = None
    for number in range(operations):
        key = chance.randrange(1 << 20)
        below, above = split(root, key)
        if number % 50 == 49:
            _, above = split(above, key + (1 << 10))
            root = merged(below, above)
        else:
            root = merged(merged(below, Node(key, chance.random())), above)
    return root


PARTS = {
    "orbits": lambda: orbits(20_000),
    "documents": lambda: documents(500),
    "text": lambda: expressions_of_text(36),
    "cache": lambda: cache(600_000),
    "rewriting": lambda: rewriting(1_000),
    "tree": lambda: tree(90_000),
}

if __name__ == "__main__":
    results = {}
    for name in sys.argv[1:] or PARTS:
        results[name] = PARTS[name]()
        print(name, flush=True)
