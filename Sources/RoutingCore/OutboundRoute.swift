package import MeshModel

/// How one outbound connection of a pod is to be carried, and what to expect on the way.
package struct OutboundRoute: Sendable {
    package enum Transport: String, Sendable {
        /// Plain TCP to ``nextHop``.
        case tcp
        /// CONNECT with ``authority`` over mTLS to ``nextHop``.
        case hbone
        /// CONNECT to a network gateway, and inside it mTLS and CONNECT again, both with ``authority``.
        case doubleHBONE
    }
    /// What stands at ``nextHop``.
    package enum Via: String, Sendable {
        /// The destination itself.
        case destination
        /// A waypoint of the service or the workload.
        case waypoint
        /// The gateway of another network.
        case gateway
        /// Something the mesh does not know, or a PASSTHROUGH service: the original destination untouched.
        case passthrough
    }
    package enum NextHop: Hashable, Sendable {
        case address(SocketAddress)
        /// Has to be looked up in DNS first, then given to ``OutboundRoute/resolved(to:)``.
        case hostname(String, port: UInt16, prefersIPv4: Bool)
    }

    package var transport: Transport
    package var via: Via
    package var nextHop: NextHop
    /// Nil for plain TCP. With a host name to look up, it gets its address in ``resolved(to:)``.
    package var authority: TunnelAuthority?
    /// Whom the peer at ``nextHop`` must prove to be; empty for plain TCP.
    package var expected: ExpectedIdentities
    /// Whom the peer of the inner tunnel must prove to be; only for double HBONE.
    package var innerExpected: ExpectedIdentities?
    /// The workload at ``nextHop`` where it is known; exclude its uid when its dial failed and another is to be tried.
    package var peer: Workload?
    /// The workload the connection is for, where this side knows it (a waypoint chooses on its own).
    package var destination: Workload?
    /// The service the client addressed.
    package var service: Service?
    /// The port of the application at ``destination``; the original port where another party decides it.
    package var targetPort: UInt16

    /// True when a failed dial may be tried again at another endpoint: the client addressed a service, not a pod.
    package var mayTryAnother: Bool { service != nil && via != .passthrough }

    /// The next hop where it is an address.
    package var nextHopAddress: SocketAddress? {
        if case .address(let address) = nextHop { return address }
        return nil
    }

    /// The same route with its host name looked up.
    package func resolved(to ip: IPAddress) -> OutboundRoute {
        guard case .hostname(_, let port, _) = nextHop else { return self }
        var route = self
        route.nextHop = .address(SocketAddress(ip, port))
        if transport == .hbone, via == .destination { route.authority = .address(SocketAddress(ip, targetPort)) }
        return route
    }
}
