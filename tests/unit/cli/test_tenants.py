"""Two tenants on one cluster: what is whose follows from the names of topics, jobs and folders."""

import os
import types

import pytest

from cli.errors import CommandError
from cli.live import history
from cli.live.import_record import ImportRecord
from cli.stack import apps, flink, flink_rest, job_state, process
from cli.stack.job_keeper import JobKeeper
from cli.stack.layout import Child, Home, Ports
from cli.stack.parts import parts_of
from cli.stack.stack import Stack
from evaluation.click_files.columns import Columns
from nextclick.topics import topic
from nextclick.v1 import model_service_pb2 as model_pb
from tests.unit.cli.mistakes import check
from tests.unit.nextclick.fake_server import Fake, serving


@pytest.fixture
def submitted(monkeypatch):
    """Pretends that Flink takes jobs; the words and states of each submission."""
    seen = []
    monkeypatch.setattr(flink, "submit", lambda home, *words, **how: seen.append((words, how)))
    monkeypatch.setattr(flink, "wait_running", lambda *_: None)
    monkeypatch.setattr(flink_rest, "host_of", lambda *_: "")
    return seen


def test_a_stack_remembers_its_tenant(home):
    """The supervisor, `status` and `import` read the record: they would take it for no tenant."""
    me = process.child_of("me", os.getpid())
    stack = Stack(home, Ports(), bound=False, tenant="shop")
    stack.replace("me", me)
    assert Stack.running(home).tenant == "shop"
    assert Stack.running(home).tenant_or(None) == "shop"
    assert Stack.running(home).tenant_or("") == ""
    with pytest.raises(SystemExit, match="NEXTCLICK_TENANT: may have letters"):
        stack.tenant_or("two words")
    with pytest.raises(CommandError, match=r"for another tenant.*`nextclick down`"):
        Stack(home, Ports(), bound=False, tenant="shop2").start()


@pytest.mark.parametrize("tenant", ["", "shop"])
def test_parts_are_started_for_the_tenant_of_their_stack(home, monkeypatch, tenant):
    """A server of the wrong tenant answers one shop with the clicks of another."""
    seen = {}
    monkeypatch.setattr(apps, "spawn", lambda name, *words, **_: seen.update({name: words[2]}))
    parts = parts_of(home, Ports(), bound=True, tenant=tenant)
    for name in ("server", "store", "emitter"):
        parts[name].start()
        assert seen[name]["NEXTCLICK_TENANT"] == tenant


def test_jobs_of_two_tenants_have_states_of_their_own(home, submitted):
    """A job that resumed from the other's state would go on reading the other's topics."""
    stack = Stack(home, Ports(), bound=True)
    for name in ("sessions", "shop.sessions"):
        stack.submit(name)
    (plain, how), (words, how_of_shop) = submitted
    assert plain[1:] == ("--kafka", stack.kafka)
    assert words[1:] == ("--kafka", stack.kafka, "--tenant", "shop")
    assert plain[0] == words[0] == flink.job_named("sessions")
    assert not set(how["states"]) & set(how_of_shop["states"])
    state = job_state.savepoints(home, "shop.sessions") / "savepoint-1"
    state.mkdir()
    (state / "_metadata").write_bytes(bytes(15) + b"\x01")
    stack.submit("sessions")
    stack.submit("shop.sessions")
    assert [how["from_state"] for _, how in submitted[2:]] == ["", state.as_uri()]


def test_a_stack_starts_the_jobs_of_its_tenant(home, monkeypatch):
    """Beside those of another tenant, which have the same names but for the prefix."""
    stack = Stack(home, Ports(), bound=True, tenant="shop")
    running = [{"jid": "1", "name": "sessions", "state": "RUNNING"}]
    monkeypatch.setattr(flink_rest, "jobs", lambda _: running)
    seen = []
    monkeypatch.setattr(stack, "submit", lambda name, **_: seen.append(name))
    stack._submit_missing(from_nothing=False)
    assert sorted(seen) == ["shop.learners", "shop.sessions"]


def test_the_jobs_of_every_tenant_come_back(home, monkeypatch):
    """A JobManager that was started again knows none; those of one tenant would stay away."""
    stack = Stack(home, Ports(), bound=True)
    for name in ("sessions", "shop.sessions"):
        stack.remember_job(name, "1")
    monkeypatch.setattr(flink_rest, "known_jobs", lambda _: [])
    seen = []
    keeper = JobKeeper(stack)
    monkeypatch.setattr(keeper, "_submit", seen.append)
    keeper.look()
    assert seen == ["sessions", "shop.sessions"]


