"""Fail when a distribution that this package needs is under the GPL or AGPL (the LGPL and MPL are allowed)."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, requires

from packaging.requirements import Requirement

FORBIDDEN = re.compile(r"(?<!L)(?<!Lesser )\bA?GPL|Affero|(?<!Lesser )GNU General Public", re.IGNORECASE)


def needed(root: str) -> set[str]:
    """Names of all distributions that ``root`` needs by default, itself included."""
    found: set[str] = set()
    queue = [root]
    while queue:
        name = re.sub(r"[-_.]+", "-", queue.pop()).lower()
        if name in found:
            continue
        try:
            lines = requires(name) or []
        except PackageNotFoundError:
            continue
        found.add(name)
        for line in lines:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                queue.append(requirement.name)
    return found


def main() -> int:
    """Print every offender; exit non-zero when there is one."""
    names = needed("studio_pipeline")
    listing = subprocess.run(
        [sys.executable, "-m", "piplicenses", "--format=json", "--from=mixed"],
        check=True,
        capture_output=True,
        text=True,
    )
    rows = [row for row in json.loads(listing.stdout) if re.sub(r"[-_.]+", "-", row["Name"]).lower() in names]
    bad = [row for row in rows if FORBIDDEN.search(row["License"]) and "or" not in row["License"].split()]
    for row in bad:
        print(f"{row['Name']} {row['Version']}: {row['License']} is not allowed among the default dependencies")
    print(f"{len(rows)} distributions checked, {len(bad)} under the GPL or AGPL")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
