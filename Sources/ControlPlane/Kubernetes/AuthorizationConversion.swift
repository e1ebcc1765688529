internal import MeshModel

/// Makes the L4 policy of an AuthorizationPolicy as istiod does for its node proxy; where upstream would let through what
/// the author wanted closed, this closes it and says so.
struct AuthorizationConversion {
    private typealias Match = AuthorizationPolicy.Match
    private typealias Clause = AuthorizationPolicy.Clause

    private let source: Kubernetes.AuthorizationPolicy
    private let dryRunPolicies: Bool
    private let rootNamespace: String
    private(set) var statuses: [PolicyStatus] = []
    private var requestFields: Set<String> = []

    init(_ source: Kubernetes.AuthorizationPolicy, rootNamespace: String, dryRunPolicies: Bool) {
        self.source = source
        self.rootNamespace = rootNamespace
        self.dryRunPolicies = dryRunPolicies
    }

    /// The policy; nil where the node proxy has none to enforce. ``statuses`` says what is different from what was written.
    mutating func convert() -> AuthorizationPolicy? {
        let text = source.metadata.annotations["istio.io/dry-run"] ?? ""
        let isDryRun = ["1", "t", "T", "true", "True", "TRUE"].contains(text)
        if !isDryRun, !["", "0", "f", "F", "false", "False", "FALSE"].contains(text) {
            statuses.append(.dryRunUnreadable(text))
        }
        if isDryRun, !dryRunPolicies {
            statuses.append(.dryRun)
            return nil
        }
        guard source.targets.isEmpty else {
            statuses.append(.targets(source.targets))
            return nil
        }
        let action: AuthorizationPolicy.Action
        switch source.action {
        case .allow: action = .allow
        case .deny: action = .deny
        case .audit, .custom:
            statuses.append(.action(source.action.rawValue))
            return nil
        }
        var rules: [AuthorizationPolicy.Rule] = []
        var origins: [AuthorizationPolicy.Origin] = []
        for (position, rule) in source.rules.enumerated() {
            guard let made = convert(rule, action) else { continue }
            rules.append(made.rule)
            origins.append(.init(rule: "spec.rules[\(position)]", clauses: made.clauses))
        }
        tellOfRequestFields(action, rules)
        return AuthorizationPolicy(
            name: source.metadata.name, namespace: source.metadata.namespace, scope: scope, action: action,
            rules: rules, dryRun: isDryRun, origins: origins)
    }

    private var scope: AuthorizationPolicy.Scope {
        if source.selector != nil { return .workloadSelector }
        return source.metadata.namespace == rootNamespace ? .global : .namespace
    }

    private mutating func tellOfRequestFields(_ action: AuthorizationPolicy.Action, _ rules: [AuthorizationPolicy.Rule])
    {
        guard !requestFields.isEmpty else { return }
        let fields = requestFields.sorted()
        let canFire = rules.contains { rule in rule.allSatisfy { $0.contains { !$0.isEmpty } } }
        switch action {
        case .allow: statuses.append(.requestFieldsInAllow(fields))
        case .deny: statuses.append(canFire ? .requestFieldsInDeny(fields) : .denyCannotFire(fields))
        }
    }

    // MARK: - Rules

    /// One rule: a clause for `to`, one for `from`, one for each `when`, each with its name; nil where it must be left out.
    private mutating func convert(
        _ rule: Kubernetes.AuthorizationPolicy.Rule, _ action: AuthorizationPolicy.Action
    ) -> (rule: AuthorizationPolicy.Rule, clauses: [String])? {
        var found: [String] = []
        for operation in rule.to { found += operation.requestFields }
        for source in rule.from { found += source.requestFields }
        for condition in rule.when where Self.fields[condition.key] == nil { found.append(condition.key) }
        requestFields.formUnion(found)
        if action == .allow {
            guard found.isEmpty else { return nil }
            guard !rule.from.contains(where: { !$0.trustDomains.isEmpty || !$0.notTrustDomains.isEmpty }) else {
                statuses.append(.trustDomainsInAllow)
                return nil
            }
        }
        var clauses: [(name: String, clause: Clause?)] = []
        do {
            if !rule.to.isEmpty { clauses.append(("to", try rule.to.map { try match($0, action) }.allPresent)) }
            if !rule.from.isEmpty { clauses.append(("from", try rule.from.map { try match($0, action) }.allPresent)) }
            for (position, condition) in rule.when.enumerated() {
                clauses.append(("when[\(position)]", try match(condition, action).map { [$0] }))
            }
        } catch {
            return nil
        }
        // Those that hold always are left out.
        let present = clauses.filter { $0.clause != nil }
        return (present.compactMap(\.clause), present.map(\.name))
    }

    /// The rule must not be there, so that an ALLOW does not allow more.
    private struct Dropped: Error {}

    /// A match, nil for one that holds always.
    private mutating func match(
        _ operation: Kubernetes.AuthorizationPolicy.Operation, _ action: AuthorizationPolicy.Action
    ) throws -> Match? {
        var match = Match()
        var isOpen = false
        try set(&match, "ports", operation.ports, action, &isOpen)
        try set(&match, "notPorts", operation.notPorts, action, &isOpen)
        return isOpen && match.isEmpty ? nil : match
    }

