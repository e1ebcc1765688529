/// One rule of a policy, by reference.
package struct PolicyRule: Sendable {
    package let policy: AuthorizationPolicy
    package let position: Int

    /// The rule itself.
    package var rule: AuthorizationPolicy.Rule { policy.rules[position] }
}

/// The rules of some policies, found by what a connection must have for them to match.
///
/// A rule needs one match of each of its clauses. Where every match of some clause requires an exact principal, service
/// account, namespace or port, the rule is filed under those and is not even looked at for other connections. A candidate
/// is only that: the caller still evaluates it. Immutable and shared by reference.
package final class RuleIndex: Sendable {
    private let table: RuleTable

    init() { table = RuleTable() }

    private init(_ table: RuleTable) { self.table = table }

    /// How many policies are in, also those without a rule that can match.
    package var policyCount: Int { table.policyCount }

    /// The first candidate that the test accepts, in an order that depends on the policies only.
    package func first(source: SpiffeID?, port: UInt16, where test: (PolicyRule) -> Bool) -> PolicyRule? {
        table.first(source: source, port: port, where: test)
    }

    /// The index without some policies, then with others; nil when none is left.
    func applying(removed: [AuthorizationPolicy], inserted: [AuthorizationPolicy]) -> RuleIndex? {
        var table = table
        for policy in removed { table.remove(policy) }
        for policy in inserted { table.insert(policy) }
        return table.policyCount == 0 ? nil : RuleIndex(table)
    }
}
