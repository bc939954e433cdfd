"""Tables of what the judge said of clips whose state is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Judged", "area_under_curve", "areas", "false_alarms", "report_text", "summarise"]


@dataclass(frozen=True)
class Judged:
    """A clip and its scores."""

    actor: str
    kind: str
    severity: int  # 0: good
    heads: Mapping[str, float]  # 1 to 5

    @property
    def lowest(self) -> float:
        """Of the heads."""
        return min(self.heads.values())


def area_under_curve(bad: Sequence[float], good: Sequence[float]) -> float:
    """Chance that a good clip's score is above a bad one's, half for equals (Mann and Whitney); NaN without either."""
    if not len(bad) or not len(good):
        return float("nan")
    low, high = np.asarray(bad, np.float64)[:, None], np.asarray(good, np.float64)[None]
    return float((low < high).mean() + 0.5 * (low == high).mean())


def areas(judged: Sequence[Judged], kinds: Sequence[str]) -> dict[str, dict[int, float]]:
    """Area under the curve of every kind of collapse at every severity against all good clips, by the lowest head."""
    good = [one.lowest for one in judged if one.severity == 0]
    found: dict[str, dict[int, float]] = {}
    for kind in kinds:
        of_kind = [one for one in judged if one.kind == kind and one.severity > 0]
        found[kind] = {
            severity: round(area_under_curve([o.lowest for o in of_kind if o.severity == severity], good), 4)
            for severity in sorted({one.severity for one in of_kind})
        }
    return found


def false_alarms(judged: Sequence[Judged], least: float = 2.0) -> dict[str, tuple[int, int]]:
    """For every kind of good clip, how many have a head under ``least``, and how many there are."""
    kinds = dict.fromkeys(one.kind for one in judged if one.severity == 0)
    found = {}
    for kind in kinds:
        of_kind = [one for one in judged if one.kind == kind and one.severity == 0]
        found[kind] = (sum(one.lowest < least for one in of_kind), len(of_kind))
    return found


def summarise(
    shipped: Sequence[Judged], left_out: Mapping[str, Sequence[Judged]], head_of: Mapping[str, str], least: float = 2.0
) -> dict[str, Any]:
    """All figures.

    Args:
        shipped: What a network says that was trained on every kind.
        left_out: By kind, what one says that never saw it.
        head_of: The head that every kind belongs to.
        least: Under this a head fails a clip.
    """
    kinds = list(head_of)
    apart = {kind: areas(judged, [kind])[kind] for kind, judged in left_out.items()}
    caught = {}
    for kind in kinds:
        of_kind = [one for one in shipped if one.kind == kind and one.severity > 0]
        if of_kind:
            own = sum(min(one.heads, key=lambda name: one.heads[name]) == head_of[kind] for one in of_kind)
            failed = sum(one.lowest < least for one in of_kind)
            caught[kind] = {"clips": len(of_kind), "failed": failed, "own_head_lowest": own}
    alarms = false_alarms(shipped, least)
    good = sum(count for _, count in alarms.values())
    found = {
        "trained_on_all": areas(shipped, kinds),
        "left_out": apart,
        "lowest_left_out": min((v for row in apart.values() for v in row.values()), default=float("nan")),
        "false_alarms": {kind: {"alarms": hits, "clips": count} for kind, (hits, count) in alarms.items()},
        "false_alarm_share": round(sum(hits for hits, _ in alarms.values()) / max(good, 1), 4),
        "caught": caught,
        "good_clips": good,
    }
    return found


def report_text(found: Mapping[str, Any]) -> str:
    """The figures as Markdown tables."""
    lines = [
        "Area under the curve, by the lowest head, against all good clips of held-out characters",
        "",
        "| collapse | left out: 1 | 2 | 3 | trained on: 1 | 2 | 3 | failed | its head lowest |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for kind, row in found["trained_on_all"].items():
        apart, caught = found["left_out"].get(kind, {}), found["caught"].get(kind)
        cells = [_figure(apart.get(s)) for s in (1, 2, 3)] + [_figure(row.get(s)) for s in (1, 2, 3)]
        if caught:
            cells += [f"{caught['failed']}/{caught['clips']}", f"{caught['own_head_lowest']}/{caught['clips']}"]
        lines.append(f"| {kind} | " + " | ".join(cells) + " |")
    lines += ["", f"Lowest left-out area {found['lowest_left_out']:.3f} (goal 0.95)", ""]
    lines += ["| good clips | false alarms | of |", "|---|---|---|"]
    lines += [f"| {kind} | {row['alarms']} | {row['clips']} |" for kind, row in found["false_alarms"].items()]
    share = found["false_alarm_share"]
    lines += ["", f"False alarms (a head under 2): {share:.1%} of {found['good_clips']} good clips (goal at most 5 %)"]
    return "\n".join(lines)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