    private mutating func match(
        _ source: Kubernetes.AuthorizationPolicy.Source, _ action: AuthorizationPolicy.Action
    ) throws -> Match? {
        var match = Match()
        var isOpen = false
        if !source.trustDomains.isEmpty || !source.notTrustDomains.isEmpty {
            statuses.append(.trustDomainsInDeny)
            isOpen = true
        }
        for (field, values) in [
            ("principals", source.principals), ("notPrincipals", source.notPrincipals),
            ("namespaces", source.namespaces), ("notNamespaces", source.notNamespaces),
            ("serviceAccounts", source.serviceAccounts), ("notServiceAccounts", source.notServiceAccounts),
            ("ipBlocks", source.ipBlocks), ("notIpBlocks", source.notIPBlocks),
        ] {
            try set(&match, field, values, action, &isOpen)
        }
        return isOpen && match.isEmpty ? nil : match
    }

    private mutating func match(
        _ condition: Kubernetes.AuthorizationPolicy.Condition, _ action: AuthorizationPolicy.Action
    ) throws -> Match? {
        var match = Match()
        var isOpen = false
        guard let (field, notField) = Self.fields[condition.key] else { return match }
        try set(&match, field, condition.values, action, &isOpen)
        try set(&match, notField, condition.notValues, action, &isOpen)
        return isOpen && match.isEmpty ? nil : match
    }

    /// `when` keys that a node proxy can check, with the fields they mean.
    private static let fields: [String: (String, String)] = [
        "source.ip": ("ipBlocks", "notIpBlocks"), "source.namespace": ("namespaces", "notNamespaces"),
        "source.principal": ("principals", "notPrincipals"),
        "destination.ip": ("destination.ip", "not destination.ip"), "destination.port": ("ports", "notPorts"),
    ]

    // MARK: - Fields

    /// Sets one field of a match.
    private mutating func set(
        _ match: inout Match, _ field: String, _ values: [String], _ action: AuthorizationPolicy.Action,
        _ isOpen: inout Bool
    ) throws {
        guard !values.isEmpty else { return }
        switch field {
        case "ports": match.destinationPorts = try read(field, values, action, &isOpen, Self.port)
        case "notPorts": match.notDestinationPorts = try read(field, values, action, &isOpen, Self.port)
        case "principals": match.principals = principals(values)
        case "notPrincipals": match.notPrincipals = principals(values)
        case "namespaces": match.namespaces = values.map(Self.string)
        case "notNamespaces": match.notNamespaces = values.map(Self.string)
        case "serviceAccounts": match.serviceAccounts = values.map(account)
        case "notServiceAccounts": match.notServiceAccounts = values.map(account)
        case "ipBlocks": match.sourceIPs = try read(field, values, action, &isOpen) { IPPrefix($0) }
        case "notIpBlocks": match.notSourceIPs = try read(field, values, action, &isOpen) { IPPrefix($0) }
        case "destination.ip": match.destinationIPs = try read(field, values, action, &isOpen) { IPPrefix($0) }
        default: match.notDestinationIPs = try read(field, values, action, &isOpen) { IPPrefix($0) }
        }
    }

    /// Values that may be unreadable: those are left out where that closes more, else the field or the rule goes.
    private mutating func read<Value>(
        _ field: String, _ values: [String], _ action: AuthorizationPolicy.Action, _ isOpen: inout Bool,
        _ parse: (String) -> Value?
    ) throws -> [Value] {
        let bad = values.filter { parse($0) == nil }
        guard !bad.isEmpty else { return values.compactMap(parse) }
        let isNegative = field.hasPrefix("not")
        switch (action, isNegative) {
        case (.allow, false):
            statuses.append(.unreadable(field: field, values: bad, consequence: "nothing is allowed for them"))
            return values.compactMap(parse)
        case (.deny, true):
            statuses.append(
                .unreadable(field: field, values: bad, consequence: "they are no exception, more is denied"))
            isOpen = true
            return values.compactMap(parse)
        case (.deny, false):
            statuses.append(
                .unreadable(field: field, values: bad, consequence: "the field is left out, so that more is denied"))
            isOpen = true
            return []
        case (.allow, true):
            statuses.append(
                .unreadable(field: field, values: bad, consequence: "the rule is left out, so that it allows nothing"))
            throw Dropped()
        }
    }

    private mutating func principals(_ values: [String]) -> [StringMatch] {
        for value in values where value.hasPrefix("spiffe://") || (value.hasPrefix("ns/") && value.contains("/sa/")) {
            statuses.append(.neverMatches(value))
        }
        return values.map(Self.string)
    }

    private static func string(_ text: String) -> StringMatch {
        if text == "*" { return .presence }
        if text.hasPrefix("*") { return .suffix(String(text.dropFirst())) }
        if text.hasSuffix("*") { return .prefix(String(text.dropLast())) }
        return .exact(text)
    }

    private static func port(_ text: String) -> UInt16? {
        text.utf8.allSatisfy { (48...57).contains($0) } ? UInt16(text) : nil
    }

    private func account(_ text: String) -> ServiceAccountMatch {
        guard let slash = text.firstIndex(of: "/") else {
            return ServiceAccountMatch(namespace: source.metadata.namespace, serviceAccount: text)
        }
        return ServiceAccountMatch(
            namespace: String(text[..<slash]), serviceAccount: String(text[text.index(after: slash)...]))
    }
}

extension [AuthorizationPolicy.Match?] {
    /// The matches, nil when one of them holds always: then the clause does.
    fileprivate var allPresent: AuthorizationPolicy.Clause? {
        let present = compactMap { $0 }
        return present.count == count ? present : nil
    }
}
