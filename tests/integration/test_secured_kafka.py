"""A Kafka with TLS, users and ACLs: all of our clients reach it, and say what keeps them out."""

import json
import threading

import pytest
import redis as redis_client
from confluent_kafka import KafkaException, Producer

from cli.live.ledger import Ledger
from cli.sentences import sentence_of
from cli.stack import checkup, flink, flink_rest, kafka, redis, topics
from cli.stack.authority import Authority
from cli.stack.flink_settings import cluster_settings
from cli.stack.lag import group_lag
from cli.stack.layout import Home, Ports
from cli.stack.process import stop
from connections.kafka import client_config, java_properties
from nextclick import Event, encode_event
from nextclick.topics import EVENTS, PRODUCER_CONFIG, SESSIONS, TOPICS
from nextclick.v1.session_pb2 import SessionRecord
from online_models.engine import Engine
from online_models.memory.layout import Limits
from server.kafka.acked_producer import AckedProducer
from server.replica.log_reader import LogReader
from server.replica.replica import Replica, Role
from settings.base import variables
from settings.kafka_rights import ROLES, TOPIC, WRITE
from settings.server import ServerSettings
from settings.store import StoreSettings
from streaming.jobs.registry import JOBS
from streaming.store import GROUP, SessionStore
from tests.command import run as run_command
from tests.integration.conftest import LIMIT_S, eventually
from tests.integration.secured import (
    CERTIFICATES,
    PLAIN,
    SCRAM,
    TOKENS,
    WAYS,
    flinks_client,
    secured_broker,
    topics_that_flinks_client_sees,
)


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with secured_broker(tmp_path_factory.mktemp("secured")) as broker:
        yield broker


@pytest.fixture(scope="module")
def java(broker):
    """A JVM with the client of Flink's connector."""
    with flinks_client(broker.tokens.url) as gateway:
        yield gateway


def seen(settings):
    """The topics that our own client sees."""
    return set(kafka.admin_client(settings).list_topics(timeout=10).topics)


def visible_to(role):
    """Names of the topics that Kafka tells a role of."""
    return {right.name for right in ROLES[role].rights() if right.kind == TOPIC}


@pytest.mark.parametrize("way", WAYS)
def test_our_clients_reach_it_in_each_way(broker, way):
    """Each company's cluster allows one of them."""
    assert seen(broker.settings("jobs", way)) == visible_to("jobs")


@pytest.mark.parametrize("way", WAYS)
def test_flinks_client_reaches_it_in_each_way_by_the_same_settings(broker, java, way):
    """Its connector has Kafka's classes, and what they are configured by, under other names."""
    settings = broker.settings("jobs", way)
    properties = java_properties(settings)
    assert topics_that_flinks_client_sees(java, settings.kafka, properties) == visible_to("jobs")


def test_both_ask_for_the_scope(broker, java):
    """Some authorities give a token that Kafka takes for that scope only."""
    broker.tokens.scopes.clear()
    settings = broker.settings("jobs", TOKENS, kafka_token_scope="of-kafka")
    seen(settings)
    topics_that_flinks_client_sees(java, settings.kafka, java_properties(settings))
    assert set(broker.tokens.scopes) == {"of-kafka"}
    assert len(broker.tokens.scopes) > 1


def test_further_properties_of_a_file_reach_both(broker, java, tmp_path):
    """Some clusters need one that no setting is for."""
    file = tmp_path / "client.properties"
    file.write_text(
        "# by hand\n\nsasl.oauthbearer.scope = by-the-file\n"
        "librdkafka.socket.keepalive.enable=true\njava.metric.reporters=\n"
    )
    broker.tokens.scopes.clear()
    more = {"kafka_token_scope": "", "kafka_properties_file": str(file)}
    settings = broker.settings("jobs", TOKENS, **more)
    seen(settings)
    topics_that_flinks_client_sees(java, settings.kafka, java_properties(settings))
    assert set(broker.tokens.scopes) == {"by-the-file"}
    assert len(broker.tokens.scopes) > 1


SECRET = "not-the-password"


