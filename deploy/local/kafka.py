"""Apache Kafka as one local process: one KRaft node from Maven's jars. Knows how to get and to start it, not when."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from deploy.local import places
from deploy.local.errors import StackError
from deploy.local.locks import hold
from deploy.local.ports import HOST, find_free_port
from deploy.local.probes import kafka_answers
from deploy.local.program import Program
from deploy.local.provision import fingerprint_of, provision
from deploy.local.tools import find_java, find_maven, run_tool

VERSION = "4.4.0"
POM = places.HERE / "kafka-pom.xml"
HOME = places.STACK / f"kafka-{VERSION}"
CLUSTER_ID = "c2lnbW9yYS1sb2NhbC0wMQ"  # 16 bytes in base64, the same everywhere: there is only ever one node
COPY_JARS = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"

# C1 only and the serial collector: 1.0 s to the first answer and 270 MB idle, against 1.9-3.8 s and 320 MB with
# the JVM's defaults. Throughput work wants the full compiler: KAFKA_JVM_OPTS replaces these.
JVM_FLAGS = ("-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
LOG_FLAGS = (
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dlog4j2.statusLoggerLevel=OFF",  # the API is on the class path, no implementation of it
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ssXXX",
)

PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={logs}
auto.create.topics.enable=false
num.partitions=1
default.replication.factor=1
offsets.topic.num.partitions=8
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
log.retention.check.interval.ms=30000
# with the default of 9000 ms a restart after kill -9 takes 12-13 s instead of 4-5 s
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
"""


def install_kafka() -> Path:
    """Fetch the jars, format an empty node and make the class archive, once. Returns the folder.

    Raises StackError when Java or Maven is missing, or the download fails.
    """
    find_java()
    home = provision(HOME, fingerprint_of(POM.read_bytes(), CLUSTER_ID, PROPERTIES), _build)
    if not _archive_path().exists():
        with hold(home.with_name("archiving.lock")):
            _archive_classes(home)
    return home


def kafka_program(data: Path, port: int) -> Program:
    """The command that runs the installed Kafka on `data`, which is made when it is not there."""
    _give_formatted(data)
    properties = data / "server.properties"
    properties.write_text(_properties(data / "logs", port))
    archive = _archive_path()
    flags = os.environ.get("KAFKA_JVM_OPTS", "").split() or list(JVM_FLAGS)
    if archive.exists():
        # without a match of Java or flags the JVM says nothing, ignores it and starts in 2 s instead of 1 s
        flags += [f"-XX:SharedArchiveFile={archive}", "-Xshare:auto", "-Xlog:disable", "-Xlog:all=error:stderr"]
    return Program(
        name="kafka",
        argv=(*_java(*flags), "kafka.Kafka", str(properties)),
        ready=kafka_answers(f"{HOST}:{port}"),
        is_server=True,
    )


def _build(home: Path) -> None:
    jars = ["-DincludeScope=runtime", f"-DoutputDirectory={home / 'jars'}"]
    run_tool([find_maven(), "-q", "-B", "-f", str(POM), COPY_JARS, *jars], "fetching Kafka's jars")
    logs = home / "formatted"
    properties = home / "format.properties"
    properties.write_text(_properties(logs, find_free_port()))
    java, _ = find_java()
    command = [java, "-XX:TieredStopAtLevel=1", "-cp", _class_path(home), "kafka.tools.StorageTool", "format"]
    run_tool([*command, "-t", CLUSTER_ID, "-c", str(properties)], "formatting an empty Kafka node")


def _give_formatted(data: Path) -> None:
    """Copy the formatted node to `data`, whole or not at all; formatting one costs 0.5 s, this nothing."""
    logs = data / "logs"
    if logs.exists():
        return
    data.mkdir(parents=True, exist_ok=True)
    unfinished = data / "logs.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.copytree(HOME / "formatted", unfinished)
    unfinished.rename(logs)


def _archive_classes(home: Path) -> None:
    """Run Kafka once so that the JVM writes its class archive (AppCDS): 1 s saved per start, no reason to fail."""
    archive = _archive_path()
    if archive.exists():
        return
    scratch = home / "archiving"
    shutil.rmtree(scratch, ignore_errors=True)
    unfinished = archive.with_suffix(".unfinished")
    port = find_free_port()
    (scratch / "logs").parent.mkdir()
    shutil.copytree(home / "formatted", scratch / "logs")
    properties = scratch / "server.properties"
    properties.write_text(_properties(scratch / "logs", port))
    command = _java(*JVM_FLAGS, f"-XX:ArchiveClassesAtExit={unfinished}", "-Xlog:disable")
    broker = subprocess.Popen(  # noqa: S603 - our own command
        [*command, "kafka.Kafka", str(properties)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        answers, deadline = kafka_answers(f"{HOST}:{port}"), time.monotonic() + 60
        while broker.poll() is None and time.monotonic() < deadline and not answers():
            time.sleep(0.1)
        broker.send_signal(signal.SIGTERM)
        broker.wait(timeout=60)
        if unfinished.exists():
            unfinished.rename(archive)
    except subprocess.TimeoutExpired:
        pass
    finally:
        broker.kill()
        broker.wait()
        shutil.rmtree(scratch, ignore_errors=True)


def _archive_path() -> Path:
    """The archive of this Java and these flags: another Java gets its own."""
    _, version = find_java()
    return HOME / f"classes-{fingerprint_of(version, *JVM_FLAGS)}.jsa"


def _java(*flags: str) -> tuple[str, ...]:
    java, _ = find_java()
    return (java, *flags, *LOG_FLAGS, "-cp", _class_path(HOME))


def _class_path(home: Path) -> str:
    """Every jar by name, sorted: the archive is tied to the order, which `*` does not promise."""
    jars = sorted(str(jar) for jar in (home / "jars").glob("*.jar"))
    if not jars:
        raise StackError(f"no jars in {home}: remove that folder and start again.")
    return os.pathsep.join(jars)


def _properties(logs: Path, port: int) -> str:
    return PROPERTIES.format(host=HOST, port=port, controller_port=find_free_port(), logs=logs)
