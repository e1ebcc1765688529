internal import MeshModel

extension OutboundRoute {
    /// The next hop for messages.
    package var nextHopText: String {
        switch nextHop {
        case .address(let address): address.description
        case .hostname(let name, let port, _): "\(name):\(port)"
        }
    }
}
