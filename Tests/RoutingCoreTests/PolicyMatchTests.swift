import MeshModel
import RoutingCore
import Testing

/// What one rule of a policy means, field by field.
@Suite struct PolicyMatchTests {
    typealias P = PolicyFixture
    typealias Match = AuthorizationPolicy.Match

    /// The connections that the tables below are held against.
    enum Subject: String, CaseIterable, Sendable {
        /// 127.0.0.1 to 127.0.0.2:8080 without identity.
        case plaintext
        /// The same with td/ns/namespace/sa/account.
        case account
        /// 127.0.0.3 to 127.0.0.4:9090 with td-alt/ns/namespace-alt/sa/account-alt.
        case other

        var request: AuthorizationRequest {
            let workload = AuthorizerTests.server
            switch self {
            case .plaintext: return P.request(nil, workload: workload)
            case .account:
                let source = SpiffeID(trustDomain: "td", namespace: "namespace", serviceAccount: "account")
                return P.request(source, workload: workload)
            case .other:
                let source = SpiffeID(trustDomain: "td-alt", namespace: "namespace-alt", serviceAccount: "account-alt")
                return P.request(source, from: "127.0.0.3", to: "127.0.0.4:9090", workload: workload)
            }
        }
    }

    static func denied(_ rules: [AuthorizationPolicy.Rule], _ subject: Subject) -> Bool {
        let policy = AuthorizationPolicy(name: "d", namespace: "ns1", scope: .namespace, action: .deny, rules: rules)
        if case .refused = Authorizer.authorize(subject.request, in: MeshSnapshot(policies: [policy])) { return true }
        return false
    }

    static func matching(_ rules: [AuthorizationPolicy.Rule]) -> Set<Subject> {
        Set(Subject.allCases.filter { denied(rules, $0) })
    }

    static func prefix(_ text: String) -> IPPrefix {
        guard let prefix = IPPrefix(text) else { preconditionFailure("\(text) is no range") }
        return prefix
    }

    @Test func emptyShapes() {
        #expect(Self.matching([]) == [])
        #expect(Self.matching([[]]) == Set(Subject.allCases))
        #expect(Self.matching([[[]]]) == Set(Subject.allCases))
        #expect(Self.matching([[[Match()]]]) == [])
        #expect(Self.matching([[[Match(), Match()]]]) == [])
        // An empty match beside a real one contributes nothing; beside another clause it spoils the rule.
        let port = P.match { $0.destinationPorts = [8080] }
        #expect(Self.matching([[[Match(), port]]]) == [.plaintext, .account])
        #expect(Self.matching([[[Match()], [port]]]) == [])
        #expect(Self.matching([[[], [port]]]) == [.plaintext, .account])
    }

    struct Case: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var match: Match
        var expected: Set<Subject>

