"""How both kinds of client are configured by one set of settings, without a secret in sight."""

import pytest
from confluent_kafka import KafkaError

from connections.kafka import RELOCATED, client_config, java_properties
from connections.kafka_faults import Heard, fault_of
from settings.load import load
from settings.store import StoreSettings

SECRET = "geheim"
PLAIN = {"bootstrap.servers": "127.0.0.1:9092", "security.protocol": "PLAINTEXT", "log_level": 2}


@pytest.fixture
def given(monkeypatch, tmp_path):
    """Sets variables, whose names begin with NEXTCLICK_KAFKA_, and returns the settings."""
    (tmp_path / "password").write_text(f"{SECRET}\r\n")

    def given(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(f"NEXTCLICK_KAFKA_{name.upper()}", str(value))
        return load(StoreSettings)

    return given


@pytest.fixture
def user(given, tmp_path):
    """A user with a password; more may be set."""

    def user(**variables):
        of_user = {"security_protocol": "SASL_SSL", "username": "shop"}
        return given(**of_user | {"password_file": tmp_path / "password"} | variables)

    return user


def test_without_security_nothing_is_configured_but_the_address(given):
    """Clients of an open broker are those of before."""
    assert client_config(given()) == PLAIN
    assert java_properties(given()) == {"security.protocol": "PLAINTEXT"}


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"])
def test_a_password_is_read_for_our_clients_and_referred_to_for_flinks(user, mechanism):
    """Flink shows and logs how a job is configured."""
    settings = user(sasl_mechanism=mechanism)
    ours, flinks = client_config(settings), java_properties(settings)
    assert (ours["sasl.username"], ours["sasl.password"]) == ("shop", SECRET)
    assert ours["sasl.mechanism"] == flinks["sasl.mechanism"] == mechanism
    module = "plain.Plain" if mechanism == "PLAIN" else "scram.Scram"
    assert f"{RELOCATED}.common.security.{module}LoginModule" in flinks["sasl.jaas.config"]
    reference = f"${{secret:{settings.kafka_password_file}:quoted}}"
    assert f'username="shop" password="{reference}"' in flinks["sasl.jaas.config"]
    assert flinks["config.providers.secret.class"] == "nextclick.SecretFile"
    assert SECRET not in str(flinks)
    assert SECRET not in repr(settings)


def test_a_name_cannot_end_its_quotes(user):
    """It would add options to the login, or end it."""
    jaas = java_properties(user(username='a" debug="true\\'))["sasl.jaas.config"]
    assert r'username="a\" debug=\"true\\" password=' in jaas


def test_a_client_of_tokens_asks_the_endpoint_by_its_secret(user):
    """The names differ between both kinds of client; the authority is asked over TLS by both."""
    settings = user(
        sasl_mechanism="OAUTHBEARER", token_url="https://login/token", token_scope="kafka"
    )
    ours, flinks = client_config(settings), java_properties(settings)
    assert ours["sasl.oauthbearer.method"] == "oidc"
    client = "sasl.oauthbearer.client.credentials.client"
    for name, flinks_name, value in (
        ("client.id", f"{client}.id", "shop"),
        ("token.endpoint.url", "sasl.oauthbearer.token.endpoint.url", "https://login/token"),
        ("scope", "sasl.oauthbearer.scope", "kafka"),
    ):
        assert ours[f"sasl.oauthbearer.{name}"] == flinks[flinks_name] == value
    assert ours["sasl.oauthbearer.client.secret"] == SECRET
    assert flinks[f"{client}.secret"] == f"${{secret:{settings.kafka_password_file}:whole}}"
    assert "sasl.password" not in ours


def test_files_that_are_needed_are_asked_for(given):
    """A client would try without for ever, or fail with a name that is no setting."""
    with pytest.raises(SystemExit) as end:
        given(security_protocol="SASL_SSL", sasl_mechanism="OAUTHBEARER", certificate_file="a.pem")
    assert [line.split(":")[0] for line in str(end.value).splitlines()] == [
        "NEXTCLICK_KAFKA_USERNAME",
        "NEXTCLICK_KAFKA_PASSWORD_FILE",
        "NEXTCLICK_KAFKA_TOKEN_URL",
        "NEXTCLICK_KAFKA_KEY_FILE",
    ]


def test_a_file_that_cannot_be_read_is_named_with_its_setting(user, tmp_path):
    """At the start of a process, not with the first connection."""
    with pytest.raises(SystemExit, match=r"^NEXTCLICK_KAFKA_PASSWORD_FILE: .*/none cannot be read"):
        client_config(user(password_file=tmp_path / "none"))
    with pytest.raises(SystemExit, match=r"^NEXTCLICK_KAFKA_CA_FILE: .*/none cannot be read"):
        client_config(user(ca_file=tmp_path / "none"))


@pytest.mark.parametrize("name", ["error_cb", "stats_cb", "oauth_cb", "default.topic.config"])
def test_a_property_that_is_pythons_own_is_refused_in_a_sentence(given, tmp_path, name):
    """It is a function, and a file holds none: the process ended with a traceback."""
    (tmp_path / "more").write_text(f"{name}=value\n")
    with pytest.raises(SystemExit, match=r"refuses the settings: .*begin with java"):
        client_config(given(properties_file=tmp_path / "more"))


@pytest.mark.parametrize("path", ["/run/a:b", "/run/a}b"])
def test_a_path_that_flinks_client_cannot_be_told_is_refused(user, path):
    """Its references end there: it would read another file, or none."""
    with pytest.raises(SystemExit, match="NEXTCLICK_KAFKA_PASSWORD_FILE: may not have"):
        user(password_file=path)


def test_further_properties_are_for_both_or_for_one(user, tmp_path):
    """What one kind does not know, it refuses."""
    file = tmp_path / "client.properties"
    file.write_text(
        "# by hand\n\nclient.id = shop\nlibrdkafka.socket.keepalive.enable=true\njava.a.b=c=d\n"
        "security.protocol=PLAINTEXT\n"
    )
    settings = user(properties_file=file)
    ours, flinks = client_config(settings), java_properties(settings)
    assert (ours["client.id"], ours["socket.keepalive.enable"]) == ("shop", "true")
    assert flinks["client.id"] == f"${{file:{file}:client.id}}"
    assert flinks["a.b"] == f"${{file:{file}:java.a.b}}"
    assert ours["security.protocol"] == flinks["security.protocol"] == "SASL_SSL"
    assert not {"a.b", "java.a.b"} & ours.keys()
    assert not {name for name in flinks if "keepalive" in name}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("client.id=a\nnonsense\n", "line 2 of"),
        ("a\\b=c\n", "line 1 of"),
        ("a.b=c\n", 'No such configuration property: "a.b"'),
    ],
)
def test_a_wrong_property_is_told_at_the_start_without_its_value(user, tmp_path, text, said):
    """It may be a secret."""
    file = tmp_path / "client.properties"
    file.write_text(text)
    with pytest.raises(SystemExit) as end:
        client_config(user(properties_file=file))
    assert said in str(end.value)
    assert str(file) in str(end.value)
    assert "=c" not in str(end.value)


