/// How requests to one destination of the waypoint are routed: the rules of one route, as its author wrote them.
package struct HTTPRoute: Hashable, Sendable {
    /// What the client called: a service on any of its addresses, or one address.
    package enum Parent: Hashable, Sendable, CustomStringConvertible {
        case service(ServiceName)
        case address(SocketAddress)

        package var description: String {
            switch self {
            case .service(let name): "\(name)"
            case .address(let address): "\(address)"
            }
        }
    }
    /// A host name that the request's authority must have; compared without case and without port.
    package enum Host: Hashable, Sendable {
        case exact(String)
        /// Any host that ends with this text, which begins with a dot.
        case suffix(String)
    }
    /// A condition on the path without its query; compared on bytes, with case.
    package enum Path: Hashable, Sendable {
        case exact(String)
        /// The path itself and everything below it, by whole segments; without slash at its end, so `/` is empty.
        case prefix(String)
        /// Any path that begins with these bytes, in the middle of a segment too.
        case beginning(String)
        /// Any path that ends with these bytes.
        case ending(String)
    }
    /// A condition on a field of the request; of a repeated field, any value may meet it.
    package struct Header: Hashable, Sendable {
        /// In lower case.
        package let name: String
        package let value: StringMatch

        package init(name: String, value: StringMatch) {
            self.name = name
            self.value = value
        }
    }
    /// Conditions that must all hold.
    package struct Match: Hashable, Sendable {
        package var path: Path = .prefix("")
        /// Upper case, as methods are; nil for any.
        package var method: String?
        package var headers: [Header] = []

        package init() {}
    }
    /// One place a request may go to.
    package struct Backend: Hashable, Sendable {
        package enum Destination: Hashable, Sendable, CustomStringConvertible {
            /// The service and port that the client called.
            case called
            case service(ServiceName, port: UInt16)
            case workload(namespace: String, name: String, port: UInt16)

            package var description: String {
                switch self {
                case .called: "the called service"
                case .service(let name, let port): "\(name):\(port)"
                case .workload(let namespace, let name, let port): "workload \(namespace)/\(name):\(port)"
                }
            }
        }
        package var destination: Destination
        /// Its share among the backends of the rule; 0 gets nothing.
        package var weight: UInt32

        package init(_ destination: Destination, weight: UInt32 = 1) {
            self.destination = destination
            self.weight = weight
        }
    }
    /// Matches of which any may hold, and where the request then goes.
    package struct Rule: Hashable, Sendable {
        /// For the access log; may be empty.
        package var name = ""
        /// Empty matches everything.
        package var matches: [Match] = []
        /// Empty is the called service itself.
        package var backends: [Backend] = []

        package init() {}
    }
    /// What is spoken inside the tunnel.
    package enum Inner: String, Hashable, Sendable, CaseIterable { case http, tcp }

    /// Which rule wins of several that match.
    package enum Order: Hashable, Sendable {
        /// The most specific, as the Gateway API has it.
        case specificity
        /// The one that is written first, as a VirtualService has it.
        case written
    }

    package var parent: Parent
    /// The same for all routes of one parent and port; those as written come first where it is not.
    package var order: Order = .specificity
    /// Nil for every port of the parent.
    package var port: UInt16?
    package var inner: Inner = .http
    /// Empty for any host.
    package var hosts: [Host] = []
    package var rules: [Rule] = []

    package init(parent: Parent, port: UInt16? = nil) {
        self.parent = parent
        self.port = port
    }
}
