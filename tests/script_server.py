"""Runs scripts as `python SCRIPT ...` does, in a process each, but none has to load their modules first.

That is more than half of what a short run takes. This process has loaded them; for each run it forks one that goes on
as the script. A `ScriptServer` starts it, and asks for one run at a time.
"""

import gc
import json
import os
import runpy
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 100  # seconds that a run may take


class ScriptServer:
    """The other process, seen from the tests."""

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair()
        command = [sys.executable, __file__, str(theirs.fileno())]
        self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], cwd=ROOT)
        theirs.close()

    def run(
        self, command: list[str], environment: dict[str, str], folder: Path, typed: str
    ) -> subprocess.CompletedProcess:
        """Run a script with its arguments to its end; what it wrote, and its exit status."""
        with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            stdin.write(typed.encode())
            stdin.seek(0)
            request = json.dumps([command, environment, str(folder)]).encode() + b"\n"
            streams = [stdin.fileno(), out.fileno(), err.fileno()]
            socket.send_fds(self._ours, [request[:1]], streams)
            self._ours.sendall(request[1:])
            answers = self._ours.makefile()
            pid = int(answers.readline())
            self._ours.settimeout(PATIENCE)
            try:
                code = int(answers.readline())
            except TimeoutError:
                os.kill(pid, 9)
                answers.readline()
                raise
            finally:
                self._ours.settimeout(None)
            said = []
            for stream in (out, err):
                stream.seek(0)
                said.append(stream.read().decode())
            return subprocess.CompletedProcess(command, code, *said)

    def close(self) -> None:
        self._ours.close()
        self._process.wait()


def next_script(asked: socket.socket) -> list[str] | None:
    """Serve until nobody asks any more. In each process that is to be a script: return its command."""
    while True:
        first, streams, *_ = socket.recv_fds(asked, 1, 3)
        if not first:
            return None
        with asked.makefile() as lines:
            command, environment, folder = json.loads(first.decode() + lines.readline())
        pid = os.fork()
        if pid == 0:
            asked.close()
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(environment)
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
                os.close(stream)
            sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
            return command
        for stream in streams:
            os.close(stream)
        asked.sendall(f"{pid}\n".encode())
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        asked.sendall(f"{code}\n".encode())


def load_modules() -> None:
    """Load what the scripts load, also what they load only where they need it."""
    sys.path[0] = str(ROOT)
    import boto3  # noqa: F401
    import obstore.auth.boto3  # noqa: F401

    import create_tables  # noqa: F401
    import etl  # noqa: F401
    import pipeline.sources.new_files  # noqa: F401

    # says who may be stopped how: each script is to do that for itself
    del sys.modules["pipeline.startup"]
    gc.freeze()


if __name__ == "__main__":
    load_modules()
    script = next_script(socket.socket(fileno=int(sys.argv[1])))
    if script is not None:
        sys.argv[:] = script
        runpy.run_path(script[0], run_name="__main__")
