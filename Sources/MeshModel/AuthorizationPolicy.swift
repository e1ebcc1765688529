/// A string condition of a policy; comparisons are on bytes, case-sensitive.
package enum StringMatch: Hashable, Sendable {
    case exact(String)
    case prefix(String)
    case suffix(String)
    /// Any non-empty value.
    case presence
}

/// A service account in a namespace, in any trust domain.
package struct ServiceAccountMatch: Hashable, Sendable {
    package var namespace: String
    package var serviceAccount: String

    package init(namespace: String, serviceAccount: String) {
        self.namespace = namespace
        self.serviceAccount = serviceAccount
    }
}

/// An L4 authorization policy, `istio.security.Authorization`; immutable and shared by reference.
package final class AuthorizationPolicy: Sendable {
    package enum Scope: String, Sendable, CaseIterable {
        case global = "Global", namespace = "Namespace", workloadSelector = "WorkloadSelector"
    }
    package enum Action: String, Sendable, CaseIterable { case allow = "Allow", deny = "Deny" }
    /// Conditions that must all hold; inside one list any may hold, inside a `not` list none.
    package struct Match: Hashable, Sendable {
        package var namespaces: [StringMatch] = []
        package var notNamespaces: [StringMatch] = []
        package var serviceAccounts: [ServiceAccountMatch] = []
        package var notServiceAccounts: [ServiceAccountMatch] = []
        package var principals: [StringMatch] = []
        package var notPrincipals: [StringMatch] = []
        package var sourceIPs: [IPPrefix] = []
        package var notSourceIPs: [IPPrefix] = []
        package var destinationIPs: [IPPrefix] = []
        package var notDestinationIPs: [IPPrefix] = []
        package var destinationPorts: [UInt16] = []
        package var notDestinationPorts: [UInt16] = []

        package init() {}
    }
    /// Matches of which any may hold.
    package typealias Clause = [Match]
    /// Clauses that must all hold.
    package typealias Rule = [Clause]

    /// Where a rule and its clauses were written, for people.
    package struct Origin: Hashable, Sendable {
        /// `spec.rules[1]`.
        package var rule: String
        /// One for each clause: `to`, `from` or `when[0]`.
        package var clauses: [String]

        package init(rule: String, clauses: [String]) {
            self.rule = rule
            self.clauses = clauses
        }
    }

    package let name: String
    package let namespace: String
    package let scope: Scope
    package let action: Action
    /// Rules of which any may hold.
    package let rules: [Rule]
    package let dryRun: Bool
    /// One for each rule; empty where the rules are as they were written.
    package let origins: [Origin]
    /// `namespace/name`, as workloads attach it and people read it.
    package let key: String

    package init(
        name: String, namespace: String, scope: Scope, action: Action, rules: [Rule], dryRun: Bool = false,
        origins: [Origin] = []
    ) {
        self.name = name
        self.namespace = namespace
        self.scope = scope
        self.action = action
        self.rules = rules
        self.dryRun = dryRun
        self.origins = origins
        key = "\(namespace)/\(name)"
    }

    /// Whether both mean the same under the same key.
    package func saysTheSame(as other: AuthorizationPolicy) -> Bool {
        self === other
            || key == other.key && scope == other.scope && action == other.action && dryRun == other.dryRun
                && rules == other.rules && origins == other.origins
    }
}