        init(_ description: String, _ expected: Set<Subject>, _ change: (inout Match) -> Void) {
            testDescription = description
            self.expected = expected
            match = P.match(change)
        }
    }

    static let everything = Set(Subject.allCases)
    static let fields: [Case] = [
        Case("namespace", [.account]) { $0.namespaces = [.exact("namespace")] },
        Case("not namespace", [.plaintext, .other]) { $0.notNamespaces = [.exact("namespace")] },
        Case("any namespace", [.account, .other]) { $0.namespaces = [.presence] },
        Case("no namespace", [.plaintext]) { $0.notNamespaces = [.presence] },
        Case("namespace prefix", [.account, .other]) { $0.namespaces = [.prefix("name")] },
        Case("namespace suffix", [.other]) { $0.namespaces = [.suffix("-alt")] },
        Case("either namespace", [.account, .other]) {
            $0.namespaces = [.exact("x"), .exact("namespace"), .suffix("alt")]
        },
        Case("empty exact namespace", []) { $0.namespaces = [.exact("")] },
        Case("account", [.account]) {
            $0.serviceAccounts = [ServiceAccountMatch(namespace: "namespace", serviceAccount: "account")]
        },
        Case("account of another namespace", []) {
            $0.serviceAccounts = [ServiceAccountMatch(namespace: "namespace-alt", serviceAccount: "account")]
        },
        Case("not account", [.plaintext, .other]) {
            $0.notServiceAccounts = [ServiceAccountMatch(namespace: "namespace", serviceAccount: "account")]
        },
        Case("principal", [.account]) { $0.principals = [.exact("td/ns/namespace/sa/account")] },
        Case("principal of another trust domain", []) { $0.principals = [.exact("td-alt/ns/namespace/sa/account")] },
        Case("principal with scheme never matches", []) {
            $0.principals = [.exact("spiffe://td/ns/namespace/sa/account")]
        },
        Case("principal in upper case", []) { $0.principals = [.exact("TD/ns/namespace/sa/account")] },
        Case("principal prefix", [.account]) { $0.principals = [.prefix("td/")] },
        Case("principal suffix", [.account]) { $0.principals = [.suffix("/sa/account")] },
        Case("whole principal as suffix", [.account]) { $0.principals = [.suffix("td/ns/namespace/sa/account")] },
        Case("longer suffix", []) { $0.principals = [.suffix("xtd/ns/namespace/sa/account")] },
        Case("any principal", [.account, .other]) { $0.principals = [.presence] },
        Case("empty prefix is any principal", [.account, .other]) { $0.principals = [.prefix("")] },
        Case("not principal", [.plaintext, .other]) { $0.notPrincipals = [.exact("td/ns/namespace/sa/account")] },
        Case("no principal", [.plaintext]) { $0.notPrincipals = [.presence] },
        Case("principal canonically equal but not byte-equal", []) {
            // U+212A is the Kelvin sign, equal to K as text.
            $0.principals = [.exact("\u{212a}d/ns/namespace/sa/account"), .prefix("\u{212a}")]
        },
        Case("source address", [.plaintext, .account]) { $0.sourceIPs = [prefix("127.0.0.1/32")] },
        Case("source range", everything) { $0.sourceIPs = [prefix("127.0.0.1/24")] },
        Case("source range of the other family", []) { $0.sourceIPs = [prefix("::/0")] },
        Case("not source", [.other]) { $0.notSourceIPs = [prefix("127.0.0.1/32")] },
        Case("destination address", [.other]) { $0.destinationIPs = [prefix("127.0.0.4")] },
        Case("not destination", [.plaintext, .account]) { $0.notDestinationIPs = [prefix("127.0.0.4/31")] },
        Case("port", [.other]) { $0.destinationPorts = [9090] },
        Case("one of two ports", everything) { $0.destinationPorts = [8080, 9090] },
        Case("not port", [.plaintext, .account]) { $0.notDestinationPorts = [9090] },
        Case("fields are AND", [.account]) {
            $0.namespaces = [.presence]
            $0.destinationPorts = [8080]
        },
        Case("positive and negative", [.other]) {
            $0.namespaces = [.presence]
            $0.notPrincipals = [.prefix("td/")]
        },
        Case("contradiction", []) {
            $0.destinationPorts = [8080]
            $0.notDestinationPorts = [8080]
        },
        Case("static STRICT with an exempt port", []) {
            $0.notPrincipals = [.presence]
            $0.notDestinationPorts = [8080]
        },
    ]

    @Test(arguments: fields) func field(_ item: Case) {
        #expect(Self.matching([[[item.match]]]) == item.expected)
        // The same through the list of a workload, which no index stands in front of.
        let policy = P.policy("d", .deny, scope: .workloadSelector, item.match)
        let workload = Fixture.workload("server") { $0.authorizationPolicies = [policy.key] }
        for subject in Subject.allCases {
            var request = subject.request
            request.workload = workload
            let authorization = Authorizer.authorize(request, in: MeshSnapshot(policies: [policy]))
            #expect((P.summary(authorization) != "allowed") == item.expected.contains(subject))
        }
    }

    /// Who an ALLOW policy of one rule lets in.
    static func allowed(_ rules: [AuthorizationPolicy.Rule], byNegation: Bool = false) -> Set<Subject> {
        let policy = AuthorizationPolicy(name: "a", namespace: "ns1", scope: .namespace, action: .allow, rules: rules)
        let snapshot = MeshSnapshot(policies: [policy])
        return Set(
            Subject.allCases.filter {
                var request = $0.request
                request.admitsUnverifiedByNegation = byNegation
                if case .allowed = Authorizer.authorize(request, in: snapshot) { return true }
                return false
            })
    }

    /// ISTIO-SECURITY-2021-004: what a rule says of identities never speaks for a peer without one.
    @Test(arguments: fields) func anAllowRuleNeedsAnIdentityWhereItSpeaksOfOne(_ item: Case) {
        #expect(Self.allowed([[[item.match]]], byNegation: true) == item.expected)
        let match = item.match
        let excludes = !(match.notPrincipals + match.notNamespaces).isEmpty || !match.notServiceAccounts.isEmpty
        #expect(Self.allowed([[[match]]]) == (excludes ? item.expected.subtracting([.plaintext]) : item.expected))
    }

    @Test func aNegativeIdentityBesideAnAddressStillNeedsAnIdentity() {
        let both = P.match {
            $0.notNamespaces = [.exact("nowhere")]
            $0.sourceIPs = [Self.prefix("127.0.0.1/32")]
        }
        let address = P.match { $0.sourceIPs = [Self.prefix("127.0.0.1/32")] }
        #expect(Self.allowed([[[both]]]) == [.account])
        // Another match of the clause, or another rule, may still let it in.
        #expect(Self.allowed([[[both, address]]]) == [.account, .plaintext])
        #expect(Self.allowed([[[both]], [[address]]]) == [.account, .plaintext])
        #expect(Self.allowed([[[both], [address]]]) == [.account])
    }

    @Test func rulesAreOrClausesAreAndMatchesAreOr() {
        let a = P.match { $0.namespaces = [.exact("namespace")] }
        let b = P.match { $0.namespaces = [.exact("namespace-alt")] }
        let port = P.match { $0.destinationPorts = [8080] }
        #expect(Self.matching([[[a, b], [port]]]) == [.account])
        #expect(Self.matching([[[a, b]], [[port]]]) == Self.everything)
        #expect(Self.matching([[[a], [b]]]) == [])
        #expect(Self.matching([[[a]], [[b]]]) == [.account, .other])
    }

    // MARK: The index against the plain evaluator

    static func randomMatch(_ random: inout RandomDraws) -> Match {
        var match = Match()
        func texts(_ values: [String]) -> [StringMatch] {
            (0..<1 + Int(random.next(below: 2))).map { _ in
                let value = values[Int(random.next(below: UInt64(values.count)))]
                switch random.next(below: 8) {
                case 0: return .presence
                case 1: return .prefix(String(value.prefix(4)))
                case 2: return .suffix(String(value.suffix(4)))
                default: return .exact(value)
                }
            }
        }
        let namespaces = ["ns0", "ns1", "ns2"]
        let principals = ["td/ns/ns0/sa/a", "td/ns/ns1/sa/b", "td/ns/ns2/sa/a", "odd", "td2/ns/ns1/sa/b"]
        let ranges = ["10.0.0.0/30", "10.0.0.1/32", "0.0.0.0/0", "2001:db8::/64"].compactMap { IPPrefix($0) }
        let accounts = [
            ServiceAccountMatch(namespace: "ns0", serviceAccount: "a"), .init(namespace: "ns1", serviceAccount: "b"),
        ]
        for _ in 0..<random.next(below: 3) {
            switch random.next(below: 12) {
            case 0: match.namespaces = texts(namespaces)
            case 1: match.notNamespaces = texts(namespaces)
            case 2, 3: match.principals = texts(principals)
            case 4: match.notPrincipals = texts(principals)
            case 5: match.sourceIPs = [ranges[Int(random.next(below: 4))]]
            case 6: match.notSourceIPs = [ranges[Int(random.next(below: 4))]]
            case 7: match.destinationIPs = [ranges[Int(random.next(below: 4))]]
            case 8: match.destinationPorts = [UInt16(80 + random.next(below: 3))]
            case 9: match.notDestinationPorts = [UInt16(80 + random.next(below: 3))]
            case 10: match.serviceAccounts = [accounts[Int(random.next(below: 2))]]
            default: match.notServiceAccounts = [accounts[Int(random.next(below: 2))]]
            }
        }
        return match
    }

    static func randomPolicy(_ random: inout RandomDraws, _ name: String) -> AuthorizationPolicy {
        let scopes: [AuthorizationPolicy.Scope] = [.global, .namespace, .namespace, .workloadSelector]
        var rules: [AuthorizationPolicy.Rule] = []
        for _ in 0..<random.next(below: 4) {
            var rule: AuthorizationPolicy.Rule = []
            for _ in 0..<random.next(below: 3) {
                rule.append((0..<random.next(below: 3)).map { _ in randomMatch(&random) })
            }
            rules.append(rule)
        }
        return AuthorizationPolicy(
            name: name, namespace: random.next(below: 4) == 0 ? "ns2" : "ns1",
            scope: scopes[Int(random.next(below: 4))],
            action: random.next(below: 3) == 0 ? .deny : .allow, rules: rules, dryRun: random.next(below: 6) == 0)
    }

    static func randomRequest(_ random: inout RandomDraws, _ policies: [AuthorizationPolicy]) -> AuthorizationRequest {
        let identities: [SpiffeID?] = [
            nil, SpiffeID(trustDomain: "td", namespace: "ns0", serviceAccount: "a"),
            SpiffeID(trustDomain: "td", namespace: "ns1", serviceAccount: "b"),
            SpiffeID(trustDomain: "td2", namespace: "ns1", serviceAccount: "b"),
            SpiffeID(trustDomain: "td", namespace: "ns2", serviceAccount: "c"),
        ]
        let addresses = ["10.0.0.1", "10.0.0.2", "10.9.9.9", "2001:db8::5"].map(Fixture.ip)
        let destination = SocketAddress(addresses[Int(random.next(below: 4))], UInt16(80 + random.next(below: 4)))
        let attached = policies.filter { _ in random.next(below: 4) == 0 }.map(\.key)
        let unknown = random.next(below: 8) == 0 ? ["ns1/unknown"] : []
        let workload = Fixture.workload("server") { $0.authorizationPolicies = attached + unknown }
        return AuthorizationRequest(
            source: identities[Int(random.next(below: 5))], sourceIP: addresses[Int(random.next(below: 4))],
            target: InboundTarget(destination: destination, dial: destination), workload: workload)
    }

    @Test func theIndexDecidesLikeThePlainEvaluator() {
        var outcomes: [Reason?: Int] = [:]
        for seed in 0..<60 { Self.compare(seed: UInt64(seed), &outcomes) }
        // All four outcomes were really met.
        #expect(outcomes.count == 4 && outcomes.values.allSatisfy { $0 > 500 }, "\(outcomes)")
    }

    static func compare(seed: UInt64, _ outcomes: inout [Reason?: Int]) {
        var random = RandomDraws(seed: seed)
        var policies: [String: AuthorizationPolicy] = [:]
        var snapshot = MeshSnapshot()
        for _ in 0..<20 {
            // Each round changes and removes some, so that what was filed has to be found again.
            var changes = MeshChanges()
            for _ in 0..<random.next(below: 4) {
                changes.policies.append(randomPolicy(&random, "p\(random.next(below: 8))"))
            }
            if random.next(below: 3) == 0, let key = policies.keys.min() { changes.removedPolicies = [key] }
            for key in changes.removedPolicies { policies[key] = nil }
            for policy in changes.policies { policies[policy.key] = policy }
            snapshot = snapshot.applying(changes)
            let list = policies.keys.sorted().compactMap { policies[$0] }
            #expect(snapshot.policyCount == list.count)
            for _ in 0..<20 {
                let request = randomRequest(&random, list)
                let expected = PlainEvaluator.authorize(request, list)
                outcomes[expected, default: 0] += 1
                switch Authorizer.authorize(request, in: snapshot) {
                case .allowed: #expect(expected == nil, "seed \(seed)")
                case .refused(let refusal): #expect(expected == refusal.reason, "seed \(seed)")
                }
            }
        }
    }
}
