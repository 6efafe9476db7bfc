"""Is anything we depend on known to be vulnerable? pip-audit over both locks: `make audit`.

Exit 0: every package was looked up and none is known to be. 1: some are. 2: the database of vulnerabilities is out of
reach, or does not know a package, so that nothing can be said; pip-audit by itself would pass over such packages.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOCKS = ("requirements.lock", "requirements-run.lock")
ROOT = Path(__file__).parents[1]
TIMEOUT_SECONDS = 600


@dataclass(frozen=True)
class Verdict:
    """What is to be said of some packages, and the exit code that says so."""

    code: int
    lines: tuple[str, ...]


def judge(lock: str, output: str) -> Verdict:
    """Judge what pip-audit printed as JSON of one lock; whatever is not that was a failure to reach its database."""
    try:
        packages: list[dict[str, Any]] = json.loads(output)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return Verdict(2, (f"{lock}: NOT AUDITED: the database of vulnerabilities is out of reach",))
    skipped = [each["name"] for each in packages if "skip_reason" in each]
    vulnerable = [each for each in packages if each.get("vulns")]
    lines = [
        f"{lock}: {each['name']} {each['version']} is vulnerable: {found['id']}, mended in "
        f"{', '.join(found['fix_versions']) or 'no version yet'}"
        for each in vulnerable
        for found in each["vulns"]
    ]
    if skipped or not packages:
        some = ", ".join(skipped[:5]) + (" …" if len(skipped) > 5 else "")
        lines.append(
            f"{lock}: NOT AUDITED: the database of vulnerabilities is out of reach or does not know "
            f"{len(skipped)} of {len(packages)} packages: {some}"
        )
    if vulnerable:
        return Verdict(1, tuple(lines))
    if skipped or not packages:
        return Verdict(2, tuple(lines))
    return Verdict(0, (f"{lock}: {len(packages)} packages, none known to be vulnerable",))


def audit(lock: str) -> Verdict:
    """Run pip-audit over a lock. It installs nothing: hashes are required, and pip is not asked."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", lock, "--require-hashes", "--disable-pip"]
    run = subprocess.run(
        [*command, "--format", "json", "--progress-spinner", "off"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
    )
    return judge(lock, run.stdout)


def main() -> int:
    """Audit every lock and print what was found."""
    verdicts = [audit(lock) for lock in LOCKS]
    for verdict in verdicts:
        print("\n".join(verdict.lines))
    codes = {verdict.code for verdict in verdicts}
    return 1 if 1 in codes else max(codes)


if __name__ == "__main__":
    sys.exit(main())
