"""Skeletons as sequences of tokens, and the grammar that every sequence obeys.

After UniRig (Zhang et al. 2025): coordinates in [-1, 1] fall into 256 bins; a sequence is ``begin``, a class token (the
body plan), then joints in depth-first order. A joint that continues the chain of the one before it is three coordinate
tokens x, y, z; any other is ``branch``, its parent's x, y, z and its own. Children come in the order of their
(z, y, x). Encoding takes the floor, decoding the middle of a bin.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

__all__ = [
    "BEGIN",
    "BINS",
    "BRANCH",
    "END",
    "FIRST_CLASS",
    "PAD",
    "Grammar",
    "Skeleton",
    "Slot",
    "decode",
    "encode",
    "slots_of",
]

BINS = 256
BRANCH, BEGIN, END, PAD = BINS, BINS + 1, BINS + 2, BINS + 3
FIRST_CLASS = BINS + 4  # class k is the token FIRST_CLASS + k


class Slot:
    """What a token stands for, by its place in the sequence; the network's input tells them apart."""

    X, Y, Z, PARENT_X, PARENT_Y, PARENT_Z, BRANCH, BEGIN, CLASS, END = range(10)
    COUNT = 10


@dataclass(frozen=True, kw_only=True)
class Skeleton:
    """Joints of a body in the box [-1, 1]^3; parents come before children."""

    joints: np.ndarray  # [J, 3] float64
    parents: np.ndarray  # [J] int32, -1 for the root
    plan: int  # number of its class


def quantise(values: np.ndarray) -> np.ndarray:
    """Bins of coordinates in [-1, 1]; what lies outside goes to the outermost."""
    return np.clip(np.floor((np.asarray(values, dtype=np.float64) + 1.0) * (BINS / 2)), 0, BINS - 1).astype(np.int64)


def centres(bins: np.ndarray) -> np.ndarray:
    """Middles of bins, in [-1, 1]."""
    return (np.asarray(bins, dtype=np.float64) + 0.5) * (2.0 / BINS) - 1.0


def encode(skeleton: Skeleton) -> np.ndarray:
    """Tokens of a skeleton, from ``BEGIN`` to ``END``. [L] int64

    Joints that share all three bins with a joint before them in the sequence are left out; their children hang on it.
    """
    bins = quantise(skeleton.joints)
    children: dict[int, list[int]] = {}
    for joint, parent in enumerate(skeleton.parents.tolist()):
        children.setdefault(parent, []).append(joint)
    tokens = [BEGIN, FIRST_CLASS + skeleton.plan]
    at: dict[tuple[int, ...], int] = {}
    last = -1
    stack = [(root, -1) for root in children.get(-1, [])]
    while stack:
        joint, above = stack.pop()
        place = tuple(bins[joint].tolist())
        if place not in at:
            if last >= 0 and above != last:
                tokens += [BRANCH, *bins[above].tolist()]
            tokens += place
            at[place] = last = joint
        stands_for = at[place]
        following = sorted(children.get(joint, []), key=lambda child: tuple(bins[child][::-1].tolist()))
        stack += [(child, stands_for) for child in reversed(following)]
    return np.array([*tokens, END], dtype=np.int64)


def decode(tokens: np.ndarray, plans: int) -> Skeleton:
    """The skeleton that a sequence tells, up to its ``END``.

    Raises:
        ValueError: The sequence breaks the grammar or isn't finished.
    """
    grammar = Grammar(plans=plans)
    for token in np.asarray(tokens).tolist():
        grammar.feed(int(token))
        if grammar.done:
            break
    if not grammar.done:
        raise ValueError("the sequence has no end")
    return grammar.skeleton()


