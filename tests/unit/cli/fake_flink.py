"""A Flink as far as commands see it: its REST API, and a client that notes what it is run with."""

import http.server
import json
import threading
from contextlib import contextmanager

JOB_ID = 32 * "a"
SAVEPOINT = "s3://bucket/jobs/savepoints/sessions/savepoint-1"

CLIENT = f"""#!/bin/sh
here=$(dirname "$0")
printf '%s\\n' "$@" > "$here/words"
cp "$FLINK_CONF_DIR/config.yaml" "$here/config.json"
if [ -f "$here/refusal" ]; then cat "$here/refusal" >&2; exit 1; fi
echo 'Job has been submitted with JobID {JOB_ID}'
"""


class FakeFlink:
    """What its REST API answers, by path, and what was sent to it."""

    def __init__(self):
        self.address = ""
        self.posted = {}
        self.jobs = []
        self.overview = {"flink-version": "2.3.0", "slots-available": 1, "slots-total": 2}
        self.jars = ["flink-dist-2.3.0.jar", "flink-python-2.3.0.jar"]
        self.settings = []
        self.failures = []

    def answers(self):
        return {
            "overview": self.overview,
            "jobs/overview": {"jobs": self.jobs},
            "jobmanager/environment": {"classpath": [f"/opt/flink/lib/{j}" for j in self.jars]},
            "jobmanager/config": self.settings,
            f"jobs/{JOB_ID}": {"vertices": [{"status": "FAILED" if self.failures else "RUNNING"}]},
            f"jobs/{JOB_ID}/exceptions?maxExceptions=100": {
                "exceptionHistory": {
                    "entries": [{"stacktrace": why, "timestamp": 1} for why in self.failures]
                }
            },
            f"jobs/{JOB_ID}/stop": {"request-id": "1"},
            f"jobs/{JOB_ID}/savepoints/1": {
                "status": {"id": "COMPLETED"},
                "operation": {"location": SAVEPOINT},
            },
        }

    def runs(self, name):
        """Let a job run."""
        self.jobs.append({"jid": JOB_ID, "name": name, "state": "RUNNING"})


@contextmanager
def serving(flink):
    """Answer as a `FakeFlink` has it; sets its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            answer = flink.answers().get(self.path.strip("/"))
            self.send_response(404 if answer is None else 200)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            flink.posted[self.path.strip("/")] = json.loads(body)
            self.do_GET()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        flink.address = f"127.0.0.1:{server.server_address[1]}"
        yield flink
        server.shutdown()


class Client:
    """The client of Flink in a folder; ``flink run`` accepts every job, unless it is to refuse."""

    def __init__(self, folder):
        self._bin = folder / "bin"
        self._bin.mkdir(parents=True)
        client = self._bin / "flink"
        client.write_text(CLIENT)
        client.chmod(0o755)

    def refuse(self, said):
        (self._bin / "refusal").write_text(said)

    @property
    def words(self):
        """What it was run with; empty if it was not."""
        words = self._bin / "words"
        return words.read_text().splitlines() if words.exists() else []

    def after(self, option):
        """The words that follow an option, however often it is given."""
        return [self.words[n + 1] for n, word in enumerate(self.words) if word == option]

    @property
    def config(self):
        return json.loads((self._bin / "config.json").read_text())