def test_learners_of_every_tenant_give_way(home, monkeypatch):
    """Nobody waits for them, whoever they are for."""
    stack = Stack(home, Ports(), bound=True)
    stack.remember_job("shop.learners", "1")
    stack.remember_job("shop.sessions", "2")
    known = [{"jid": n, "name": name, "state": "RUNNING"} for name, n in stack.jobs.items()]
    monkeypatch.setattr(flink_rest, "known_jobs", lambda _: known)
    monkeypatch.setattr(flink_rest, "host_of", lambda _, job_id: f"taskmanager-{job_id}-aa")
    argv = lambda child: [f"{flink.RESOURCE_ID}={child.name}-aa"]  # noqa: E731
    monkeypatch.setattr(flink, "argv_of", argv)
    stack.children = [Child(f"taskmanager-{n}", n, 0.0) for n in (1, 2)]
    seen = []
    monkeypatch.setattr("cli.stack.job_keeper.give_way", lambda child, _: seen.append(child.name))
    JobKeeper(stack).look()
    assert seen == ["taskmanager-1"]


SENT = {"replay": "", "import": "", "replay --tenant shop": "shop", "import --tenant shop": "shop"}


@pytest.mark.parametrize("words", SENT)
def test_clicks_go_to_the_topic_of_the_tenant(mistaken, pretended, monkeypatch, words):
    """The clicks of a shop would be learned by all."""
    seen = set()
    broker = types.SimpleNamespace(
        produce=lambda name, *_, **__: seen.add(name), poll=lambda _: 0, flush=lambda _: 0
    )
    monkeypatch.setattr(history, "Producer", lambda _: broker)
    command, *options = words.split()
    assert mistaken(command, "clicks.csv", *options)[0] == 0
    assert seen == {topic("events", SENT[words])}


def test_an_import_for_another_tenant_begins_anew(tmp_path):
    """What one shop has imported, the other has not."""
    file = tmp_path / "clicks"
    file.write_text("clicks")

    def record(tenant):
        return ImportRecord.of(Home(tmp_path / "home"), [file], Columns(), "", tenant)

    record("").write(7)
    assert (record("").acknowledged, record("shop").acknowledged) == (7, 0)


ASKING = ("recommend --session-id s", "models list", "models pause ranker", "models resume ranker")


@pytest.mark.parametrize("words", [*ASKING, "models roll-back ranker 3"])
def test_a_server_of_another_tenant_is_not_asked(mistaken, monkeypatch, words):
    """One shop would get, or steer, the models of another."""
    fake = Fake()
    with serving(fake) as target:
        port = target.rpartition(":")[2]
        for served, asked in (("shop", "shop2"), ("shop", ""), ("", "shop")):
            fake.answers = [models_of(served)]
            said = mistaken(*words.split(), "--grpc-port", port, "--tenant", asked)
            told = [f"the tenant {tenant}" if tenant else "no tenant" for tenant in (served, asked)]
            check(said, f"the server at {target} serves {told[0]}, not {told[1]}: --grpc-port")
        fake.answers = [models_of("shop")]
        monkeypatch.setenv("NEXTCLICK_TENANT", "shop2")
        check(mistaken(*words.split(), "--grpc-port", port), "not the tenant shop2")
    assert {method.rpartition("/")[2] for method in fake.methods} == {"ListModels"}


def test_the_server_of_the_tenant_is_asked(mistaken):
    """The option changes nothing else."""
    fake = Fake()
    with serving(fake) as target:
        for words, calls in ((("--tenant", "shop"), 2), ((), 1)):
            fake.answers = [models_of("shop")]
            assert (
                mistaken("models", "list", "--grpc-port", target.rpartition(":")[2], *words)[0] == 0
            )
            assert len(fake.methods) == calls
            fake.methods.clear()


def test_a_live_replay_is_not_played_to_the_server_of_another_tenant(
    mistaken, monkeypatch, tmp_path
):
    """Its answers would know nothing of the clicks."""
    fake = Fake()
    fake.answers = [models_of("shop")]
    with serving(fake) as target:
        ports = Ports(grpc=int(target.rpartition(":")[2]))
        stack = Stack(Home(tmp_path), ports, bound=False, tenant="shop")
        monkeypatch.setattr(Stack, "in_folder", lambda _: stack)
        said = mistaken("replay", "clicks.csv", "--recommend", "--tenant", "shop2")
    check(said, f"the server at {target} serves the tenant shop, not the tenant shop2")


def models_of(tenant):
    """What a server of a tenant says of its models."""
    return model_pb.ListModelsResponse(models=[model_pb.Model(name="blend", tenant=tenant)])
