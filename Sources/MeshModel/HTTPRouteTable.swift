/// All routes of a waypoint, sorted once so that the first entry that matches a request is the one to use; immutable and
/// shared by reference between threads.
package final class HTTPRouteTable: Sendable {
    /// One way to match one rule.
    package final class Entry: Sendable {
        package let host: HTTPRoute.Host?
        package let match: HTTPRoute.Match
        package let rule: HTTPRoute.Rule
        /// The sum of the weights of the rule's backends.
        package let totalWeight: UInt64
        /// `rule 2` or the rule's own name, for logs and traces.
        package let name: String

        init(host: HTTPRoute.Host?, match: HTTPRoute.Match, rule: HTTPRoute.Rule, name: String) {
            self.host = host
            self.match = match
            self.rule = rule
            totalWeight = rule.backends.reduce(0) { $0 + UInt64($1.weight) }
            self.name = name
        }
    }
    /// The routes of one destination and port.
    package final class Routes: Sendable {
        package let inner: HTTPRoute.Inner
        /// Best first.
        package let entries: [Entry]

        init(inner: HTTPRoute.Inner, entries: [Entry]) {
            self.inner = inner
            self.entries = entries
        }
    }
    private struct Key: Hashable {
        let parent: HTTPRoute.Parent
        /// 0 for every port.
        let port: UInt16
    }

    package let routes: [HTTPRoute]
    private let byKey: [Key: Routes]

    /// No routes: every service is its own backend.
    package static let empty = HTTPRouteTable([])

    package init(_ routes: [HTTPRoute]) {
        self.routes = routes
        var grouped: [Key: [HTTPRoute]] = [:]
        for route in routes { grouped[Key(parent: route.parent, port: route.port ?? 0), default: []].append(route) }
        byKey = grouped.mapValues { Self.compile($0) }
    }

    /// The routes for what a client called: those of its address before those of its service, and a port's own before
    /// those for every port; nil when there are none, so that the service is its own backend.
    package func routes(at address: SocketAddress, service: ServiceName?) -> Routes? {
        guard !byKey.isEmpty else { return nil }
        if let found = byKey[Key(parent: .address(address), port: 0)] { return found }
        guard let service else { return nil }
        let parent = HTTPRoute.Parent.service(service)
        return byKey[Key(parent: parent, port: address.port)] ?? byKey[Key(parent: parent, port: 0)]
    }

    private static func compile(_ routes: [HTTPRoute]) -> Routes {
        var entries: [Entry] = []
        var number = 0
        for route in routes {
            for rule in route.rules {
                number += 1
                let name = rule.name.isEmpty ? "rule \(number)" : rule.name
                for host in route.hosts.isEmpty ? [nil] : route.hosts.map(Optional.some) {
                    for match in rule.matches.isEmpty ? [HTTPRoute.Match()] : rule.matches {
                        entries.append(Entry(host: host, match: match, rule: rule, name: name))
                    }
                }
            }
        }
        // Stable by position: what the author wrote first wins a tie.
        let isAsWritten = routes.contains { $0.order == .written }
        let sorted =
            isAsWritten
            ? Array(entries.enumerated())
            : entries.enumerated().sorted { a, b in
                let (left, right) = (rank(a.element), rank(b.element))
                return left == right ? a.offset < b.offset : right.lexicographicallyPrecedes(left)
            }
        let isTCP = routes.contains { $0.inner == .tcp }
        return Routes(inner: isTCP ? .tcp : .http, entries: sorted.map(\.element))
    }

    /// The order of the Gateway API: exact host, longest wildcard host, any host; exact path, longest prefix; a method;
    /// most headers.
    private static func rank(_ entry: Entry) -> [Int] {
        let host: [Int] =
            switch entry.host {
            case .exact(let name): [2, name.utf8.count]
            case .suffix(let name): [1, name.utf8.count]
            case nil: [0, 0]
            }
        let path: [Int] =
            switch entry.match.path {
            case .exact(let path): [1, path.utf8.count]
            case .prefix(let path), .beginning(let path), .ending(let path): [0, path.utf8.count]
            }
        return host + path + [entry.match.method == nil ? 0 : 1, entry.match.headers.count]
    }
}
