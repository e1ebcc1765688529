/// Finds the bytes of one body in what a peer sends; body bytes are pointed at, never copied. Trailers are checked and
/// dropped.
struct HTTP1BodyReader {
    /// What a step found.
    enum Step {
        /// All input is consumed and the body goes on.
        case more
        /// The body bytes `offset ..< offset + count` of the input; the step consumed up to their end.
        case data(offset: Int, count: Int)
        /// The body has ended; the rest of the input belongs to the next message.
        case end
    }

    private enum State: UInt8 {
        case size, sizeExtension, sizeLineFeed, data, dataReturn, dataLineFeed
        case trailerStart, trailerName, trailerValue, trailerLineFeed, lastLineFeed
        case length, untilClose, done
    }

    private var state: State
    private var remaining: UInt64
    /// Digits of the chunk size read so far, or bytes of its extensions.
    private var counter = 0
    private var trailerBytes = 0
    private var trailerFields = 0
    private let limits: HTTP1Limits

    init(_ framing: HTTP1Framing, limits: HTTP1Limits) {
        self.limits = limits
        remaining = 0
        switch framing {
        case .none: state = .done
        case .length(let length):
            remaining = length
            state = length == 0 ? .done : .length
        case .chunked: state = .size
        case .untilClose: state = .untilClose
        }
    }

    /// Whether the last byte of the body has been seen.
    var isDone: Bool { state == .done }
    /// Whether the end of the connection is the end of this body.
    var endsWithConnection: Bool { state == .untilClose }

    /// Advances `position` over the input by one step.
    mutating func step(_ input: borrowing RawSpan, _ position: inout Int) throws(HTTP1Failure) -> Step {
        while true {
            if state == .done { return .end }
            let available = input.byteCount - position
            guard available > 0 else { return .more }
            switch state {
            case .length, .data:
                let count = Int(min(UInt64(available), remaining))
                remaining -= UInt64(count)
                if remaining == 0 { state = state == .data ? .dataReturn : .done }
                defer { position += count }
                return .data(offset: position, count: count)
            case .untilClose:
                defer { position += available }
                return .data(offset: position, count: available)
            default:
                let byte = input.unsafeLoad(fromByteOffset: position, as: UInt8.self)
                position += 1
                try take(byte)
            }
        }
    }

    /// One byte of chunk framing or of a trailer.
    private mutating func take(_ byte: UInt8) throws(HTTP1Failure) {
        switch state {
        case .size: try takeSize(byte)
        case .sizeExtension:
            counter += 1
            guard counter <= limits.chunkExtensionBytes else { throw .chunkExtensionTooLarge }
            if byte == carriageReturn {
                state = .sizeLineFeed
            } else if !byte.isFieldValueOctet {
                throw .chunkExtensionInvalid
            }
        case .sizeLineFeed:
            guard byte == lineFeed else { throw .loneCarriageReturn }
            counter = 0
            state = remaining == 0 ? .trailerStart : .data
        case .dataReturn:
            guard byte == carriageReturn else { throw .chunkInvalid }
            state = .dataLineFeed
        case .dataLineFeed:
            guard byte == lineFeed else { throw .chunkInvalid }
            state = .size
        case .trailerStart, .trailerName, .trailerValue, .trailerLineFeed, .lastLineFeed: try takeTrailer(byte)
        case .length, .data, .untilClose, .done: break
        }
    }

    private mutating func takeSize(_ byte: UInt8) throws(HTTP1Failure) {
        let digit = byte.hexValue
        if digit < 16 {
            // Sixteen digits are the limit; the top bit stays clear so that every size is an Int.
            guard counter < 16, remaining >> 59 == 0 else { throw .chunkSizeInvalid }
            counter += 1
            remaining = remaining << 4 | UInt64(digit)
            return
        }
        guard counter > 0 else { throw byte == lineFeed ? .bareLineFeed : .chunkSizeInvalid }
        counter = 0
        switch byte {
        case carriageReturn: state = .sizeLineFeed
        case UInt8(ascii: ";"): state = .sizeExtension
        case lineFeed: throw .bareLineFeed
        default: throw .chunkSizeInvalid
        }
    }

    private mutating func takeTrailer(_ byte: UInt8) throws(HTTP1Failure) {
        trailerBytes += 1
        guard trailerBytes <= limits.headBytes else { throw .trailerTooLarge }
        switch state {
        case .trailerStart where byte == carriageReturn: state = .lastLineFeed
        case .trailerStart:
            trailerFields += 1
            guard trailerFields <= limits.fields else { throw .trailerTooLarge }
            guard byte.isTokenOctet else { throw .trailerInvalid }
            state = .trailerName
        case .trailerName:
            if byte == UInt8(ascii: ":") { state = .trailerValue } else if !byte.isTokenOctet { throw .trailerInvalid }
        case .trailerValue:
            if byte == carriageReturn {
                state = .trailerLineFeed
            } else if !byte.isFieldValueOctet {
                throw .trailerInvalid
            }
        case .trailerLineFeed:
            guard byte == lineFeed else { throw .loneCarriageReturn }
            state = .trailerStart
        default:
            guard byte == lineFeed else { throw .loneCarriageReturn }
            state = .done
        }
    }
}
