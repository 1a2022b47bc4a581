//! Words that Pods are made of, and random text.

use fastrand::Rng;

pub(super) const NAMESPACES: usize = 200;
pub(super) const TEAMS: [&str; 8] =
    ["payments", "search", "identity", "logistics", "catalog", "growth", "platform", "analytics"];
pub(super) const APPS: &[&str] = &[
    "checkout",
    "ledger",
    "invoice",
    "ranking",
    "crawler",
    "session",
    "token",
    "dispatch",
    "routing",
    "pricing",
    "inventory",
    "campaign",
    "segment",
    "ingest",
    "warehouse",
    "report",
    "notify",
    "gateway",
    "audit",
    "billing",
];
pub(super) const ROLES: &[&str] =
    &["api", "worker", "consumer", "scheduler", "frontend", "proxy", "batch", "stream"];
pub(super) const REGISTRIES: &[&str] = &[
    "registry.example.com/prod",
    "ghcr.io/example-org",
    "123456789012.dkr.ecr.eu-central-1.amazonaws.com",
    "europe-docker.pkg.dev/example/images",
];

/// Keys of labels with their values; none stands for a hash.
pub(super) const LABELS: &[(&str, &[&str])] = &[
    ("app.kubernetes.io/component", &["api", "worker", "frontend", "cache", "migrations"]),
    ("app.kubernetes.io/part-of", &["shop", "core", "insight", "edge", "backoffice"]),
    ("app.kubernetes.io/managed-by", &["Helm", "argocd", "kustomize"]),
    ("app.kubernetes.io/version", &["1.4.2", "2.0.0-rc.3", "3.11.0", "0.9.17", "5.2.1"]),
    ("app.kubernetes.io/instance", &["blue", "green", "canary", "stable"]),
    ("helm.sh/chart", &["service-4.1.0", "worker-2.3.3", "web-1.0.8"]),
    ("environment", &["production", "staging", "preview"]),
    ("tier", &["gold", "silver", "bronze"]),
    ("cost-center", &["cc-1001", "cc-2040", "cc-3307", "cc-9001"]),
    ("owner", &["alice", "bob", "carol", "dave", "erin", "frank"]),
    ("security.istio.io/tlsMode", &["istio", "disabled"]),
    ("service.istio.io/canonical-revision", &["latest", "v1", "v2"]),
    ("topology.kubernetes.io/region", &["eu-central-1", "us-east-1"]),
    ("topology.kubernetes.io/zone", &["eu-central-1a", "eu-central-1b", "eu-central-1c"]),
    ("example.com/pci", &["in-scope", "out-of-scope"]),
    ("example.com/shard", &["0", "1", "2", "3", "4", "5", "6", "7"]),
    ("example.com/commit", &[]),
    ("controller-revision-hash", &[]),
    ("backup.example.com/policy", &["daily", "hourly", "none"]),
    ("network.example.com/egress", &["restricted", "internet"]),
];