def test_what_was_heard_tells_why_nobody_answered():
    """A call only says that it has timed out; why was said before, and more that tells less."""
    heard = Heard()
    late = KafkaError(KafkaError._TIMED_OUT)
    assert heard.cause(late) is late
    wrong = KafkaError(KafkaError._AUTHENTICATION, "sasl_ssl://broker:9092/bootstrap: wrong")
    for error in (
        KafkaError(KafkaError._TRANSPORT),
        wrong,
        KafkaError(KafkaError._ALL_BROKERS_DOWN),
    ):
        heard(error)
    assert heard.cause(late) is wrong
    assert heard.cause(late) is late, "a later failure has causes of its own"
    heard(wrong)
    refused = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    assert heard.cause(refused) is refused


def test_a_fault_names_whom_what_and_the_settings(user):
    """What an operator reads first."""
    error = KafkaError(KafkaError._AUTHENTICATION, "sasl_ssl://broker:9092/bootstrap: wrong")
    fault = fault_of(error, user())
    assert fault.found == "127.0.0.1:9092 does not let the user shop in: wrong"
    assert "NEXTCLICK_KAFKA_PASSWORD_FILE" in fault.to_do
    error = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "no")
    error_of_topic = KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART, "Unknown topic")
    assert fault_of(error_of_topic, user()).found == "127.0.0.1:9092: Unknown topic"
    what = "READ on the topic a"
    assert fault_of(error, user(), what).found == f"the user shop is refused {what} (no)"