def kept_out(broker, folder):
    """How somebody is kept out, by what they are told."""
    (folder / "password").write_text(SECRET)
    wrong = {"kafka_password_file": str(folder / "password")}
    other = {"kafka_ca_file": str(Authority(folder, "other").certificate)}
    nobody = f"127.0.0.1:{Ports.free().kafka}"
    of = broker.settings
    return {
        "does not let the user operator in": [
            (of("operator", SCRAM, **wrong), "NEXTCLICK_KAFKA_PASSWORD_FILE"),
            (of("operator", PLAIN, **wrong), "NEXTCLICK_KAFKA_PASSWORD_FILE"),
            (of("operator", TOKENS, **wrong), "NEXTCLICK_KAFKA_TOKEN_URL"),
        ],
        "no TLS": [
            (of("operator", SCRAM, **other), "NEXTCLICK_KAFKA_CA_FILE"),
            (
                of("operator", CERTIFICATES, kafka_certificate_file="", kafka_key_file=""),
                "NEXTCLICK_KAFKA_CERTIFICATE_FILE",
            ),
        ],
        "does not answer": [
            (of("operator", SCRAM, kafka=nobody), "NEXTCLICK_KAFKA to its address"),
            (
                of("operator", SCRAM, kafka_security_protocol="PLAINTEXT"),
                "NEXTCLICK_KAFKA_SECURITY_PROTOCOL (now PLAINTEXT)",
            ),
        ],
        "the user store is refused DESCRIBE on the topic": [
            (of("store", SCRAM), "docs/security.md"),
        ],
    }


def test_who_is_kept_out_is_told_why_and_what_to_do(broker, tmp_path):
    """librdkafka only says that a request has timed out."""
    for found, cases in kept_out(broker, tmp_path).items():
        for settings, to_do in cases:
            with pytest.raises(KafkaException) as error:
                topics.look(kafka.admin_client(settings), "")
            told = sentence_of(error.value)
            assert found in told
            assert to_do in told
            (finding,) = checkup.of_topics(kafka.admin_client(settings), settings, "")
            assert (finding.check, finding.state) == ("Kafka", checkup.State.FAULT)
            assert found in finding.found
            assert to_do in finding.to_do
            assert SECRET not in told + finding.found + finding.to_do


def test_commands_reach_it_and_say_why_not(broker, tmp_path):
    """An operator's credentials are in the environment, as those of any process."""
    for settings, code in (
        (broker.settings("operator"), 0),
        (kept_out(broker, tmp_path)["does not let the user operator in"][0][0], 1),
    ):
        for words in (("topics", "check"), ("doctor", "--json")):
            done = run_command(*words, cwd=tmp_path, env=variables(settings))
            told = done.stdout + done.stderr
            if words[0] == "topics":
                assert done.returncode == code, told
            else:
                checks = {entry["check"]: entry for entry in json.loads(done.stdout)["checks"]}
                assert checks["Kafka"]["state"] == ("fault" if code else "ok")
                assert code or checks["clock"]["state"] == "ok"
            assert ("does not let the user operator in" in told) == bool(code)
            assert SECRET not in told


class Reading:
    """A replica that reads the log as a role; what it logs goes to ``caplog``."""

    def __init__(self, settings, role):
        limits = Limits(max_items=16, max_sessions=16, pairs=16)
        self.replica = Replica(Engine(limits, sample=0, remote=True), role)
        self._reader = LogReader(self.replica, ServerSettings(**dict(settings)))

    def __enter__(self):
        self._reader.start()
        return self.replica

    def __exit__(self, *_):
        assert self._reader.stop()


@pytest.mark.parametrize("role", [Role.SERVER, Role.EMITTER])
def test_a_replica_reads_the_log_with_the_rights_of_its_role(broker, caplog, role):
    """It must not need more than what docs/security.md tells people to grant."""
    with Reading(broker.settings(role.value), role) as replica:
        eventually(lambda: replica.caught_up, bool, "the replica has read the log")
    assert "Kafka" not in caplog.text


@pytest.mark.parametrize("role", [Role.SERVER, Role.EMITTER])
def test_a_replica_says_which_right_it_lacks(broker, caplog, role):
    """It would wait for ever, or lose what it writes, and only a broker's log would say why."""
    for right in ROLES[role.value].rights():
        caplog.clear()
        with broker.without(role.value, right), Reading(broker.settings(role.value), role):
            eventually(lambda: caplog.text, lambda text: "docs/security.md" in text, right.told)
        verb = "lacks" if right.kind == TOPIC else "is refused"
        assert f"the user {role.value} {verb} {right.told}" in caplog.text


def test_a_server_writes_with_its_rights_and_callers_are_told_without(broker):
    """Callers send again what was not acknowledged: they should know that it will not help."""
    acked = AckedProducer(ServerSettings(**dict(broker.settings("server"))))
    try:
        for right in ROLES["server"].rights():
            if right.operation == WRITE:
                (outcome,) = acked.put(right.name, [("key", b"{}")], None)
                assert outcome.error == ""
        (outcome,) = acked.put(SESSIONS, [("key", b"")], None)
        assert outcome.error == f"Kafka refuses WRITE on the topic {SESSIONS}"
    finally:
        acked.close()


