/// In what an AuthorizationPolicy is enforced at L4 otherwise than written: Istio's `UnsupportedValue` conditions, and
/// those where ztun closes what upstream leaves open.
enum PolicyStatus: Hashable, Sendable {
    /// ALLOW with fields of requests: the whole rule was dropped.
    case requestFieldsInAllow([String])
    /// DENY with fields of requests: they were left out, some rule can still fire.
    case requestFieldsInDeny([String])
    /// DENY with fields of requests: they were left out, no rule can fire any more.
    case denyCannotFire([String])
    /// AUDIT and CUSTOM have no meaning at L4.
    case action(String)
    /// A dry-run policy while those are switched off.
    case dryRun
    /// The annotation `istio.io/dry-run` has a value that is neither true nor false.
    case dryRunUnreadable(String)
    /// The policy is for the waypoint of these targets.
    case targets([String])
    /// `trustDomains` in an ALLOW rule: dropped, since without it the rule would allow more.
    case trustDomainsInAllow
    /// `trustDomains` in a DENY rule: left out, so that it denies more.
    case trustDomainsInDeny
    /// Values that cannot be read, with what was done about them.
    case unreadable(field: String, values: [String], consequence: String)
    /// A value that can never be equal to what it is compared with.
    case neverMatches(String)

    var severity: ManifestDiagnostic.Severity {
        switch self {
        case .dryRun, .targets, .requestFieldsInDeny, .trustDomainsInDeny, .neverMatches, .dryRunUnreadable: .warning
        default: .error
        }
    }

    /// One sentence with the cause and the next step.
    var text: String {
        switch self {
        case .requestFieldsInAllow(let fields):
            "ztunnel does not support HTTP attributes (found: \(fields.joined(separator: ", "))): rules of ALLOW with them "
                + "are left out, so that they allow nothing; bind the policy to a waypoint with targetRefs"
        case .requestFieldsInDeny(let fields):
            "ztunnel does not support HTTP attributes (found: \(fields.joined(separator: ", "))): rules of DENY are "
                + "enforced without them and deny more than written; bind the policy to a waypoint with targetRefs"
        case .denyCannotFire(let fields):
            "ztunnel does not support HTTP attributes (found: \(fields.joined(separator: ", "))): no rule of this DENY is "
                + "left that can match, it denies nothing; bind the policy to a waypoint with targetRefs"
        case .action(let name): "the action \(name) is not supported by a node proxy: the policy is not enforced"
        case .dryRun: "it is a dry run (istio.io/dry-run), and those are switched off: nothing is logged for it"
        case .dryRunUnreadable(let value):
            "istio.io/dry-run \(value.quoted) is neither true nor false: the policy is enforced"
        case .targets(let targets):
            "it is for the waypoint of \(targets.joined(separator: ", ")) (targetRefs): the node proxy does not enforce it"
        case .trustDomainsInAllow:
            "'trustDomains' is not supported by a node proxy: the rule is left out, so that it allows nothing; use principals"
        case .trustDomainsInDeny:
            "'trustDomains' is not supported by a node proxy: the rule is enforced without it and denies more than written"
        case .unreadable(let field, let values, let consequence):
            "\(field) has values that cannot be read (\(values.map(\.quoted).joined(separator: ", "))): \(consequence)"
        case .neverMatches(let value):
            "the principal \(value.quoted) equals no identity: write TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT, without scheme"
        }
    }
}
