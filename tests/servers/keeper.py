"""Keep one program, and let it not outlive whoever started this: `keeper.py LOG PROGRAM...`.

Prints the program's process id, and then one line for each signal that was passed on. Signals
are asked for by name, one a line, on standard input. When that closes, for whatever reason,
the program is killed; when the program ends, so does this.

Run by itself, without the rest of the tests: it starts before every server.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading


def main() -> int:
    """Run the program until it ends or standard input does; return its exit code."""
    log, *program = sys.argv[1:]
    with open(log, "ab") as output:
        child = subprocess.Popen(program, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    print(child.pid, flush=True)
    threading.Thread(target=_obey, args=(child,), daemon=True).start()
    return child.wait()


def _obey(child: subprocess.Popen[bytes]) -> None:
    # Only a child that has not been waited for is signalled: Popen sees to that. So no signal
    # reaches a stranger that was given the same id.
    try:
        for line in iter(sys.stdin.readline, ""):
            child.send_signal(signal.Signals[line.strip()])
            if line.strip() == "SIGSTOP":  # its threads stop one by one
                os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
            print(line, end="", flush=True)
    finally:
        child.kill()


if __name__ == "__main__":
    sys.exit(main())
