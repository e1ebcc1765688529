package import MeshModel
internal import Telemetry

/// The canaries that are on their way to a pod's listeners, so that whoever accepts knows them from the pod's connections.
///
/// The control thread announces, workers look here, and only for connections to the canaries' own port: no ordinary
/// connection ever takes the lock.
package final class CanaryRegister: Sendable {
    /// The port that canaries are addressed to.
    package static let port: UInt16 = 15009
    /// Where outbound canaries go, by family: documentation addresses (RFC 5737, RFC 3849), so nobody's, as a service's are.
    package static let farV4 = IPAddress(v4: 0xc000_0201)
    package static let farV6 = IPAddress(high: 0x2001_0db8_0000_0000, low: 1)

    /// Which listener accepted a canary.
    package enum Listener: Sendable, Hashable { case outbound, inbound }

    /// What was seen of a canary.
    struct Arrival: Sendable, Hashable {
        let listener: Listener
        /// What the listener took for its original destination.
        let destination: SocketAddress
    }

    /// By source port: the port is chosen before the address is known. Nil until it arrives.
    private let flights = Lock<[UInt16: Arrival?]>([:])

    package init() {}

    func announce(_ port: UInt16) {
        flights.withLock { $0[port] = .some(nil) }
    }

    func forget(_ port: UInt16) {
        flights.withLock { $0[port] = nil }
    }

    func arrival(of port: UInt16) -> Arrival? {
        flights.withLock { $0[port] ?? nil }
    }

    /// Whether an accepted connection is a canary, which whoever accepted it ends with a reset.
    ///
    /// Outbound, the far addresses are no pod's business either: what goes there without being announced was announced
    /// by another ztund.
    package func takes(_ listener: Listener, from source: SocketAddress, to destination: SocketAddress) -> Bool {
        guard destination.port == Self.port else { return false }
        let isKnown = flights.withLock { flights in
            guard let flight = flights[source.port], flight == nil else { return false }
            flights[source.port] = Arrival(listener: listener, destination: destination)
            return true
        }
        return isKnown || (listener == .outbound && (destination.ip == Self.farV4 || destination.ip == Self.farV6))
    }
}
