"""Settings come from the environment, are checked at once, and faults are named by their variable."""

from datetime import timedelta

import pytest

from libs.common.domain.channels import Channel
from libs.common.settings import EnvironmentSettings, KafkaSettings, MongoSettings, TopicSettings, read_settings
from services.dispatcher.flow_settings import FlowSettings
from services.dispatcher.settings import Settings as DispatcherSettings


@pytest.mark.parametrize(
    ("model", "variable", "value"),
    [
        (KafkaSettings, "KAFKA_PARTITIONS", "0"),
        (KafkaSettings, "KAFKA_MIN_INSYNC_REPLICAS", "2"),  # of one copy
        (KafkaSettings, "KAFKA_REQUEST_TIMEOUT", "soon"),
        (KafkaSettings, "KAFKA_REQUEST_TIMEOUT", "0s"),
        (KafkaSettings, "KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:abc"),
        (KafkaSettings, "KAFKA_BOOTSTRAP_SERVERS", "kafka"),
        (KafkaSettings, "KAFKA_BOOTSTRAP_SERVERS", "a:9092,b:"),
        (KafkaSettings, "KAFKA_SSL_CA_FILE", "/no/such/file"),
        (MongoSettings, "MONGODB_URI", "foo://x"),
        (MongoSettings, "MONGODB_URI", "mongodb://u:hunter2@h:99999/"),
        (MongoSettings, "MONGODB_TIMEOUT", "-1s"),
        (TopicSettings, "RETRY_SCHEDULE", "5s,never"),
        (TopicSettings, "RETRY_SCHEDULE", ","),
        (TopicSettings, "TOPIC_PREFIX", "a b"),
        (EnvironmentSettings, "ENV", "staging"),
    ],
)
def test_a_fault_ends_the_process_and_names_its_variable(
    model: type, variable: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(SystemExit) as ended:
        read_settings(model)

    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert variable in said
    assert "hunter2" not in said


def test_a_lease_in_which_nothing_could_be_sent_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every message was put off for want of time, again and again."""
    monkeypatch.setenv("PROVIDER_TIMEOUT_MS", "5000")
    monkeypatch.setenv("DISPATCH_LEASE", "7s")

    with pytest.raises(SystemExit):
        read_settings(DispatcherSettings)

    assert "DISPATCH_LEASE must be at least 3 s longer than PROVIDER_TIMEOUT_MS" in capsys.readouterr().err
    monkeypatch.setenv("DISPATCH_LEASE", "8s")
    assert read_settings(DispatcherSettings).lease == timedelta(seconds=8)


@pytest.mark.parametrize(
    ("variables", "refused"),
    [
        ({"SMTP_HOST": "mail.example.com"}, False),
        ({"SMTP_HOST": "mail.example.com", "SMTP_USERNAME": "us"}, True),
        ({"SMTP_HOST": "mail.example.com", "SMTP_USERNAME": "us", "SMTP_STARTTLS": "true"}, False),
        ({"SMTP_HOST": "mail.example.com", "SMTP_USERNAME": "us", "SMTP_TLS": "true"}, False),
        ({"SMTP_HOST": "127.0.0.1", "SMTP_USERNAME": "us"}, False),
        ({"SMTP_HOST": "127.8.8.8", "SMTP_USERNAME": "us"}, False),
        ({"SMTP_HOST": "::1", "SMTP_USERNAME": "us"}, False),
        ({"SMTP_HOST": "Localhost", "SMTP_USERNAME": "us"}, False),
        ({"SMTP_HOST": "127.mail.example.com", "SMTP_USERNAME": "us"}, True),
        ({"SMTP_HOST": "127.0.0.1.example.com", "SMTP_USERNAME": "us"}, True),
        ({"SMTP_HOST": "mail.example.com", "SMTP_USERNAME": "us", "ENV": "dev"}, False),
        ({"SMTP_HOST": "mail.example.com", "SMTP_TLS": "true", "SMTP_STARTTLS": "true"}, True),
    ],
)
def test_a_password_does_not_go_to_a_mail_server_in_the_clear(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variables: dict[str, str], refused: bool
) -> None:
    for name, text in variables.items():
        monkeypatch.setenv(name, text)

    if refused:
        with pytest.raises(SystemExit):
            read_settings(DispatcherSettings)
        assert "SMTP_STARTTLS" in capsys.readouterr().err
    else:
        read_settings(DispatcherSettings)


def test_a_rate_of_providers_is_none_of_the_feed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVIDER_RATE_PER_SECOND", "10")

    rates = {channel: FlowSettings().rate(channel) for channel in Channel}

    assert rates == {**dict.fromkeys(Channel, 10.0), Channel.INAPP: 0.0}


def test_a_retry_schedule_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRY_SCHEDULE", "200ms, 1s,2m")

    settings = TopicSettings()

    assert settings.schedule.delays == (timedelta(milliseconds=200), timedelta(seconds=1), timedelta(minutes=2))
    assert settings.topics.tiers == settings.schedule.delays


def test_a_secret_in_a_connection_string_is_not_shown() -> None:
    assert "hunter2" not in repr(MongoSettings(uri="mongodb://u:hunter2@db/"))
    assert "hunter2" not in repr(KafkaSettings(sasl_password="hunter2"))
