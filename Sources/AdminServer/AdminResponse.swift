internal import HTTP1
internal import Telemetry

/// The answer to one request.
struct AdminResponse: Equatable, Sendable {
    var status: UInt16
    var contentType: String
    var body: [UInt8]
    /// The Allow field of a 405.
    var allow = ""

    init(status: UInt16, contentType: String, body: [UInt8]) {
        self.status = status
        self.contentType = contentType
        self.body = body
    }

    static func text(_ status: UInt16, _ text: String, allow: String = "") -> AdminResponse {
        var response = AdminResponse(status: status, contentType: "text/plain; charset=utf-8", body: Array(text.utf8))
        response.allow = allow
        return response
    }

    static func json(_ status: UInt16, _ body: [UInt8]) -> AdminResponse {
        AdminResponse(status: status, contentType: "application/json", body: body)
    }

    /// The head of an answer that ends with its connection.
    static func streamHead(since: String) -> [UInt8] {
        let writer = HTTP1MessageWriter()
        writer.writeStatusLine(200)
        writer.writeField("content-type", "application/x-ndjson")
        writer.writeField("x-ztun-since", since)
        writer.writeField("cache-control", "no-store")
        writer.writeField("connection", "close")
        writer.endHead()
        return writer.withBytes { Array($0) }
    }

    /// Head and body as they go out.
    func bytes(keepAlive: Bool) -> [UInt8] {
        let writer = HTTP1MessageWriter()
        writer.writeStatusLine(status)
        writer.writeField("content-type", contentType)
        writer.writeFraming(.length(UInt64(body.count)))
        if !allow.isEmpty { writer.writeField("allow", allow) }
        writer.writeField("cache-control", "no-store")
        writer.writeField("x-content-type-options", "nosniff")
        if !keepAlive { writer.writeField("connection", "close") }
        writer.endHead()
        return writer.withBytes { Array($0) } + body
    }
}
