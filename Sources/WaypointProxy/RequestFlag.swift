internal import MeshModel

/// Why a request was not answered by its upstream, in the flags that Envoy's and Istio's users know (`response_flags`).
package enum RequestFlag: String, Sendable, Hashable, CaseIterable {
    /// It was.
    case none = "-"
    /// No route matches.
    case noRoute = "NR"
    /// No endpoint is healthy.
    case noHealthyUpstream = "UH"
    /// The upstream could not be connected to.
    case upstreamConnectFailure = "UF"
    /// The upstream ended before its answer did.
    case upstreamTermination = "UC"
    /// The upstream's answer is not valid HTTP.
    case upstreamProtocolError = "UPE"
    /// The client ended before its answer did.
    case downstreamTermination = "DC"
    /// The request is not valid HTTP.
    case downstreamProtocolError = "DPE"
    /// A limit of ours is reached.
    case overflow = "UO"

    /// - Parameters:
    ///   - reason: why it failed; nil when it did not.
    ///   - isConnected: whether an upstream had the request.
    ///   - isByClient: whether the client ended it.
    init(_ reason: Reason?, isConnected: Bool, isByClient: Bool) {
        self =
            switch reason {
            case nil: .none
            case _ where isByClient: .downstreamTermination
            case .routeNotFound: .noRoute
            case .noHealthyUpstream, .servicePortUnknown, .serviceUnknown, .workloadUnknown: .noHealthyUpstream
            case .requestInvalid: .downstreamProtocolError
            case .responseInvalid: .upstreamProtocolError
            case .overLimit: .overflow
            default: isConnected ? .upstreamTermination : .upstreamConnectFailure
            }
    }
}