@dataclass(kw_only=True)
class Grammar:
    """The state machine of sequences: which tokens may follow, so that every sequence is one tree.

    A branch leads back to an ancestor of the last joint that isn't the last joint itself (depth-first order), no two
    joints share all bins, and a skeleton has at least two joints.
    """

    plans: int  # number of classes
    most: int = 128  # joints
    plan: int | None = None  # the class when it is prescribed
    joints: list[tuple[int, int, int]] = field(default_factory=list)  # bins
    parents: list[int] = field(default_factory=list)
    slots: list[int] = field(default_factory=list)  # what each token so far stands for
    done: bool = False
    _partial: list[int] = field(default_factory=list)
    _naming: bool = False  # the next coordinates name a parent
    _parent: int = -1
    _plan: int = -1
    _begun: bool = False

    @property
    def vocabulary(self) -> int:
        """Number of tokens."""
        return FIRST_CLASS + self.plans

    def legal(self) -> np.ndarray:
        """Which tokens may come next. [vocabulary] bool"""
        mask = np.zeros(self.vocabulary, dtype=bool)
        if self.done:
            mask[PAD] = True
        elif not self._begun:
            mask[BEGIN] = True
        elif self._plan < 0:
            mask[slice(FIRST_CLASS, None) if self.plan is None else FIRST_CLASS + self.plan] = True
        elif self._naming:
            known = len(self._partial)
            for joint in self._forks():
                if list(self.joints[joint][:known]) == self._partial:
                    mask[self.joints[joint][known]] = True
        else:
            mask[:BINS] = True
            if len(self._partial) == 2:
                taken = [place[2] for place in self.joints if list(place[:2]) == self._partial]
                mask[taken] = False
            elif not self._partial and self._parent < 0:
                mask[BRANCH] = bool(self._forks()) and len(self.joints) < self.most
                mask[END] = len(self.joints) >= 2
                mask[:BINS] &= len(self.joints) < self.most
        return mask

    def feed(self, token: int) -> None:
        """Take the next token.

        Raises:
            ValueError: It isn't legal here.
        """
        if not (0 <= token < self.vocabulary and self.legal()[token]):
            raise ValueError(f"token {token} may not stand at place {len(self.slots)}")
        if token == BEGIN:
            self._begun = True
            self.slots.append(Slot.BEGIN)
        elif token >= FIRST_CLASS:
            self._plan = token - FIRST_CLASS
            self.slots.append(Slot.CLASS)
        elif token == END:
            self.done = True
            self.slots.append(Slot.END)
        elif token == BRANCH:
            self._naming = True
            self.slots.append(Slot.BRANCH)
        elif token < BINS:
            self._coordinate(token)

    def _coordinate(self, token: int) -> None:
        self.slots.append((Slot.PARENT_X if self._naming else Slot.X) + len(self._partial))
        self._partial.append(token)
        if len(self._partial) < 3:
            return
        place = (self._partial[0], self._partial[1], self._partial[2])
        self._partial = []
        if self._naming:
            self._naming = False
            self._parent = self.joints.index(place)
            return
        self.parents.append(self._parent if self._parent >= 0 else len(self.joints) - 1)
        self.joints.append(place)
        self._parent = -1

    def _forks(self) -> list[int]:
        """Ancestors of the last joint, itself left out."""
        found: list[int] = []
        joint = self.parents[-1] if self.parents else -1
        while joint >= 0:
            found.append(joint)
            joint = self.parents[joint]
        return found

    def skeleton(self) -> Skeleton:
        """What has been told so far."""
        return Skeleton(
            joints=centres(np.array(self.joints, dtype=np.int64).reshape(-1, 3)),
            parents=np.array(self.parents, dtype=np.int32),
            plan=self._plan,
        )


def slots_of(tokens: np.ndarray) -> np.ndarray:
    """What each token of a sound sequence stands for (`Slot`); padding counts as an end. [L] int64"""
    slots, count, naming = np.empty(len(tokens), dtype=np.int64), 0, False
    for place, token in enumerate(tokens.tolist()):
        if token >= BINS:
            naming = token == BRANCH
            slots[place] = {BRANCH: Slot.BRANCH, BEGIN: Slot.BEGIN}.get(
                token, Slot.CLASS if token >= FIRST_CLASS else Slot.END
            )
            continue
        slots[place] = (Slot.PARENT_X if naming else Slot.X) + count
        count += 1
        if count == 3:
            count, naming = 0, False
    return slots