/// Keys of annotations with their values; none stands for a hash.
pub(super) const ANNOTATIONS: &[(&str, &[&str])] = &[
    ("prometheus.io/scrape", &["true", "false"]),
    ("prometheus.io/port", &["8080", "9090", "9102", "15020"]),
    ("prometheus.io/path", &["/metrics", "/stats/prometheus", "/actuator/prometheus"]),
    ("sidecar.istio.io/inject", &["true", "false"]),
    ("sidecar.istio.io/proxyCPU", &["100m", "250m"]),
    (
        "proxy.istio.io/config",
        &["{\"holdApplicationUntilProxyStarts\":true,\"terminationDrainDuration\":\"30s\"}"],
    ),
    ("cluster-autoscaler.kubernetes.io/safe-to-evict", &["true", "false"]),
    ("vault.hashicorp.com/agent-inject", &["true"]),
    ("vault.hashicorp.com/role", &["payments-ro", "search-rw", "catalog-ro"]),
    (
        "vault.hashicorp.com/agent-inject-secret-database",
        &["secret/data/prod/database", "secret/data/prod/replica"],
    ),
    ("container.apparmor.security.beta.kubernetes.io/main", &["runtime/default", "unconfined"]),
    (
        "ad.datadoghq.com/main.logs",
        &["[{\"source\":\"java\",\"service\":\"api\"}]", "[{\"source\":\"go\",\"service\":\"worker\"}]"],
    ),
    ("reloader.stakater.com/auto", &["true"]),
    ("checksum/secret", &[]),
    ("example.com/git-commit", &[]),
    (
        "example.com/build-url",
        &["https://ci.example.com/job/main/1234", "https://ci.example.com/job/release/88"],
    ),
    (
        "example.com/oncall",
        &["https://oncall.example.com/teams/payments", "https://oncall.example.com/teams/search"],
    ),
    (
        "example.com/runbook",
        &["https://runbooks.example.com/service-restarts", "https://runbooks.example.com/latency"],
    ),
    (
        "example.com/description",
        &["Serves the public interface of the shop.", "Consumes orders and writes the ledger."],
    ),
    ("kubernetes.io/limit-ranger", &["LimitRanger plugin set: cpu, memory request for container main"]),
];

/// Names of environment variables with their values; none stands for a hash.
pub(super) const ENV: &[(&str, &[&str])] = &[
    ("LOG_LEVEL", &["info", "debug", "warn"]),
    ("LOG_FORMAT", &["json", "logfmt"]),
    ("HTTP_PORT", &["8080", "8000", "3000"]),
    ("DATABASE_HOST", &["orders.db.prod.svc.cluster.local", "users.db.prod.svc.cluster.local"]),
    ("DATABASE_POOL_SIZE", &["10", "20", "50"]),
    ("KAFKA_BROKERS", &["kafka-0.kafka:9092,kafka-1.kafka:9092,kafka-2.kafka:9092"]),
    (
        "REDIS_URL",
        &["redis://cache.prod.svc.cluster.local:6379/0", "redis://sessions.prod.svc.cluster.local:6379/1"],
    ),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", &["http://otel-collector.observability:4317"]),
    ("OTEL_RESOURCE_ATTRIBUTES", &["deployment.environment=production,service.namespace=shop"]),
    ("FEATURE_FLAGS", &["new-checkout,fast-search", "none", "dark-mode,canary-pricing"]),
    ("JAVA_TOOL_OPTIONS", &["-XX:MaxRAMPercentage=75 -XX:+UseG1GC", "-XX:MaxRAMPercentage=60"]),
    ("GOMEMLIMIT", &["460MiB", "920MiB"]),
    ("TZ", &["UTC", "Europe/Berlin"]),
    ("RELEASE", &[]),
    ("SENTRY_ENVIRONMENT", &["production", "staging"]),
    ("MAX_CONCURRENCY", &["16", "32", "64"]),
];

pub(super) fn pick<'a>(rng: &mut Rng, words: &[&'a str]) -> &'a str {
    words[rng.usize(..words.len())]
}

pub(super) fn hex(rng: &mut Rng, digits: usize) -> String {
    (0..digits).map(|_| char::from_digit(rng.u32(..16), 16).unwrap_or('0')).collect()
}

pub(super) fn uid(rng: &mut Rng) -> String {
    [8, 4, 4, 4, 12].map(|digits| hex(rng, digits)).join("-")
}

/// The end of a Pod's name: five letters, of which the number makes a unique text within its workload.
pub(super) fn suffix(rng: &mut Rng, number: usize) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let letter = |at: usize| char::from(LETTERS[at % LETTERS.len()]);
    (0..4).map(|_| letter(rng.usize(..LETTERS.len()))).chain([letter(number)]).collect()
}

/// Some time in the first months of 2026.
pub(super) fn time(rng: &mut Rng) -> String {
    let mut up_to = |end: u32| rng.u32(..end);
    format!(
        "2026-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        up_to(6) + 1,
        up_to(28) + 1,
        up_to(24),
        up_to(60),
        up_to(60)
    )
}
