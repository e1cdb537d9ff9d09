"""The independent application in examples/downstream: it passes, and its mistake is found.

`nox -s package` runs this where the wheel and the application are installed.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

APPLICATION = Path(__file__).parents[2] / "examples" / "downstream"
REWRITTEN = Path(__file__).with_name("rewritten.py")
AT_MOST_S = 30
MOST_STEPS = 10


def tested(*arguments: str, **environment: str) -> tuple[str, bool]:
    """Run tests as in the application's folder; return what they print and whether they pass."""
    began_s = time.monotonic()
    quiet = ("-q", "-p", "no:cacheprovider", "--hypothesis-seed=1")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *quiet, *arguments],
        cwd=APPLICATION,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    took_s = time.monotonic() - began_s
    assert took_s < AT_MOST_S, f"it took {took_s:.0f} s"
    return done.stdout + done.stderr, done.returncode == 0


def main() -> None:
    """See both outcomes."""
    said, passed = tested()
    assert passed, said
    assert re.search(r"^aws and gcp +yes", said, re.MULTILINE), said

    said, passed = tested(PHOTO_SHOP_HURRIED="1")
    assert not passed, "the mistake was not found"
    steps = re.findall(r"^E +state\.(?!teardown)", said, re.MULTILINE)
    assert 0 < len(steps) <= MOST_STEPS, said
    assert "printed in self.ledger.held" in said, said

    alone = ("-c", "pyproject.toml", f"--confcutdir={REWRITTEN.parent}")
    said, passed = tested(*alone, str(REWRITTEN))
    assert passed, said


if __name__ == "__main__":
    main()
    print("the application passes, and a few steps show its mistake")
