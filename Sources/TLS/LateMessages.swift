/// The handshake messages that may follow a handshake (RFC 8446 4.6), read over any cut into records. Nothing of them is
/// kept: a ticket is passed over, for sessions are never resumed, and a key update is one byte.
struct LateMessages: Sendable {
    enum Event: Sendable, Equatable {
        /// The record is read to its end.
        case none
        /// The peer's next record has new keys; and it wants new ones of us.
        case keyUpdate(isRequest: Bool)
        case broken(TLSAlert)
    }

    private var head: (UInt8, UInt8, UInt8, UInt8) = (0, 0, 0, 0)
    private var headCount = 0
    private var rest = 0
    /// Messages so far.
    private(set) var count = 0

    /// Between two messages; no other record may come when it is not (RFC 8446 5.1).
    var isBetween: Bool { headCount == 0 && rest == 0 }

    /// Takes the content of one handshake record.
    mutating func take(_ bytes: UnsafeBufferPointer<UInt8>) -> Event {
        var at = 0
        while at < bytes.count {
            if rest > 0, head.0 != 24 {
                let step = min(rest, bytes.count - at)
                rest -= step
                at += step
                if rest == 0 { headCount = 0 }
                continue
            }
            if rest > 0 {
                let value = bytes[at]
                (rest, headCount) = (0, 0)
                guard value <= 1 else { return .broken(.illegalParameter) }
                // Keys change at the border of a record: nothing may stand behind (RFC 8446 5.1).
                guard at + 1 == bytes.count else { return .broken(.unexpectedMessage) }
                return .keyUpdate(isRequest: value == 1)
            }
            withUnsafeMutableBytes(of: &head) { $0[headCount] = bytes[at] }
            headCount += 1
            at += 1
            guard headCount == 4 else { continue }
            count += 1
            rest = Int(head.1) << 16 | Int(head.2) << 8 | Int(head.3)
            switch head.0 {
            case 4: guard rest > 0, rest <= 1 << 17 else { return .broken(.decodeError) }
            case 24: guard rest == 1 else { return .broken(.decodeError) }
            default: return .broken(.unexpectedMessage)
            }
        }
        return .none
    }
}
