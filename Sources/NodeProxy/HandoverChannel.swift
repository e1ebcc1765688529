internal import ControlPlane
internal import EventLoop

/// A connection between two ztund: messages as JSON, each behind the length of its JSON, with bytes after it.
struct HandoverChannel: Sendable {
    let channel: DescriptorChannel

    /// A message that is none of ours, or the end where there must be none.
    enum Fault: Error, CustomStringConvertible {
        case ended
        case unreadable
        /// It said why there is no handover.
        case refused(String)
        case failed(SystemError)

        var description: String {
            switch self {
            case .ended: "it has ended"
            case .refused(let reason): reason
            case .unreadable: "it sent something that this version does not understand"
            case .failed(let error):
                error.name == "EAGAIN"
                    ? "it did not answer within \(HandoverMessage.patience / 1000) seconds" : error.description
            }
        }

        /// Whether the other process is gone.
        var isEnd: Bool {
            switch self {
            case .ended: true
            case .unreadable, .refused: false
            case .failed(let error): error.name == "EPIPE" || error.name == "ECONNRESET"
            }
        }
    }

    /// One message with what came along.
    struct Received {
        var message: HandoverMessage
        var bytes: ArraySlice<UInt8>
        var descriptors: [HeldDescriptor]
    }

    func send(_ message: HandoverMessage, descriptors: [Int32] = [], bytes: [UInt8] = []) throws(Fault) {
        guard let json = JSONText.encode(message) else { throw .unreadable }
        let length = (0..<4).map { UInt8(truncatingIfNeeded: json.count >> ($0 * 8)) }
        do throws(SystemError) {
            try channel.send(length + json + bytes, descriptors: descriptors)
        } catch {
            throw .failed(error)
        }
    }

    func receive() throws(Fault) -> Received {
        do throws(SystemError) {
            guard let (bytes, descriptors) = try channel.receive() else { throw SystemError("recvmsg", 32) }
            guard bytes.count >= 4 else { throw SystemError("recvmsg", 71) }
            let length = (0..<4).reduce(0) { $0 | Int(bytes[$1]) << ($1 * 8) }
            guard length <= bytes.count - 4,
                let message = JSONText.decode(HandoverMessage.self, from: bytes[4..<(4 + length)])
            else { throw SystemError("recvmsg", 71) }
            return Received(message: message, bytes: bytes[(4 + length)...], descriptors: descriptors)
        } catch {
            throw error.name == "EPROTO" ? .unreadable : error.name == "EPIPE" ? .ended : .failed(error)
        }
    }
}
