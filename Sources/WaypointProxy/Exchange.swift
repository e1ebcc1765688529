internal import HTTP1
internal import MeshModel
internal import RoutingCore

/// One request and its answer, while they pass.
struct Exchange {
    /// Monotonic nanoseconds when the head had come.
    var start: UInt64 = 0
    /// The path as it is routed and forwarded, where that is not the one that came.
    var path: [UInt8]?
    var route: HTTPRouteTable.Entry?
    var backend = HTTPRoute.Backend.Destination.called
    var choice: L7Upstream?
    /// Dials and sends so far.
    var attempts = 0
    /// Uids of endpoints whose dial failed.
    var excluded: [String] = []
    var requestSent = false
    var requestEnded = false
    var responseStarted = false
    var responseEnded = false
    /// The answer's body goes out in chunks.
    var isChunked = false
    /// The answer's body ends with the connection.
    var endsWithClose = false
    var keepsAlive = false
    var status: UInt16 = 0
    var reason: Reason?
    /// The client closed before the answer was complete.
    var isCutByClient = false
    /// Why it failed, for the log.
    var detail = ""
    var requestBytes: UInt64 = 0
    var responseBytes: UInt64 = 0
    /// Bytes of a request's body that nobody wants any more.
    var discarded = 0
    /// The request id, where the request brought none.
    var requestID: RequestID?
}
