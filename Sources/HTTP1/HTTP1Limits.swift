internal import MeshModel

/// Bounds on what one message may cost; each is enforced by the parsers and proven in HTTP1Tests.
package struct HTTP1Limits: Sendable {
    /// Bytes of a message head with its line ends, and of a trailer section; at most 65,535, the reach of ``HTTP1Slice``.
    package let headBytes: Int
    /// Fields in one head, and in one trailer section.
    package let fields: Int
    /// Bytes of extensions behind one chunk size. Signed uploads put some 90 bytes behind every chunk, hence per chunk.
    package let chunkExtensionBytes: Int
    /// Empty lines tolerated before a request line (RFC 9112, 2.2).
    package let leadingEmptyLines: Int
    /// Interim (1xx) responses tolerated before the final one.
    package let interimResponses: Int

    package init(
        headBytes: Int = Limits.standard.messageHeadBytes, fields: Int = Limits.standard.messageFields,
        chunkExtensionBytes: Int = Limits.standard.chunkExtensionBytes, leadingEmptyLines: Int = 4,
        interimResponses: Int = Limits.standard.interimResponses
    ) {
        self.headBytes = min(headBytes, Int(UInt16.max))
        self.fields = fields
        self.chunkExtensionBytes = chunkExtensionBytes
        self.leadingEmptyLines = leadingEmptyLines
        self.interimResponses = interimResponses
    }
}
