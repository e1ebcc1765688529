package import MeshModel

/// What would become of one connection, told step by step by the very code that decides about live ones: the source's node,
/// a waypoint on the way, the destination's node.
package struct ConnectionExplanation: Sendable {
    package enum Place: String, Hashable, Sendable {
        case source = "source node", waypoint, destination = "destination node"
    }
    package struct Step: Hashable, Sendable {
        package let stage: String
        package let place: Place
        package let text: String
    }
    package struct Refused: Hashable, Sendable {
        package let place: Place
        package let reason: Reason
        package let policy: String?
        package let detail: String
    }

    /// What else is asked about a connection.
    package struct Question: Sendable {
        /// The waypoints' routes; nil where they are not known here.
        package var routes: HTTPRouteTable?
        /// The request that the connection carries; nil when nobody says.
        package var request: L7Question?
        /// The place that the routes are said to choose; nil as they choose.
        package var backend: HTTPRoute.Backend.Destination?
        /// Uids of endpoints that are not to be chosen.
        package var excluding: [String] = []

        package init() {}
    }
    /// The endpoint that was chosen.
    package struct Endpoint: Hashable, Sendable {
        package let workload: String
        package let address: SocketAddress
    }

    /// Nil where it would be carried.
    package private(set) var refusal: Refused?
    /// The policy that let it in, where one was needed.
    package private(set) var policy: String?
    package private(set) var steps: [Step] = []
    package private(set) var notes: [String] = []
    /// Nil where none was, or where nobody here knows it.
    package private(set) var endpoint: Endpoint?
    /// Where the rule that the request meets may send it, without those of weight 0; empty without such a rule.
    package private(set) var backends: [HTTPRoute.Backend] = []

    private let snapshot: MeshSnapshot
    private let random: UInt64
    private let question: Question

    /// Explains a connection from a workload of the mesh.
    /// - Parameters:
    ///   - random: 64 bits; the same bits choose the same endpoints.
    package init(
        from source: Workload, to destination: SocketAddress, random: UInt64, in snapshot: MeshSnapshot,
        asking question: Question = Question()
    ) {
        self.snapshot = snapshot
        self.random = random
        self.question = question
        guard source.fields.tunnelProtocol == .hbone else {
            add("source", .source, "\(source) is not in the mesh: it opens the connection in plaintext")
            plaintext(from: source.fields.addresses.first ?? .anyV4, network: source.fields.network, to: destination)
            return
        }
        let request = OutboundDecision.Request(
            source: source, destination: destination, random: random, excluding: question.excluding)
        let (decision, trace) = OutboundDecision.explain(request, in: snapshot)
        add("source", .source, "\(source) is \(source.identity)")
        for step in trace.steps { add("resolve", .source, step) }
        switch decision {
        case .refused(let refusal): refuse(.source, refusal)
        case .route(let route): follow(route, from: source, to: destination)
        }
    }

    /// Explains a connection from an address that is not of the mesh.
    package init(
        from address: IPAddress, network: String, to destination: SocketAddress, in snapshot: MeshSnapshot
    ) {
        self.snapshot = snapshot
        random = 0
        question = Question()
        add("source", .source, "\(address) is not in the mesh: it opens the connection in plaintext")
        plaintext(from: address, network: network, to: destination)
    }

    // MARK: - The way

    private mutating func follow(_ route: OutboundRoute, from source: Workload, to destination: SocketAddress) {
        let address =
            source.fields.addresses.first { $0.isIPv4 == destination.ip.isIPv4 } ?? source.fields.addresses.first
        let from = address ?? .anyV4
        switch route.via {
        case .passthrough:
            add("tunnel", .source, "passed through in plaintext; nothing behind it is known")
        case .gateway:
            notes.append("the gateway and what is behind it decide for themselves: their state is not here")
        case .waypoint:
            guard let waypoint = route.peer else { return }
            atWaypoint(waypoint, authority: route.authority, client: source, from: from)
        case .destination:
            guard let peer = route.destination, let next = route.nextHopAddress else {
                notes.append("the destination is looked up in DNS; its own policies are not known here")
                return
            }
            endpoint = Endpoint(workload: "\(peer)", address: SocketAddress(next.ip, route.targetPort))
            guard route.transport == .hbone, let authority = route.authority else {
                return inbound(to: peer, SocketAddress(next.ip, next.port), from: from, network: source.fields.network)
            }
            add(
                "tunnel", .source,
                "a tunnel to \(next), which must prove to be \(route.expected.texts.joined(separator: " or "))")
            inbound(to: peer, authority, at: next, identity: source.identity, from: from)
        }
    }

    private mutating func atWaypoint(
        _ waypoint: Workload, authority: TunnelAuthority?, client: Workload, from: IPAddress
    ) {
        guard let authority else { return }
        add("tunnel", .source, "a tunnel to the waypoint \(waypoint) for \(authority)")
        do throws(Refusal) {
            let called = try L7Destination.decide(
                authority: Array(authority.description.utf8), waypoint: waypoint, peer: client.identity, in: snapshot)
            var draws = RandomDraws(seed: random)
            let backend = try routed(called, &draws)
            let choice = try L7Upstream.choose(
                backend, called: called, waypoint: waypoint, excluding: question.excluding, in: snapshot, random: &draws
            )
            add("waypoint", .waypoint, "\(choice.workload) port \(choice.address.port) chosen")
            endpoint = Endpoint(workload: "\(choice.workload)", address: choice.address)
            notes.append("layer 7 policies of the waypoint are not part of this answer")
            let refusal = choice.networkPolicyRefusal(
                client: client.identity, at: from, network: waypoint.fields.network, in: snapshot)
            if let refusal { throw refusal }
            let own = waypoint.fields.addresses.first { $0.isIPv4 == choice.address.ip.isIPv4 }
            let address = own ?? waypoint.fields.addresses.first ?? .anyV4
            guard choice.isTunnelled else {
                return inbound(to: choice.workload, choice.address, from: address, network: waypoint.fields.network)
            }
            inbound(
                to: choice.workload, .address(choice.address), at: SocketAddress(choice.address.ip, ProxyPorts.hbone),
                identity: waypoint.identity, from: address)
        } catch {
            refuse(.waypoint, error)
        }
    }

    /// Where the waypoint's routes send the request, by the matcher that live ones meet.
    private mutating func routed(
        _ called: L7Destination, _ draws: inout RandomDraws
    ) throws(Refusal) -> HTTPRoute.Backend.Destination {
        guard let table = question.routes else {
            notes.append("the waypoint's routes are not known here: told as if there were none")
            return .called
        }
        guard let routes = table.routes(at: called.address, service: called.service?.serviceName) else {
            add("route", .waypoint, "no routes: what was called is its own backend")
            return .called
        }
        let entry: HTTPRouteTable.Entry?
        if routes.inner == .tcp {
            entry = routes.entries.first
        } else {
            guard let request = question.request else {
                notes.append(
                    "the waypoint has routes for it, which are not asked: say --http METHOD PATH and, where they count, --header "
                        + "'NAME: VALUE' and --host")
                return .called
            }
            let trace: DecisionTrace
            (entry, trace) = request.withRequest { HTTPRouteMatcher.trace($0, in: routes) }
            for step in trace.steps { add("route", .waypoint, step) }
        }
        guard let entry else { throw Refusal(.routeNotFound, "no rule of the routes matches: 404") }
        backends = entry.rule.backends.filter { $0.weight > 0 }
        if let asked = question.backend { return asked }
        guard let destination = HTTPRouteMatcher.backend(of: entry, random: &draws) else {
            throw Refusal(.noHealthyUpstream, "every backend of \(entry.name) has weight 0")
        }
        let weight = backends.first { $0.destination == destination }?.weight ?? 1
        let share = backends.count > 1 ? " (weight \(weight) of \(entry.totalWeight))" : ""
        add("route", .waypoint, "\(destination)\(share) chosen")
        return destination
    }

    // MARK: - The destination

    /// A CONNECT at the destination's node.
    private mutating func inbound(
        to workload: Workload, _ authority: TunnelAuthority, at local: SocketAddress, identity: SpiffeID,
        from address: IPAddress
    ) {
        let request = InboundDecision.Request(workload: workload, localAddress: local)
        let (decision, trace) = InboundDecision.explain(
            request, authority: Array(authority.description.utf8), in: snapshot)
        for step in trace.steps { add("inbound", .destination, step) }
        switch decision {
        case .refused(_, let refusal): refuse(.destination, refusal)
        case .forward(let target):
            authorize(
                AuthorizationRequest(source: identity, sourceIP: address, target: target, workload: workload))
        }
    }

    /// Plaintext from outside the mesh, wherever it goes.
    private mutating func plaintext(from address: IPAddress, network: String, to destination: SocketAddress) {
        let place = NetworkAddress(network: network, ip: destination.ip)
        if let workload = snapshot.workload(at: place) {
            return inbound(to: workload, destination, from: address, network: network)
        }
        guard let service = snapshot.service(at: place, visibleTo: "") else {
            add("resolve", .source, "\(destination.ip) belongs to no known workload or service")
            return
        }
        add("resolve", .source, "\(destination.ip) is an address of service \(service.serviceName): Kubernetes chooses")
        let endpoints = snapshot.endpoints(of: service.serviceName)
        guard let endpoint = endpoints.first(where: { $0.workload.fields.health == .healthy }),
            let ip = endpoint.workload.fields.addresses.first,
            let port = endpoint.ports[destination.port] ?? service.fields.ports[destination.port]
        else {
            notes.append("service \(service.serviceName) has no endpoint for port \(destination.port)")
            return
        }
        if endpoints.count > 1 { notes.append("told for \(endpoint.workload), one of \(endpoints.count) endpoints") }
        inbound(to: endpoint.workload, SocketAddress(ip, port), from: address, network: network)
    }

    private mutating func inbound(
        to workload: Workload, _ destination: SocketAddress, from address: IPAddress, network: String
    ) {
        guard workload.fields.tunnelProtocol == .hbone else {
            return add("inbound", .destination, "\(workload) is not in the mesh: no policy of the mesh is asked")
        }
        add("inbound", .destination, "in plaintext to \(destination) of \(workload): the peer has no identity")
        switch InboundDecision.decide(plaintextTo: destination) {
        case .refused(_, let refusal): refuse(.destination, refusal)
        case .forward(let target):
            authorize(AuthorizationRequest(source: nil, sourceIP: address, target: target, workload: workload))
        }
    }

    private mutating func authorize(_ request: AuthorizationRequest) {
        let (authorization, trace) = Authorizer.explain(request, in: snapshot)
        for step in trace.steps { add("policy", .destination, step) }
        switch authorization {
        case .allowed(let authorized): policy = authorized.policy
        case .refused(let refusal):
            self.refusal = Refused(
                place: .destination, reason: refusal.reason, policy: refusal.policy, detail: refusal.detail)
        }
    }

    private mutating func refuse(_ place: Place, _ refusal: Refusal) {
        self.refusal = Refused(place: place, reason: refusal.reason, policy: nil, detail: refusal.detail)
        if place == .waypoint { add("waypoint", .waypoint, "refused: \(refusal.reason.rawValue): \(refusal.detail)") }
    }

    private mutating func add(_ stage: String, _ place: Place, _ text: String) {
        steps.append(Step(stage: stage, place: place, text: text))
    }
}