@pytest.fixture
def sessions(broker):
    """Puts the record of a session into the log."""
    producer = Producer({**client_config(broker.settings("jobs")), **PRODUCER_CONFIG})

    def put(session_id):
        record = SessionRecord(session_id=session_id, version=1)
        record.steps.add(item_id="a", seq=1, timestamp_ms=1)
        producer.produce(SESSIONS, record.SerializeToString(), session_id)
        assert producer.flush(LIMIT_S) == 0

    return put


@pytest.fixture
def cache(tmp_path):
    """A real Redis."""
    home, ports = Home(tmp_path), Ports.free()
    child = redis.start(home, ports, bound=True)
    redis.wait(home, ports, child)
    yield f"redis://127.0.0.1:{ports.redis}/0"
    stop([child])


def test_the_store_works_with_the_rights_of_its_role(broker, sessions, cache, caplog):
    """And so does who tells its lag, which is not the store."""
    sessions("stored")
    settings = StoreSettings(**dict(broker.settings("store")), redis=cache)
    store = SessionStore(settings)
    thread = threading.Thread(target=store.run)
    thread.start()
    try:
        with redis_client.Redis.from_url(cache) as client:
            eventually(lambda: client.exists("nextclick:s:stored"), bool, "the session in Redis")
        operator = broker.settings("operator")
        lag = lambda: group_lag(operator, GROUP, (SESSIONS,))  # noqa: E731
        eventually(lag, lambda records: records == 0, "a group that has committed all")
    finally:
        store.stop()
        thread.join()
    assert "Kafka" not in caplog.text


@pytest.fixture
def cluster(tmp_path):
    """A Flink cluster of one slot."""
    home, ports = Home(tmp_path), Ports.free()
    flink.prepare(home, cluster_settings(home, ports))
    children = [flink.start_jobmanager(home, bound=True)]
    children.append(flink.start_taskmanager(home, 1, bound=True))
    try:
        flink.wait(home, ports, children)
        yield home, ports
    finally:
        stop(children)


def shown(ports, job_id):
    """All that Flink shows of a job, its settings and its logs."""
    paths = [f"jobs/{job_id}{more}" for more in ("", "/config", "/plan", "/exceptions")]
    paths += ["jobmanager/config", "jobmanager/environment", "taskmanagers"]
    return json.dumps([flink_rest.rest(ports, path) for path in paths])


def test_the_jobs_work_with_the_rights_of_their_role_and_keep_their_password(broker, cluster):
    """Flink shows how a job is configured to everybody who opens its web interface, and logs it."""
    home, ports = cluster
    settings = broker.settings("jobs")
    password = (broker.home.root / "secrets" / "kafka" / "jobs").read_text()
    job = flink.submit(home, JOBS["sessions"], "--kafka", settings.kafka, env=variables(settings))
    producer = Producer({**client_config(broker.settings("server")), **PRODUCER_CONFIG})
    event = Event("view", "a", 1, session_id="by-the-job")
    producer.produce(EVENTS, encode_event(event), "by-the-job")
    assert producer.flush(LIMIT_S) == 0
    with Ledger(broker.settings("operator")) as book:
        eventually(lambda: (book.read(1), book.dead_lettered)[1], bool, "the event, too old")
    operator = broker.settings("operator")
    lag = lambda: group_lag(operator, "sessions-job", (EVENTS,))  # noqa: E731
    eventually(lag, lambda records: records == 0, "a group that has committed all")
    with broker.without("jobs", next(r for r in ROLES["jobs"].rights() if r.name == EVENTS)):
        refused = f"Not authorized to access topics: [{EVENTS}]"
        eventually(lambda: shown(ports, job), lambda text: refused in text, refused)
    logs = "".join(path.read_text(errors="replace") for path in home.path("logs").iterdir())
    assert "sasl.jaas.config = [hidden]" in logs, "they tell how the client is configured"
    assert password not in logs + shown(ports, job)


def test_every_role_is_tried():
    """A new one would have rights that nobody has needed yet."""
    assert set(ROLES) == {"server", "emitter", "store", "jobs", "operator"}
    assert {right.name for right in ROLES["operator"].rights()} >= set(TOPICS)


def test_the_controller_lets_nobody_in_but_the_broker(broker):
    """It is a port of the machine, too, and who talks to it may do everything."""
    controller = f"127.0.0.1:{broker.ports.kafka_controller}"
    with pytest.raises(KafkaException) as error:
        seen(broker.settings("server", PLAIN, kafka=controller))
    assert "does not let the user server in" in sentence_of(error.value)
