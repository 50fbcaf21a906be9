#!/usr/bin/env bash
# Apache Kafka, one node that is broker and controller. Its jars come from Maven Central. Topics are made on first use.
# A second listener speaks TLS and asks for SASL (PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512) as sentinel with the password
# sentinel-stack. SENTINEL_KAFKA_PORT changes its port; the two ports after it are taken too.
# shellcheck source-path=SCRIPTDIR/..
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

version=4.1.1
port=${SENTINEL_KAFKA_PORT:-19092}
secure=$((port + 1))
controller=$((port + 2))
jars=$home/jars-$version
data=$state/data
provides=(
  "SENTINEL_TEST_KAFKA=127.0.0.1:$port"
  "SENTINEL_TEST_KAFKA_SECURE=127.0.0.1:$secure"
  "SENTINEL_TEST_KAFKA_CA=$home/tls/ca.pem"
)

setup() {
  need_command java default-jre-headless
  need_command keytool default-jre-headless
  download
  certificate
}

download() {
  [[ ! -d $jars ]] || return 0
  need_command mvn maven
  say "downloading $version"
  rm -rf "$home/download"
  mkdir -p "$home/download"
  cat >"$home/download/pom.xml" <<END
<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>stack</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>$version</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-slf4j-impl</artifactId>
      <version>2.24.3</version>
    </dependency>
  </dependencies>
</project>
END
  mvn -B -q -f "$home/download/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$home/download/jars" || missing "mvn could not download Kafka $version, see $log"
  mv "$home/download/jars" "$jars"
  rm -rf "$home/download"
}

# certificate makes the key of the TLS listener and its certificate, which is its own authority.
certificate() {
  [[ ! -d $home/tls ]] || return 0
  rm -rf "$home/tls-new"
  mkdir "$home/tls-new"
  keytool -genkeypair -keystore "$home/tls-new/keystore.p12" -storepass sentinel-stack -alias kafka -keyalg EC -groupname secp256r1 \
    -dname CN=localhost -ext SAN=ip:127.0.0.1,dns:localhost -ext BC=ca:true -validity 3650
  keytool -exportcert -rfc -keystore "$home/tls-new/keystore.p12" -storepass sentinel-stack -alias kafka -file "$home/tls-new/ca.pem"
  mv "$home/tls-new" "$home/tls"
}

start() {
  local taken
  for taken in "$port" "$secure" "$controller"; do
    port_free "$taken" || missing "port $taken is in use by another program; set SENTINEL_KAFKA_PORT"
  done
  properties >"$state/server.properties"
  if [[ ! -e $data/meta.properties ]]; then
    kafka kafka.tools.StorageTool format -t sentinelStackKafkaQQ -c "$state/server.properties" \
      --add-scram 'SCRAM-SHA-256=[name=sentinel,password=sentinel-stack]' \
      --add-scram 'SCRAM-SHA-512=[name=sentinel,password=sentinel-stack]'
  fi
  logging >"$state/log4j2.properties"
  : >"$state/server.log"
  serve java -Xmx512m -XX:+UseSerialGC -Dlog4j2.configurationFile="$state/log4j2.properties" -cp "$jars/*" \
    kafka.Kafka "$state/server.properties"
  await 120 answers
}

kafka() { java -Xmx256m -XX:TieredStopAtLevel=1 -cp "$jars/*" "$@"; }

# answers: the broker says so itself, since its listeners are open a while before it can make a topic.
answers() { grep -q 'Kafka Server started' "$state/server.log"; }

properties() {
  local plain=org.apache.kafka.common.security.plain.PlainLoginModule
  local scram=org.apache.kafka.common.security.scram.ScramLoginModule
  cat <<END
process.roles=broker,controller
node.id=1
log.dirs=$data
listeners=PLAINTEXT://127.0.0.1:$port,SASL_SSL://127.0.0.1:$secure,CONTROLLER://127.0.0.1:$controller
controller.quorum.voters=1@127.0.0.1:$controller
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
ssl.keystore.location=$home/tls/keystore.p12
ssl.keystore.password=sentinel-stack
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl_ssl.plain.sasl.jaas.config=$plain required user_sentinel="sentinel-stack";
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=$scram required;
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=$scram required;
auto.create.topics.enable=true
num.partitions=1
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.retention.hours=24
END
}

logging() {
  cat <<'END'
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=[%d] %p %m (%c)%n
rootLogger.level=WARN
rootLogger.appenderRef.out.ref=out
logger.server.name=kafka.server.KafkaRaftServer
logger.server.level=INFO
END
}

stack_part "$@"
