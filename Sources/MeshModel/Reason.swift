/// Why a connection was refused or failed: one stable token for every case.
///
/// The token stands in the access log, in a metric label, in `ztun status` and, once the peer is verified, in the
/// `Proxy-Status` field of the CONNECT reply (RFC 9209). A token, once released, keeps its meaning.
package enum Reason: String, Sendable, CaseIterable, Hashable {
    /// A DENY policy matched.
    case policyDenied = "policy_denied"
    /// ALLOW policies apply and none matched.
    case policyNotAllowed = "policy_not_allowed"
    /// A policy the workload names is not known, so the connection fails closed.
    case policyUnknown = "policy_unknown"
    /// Network policies select the pod and none admits the connection.
    case networkPolicyDenied = "network_policy_denied"
    /// A live connection was cut because policy no longer allows it.
    case policyChanged = "policy_changed"
    /// The workload this socket belongs to is not (yet) in the state.
    case workloadUnknown = "workload_unknown"
    /// The service has no endpoint that is healthy and reachable on that port.
    case noHealthyUpstream = "no_healthy_upstream"
    /// The service does not declare that port.
    case servicePortUnknown = "service_port_unknown"
    /// The mesh does not know the address, and only what it knows may be called (`REGISTRY_ONLY`).
    case destinationUnknown = "destination_unknown"
    /// The waypoint or gateway that the destination names is not known.
    case waypointUnknown = "waypoint_unknown"
    /// The destination is on another network and no gateway leads there.
    case gatewayUnknown = "gateway_unknown"
    /// The connection would come back to the proxy's own ports.
    case recursiveCall = "recursive_call"
    /// The request on the tunnel port was not a CONNECT.
    case methodNotConnect = "method_not_connect"
    /// The CONNECT authority is missing, malformed or names no port.
    case authorityInvalid = "authority_invalid"
    /// The CONNECT authority is not served by the workload it arrived at.
    case destinationMismatch = "destination_mismatch"
    /// The CONNECT authority is a host name that no visible service has.
    case serviceUnknown = "service_unknown"
    /// The TCP connection to the peer or the application was refused or failed.
    case connectFailed = "connect_failed"
    /// The TCP connection to the peer or the application took too long.
    case connectTimeout = "connect_timeout"
    /// TCP to the peer's port 15008 took too long: perhaps a NetworkPolicy blocks that port.
    case tunnelPortBlocked = "tunnel_port_blocked"
    /// The TLS handshake failed.
    case tlsFailed = "tls_failed"
    /// The TLS handshake took too long.
    case tlsTimeout = "tls_timeout"
    /// The peer's certificate is valid but not the expected identity.
    case identityMismatch = "identity_mismatch"
    /// The peer's certificate belongs to another trust domain.
    case trustDomainMismatch = "trust_domain_mismatch"
    /// The peer's certificate is revoked.
    case certificateRevoked = "certificate_revoked"
    /// No valid certificate of our own is at hand for this workload.
    case certificateUnavailable = "certificate_unavailable"
    /// The peer broke the HTTP/2 protocol.
    case http2Failed = "http2_failed"
    /// The peer did not answer the CONNECT in time.
    case tunnelTimeout = "tunnel_timeout"
    /// The peer answered the CONNECT with an error status.
    case tunnelRefused = "tunnel_refused"
    /// The peer stopped answering pings.
    case peerUnresponsive = "peer_unresponsive"
    /// The peer spent its budget of misbehaviour on one connection.
    case peerMisbehaved = "peer_misbehaved"
    /// The proxy is draining and takes no new work.
    case draining = "draining"
    /// Drain reached its deadline with the connection still open.
    case drainDeadline = "drain_deadline"
    /// A memory, descriptor or stream budget is used up.
    case overLimit = "over_limit"
    /// The connection was reset by the application or the peer.
    case reset = "reset"
    /// No route of the waypoint matches the request.
    case routeNotFound = "route_not_found"
    /// The request is not valid HTTP.
    case requestInvalid = "request_invalid"
    /// The upstream answered with something that is not valid HTTP.
    case responseInvalid = "response_invalid"
    /// The pod left the mesh while the connection was open.
    case podRemoved = "pod_removed"
}
