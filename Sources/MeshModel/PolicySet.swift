/// Policies that apply together, sorted by what they do and indexed by what their rules require; immutable and shared by
/// reference, so that asking it copies nothing.
package final class PolicySet: Sendable {
    /// Nil where there is no policy of the kind.
    package let deny: RuleIndex?
    package let allow: RuleIndex?
    package let dryRunDeny: RuleIndex?
    package let dryRunAllow: RuleIndex?

    static let empty = PolicySet(deny: nil, allow: nil, dryRunDeny: nil, dryRunAllow: nil)

    private init(deny: RuleIndex?, allow: RuleIndex?, dryRunDeny: RuleIndex?, dryRunAllow: RuleIndex?) {
        self.deny = deny
        self.allow = allow
        self.dryRunDeny = dryRunDeny
        self.dryRunAllow = dryRunAllow
    }

    /// True when there is no policy, dry-run ones included.
    package var isEmpty: Bool { deny == nil && allow == nil && dryRunDeny == nil && dryRunAllow == nil }

    /// The rules of policies of one kind.
    package func rules(_ action: AuthorizationPolicy.Action, dryRun: Bool) -> RuleIndex? {
        switch (action, dryRun) {
        case (.deny, false): deny
        case (.allow, false): allow
        case (.deny, true): dryRunDeny
        case (.allow, true): dryRunAllow
        }
    }

    /// The set without some policies, then with others.
    func applying(removed: [AuthorizationPolicy], inserted: [AuthorizationPolicy]) -> PolicySet {
        func next(_ action: AuthorizationPolicy.Action, _ dryRun: Bool) -> RuleIndex? {
            let old = rules(action, dryRun: dryRun)
            let isOfKind = { (policy: AuthorizationPolicy) in policy.action == action && policy.dryRun == dryRun }
            guard removed.contains(where: isOfKind) || inserted.contains(where: isOfKind) else { return old }
            return (old ?? RuleIndex()).applying(
                removed: removed.filter(isOfKind), inserted: inserted.filter(isOfKind))
        }
        return PolicySet(
            deny: next(.deny, false), allow: next(.allow, false), dryRunDeny: next(.deny, true),
            dryRunAllow: next(.allow, true))
    }
}
