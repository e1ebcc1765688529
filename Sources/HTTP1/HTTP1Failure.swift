/// Why bytes are not a message we accept. The raw value is the detail that goes to the log; the connection must close.
package enum HTTP1Failure: String, Error, Sendable, CaseIterable {
    case bareLineFeed = "http1.bare_line_feed"
    case loneCarriageReturn = "http1.lone_carriage_return"
    case foldedField = "http1.folded_field"
    case emptyLines = "http1.too_many_empty_lines"
    case startLineInvalid = "http1.start_line_invalid"
    case methodInvalid = "http1.method_invalid"
    case targetInvalid = "http1.target_invalid"
    case versionUnsupported = "http1.version_unsupported"
    case statusInvalid = "http1.status_invalid"
    case fieldNameInvalid = "http1.field_name_invalid"
    case fieldValueInvalid = "http1.field_value_invalid"
    case headTooLarge = "http1.headers_too_large"
    case tooManyFields = "http1.too_many_headers"
    case hostMissing = "http1.host_missing"
    case hostRepeated = "http1.host_repeated"
    case hostInvalid = "http1.host_invalid"
    case contentLengthInvalid = "http1.content_length_invalid"
    case contentLengthRepeated = "http1.content_length_repeated"
    case lengthAndTransferEncoding = "http1.content_length_and_chunked_not_allowed"
    case transferEncodingRepeated = "http1.transfer_encoding_repeated"
    case transferEncodingInvalid = "http1.transfer_encoding_invalid"
    case transferEncodingUnsupported = "http1.transfer_encoding_unsupported"
    /// HTTP/1.0 knows no transfer coding, so two readers would see two bodies.
    case transferEncodingInHTTP10 = "http1.transfer_encoding_in_http10"
    case chunkSizeInvalid = "http1.chunk_size_invalid"
    case chunkExtensionInvalid = "http1.chunk_extension_invalid"
    case chunkExtensionTooLarge = "http1.chunk_extension_too_large"
    case chunkInvalid = "http1.chunk_invalid"
    case trailerInvalid = "http1.trailer_invalid"
    case trailerTooLarge = "http1.trailer_too_large"
    /// A 101 that nobody asked for.
    case upgradeUnexpected = "http1.upgrade_unexpected"
    case interimResponses = "http1.too_many_interim_responses"
    /// Bytes of a response before its request.
    case responseUnexpected = "http1.response_unexpected"
    /// The peer closed in the middle of a message.
    case truncated = "http1.truncated"

    /// The status to answer a request with; a failed response is always the proxy's 502.
    package var status: UInt16 {
        switch self {
        case .headTooLarge, .tooManyFields, .trailerTooLarge: 431
        case .transferEncodingUnsupported: 501
        case .versionUnsupported: 505
        default: 400
        }
    }
}
