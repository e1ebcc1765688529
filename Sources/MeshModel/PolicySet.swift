/// Policies that apply together, sorted by what they do and indexed by what their rules require.
package struct PolicySet: Sendable {
    package private(set) var deny = RuleIndex()
    package private(set) var allow = RuleIndex()
    package private(set) var dryRunDeny = RuleIndex()
    package private(set) var dryRunAllow = RuleIndex()

    /// True when there is no policy, dry-run ones included.
    package var isEmpty: Bool {
        deny.policyCount + allow.policyCount + dryRunDeny.policyCount + dryRunAllow.policyCount == 0
    }

    mutating func insert(_ policy: AuthorizationPolicy) {
        switch (policy.action, policy.dryRun) {
        case (.deny, false): deny.insert(policy)
        case (.allow, false): allow.insert(policy)
        case (.deny, true): dryRunDeny.insert(policy)
        case (.allow, true): dryRunAllow.insert(policy)
        }
    }

    mutating func remove(_ policy: AuthorizationPolicy) {
        switch (policy.action, policy.dryRun) {
        case (.deny, false): deny.remove(policy)
        case (.allow, false): allow.remove(policy)
        case (.deny, true): dryRunDeny.remove(policy)
        case (.allow, true): dryRunAllow.remove(policy)
        }
    }
}
