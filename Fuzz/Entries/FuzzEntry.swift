/// One way bytes of a stranger get into our code. ``run(_:)`` hands them over and checks what must hold whatever they are.
///
/// The libFuzzer program and the replay in the tests call the same function, so a file that once failed stays tested.
package enum FuzzEntry: String, CaseIterable, Sendable {
    /// `:authority` of a CONNECT.
    case authority
    /// The text of a SPIFFE identity.
    case spiffe
    /// A list of header fields, as lines of `name: value`.
    case headers
    /// `baggage` and `forwarded` of a peer, and the PROXY protocol header made from what was found.
    case claims
    /// The DER bytes of a peer's certificate.
    case certificate
    /// A file of revocation lists, certificates or keys (PEM).
    case pem
    /// A configuration file of either program.
    case configuration
    /// A state file, then a second one as its update: workloads, services, policies.
    case state
    /// A waypoint's file of routes.
    case routes
    /// The bytes of a verified client on port 15008, through HTTP/2 to the decision about each CONNECT.
    case server
    /// The bytes of a server that our client side has dialled.
    case client
    /// TLS records of an established connection, and what a verified peer puts into them.
    case records
    /// An HTTP/1.1 request and, after a line `-`, the answer to it.
    case http1

    /// Traps when a promise is broken.
    package func run(_ bytes: UnsafeRawBufferPointer) {
        switch self {
        case .authority: Self.runAuthority(bytes)
        case .spiffe: Self.runSpiffe(bytes)
        case .headers: Self.runHeaders(bytes)
        case .claims: Self.runClaims(bytes)
        case .certificate: Self.runCertificate(bytes)
        case .pem: Self.runPEM(bytes)
        case .configuration: Self.runConfiguration(bytes)
        case .state: Self.runState(bytes)
        case .routes: Self.runRoutes(bytes)
        case .server: Self.runServer(bytes)
        case .client: Self.runClient(bytes)
        case .records: Self.runRecords(bytes)
        case .http1: Self.runHTTP1(bytes)
        }
    }

    /// Ends the program with what was promised; the sanitizers and libFuzzer keep the input.
    static func promise(_ holds: Bool, _ what: @autoclosure () -> String) {
        if !holds { fatalError("broken promise: \(what())") }
    }
}
