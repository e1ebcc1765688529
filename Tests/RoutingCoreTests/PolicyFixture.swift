import MeshModel
import RoutingCore

/// Short ways to write down policies and the connections they are asked about.
enum PolicyFixture {
    static func match(_ change: (inout AuthorizationPolicy.Match) -> Void) -> AuthorizationPolicy.Match {
        var match = AuthorizationPolicy.Match()
        change(&match)
        return match
    }

    /// A namespace policy with one rule of one clause of one match for each given.
    static func policy(
        _ name: String, _ action: AuthorizationPolicy.Action, in namespace: String = "ns1",
        scope: AuthorizationPolicy.Scope = .namespace, dryRun: Bool = false, _ matches: AuthorizationPolicy.Match...
    ) -> AuthorizationPolicy {
        AuthorizationPolicy(
            name: name, namespace: namespace, scope: scope, action: action, rules: matches.map { [[$0]] },
            dryRun: dryRun)
    }

    static func account(_ serviceAccount: String, namespace: String = "ns1") -> SpiffeID {
        SpiffeID(trustDomain: "td", namespace: namespace, serviceAccount: serviceAccount)
    }

    static func request(
        _ source: SpiffeID?, from ip: String = "127.0.0.1", to: String = "127.0.0.2:8080", workload: Workload
    ) -> AuthorizationRequest {
        let destination = Fixture.socket(to)
        return AuthorizationRequest(
            source: source, sourceIP: Fixture.ip(ip),
            target: InboundTarget(destination: destination, dial: destination), workload: workload)
    }

    static func summary(_ authorization: Authorization) -> String {
        switch authorization {
        case .allowed(let authorized): "allowed" + (authorized.policy.map { " by \($0)" } ?? "")
        case .refused(let refusal): refusal.reason.rawValue + (refusal.policy.map { " \($0)" } ?? "")
        }
    }
}

/// The model of policy written down once more, as plainly as it can be, to hold the indexed one against.
enum PlainEvaluator {
    static func authorize(_ request: AuthorizationRequest, _ policies: [AuthorizationPolicy]) -> Reason? {
        let workload = request.workload
        var applicable = policies.filter {
            $0.scope == .global || ($0.scope == .namespace && $0.namespace == workload.fields.namespace)
        }
        var unknown = false
        for key in workload.fields.authorizationPolicies {
            guard let policy = policies.first(where: { $0.key == key }) else {
                unknown = true
                continue
            }
            applicable.append(policy)
        }
        let enforced = applicable.filter { !$0.dryRun }
        for policy in enforced where policy.action == .deny && matches(policy, request) { return .policyDenied }
        if unknown { return .policyUnknown }
        let allow = enforced.filter { $0.action == .allow }
        return allow.isEmpty || allow.contains { matches($0, request) } ? nil : .policyNotAllowed
    }

    static func matches(_ policy: AuthorizationPolicy, _ request: AuthorizationRequest) -> Bool {
        for rule in policy.rules {
            var all = true
            for clause in rule {
                var any = clause.isEmpty
                for match in clause where match != AuthorizationPolicy.Match() {
                    let excludes =
                        !match.notPrincipals.isEmpty || !match.notNamespaces.isEmpty
                        || !match.notServiceAccounts.isEmpty
                    if policy.action == .allow, request.source == nil, excludes { continue }
                    if matches(match, request) { any = true }
                }
                if !any { all = false }
            }
            if all { return true }
        }
        return false
    }

    static func matches(_ match: AuthorizationPolicy.Match, _ request: AuthorizationRequest) -> Bool {
        let source = request.source
        let principal = source.map { Array("\($0.trustDomain)/ns/\($0.namespace)/sa/\($0.serviceAccount)".utf8) }
        let namespace = source.map { Array($0.namespace.utf8) }
        func text(_ value: StringMatch, _ text: [UInt8]?) -> Bool {
            guard let text else { return false }
            switch value {
            case .exact(let wanted): return Array(wanted.utf8) == text
            case .prefix(let wanted): return Array(text.prefix(wanted.utf8.count)) == Array(wanted.utf8)
            case .suffix(let wanted): return Array(text.suffix(wanted.utf8.count)) == Array(wanted.utf8)
            case .presence: return text != []
            }
        }
        let destination = request.target.destination
        let positives = [
            match.principals.isEmpty || match.principals.contains { text($0, principal) },
            match.namespaces.isEmpty || match.namespaces.contains { text($0, namespace) },
            match.serviceAccounts.isEmpty
                || match.serviceAccounts.contains {
                    $0.namespace == source?.namespace && $0.serviceAccount == source?.serviceAccount
                },
            match.sourceIPs.isEmpty || match.sourceIPs.contains { $0.contains(request.sourceIP) },
            match.destinationIPs.isEmpty || match.destinationIPs.contains { $0.contains(destination.ip) },
            match.destinationPorts.isEmpty || match.destinationPorts.contains(destination.port),
        ]
        let negatives = [
            match.notPrincipals.contains { text($0, principal) }, match.notNamespaces.contains { text($0, namespace) },
            match.notServiceAccounts.contains {
                $0.namespace == source?.namespace && $0.serviceAccount == source?.serviceAccount
            },
            match.notSourceIPs.contains { $0.contains(request.sourceIP) },
            match.notDestinationIPs.contains { $0.contains(destination.ip) },
            match.notDestinationPorts.contains(destination.port),
        ]
        return !positives.contains(false) && !negatives.contains(true)
    }
}
