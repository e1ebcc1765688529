internal import EventLoop
internal import MeshModel
internal import RoutingCore
internal import Telemetry

extension NodeWorker {
    /// What policy said of a connection, in the words of ztunnel's log: at debug, or at info where
    /// AUTHZ_POLICY_INFO_LOGGING asks for it.
    func logDecision(_ authorization: Authorization, _ record: ConnectionRecord) {
        let level: LogLevel = settings.logsPolicyAtInfo ? .info : .debug
        guard log.isEnabled(level, .proxy) else { return }
        for (message, policy) in authorization.logLines {
            log.write(level, .proxy, message, now: Kernel.realtimeNow()) { line in
                line.field("policy", string: policy)
                line.field("src.addr", address: record.source)
                if let identity = record.sourceIdentity { line.field("src.identity", string: "\(identity)") }
                line.field("dst.addr", address: record.destination)
            }
        }
    }
}

extension Authorization {
    /// The messages in the order the steps are taken, each with its policy; empty where none is to be named.
    var logLines: [(message: String, policy: String)] {
        var lines: [(message: String, policy: String)] = dryRuns.map { dryRun in
            switch dryRun {
            case .denied(let policy): ("dry-run: deny policy match", policy)
            case .allowed(let policy): ("dry-run: allow policy match", policy)
            case .notAllowed: ("dry-run: no allow policies match", "")
            case .networkPolicy(let policy): ("audit: no network policy admits it", policy)
            }
        }
        switch self {
        case .allowed(let authorized):
            if let policy = authorized.policy {
                lines.append(("allow policy match", policy))
            } else {
                lines.append(("no allow policies, allow", ""))
            }
        case .refused(let refusal):
            switch refusal.reason {
            case .policyDenied: lines.append(("deny policy match", refusal.policy ?? ""))
            case .networkPolicyDenied: lines.append(("no network policy admits it, deny", refusal.policy ?? ""))
            case .policyUnknown: lines.append(("unknown policy, deny", refusal.policy ?? ""))
            default: lines.append(("no allow policies matched", ""))
            }
        }
        return lines
    }
}
