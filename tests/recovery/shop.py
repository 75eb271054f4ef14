"""`nextclick up` as people start it, in a folder of its own."""

import dataclasses
import json
import os
import signal
from urllib.parse import urlsplit

from cli.stack import apps, flink_rest
from cli.stack.layout import Ports
from cli.stack.parts import TASKMANAGERS
from cli.stack.process import BEHIND, STREAM, find
from cli.stack.stack import LEARNERS
from tests.command import run
from tests.help_examples import words_of


class Shop:
    """`nextclick up` in a folder of its own."""

    def __init__(self, home):
        self.home, self.ports = home, Ports.free()

    def up(self, *args):
        """Start it as the help shows, but on ports of its own: of two values the last counts."""
        ports = [
            part
            for name, port in dataclasses.asdict(self.ports).items()
            for part in (f"--{name.replace('_', '-')}-port", str(port))
        ]
        return run(*words_of(("up",)), "--home", str(self.home.root), *ports, *args)

    def down(self):
        done = run("down", "--home", str(self.home.root), "--json")
        assert json.loads(done.stdout) == {"stopped": True}, done.stderr

    def status(self):
        done = run("status", "--home", str(self.home.root), "--json")
        assert done.returncode == 0, done.stderr
        return {part["name"]: part for part in json.loads(done.stdout)["parts"]}

    def children(self):
        return {child.name: child for child in self.home.read().children}

    def alive(self):
        return {name for name, child in self.children().items() if find(child)}

    def kill(self, *names):
        children = self.children()
        for name in names:
            os.kill(children[name].pid, signal.SIGKILL)

    def jobs(self):
        """Names of the recorded jobs that run."""
        running = [j for j in flink_rest.jobs(self.ports) if j["state"] == "RUNNING"]
        recorded = self.home.read().jobs
        assert len(running) <= len(recorded), "each job once"
        return {j["name"] for j in running if j["jid"] == recorded.get(j["name"])}

    def niceness(self):
        """Niceness of the parts that give way to answers, as it is and as it shall be."""
        host = flink_rest.host_of(self.ports, self.home.read().jobs[LEARNERS]).rpartition("-")[0]
        wanted = dict.fromkeys(("kafka", "jobmanager", *TASKMANAGERS, "store"), STREAM)
        wanted |= {host: BEHIND, apps.EMITTER: BEHIND}
        processes = {name: find(child) for name, child in self.children().items()}
        found = {name: processes.get(name) for name in wanted}
        return {name: process and process.nice() for name, process in found.items()}, wanted

    def restored(self, name):
        """The folder of the state that the running job came from, None if from nothing."""
        job_id = self.home.read().jobs[name]
        checkpoints = flink_rest.rest(self.ports, f"jobs/{job_id}/checkpoints")
        restored = checkpoints["latest"]["restored"]
        return urlsplit(restored["external_path"]).path if restored else None
