/// docs/configuration.md, whole; a test compares the file with it.
package enum SettingsHandbook {
    private static let program: [(key: String, flag: String, variable: String, standard: String, meaning: String)] = [
        ("state", "--state", "LOCAL_XDS_PATH", "", "the state file; LOCAL_XDS holds the state itself"),
        ("manifests", "--manifests", "", "", "a folder of Kubernetes manifests, in place of the state file"),
        (
            "kubernetes", "--kubernetes", "", "false",
            "the Kubernetes API of the own cluster, in place of the state file"
        ),
        (
            "kubeconfig", "--kubeconfig", "", "",
            "the Kubernetes API that a kubeconfig names, in place of the state file"
        ),
        (
            "writeStatus", "--write-status", "", "false",
            "write on policies whether they are in force as written; for one process of the cluster"
        ),
        ("pods", "--pod", "", "", "a pod to take care of"),
        ("caDir", "--ca-dir", "", "", "directory of the embedded CA"),
        ("roots", "--roots", "", "", "root certificates for `identities`"),
        ("identities", "--identity", "", "", "certificates from files"),
        ("crl", "--crl", "CRL_PATH", "", "certificate revocation lists"),
        ("secretTTL", "", "SECRET_TTL", "24h", "how long the embedded CA's certificates live"),
        ("trustDomain", "--trust-domain", "TRUST_DOMAIN", "cluster.local", "trust domain of this mesh"),
        (
            "workers", "--workers", "ZTUNNEL_WORKER_THREADS", "one per CPU",
            "data threads: a number; as a variable also 0 (all CPUs) or a share, 50%"
        ),
        ("capture", "--capture", "", "auto", "`auto`, `bpf`, `bpf-rewrite`, `bpf-route`, `nft` or `external`"),
        ("onExit", "--on-exit", "", "remove", "`remove` or `keep` the pods' rules"),
        ("canary", "--no-canary", "", "true", "test each pod's capture after enrolment and after repairs"),
        (
            "discover", "--discover", "", "",
            "folders of named network namespaces, or of the pods' cgroups, whose pods of the mesh are taken in"
        ),
        ("replace", "--replace", "", "false", "take over from the ztund that runs in `runDir`, if one does"),
        ("whenReplaced", "--when-replaced", "", "exit", "once replaced and idle: `exit`, or `wait` for SIGTERM"),
        ("podCgroup", "--pod-cgroup", "", "found", "the cgroup above all pods, for `bpf`"),
        (
            "probeCgroup", "--probe-cgroup", "", "",
            "cgroup of the agent whose probes reach the pods directly, for `bpf`"
        ),
        (
            "bpfDir", "--bpf-dir", "", "/sys/fs/bpf/ztun",
            "where `bpf` keeps programs and maps; with a `runDir` of its own a folder of its own in there"
        ),
        ("gateDir", "--gate-dir", "", "/sys/fs/bpf/ztun-gate", "where `ztun gate` keeps the boot gate (docs/gate.md)"),
        ("probeSources", "--probe-source", "", "", "sources that reach the pods directly"),
        ("runDir", "--run-dir", "", "/run/ztun", "directory of the control socket"),
        ("adminAddress", "--admin-address", "", "127.0.0.1:15000", "admin listener"),
        ("metricsAddress", "--metrics-address", "", "[::]:15020", "metrics listener"),
        ("readinessAddress", "--readiness-address", "", "[::]:15021", "readiness listener"),
        ("logFormat", "--log-format", "LOG_FORMAT", "text", "`text` (also `plain`) or `json`"),
        ("logLevel", "--log-level", "RUST_LOG", "info", "a level, or SCOPE=LEVEL clauses"),
        (
            "poolMaxStreams", "--pool-max-streams", "POOL_MAX_STREAMS_PER_CONNECTION", "100",
            "streams that share one tunnel connection"
        ),
        (
            "tlsRecords", "--tls-records", "", "own",
            "whose TLS record layer carries tunnels after the handshake: `libssl` or `own`"
        ),
    ]

    package static var text: String {
        func cell(_ text: String) -> String { text.isEmpty ? "" : "`\(text)`" }
        var text = """
            # Configuration of ztund

            A flag wins over an environment variable, that over the file of `--config FILE` (YAML with the keys below), that over
            the default. Variables have Istio's names and meaning; an empty one says nothing, a bad one ends the start with
            `invalid env var K=V (why)`. This file is written by `ztund settings`.

            | key in the file | flag | variable | default | meaning |
            |---|---|---|---|---|

            """
        for row in program {
            text +=
                "| \(cell(row.key)) | \(cell(row.flag)) | \(cell(row.variable)) | \(row.standard) | \(row.meaning) |\n"
        }
        for setting in DataPathSetting.all {
            text +=
                "| \(cell(setting.key)) | \(cell(setting.flag)) | \(cell(setting.variable)) | \(setting.standard) | \(setting.meaning) |\n"
        }
        text += """

            Durations are `5s`, `2m`, `1h30m`. `ISTIO_META_CLUSTER_ID` wins over `CLUSTER_ID`.

            Only as variables: `CONNECTION_TERMINATION_DEADLINE` (how long connections may take to end after SIGTERM), else from
            `TERMINATION_GRACE_PERIOD_SECONDS` (5 s less, or 1 s less up to 10), else 5 s. `ZTUNNEL_RESOURCE_CPU_LIMIT` and
            `ZTUNNEL_RESOURCE_CPU_REQUEST` (`2`, `1.5`, `500m`) give the threads where `ZTUNNEL_WORKER_THREADS` does not: the larger
            of them when there is a limit, else the largest of a quarter of the CPUs, the request and 2. `ZTUNNEL_CPU_LIMIT` stands
            for the number of CPUs.

            Refused at the start, because they ask for what ztund is not: `PROXY_MODE` other than `shared`, `PACKET_MARK` other than
            1337, `ENABLE_PROXY=false`, `FAKE_CA=true`, any `COMPLIANCE_POLICY`. Not obeyed, with a warning: `TLS12_ENABLED=true`
            (tunnels are TLS 1.3 only), `XDS_ADDRESS`, `CA_ADDRESS`. Not implemented, with a line at debug:

            """
        text += EnvironmentOptions.ignored.map { "`\($0)`" }.joined(separator: ", ") + ".\n"
        return text
    }
}
